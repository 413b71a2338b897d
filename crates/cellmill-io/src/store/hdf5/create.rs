//! Making groups, datasets and attributes. Object times are never stored, so that equal input
//! gives equal bytes.

use super::dtype::{self, Number, Text};
use super::handle::{Fault, Handle, Outcome, check, locked, name, truth};
use hdf5_metno::globals;
use hdf5_metno_sys::h5i::hid_t;
use hdf5_metno_sys::h5s::H5S_class_t;
use hdf5_metno_sys::{h5a, h5d, h5g, h5l, h5o, h5p, h5s};
use std::ffi::{CString, c_char, c_void};

/// A string as every attribute and dataset of anndata has it: variable length, UTF-8.
const TEXT: Text = Text {
    fixed: None,
    utf8: true,
    spaces: false,
};

/// How the values of a new dataset are stored.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Chunking {
    /// Values in a chunk.
    pub(crate) entries: u64,
    /// Whether bytes are shuffled before they are compressed.
    pub(crate) shuffle: bool,
    /// The gzip level.
    pub(crate) gzip: Option<u32>,
}

/// A dataspace: `None` for a value without dimensions.
fn space(dims: Option<&[u64]>, growing: bool) -> Outcome<Handle> {
    // SAFETY: the dimensions outlive the call. Call it under the lock.
    Handle::take(unsafe {
        match dims {
            None => h5s::H5Screate(H5S_class_t::H5S_SCALAR),
            Some(dims) => {
                let limits = vec![h5s::H5S_UNLIMITED; dims.len()];
                let limits = if growing {
                    limits.as_ptr()
                } else {
                    std::ptr::null()
                };
                h5s::H5Screate_simple(dims.len() as i32, dims.as_ptr(), limits)
            }
        }
    })
}

pub(super) fn untimed(class: hid_t) -> Outcome<Handle> {
    // SAFETY: the list is ours. Call it under the lock.
    unsafe {
        let list = Handle::take(h5p::H5Pcreate(class))?;
        check(h5p::H5Pset_obj_track_times(list.id(), 0))?;
        Ok(list)
    }
}

/// Makes a group.
pub(crate) fn group(at: hid_t, path: &str) -> Outcome<()> {
    let path = name(path)?;
    locked(|| {
        let list = untimed(*globals::H5P_GROUP_CREATE)?;
        // SAFETY: path and list are valid during the call.
        let id = unsafe {
            h5g::H5Gcreate2(
                at,
                path.as_ptr(),
                h5p::H5P_DEFAULT,
                list.id(),
                h5p::H5P_DEFAULT,
            )
        };
        Handle::take(id).map(drop)
    })
}

/// Removes what stands at `path`, if anything does. Its parent is there.
pub(crate) fn remove(at: hid_t, path: &str) -> Outcome<()> {
    let path = name(path)?;
    // SAFETY: the path is valid during the calls.
    locked(|| unsafe {
        if truth(h5l::H5Lexists(at, path.as_ptr(), h5p::H5P_DEFAULT))? {
            check(h5l::H5Ldelete(at, path.as_ptr(), h5p::H5P_DEFAULT))?;
        }
        Ok(())
    })
}

/// A new dataset.
#[derive(Debug)]
pub(crate) struct Dataset(Handle);

impl Dataset {
    fn create(
        at: hid_t,
        path: &str,
        kind: hid_t,
        dims: Option<&[u64]>,
        chunking: Option<Chunking>,
        growing: bool,
    ) -> Outcome<Self> {
        let path = name(path)?;
        let space = space(dims, growing)?;
        let list = untimed(*globals::H5P_DATASET_CREATE)?;
        // SAFETY: handles, names and the one chunk dimension are valid during the calls.
        unsafe {
            if let Some(chunking) = chunking {
                let mut chunk = vec![1u64; dims.map_or(1, <[u64]>::len)];
                let inner: u64 = dims.map_or(1, |d| d[1..].iter().product());
                chunk.copy_from_slice(dims.unwrap_or(&[1]));
                chunk[0] = if chunk.len() == 1 {
                    chunking.entries
                } else {
                    (chunking.entries / inner.max(1)).clamp(1, chunk[0].max(1))
                };
                for length in &mut chunk {
                    *length = (*length).max(1);
                }
                check(h5p::H5Pset_chunk(
                    list.id(),
                    chunk.len() as i32,
                    chunk.as_ptr(),
                ))?;
                if chunking.shuffle {
                    check(h5p::H5Pset_shuffle(list.id()))?;
                }
                if let Some(level) = chunking.gzip {
                    check(h5p::H5Pset_deflate(list.id(), level.min(9)))?;
                }
            }
            let id = h5d::H5Dcreate2(
                at,
                path.as_ptr(),
                kind,
                space.id(),
                h5p::H5P_DEFAULT,
                list.id(),
                h5p::H5P_DEFAULT,
            );
            Handle::take(id).map(Self)
        }
    }

    /// A 1-dimensional dataset without values yet, that grows and is written chunk by chunk.
    pub(crate) fn growing<T: Number>(at: hid_t, path: &str, chunking: Chunking) -> Outcome<Self> {
        locked(|| Self::create(at, path, T::native(), Some(&[0]), Some(chunking), true))
    }

    /// A 2-dimensional dataset without values yet, that is written in chunks of whole rows.
    pub(crate) fn rows<T: Number>(
        at: hid_t,
        path: &str,
        shape: [u64; 2],
        chunking: Chunking,
    ) -> Outcome<Self> {
        let kind = T::native();
        locked(|| Self::create(at, path, kind, Some(&shape), Some(chunking), false))
    }

    /// Sets the length of a growing dataset.
    pub(crate) fn extend(&self, len: u64) -> Outcome<()> {
        // SAFETY: the dataset has one dimension.
        locked(|| check(unsafe { h5d::H5Dset_extent(self.0.id(), [len].as_ptr()) }))
    }

    /// Writes a whole chunk whose filters have been applied already. `first` is its first value or row.
    pub(crate) fn write_chunk(&self, first: u64, bytes: &[u8]) -> Outcome<()> {
        // SAFETY: `bytes` is valid for its length; the dataset has one dimension or two.
        locked(|| {
            check(unsafe {
                h5d::H5Dwrite_chunk(
                    self.0.id(),
                    h5p::H5P_DEFAULT,
                    0,
                    [first, 0].as_ptr(),
                    bytes.len(),
                    bytes.as_ptr().cast(),
                )
            })
        })
    }

    /// # Safety
    /// `data` holds as many values of `kind` as the dataset has.
    unsafe fn write(&self, kind: hid_t, data: *const c_void) -> Outcome<()> {
        // SAFETY: the caller's promise.
        check(unsafe {
            h5d::H5Dwrite(
                self.0.id(),
                kind,
                h5s::H5S_ALL,
                h5s::H5S_ALL,
                h5p::H5P_DEFAULT,
                data,
            )
        })
    }
}

fn fits(dims: Option<&[u64]>, n: usize) -> Outcome<()> {
    let wanted = dims.map_or(Some(1), |d| {
        d.iter().try_fold(1u64, |a, &b| a.checked_mul(b))
    });
    if wanted == Some(n as u64) {
        Ok(())
    } else {
        Err(Fault(format!(
            "its shape is {dims:?} and it has {n} values"
        )))
    }
}

/// Writes numbers.
pub(crate) fn numbers<T: Number>(
    at: hid_t,
    path: &str,
    dims: Option<&[u64]>,
    values: &[T],
    chunking: Option<Chunking>,
    growing: bool,
) -> Outcome<()> {
    fits(dims, values.len())?;
    locked(|| {
        let set = Dataset::create(at, path, T::native(), dims, chunking, growing)?;
        if values.is_empty() {
            return Ok(());
        }
        // SAFETY: `fits` has checked the number of values.
        unsafe { set.write(T::native(), values.as_ptr().cast()) }
    })
}

/// Writes booleans.
pub(crate) fn bools(at: hid_t, path: &str, dims: Option<&[u64]>, values: &[bool]) -> Outcome<()> {
    fits(dims, values.len())?;
    let bytes: Vec<i8> = values.iter().map(|&b| i8::from(b)).collect();
    locked(|| {
        let kind = dtype::bool_type()?;
        let set = Dataset::create(at, path, kind.id(), dims, None, false)?;
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: `fits` has checked the number of values; the enum has one byte.
        unsafe { set.write(kind.id(), bytes.as_ptr().cast()) }
    })
}

fn c_strings(values: &[String]) -> Outcome<Vec<CString>> {
    values
        .iter()
        .map(|v| {
            CString::new(v.as_str())
                .map_err(|_| Fault(format!("the string {v:?} holds a NUL character")))
        })
        .collect()
}

/// Writes strings.
pub(crate) fn texts(at: hid_t, path: &str, dims: Option<&[u64]>, values: &[String]) -> Outcome<()> {
    fits(dims, values.len())?;
    let strings = c_strings(values)?;
    let pointers: Vec<*const c_char> = strings.iter().map(|s| s.as_ptr()).collect();
    locked(|| {
        let kind = dtype::text_type(&TEXT)?;
        let set = Dataset::create(at, path, kind.id(), dims, None, false)?;
        if pointers.is_empty() {
            return Ok(());
        }
        // SAFETY: one pointer for each value, to strings that outlive the call.
        unsafe { set.write(kind.id(), pointers.as_ptr().cast()) }
    })
}

/// Writes anndata's `null`: a dataset without a value.
pub(crate) fn null(at: hid_t, path: &str) -> Outcome<()> {
    let path = name(path)?;
    // SAFETY: handles and names are valid during the calls.
    locked(|| unsafe {
        let space = Handle::take(h5s::H5Screate(H5S_class_t::H5S_NULL))?;
        let list = untimed(*globals::H5P_DATASET_CREATE)?;
        let id = h5d::H5Dcreate2(
            at,
            path.as_ptr(),
            f32::native(),
            space.id(),
            h5p::H5P_DEFAULT,
            list.id(),
            h5p::H5P_DEFAULT,
        );
        Handle::take(id).map(drop)
    })
}

/// # Safety
/// `data` holds as many values of `kind` as `dims` says.
unsafe fn attribute(
    at: hid_t,
    path: &str,
    label: &str,
    kind: hid_t,
    dims: Option<&[u64]>,
    data: *const c_void,
) -> Outcome<()> {
    let path = name(if path.is_empty() { "." } else { path })?;
    let label = name(label)?;
    // SAFETY: the caller's promise; handles and names are valid during the calls.
    locked(|| unsafe {
        let object = Handle::take(h5o::H5Oopen(at, path.as_ptr(), h5p::H5P_DEFAULT))?;
        if truth(h5a::H5Aexists(object.id(), label.as_ptr()))? {
            check(h5a::H5Adelete(object.id(), label.as_ptr()))?;
        }
        let space = space(dims, false)?;
        let list = Handle::take(h5p::H5Pcreate(*globals::H5P_ATTRIBUTE_CREATE))?;
        check(h5p::H5Pset_char_encoding(
            list.id(),
            hdf5_metno_sys::h5t::H5T_cset_t::H5T_CSET_UTF8,
        ))?;
        let made = Handle::take(h5a::H5Acreate2(
            object.id(),
            label.as_ptr(),
            kind,
            space.id(),
            list.id(),
            h5p::H5P_DEFAULT,
        ))?;
        if dims.is_none_or(|d| d.iter().all(|&n| n > 0)) {
            check(h5a::H5Awrite(made.id(), kind, data))?;
        }
        Ok(())
    })
}

/// Sets a text attribute of the object at `path` (empty: `at` itself).
pub(crate) fn text_attribute(at: hid_t, path: &str, label: &str, value: &str) -> Outcome<()> {
    let value = name(value)?;
    let pointer = value.as_ptr();
    let kind = dtype::text_type(&TEXT)?;
    // SAFETY: one pointer to a string that outlives the call.
    unsafe {
        attribute(
            at,
            path,
            label,
            kind.id(),
            None,
            (&raw const pointer).cast(),
        )
    }
}

/// Sets an attribute of several texts.
pub(crate) fn texts_attribute(
    at: hid_t,
    path: &str,
    label: &str,
    values: &[String],
) -> Outcome<()> {
    let strings = c_strings(values)?;
    let pointers: Vec<*const c_char> = strings.iter().map(|s| s.as_ptr()).collect();
    let kind = dtype::text_type(&TEXT)?;
    let dims = [values.len() as u64];
    // SAFETY: one pointer for each value, to strings that outlive the call.
    unsafe {
        attribute(
            at,
            path,
            label,
            kind.id(),
            Some(&dims),
            pointers.as_ptr().cast(),
        )
    }
}

/// Sets an attribute of integers.
pub(crate) fn integers_attribute(
    at: hid_t,
    path: &str,
    label: &str,
    values: &[i64],
) -> Outcome<()> {
    let dims = [values.len() as u64];
    // SAFETY: `dims` is the number of values.
    unsafe {
        attribute(
            at,
            path,
            label,
            i64::native(),
            Some(&dims),
            values.as_ptr().cast(),
        )
    }
}

/// Sets a boolean attribute.
pub(crate) fn bool_attribute(at: hid_t, path: &str, label: &str, value: bool) -> Outcome<()> {
    let kind = dtype::bool_type()?;
    let byte = i8::from(value);
    // SAFETY: one byte for one value of the one-byte enum.
    unsafe { attribute(at, path, label, kind.id(), None, (&raw const byte).cast()) }
}
