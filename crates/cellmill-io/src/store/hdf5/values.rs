//! Whole values of datasets and attributes, read through the library.

use super::dtype::{self, Dtype, Number, Text};
use super::handle::{Fault, Handle, Outcome, check, count, locked, name};
use hdf5_metno_sys::h5i::hid_t;
use hdf5_metno_sys::h5s::{self, H5S_class_t, H5S_seloper_t};
use hdf5_metno_sys::h5t::{self, H5T_class_t};
use hdf5_metno_sys::{h5a, h5d, h5p};
use std::ffi::{CStr, c_char, c_void};

/// An element above this size has to have bytes in the file that could hold it.
const PLAUSIBLE: u64 = 1 << 28;
/// No filter shrinks more than this (deflate reaches 1,032).
const SHRINK: u64 = 2_000;

/// A dataset or an attribute.
#[derive(Debug)]
pub(crate) enum Place {
    Dataset(Handle),
    Attribute(Handle),
}

/// The dimensions of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extent {
    /// No value at all (anndata's `null`).
    Null,
    /// One value without dimensions.
    Scalar,
    /// An array.
    Simple(Vec<u64>),
}

impl Extent {
    /// The number of values.
    pub(crate) fn len(&self) -> Option<u64> {
        match self {
            Self::Null => Some(0),
            Self::Scalar => Some(1),
            Self::Simple(dims) => dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d)),
        }
    }
}

impl Place {
    pub(crate) fn id(&self) -> hid_t {
        match self {
            Self::Dataset(h) | Self::Attribute(h) => h.id(),
        }
    }

    fn space(&self) -> Outcome<Handle> {
        // SAFETY: the place is open.
        Handle::take(unsafe {
            match self {
                Self::Dataset(h) => h5d::H5Dget_space(h.id()),
                Self::Attribute(h) => h5a::H5Aget_space(h.id()),
            }
        })
    }

    fn kind(&self) -> Outcome<Handle> {
        // SAFETY: the place is open.
        Handle::take(unsafe {
            match self {
                Self::Dataset(h) => h5d::H5Dget_type(h.id()),
                Self::Attribute(h) => h5a::H5Aget_type(h.id()),
            }
        })
    }

    pub(crate) fn dtype(&self) -> Outcome<Dtype> {
        locked(|| dtype::describe(&self.kind()?))
    }

    pub(crate) fn extent(&self) -> Outcome<Extent> {
        locked(|| {
            let space = self.space()?;
            // SAFETY: the dataspace is open; the vector has room for the rank asked for.
            unsafe {
                Ok(match h5s::H5Sget_simple_extent_type(space.id()) {
                    H5S_class_t::H5S_NULL => Extent::Null,
                    H5S_class_t::H5S_SCALAR => Extent::Scalar,
                    _ => {
                        let rank = count(h5s::H5Sget_simple_extent_ndims(space.id()).into())?;
                        let mut dims = vec![0u64; rank as usize];
                        let got = h5s::H5Sget_simple_extent_dims(
                            space.id(),
                            dims.as_mut_ptr(),
                            std::ptr::null_mut(),
                        );
                        count(got.into())?;
                        Extent::Simple(dims)
                    }
                })
            }
        })
    }

    /// Bytes that the values take in the file.
    pub(crate) fn stored_bytes(&self) -> u64 {
        // SAFETY: the place is open.
        locked(|| unsafe {
            match self {
                Self::Dataset(h) => h5d::H5Dget_storage_size(h.id()),
                Self::Attribute(h) => h5a::H5Aget_storage_size(h.id()),
            }
        })
    }

    /// The number of values, refused where the file could not hold them.
    pub(crate) fn plausible(&self, size: usize) -> Outcome<usize> {
        let extent = self.extent()?;
        let bytes = extent.len().and_then(|n| n.checked_mul(size as u64));
        let stored = self.stored_bytes();
        match (extent.len(), bytes) {
            (Some(n), Some(bytes))
                if bytes <= PLAUSIBLE || bytes / SHRINK <= stored.saturating_add(1) =>
            {
                usize::try_from(n).map_err(|_| Fault(format!("{n} values do not fit in memory")))
            }
            _ => Err(Fault(format!(
                "its dimensions {extent:?} need far more than the {stored} bytes that are stored"
            ))),
        }
    }

    /// Reads everything. The buffer has room for every value of the memory type.
    ///
    /// # Safety
    /// `buffer` holds as many values of `memory` as the place has.
    unsafe fn read(&self, memory: hid_t, buffer: *mut c_void) -> Outcome<()> {
        // SAFETY: the caller's promise.
        check(unsafe {
            match self {
                Self::Dataset(h) => h5d::H5Dread(
                    h.id(),
                    memory,
                    h5s::H5S_ALL,
                    h5s::H5S_ALL,
                    h5p::H5P_DEFAULT,
                    buffer,
                ),
                Self::Attribute(h) => h5a::H5Aread(h.id(), memory, buffer),
            }
        })
    }
}

fn room<T: Copy + Default>(n: usize) -> Outcome<Vec<T>> {
    let mut out = Vec::new();
    out.try_reserve_exact(n).map_err(|_| {
        Fault(format!(
            "{n} values of {} bytes do not fit in memory",
            size_of::<T>()
        ))
    })?;
    out.resize(n, T::default());
    Ok(out)
}

/// All values as numbers of type `T`, converted by the library where the file holds another type.
pub(crate) fn numbers<T: Number>(place: &Place) -> Outcome<Vec<T>> {
    let n = place.plausible(size_of::<T>())?;
    let mut out = room::<T>(n)?;
    if n > 0 {
        // SAFETY: the vector has one `T` for each value, and `native` is `T`'s layout.
        locked(|| unsafe { place.read(T::native(), out.as_mut_ptr().cast()) })?;
    }
    Ok(out)
}

/// The values of a box of a dataset: its first corner and its lengths, whose product is the length
/// of `out`.
pub(crate) fn numbers_in<T: Number>(
    place: &Place,
    first: &[u64],
    lengths: &[u64],
    out: &mut [T],
) -> Outcome<()> {
    let n = lengths.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
    if n != Some(out.len() as u64) || first.len() != lengths.len() {
        return Err(Fault(format!(
            "{lengths:?} values were asked for at {first:?}"
        )));
    }
    if out.is_empty() {
        return Ok(());
    }
    locked(|| {
        let space = place.space()?;
        // SAFETY: the dataspace is open.
        let rank = count(unsafe { h5s::H5Sget_simple_extent_ndims(space.id()) }.into())?;
        if rank != first.len() as u64 {
            return Err(Fault(format!(
                "it has {rank} dimensions, not {}",
                first.len()
            )));
        }
        let n = [out.len() as u64];
        // SAFETY: the selection has the rank of the dataspace and as many values as `out`, and both
        // spaces are ours.
        unsafe {
            check(h5s::H5Sselect_hyperslab(
                space.id(),
                H5S_seloper_t::H5S_SELECT_SET,
                first.as_ptr(),
                std::ptr::null(),
                lengths.as_ptr(),
                std::ptr::null(),
            ))?;
            let memory = Handle::take(h5s::H5Screate_simple(1, n.as_ptr(), std::ptr::null()))?;
            check(h5d::H5Dread(
                place.id(),
                T::native(),
                memory.id(),
                space.id(),
                h5p::H5P_DEFAULT,
                out.as_mut_ptr().cast(),
            ))
        }
    })
}

/// All values of a boolean place.
pub(crate) fn bools(place: &Place) -> Outcome<Vec<bool>> {
    let n = place.plausible(1)?;
    let mut out = room::<i8>(n)?;
    if n > 0 {
        let kind = dtype::bool_type()?;
        // SAFETY: the vector has one byte for each value of the one-byte enum.
        locked(|| unsafe { place.read(kind.id(), out.as_mut_ptr().cast()) })?;
    }
    Ok(out.into_iter().map(|v| v != 0).collect())
}

/// All values of a place of strings. Bytes that are not UTF-8 become the replacement character.
pub(crate) fn texts(place: &Place) -> Outcome<Vec<String>> {
    let Dtype::Text(text) = place.dtype()? else {
        return Err(Fault("strings were expected".into()));
    };
    match text.fixed {
        Some(width) => {
            let n = place.plausible(width)?;
            let total = n
                .checked_mul(width)
                .ok_or_else(|| Fault("too many strings".into()))?;
            let mut bytes = room::<u8>(total)?;
            if total > 0 {
                let kind = dtype::text_type(&text)?;
                // SAFETY: the vector has `width` bytes for each value.
                locked(|| unsafe { place.read(kind.id(), bytes.as_mut_ptr().cast()) })?;
            }
            Ok(bytes
                .chunks_exact(width.max(1))
                .map(|b| fixed_text(b, text.spaces))
                .collect())
        }
        None => varying_texts(place, &text),
    }
}

fn fixed_text(bytes: &[u8], spaces: bool) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    if spaces {
        text.trim_end_matches(' ').to_owned()
    } else {
        text.into_owned()
    }
}

fn varying_texts(place: &Place, text: &Text) -> Outcome<Vec<String>> {
    let n = place.plausible(size_of::<*const c_char>())?;
    if n == 0 {
        return Ok(Vec::new());
    }
    let mut pointers: Vec<*mut c_char> = Vec::new();
    pointers
        .try_reserve_exact(n)
        .map_err(|_| Fault(format!("{n} strings do not fit in memory")))?;
    pointers.resize(n, std::ptr::null_mut());
    let kind = dtype::text_type(text)?;
    locked(|| {
        let space = place.space()?;
        // SAFETY: one pointer for each value; the library fills them with strings of its own, which
        // are copied here and given back by H5Treclaim.
        unsafe {
            let outcome = place.read(kind.id(), pointers.as_mut_ptr().cast());
            let strings = pointers
                .iter()
                .map(|&p| {
                    if p.is_null() {
                        String::new()
                    } else {
                        CStr::from_ptr(p).to_string_lossy().into_owned()
                    }
                })
                .collect();
            h5t::H5Treclaim(
                kind.id(),
                space.id(),
                h5p::H5P_DEFAULT,
                pointers.as_mut_ptr().cast(),
            );
            outcome.map(|()| strings)
        }
    })
}

/// One member of a compound place, as numbers; `width` numbers for each value (an array member
/// has several).
pub(crate) fn member_numbers<T: Number>(
    place: &Place,
    member: &str,
    dims: &[u64],
) -> Outcome<Vec<T>> {
    let width = dims
        .iter()
        .try_fold(1u64, |n, &d| n.checked_mul(d))
        .and_then(|w| usize::try_from(w).ok())
        .ok_or_else(|| Fault("an array member is too large".into()))?;
    let bytes = width
        .checked_mul(size_of::<T>())
        .ok_or_else(|| Fault("too large".into()))?;
    let n = place.plausible(bytes)?;
    let total = n
        .checked_mul(width)
        .ok_or_else(|| Fault("too many values".into()))?;
    let mut out = room::<T>(total)?;
    if total == 0 {
        return Ok(out);
    }
    let label = name(member)?;
    locked(|| {
        // SAFETY: the compound is ours and has one member of `width` numbers, `bytes` long, and
        // the vector has room for one of them for each value.
        unsafe {
            let kind = Handle::take(h5t::H5Tcreate(H5T_class_t::H5T_COMPOUND, bytes))?;
            let array;
            let inner = if dims.is_empty() {
                T::native()
            } else {
                array = Handle::take(h5t::H5Tarray_create2(
                    T::native(),
                    dims.len() as u32,
                    dims.as_ptr(),
                ))?;
                array.id()
            };
            check(h5t::H5Tinsert(kind.id(), label.as_ptr(), 0, inner))?;
            place.read(kind.id(), out.as_mut_ptr().cast())
        }
    })?;
    Ok(out)
}

/// One member of a compound place, as strings of fixed width.
pub(crate) fn member_texts(place: &Place, member: &str, text: &Text) -> Outcome<Vec<String>> {
    let label = name(member)?;
    let width = text.fixed.unwrap_or(size_of::<*const c_char>());
    let n = place.plausible(width)?;
    if n == 0 || width == 0 {
        return Ok(vec![String::new(); n]);
    }
    let total = n
        .checked_mul(width)
        .ok_or_else(|| Fault("too many strings".into()))?;
    let inner = dtype::text_type(text)?;
    locked(|| {
        // SAFETY: the compound is ours and has one member of `width` bytes; strings of varying
        // length are pointers that the library fills, copied here and given back.
        unsafe {
            let kind = Handle::take(h5t::H5Tcreate(H5T_class_t::H5T_COMPOUND, width))?;
            check(h5t::H5Tinsert(kind.id(), label.as_ptr(), 0, inner.id()))?;
            if text.fixed.is_some() {
                let mut bytes = room::<u8>(total)?;
                place.read(kind.id(), bytes.as_mut_ptr().cast())?;
                return Ok(bytes
                    .chunks_exact(width)
                    .map(|b| fixed_text(b, text.spaces))
                    .collect());
            }
            let space = place.space()?;
            let mut pointers: Vec<*mut c_char> = vec![std::ptr::null_mut(); n];
            let outcome = place.read(kind.id(), pointers.as_mut_ptr().cast());
            let strings = pointers
                .iter()
                .map(|&p| {
                    if p.is_null() {
                        String::new()
                    } else {
                        CStr::from_ptr(p).to_string_lossy().into_owned()
                    }
                })
                .collect();
            h5t::H5Treclaim(
                kind.id(),
                space.id(),
                h5p::H5P_DEFAULT,
                pointers.as_mut_ptr().cast(),
            );
            outcome.map(|()| strings)
        }
    })
}
