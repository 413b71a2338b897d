//! Plain values: numbers, booleans, strings.

use crate::elem::ArrayData;
use crate::store::hdf5::Dtype;
use crate::store::hdf5::handle::Outcome;
use crate::store::hdf5::values::{self, Place};

/// All values of a dataset or attribute; `None` where the dtype is not one of ours.
pub(super) fn read(place: &Place) -> Outcome<Option<ArrayData>> {
    Ok(Some(match place.dtype()? {
        Dtype::Bool => ArrayData::Bool(values::bools(place)?),
        Dtype::Int {
            size: 1,
            signed: true,
            ..
        } => ArrayData::I8(values::numbers(place)?),
        Dtype::Int { size: 1, .. } => ArrayData::U8(values::numbers(place)?),
        Dtype::Int {
            size: 2,
            signed: true,
            ..
        } => ArrayData::I16(values::numbers(place)?),
        Dtype::Int { size: 2, .. } => ArrayData::U16(values::numbers(place)?),
        Dtype::Int {
            size: 4,
            signed: true,
            ..
        } => ArrayData::I32(values::numbers(place)?),
        Dtype::Int { size: 4, .. } => ArrayData::U32(values::numbers(place)?),
        Dtype::Int { signed: true, .. } => ArrayData::I64(values::numbers(place)?),
        Dtype::Int { .. } => ArrayData::U64(values::numbers(place)?),
        Dtype::Float { size: 8, .. } => ArrayData::F64(values::numbers(place)?),
        Dtype::Float { .. } => ArrayData::F32(values::numbers(place)?),
        Dtype::Text(_) => ArrayData::Str(values::texts(place)?),
        _ => return Ok(None),
    }))
}

/// Integers as u64; `None` where one is negative or they are no integers.
pub(crate) fn unsigned(data: ArrayData) -> Option<Vec<u64>> {
    fn all<T: Copy + TryInto<u64>>(v: Vec<T>) -> Option<Vec<u64>> {
        v.into_iter().map(|x| x.try_into().ok()).collect()
    }
    match data {
        ArrayData::I8(v) => all(v),
        ArrayData::I16(v) => all(v),
        ArrayData::I32(v) => all(v),
        ArrayData::I64(v) => all(v),
        ArrayData::U8(v) => all(v),
        ArrayData::U16(v) => all(v),
        ArrayData::U32(v) => all(v),
        ArrayData::U64(v) => Some(v),
        _ => None,
    }
}

/// Integers as i32; `None` where one does not fit or they are no integers.
pub(super) fn codes(data: ArrayData) -> Option<Vec<i32>> {
    fn all<T: Copy + TryInto<i32>>(v: Vec<T>) -> Option<Vec<i32>> {
        v.into_iter().map(|x| x.try_into().ok()).collect()
    }
    match data {
        ArrayData::I8(v) => all(v),
        ArrayData::I16(v) => all(v),
        ArrayData::I32(v) => Some(v),
        ArrayData::I64(v) => all(v),
        ArrayData::U8(v) => all(v),
        ArrayData::U16(v) => all(v),
        ArrayData::U32(v) => all(v),
        ArrayData::U64(v) => all(v),
        _ => None,
    }
}

/// Any plain values as strings, as pandas would print them in an index.
pub(crate) fn strings(data: ArrayData) -> Vec<String> {
    fn all<T: ToString>(v: &[T]) -> Vec<String> {
        v.iter().map(T::to_string).collect()
    }
    match data {
        ArrayData::Bool(v) => v
            .into_iter()
            .map(|b| if b { "True" } else { "False" }.to_owned())
            .collect(),
        ArrayData::I8(v) => all(&v),
        ArrayData::I16(v) => all(&v),
        ArrayData::I32(v) => all(&v),
        ArrayData::I64(v) => all(&v),
        ArrayData::U8(v) => all(&v),
        ArrayData::U16(v) => all(&v),
        ArrayData::U32(v) => all(&v),
        ArrayData::U64(v) => all(&v),
        // Rust's {:?} keeps the ".0" that Python prints.
        ArrayData::F32(v) => v.iter().map(|x| format!("{x:?}")).collect(),
        ArrayData::F64(v) => v.iter().map(|x| format!("{x:?}")).collect(),
        ArrayData::Str(v) => v,
    }
}
