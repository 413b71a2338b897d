//! Numbers of a piece, by dtype.

use super::decode::{self, Bits, Piece};
use crate::store::hdf5::Dtype;
use cellmill_engine::Values;

/// Appends column numbers; what is negative or beyond u32 becomes `u32::MAX`.
pub(crate) fn extend_columns(dtype: &Dtype, piece: &Piece<'_>, out: &mut Vec<u32>) {
    match dtype {
        Dtype::Int { size: 8, .. } => u64::extend(piece, out, decode::column),
        Dtype::Int { size: 4, .. } => u32::extend(piece, out, |b| b),
        Dtype::Int {
            size: 2,
            signed: true,
            ..
        } => u16::extend(piece, out, |b| i32::from(b as i16) as u32),
        Dtype::Int { size: 2, .. } => u16::extend(piece, out, u32::from),
        Dtype::Int { signed: true, .. } => u8::extend(piece, out, |b| i32::from(b as i8) as u32),
        _ => u8::extend(piece, out, u32::from),
    }
}

/// Appends row starts. Negative ones become huge, and so are found to be out of order.
pub(crate) fn extend_u64(dtype: &Dtype, piece: &Piece<'_>, out: &mut Vec<u64>) {
    match dtype {
        Dtype::Int { size: 8, .. } => u64::extend(piece, out, |b| b),
        Dtype::Int {
            size: 4,
            signed: true,
            ..
        } => u32::extend(piece, out, |b| i64::from(b as i32) as u64),
        Dtype::Int { size: 4, .. } => u32::extend(piece, out, u64::from),
        Dtype::Int {
            size: 2,
            signed: true,
            ..
        } => u16::extend(piece, out, |b| i64::from(b as i16) as u64),
        Dtype::Int { size: 2, .. } => u16::extend(piece, out, u64::from),
        Dtype::Int { signed: true, .. } => u8::extend(piece, out, |b| i64::from(b as i8) as u64),
        _ => u8::extend(piece, out, u64::from),
    }
}

/// Appends the values of a piece. False where one of them is not finite.
pub(crate) fn extend_values(dtype: &Dtype, piece: &Piece<'_>, out: &mut Values) -> bool {
    let start = out.len();
    if let Dtype::Float { size: 8, .. } = dtype {
        let Values::F64(v) = out else { return false };
        u64::extend(piece, v, f64::from_bits);
        return decode::all_finite_f64(&v[start..]);
    }
    if let Values::F32(v) = out {
        match dtype {
            Dtype::Float { size: 4, .. } => {
                u32::extend(piece, v, f32::from_bits);
                return decode::all_finite_f32(&v[start..]);
            }
            Dtype::Float { .. } => {
                u16::extend(piece, v, decode::half);
                return decode::all_finite_f32(&v[start..]);
            }
            Dtype::Int {
                size: 8,
                signed: true,
                ..
            } => u64::extend(piece, v, |b| b as i64 as f32),
            Dtype::Int { size: 8, .. } => u64::extend(piece, v, |b| b as f32),
            Dtype::Int {
                size: 4,
                signed: true,
                ..
            } => u32::extend(piece, v, |b| b as i32 as f32),
            Dtype::Int { size: 4, .. } => u32::extend(piece, v, |b| b as f32),
            Dtype::Int {
                size: 2,
                signed: true,
                ..
            } => u16::extend(piece, v, |b| f32::from(b as i16)),
            Dtype::Int { size: 2, .. } => u16::extend(piece, v, f32::from),
            Dtype::Int { signed: true, .. } => u8::extend(piece, v, |b| f32::from(b as i8)),
            Dtype::Bool => u8::extend(piece, v, |b| f32::from(u8::from(b != 0))),
            _ => u8::extend(piece, v, f32::from),
        }
        let wide = matches!(dtype, Dtype::Int { size: 4 | 8, .. });
        if !wide || decode::all_exact(&v[start..]) {
            return true;
        }
        // An integer that f32 may not hold: the block becomes f64 from here on. What was read
        // before is below 2^24, so nothing is lost.
        v.truncate(start);
        let mut wide = Vec::with_capacity(v.capacity());
        wide.extend(v.iter().map(|&x| f64::from(x)));
        *out = Values::F64(wide);
    }
    let Values::F64(v) = out else { return false };
    match dtype {
        Dtype::Int {
            size: 8,
            signed: true,
            ..
        } => u64::extend(piece, v, |b| b as i64 as f64),
        Dtype::Int { size: 8, .. } => u64::extend(piece, v, |b| b as f64),
        Dtype::Int {
            size: 4,
            signed: true,
            ..
        } => u32::extend(piece, v, |b| f64::from(b as i32)),
        _ => u32::extend(piece, v, f64::from),
    }
    true
}
