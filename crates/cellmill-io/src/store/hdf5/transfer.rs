//! Datasets and attributes made anew in another file.
//!
//! The library's own H5Ocopy is not used. It re-encodes a chunk that it finds in the cache of an
//! open dataset, which overruns memory with some filters (scale-offset, HDF5 2.2.0); it refuses
//! layouts newer than the oldest format that the target allows; and it leaves references behind
//! that mean nothing in the target.

mod attributes;
mod buffer;
mod kind;
mod stored;

pub(crate) use attributes::attributes;
pub(crate) use stored::Stored;

use super::chunks::{Filter, filters_of};
use super::create::untimed;
use super::handle::{Fault, Handle, Outcome, check, count, locked, name};
use super::values::{Extent, Place};
use buffer::Buffer;
use hdf5_metno::globals;
use hdf5_metno_sys::h5d::{self, H5D_fill_value_t, H5D_layout_t};
use hdf5_metno_sys::h5i::hid_t;
use hdf5_metno_sys::h5s::{self, H5S_seloper_t};
use hdf5_metno_sys::h5t::{self, H5T_class_t};
use hdf5_metno_sys::{h5p, h5z};
use kind::{Content, content, oldest, space};
use std::ffi::{c_int, c_uint, c_void};

/// Bytes that are copied at once where values are read and written again.
const AT_ONCE: u64 = 4 << 20;
/// The gzip level of what had a filter that is not written.
const GZIP: u32 = 4;

/// Which file refused.
#[derive(Debug)]
pub(crate) enum Side {
    /// The file that is copied from.
    From(Fault),
    /// The file that is copied to.
    To(Fault),
}

/// How a dataset lies in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Arrangement {
    /// In chunks; `alike` where the last ones go through the filters too.
    Chunked { chunk: Vec<u64>, alike: bool },
    /// In one piece, inside the file.
    Whole,
    /// In other datasets or files.
    Elsewhere,
}

/// A dataset that is to be made anew elsewhere.
#[derive(Debug)]
pub(crate) struct Original {
    place: Place,
    /// Its type, in the oldest version that can say it.
    kind: Handle,
    content: Content,
    extent: Extent,
    /// The dimensions that it may grow to.
    limits: Vec<u64>,
    arrangement: Arrangement,
    filters: Vec<Filter>,
}

/// The dataset in the target.
#[derive(Debug)]
pub(crate) struct Twin(Handle);

impl Original {
    /// Looks at a dataset; its values are not read.
    pub(crate) fn of(place: Place) -> Outcome<Self> {
        let extent = place.extent()?;
        let (filters, chunk) = filters_of(&place)?;
        locked(|| {
            // SAFETY: the dataset is open; out-parameters are local and have room for the rank.
            unsafe {
                let kind = Handle::take(h5d::H5Dget_type(place.id()))?;
                let content = content(&kind, 0)?;
                let kind = oldest(&kind)?;
                let mut limits = Vec::new();
                if let Extent::Simple(dims) = &extent {
                    let space = Handle::take(h5d::H5Dget_space(place.id()))?;
                    limits = vec![0u64; dims.len()];
                    let got = h5s::H5Sget_simple_extent_dims(
                        space.id(),
                        std::ptr::null_mut(),
                        limits.as_mut_ptr(),
                    );
                    count(got.into())?;
                }
                let list = Handle::take(h5d::H5Dget_create_plist(place.id()))?;
                let arrangement = match (h5p::H5Pget_layout(list.id()), chunk) {
                    (H5D_layout_t::H5D_CHUNKED, Some(chunk)) => {
                        if chunk.len() != limits.len() || chunk.contains(&0) {
                            return Err(Fault("its chunks do not fit its dimensions".into()));
                        }
                        let mut options: c_uint = 0;
                        check(h5p::H5Pget_chunk_opts(list.id(), &mut options))?;
                        let alike = options & h5d::H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS == 0;
                        Arrangement::Chunked { chunk, alike }
                    }
                    (H5D_layout_t::H5D_CONTIGUOUS | H5D_layout_t::H5D_COMPACT, _)
                        if h5p::H5Pget_external_count(list.id()) <= 0 =>
                    {
                        Arrangement::Whole
                    }
                    _ => Arrangement::Elsewhere,
                };
                Ok(Self {
                    place,
                    kind,
                    content,
                    extent,
                    limits,
                    arrangement,
                    filters,
                })
            }
        })
    }

    /// Whether the stored bytes of its chunks mean the same in another file: they hold no
    /// pointers, and every filter is one that the library writes as it reads it, or one that it
    /// does not have and so never touches.
    pub(crate) fn chunks_travel(&self) -> bool {
        let safe = |filter: &Filter| {
            matches!(
                filter.id,
                h5z::H5Z_FILTER_DEFLATE | h5z::H5Z_FILTER_SHUFFLE | h5z::H5Z_FILTER_FLETCHER32
            ) || filter.id == LZF
                || !filter.available
        };
        self.content == Content::Plain
            && matches!(self.arrangement, Arrangement::Chunked { alike: true, .. })
            && self.filters.iter().all(safe)
    }

    /// A filter that the library does not have: the values cannot be read here.
    pub(crate) fn unknown_filter(&self) -> Option<&Filter> {
        self.filters.iter().find(|filter| !filter.available)
    }

    /// The chunks that are stored.
    pub(crate) fn chunks(&self) -> Outcome<Stored> {
        match (&self.arrangement, &self.extent) {
            (Arrangement::Chunked { chunk, .. }, Extent::Simple(dims)) => {
                Stored::of(&self.place, dims, chunk)
            }
            _ => Ok(Stored::default()),
        }
    }

    /// Makes the dataset at `path`, without values. With `same_filters` its chunks can be written
    /// as they are stored; else gzip stands in for filters that the library does not write.
    pub(crate) fn twin(&self, at: hid_t, path: &str, same_filters: bool) -> Outcome<Twin> {
        let path = name(path)?;
        locked(|| {
            let list = untimed(*globals::H5P_DATASET_CREATE)?;
            // SAFETY: handles, names and arrays are valid during the calls.
            unsafe {
                let mut limits = None;
                if let Arrangement::Chunked { chunk, .. } = &self.arrangement {
                    limits = Some(&*self.limits);
                    let rank = chunk.len() as c_int;
                    check(h5p::H5Pset_chunk(list.id(), rank, chunk.as_ptr()))?;
                    let ours = [
                        h5z::H5Z_FILTER_DEFLATE,
                        h5z::H5Z_FILTER_SHUFFLE,
                        h5z::H5Z_FILTER_FLETCHER32,
                    ];
                    if same_filters || self.filters.iter().all(|f| ours.contains(&f.id)) {
                        for filter in &self.filters {
                            set_filter(&list, filter)?;
                        }
                    } else {
                        check(h5p::H5Pset_shuffle(list.id()))?;
                        check(h5p::H5Pset_deflate(list.id(), GZIP))?;
                    }
                }
                self.set_fill(&list)?;
                let space = space(&self.extent, limits)?;
                let id = h5d::H5Dcreate2(
                    at,
                    path.as_ptr(),
                    self.kind.id(),
                    space.id(),
                    h5p::H5P_DEFAULT,
                    list.id(),
                    h5p::H5P_DEFAULT,
                );
                Handle::take(id).map(Twin)
            }
        })
    }

    /// Gives the list the fill value of this dataset, where its user set one.
    ///
    /// # Safety
    /// Under the lock.
    unsafe fn set_fill(&self, list: &Handle) -> Outcome<()> {
        if self.content != Content::Plain {
            return Ok(());
        }
        // SAFETY: the lists are open and the buffer has the size of a value.
        unsafe {
            let own = Handle::take(h5d::H5Dget_create_plist(self.place.id()))?;
            let mut status = H5D_fill_value_t::H5D_FILL_VALUE_ERROR;
            check(h5p::H5Pfill_value_defined(own.id(), &mut status))?;
            if status == H5D_fill_value_t::H5D_FILL_VALUE_USER_DEFINED {
                let mut value = vec![0u8; h5t::H5Tget_size(self.kind.id())];
                let (kind, value) = (self.kind.id(), value.as_mut_ptr().cast::<c_void>());
                check(h5p::H5Pget_fill_value(own.id(), kind, value))?;
                check(h5p::H5Pset_fill_value(list.id(), kind, value))?;
            }
            Ok(())
        }
    }

    /// Copies the values through the library, a few megabytes at a time.
    pub(crate) fn copy_values(&self, twin: &Twin) -> Result<(), Side> {
        let from = Side::From;
        match self.content {
            // Null references, which is what references into another file come to.
            Content::References => {
                // SAFETY: the type is open.
                let pure = locked(|| unsafe { h5t::H5Tget_class(self.kind.id()) })
                    == H5T_class_t::H5T_REFERENCE;
                return if pure {
                    Ok(())
                } else {
                    Err(from(Fault(
                        "it holds references to objects of its file beside other values, and \
                         these cannot be copied; remove it"
                            .into(),
                    )))
                };
            }
            Content::Plain | Content::Varying => {}
        }
        let stored = self.place.stored_bytes();
        let dims = match &self.extent {
            Extent::Null => return Ok(()),
            Extent::Scalar => Vec::new(),
            Extent::Simple(dims) if dims.contains(&0) => return Ok(()),
            Extent::Simple(dims) => dims.clone(),
        };
        // SAFETY: the type is open.
        let size = locked(|| unsafe { h5t::H5Tget_size(self.kind.id()) });
        if self.arrangement != Arrangement::Elsewhere {
            // Never written: the fill value on both sides.
            if stored == 0 {
                return Ok(());
            }
            self.place.plausible(size).map_err(from)?;
        }
        if dims.is_empty() {
            return self.copy_part(twin, None);
        }
        let step = match &self.arrangement {
            Arrangement::Chunked { chunk, .. } => chunk.clone(),
            _ => vec![1; dims.len()],
        };
        let tile = tile(&dims, &step, size as u64);
        let mut first = vec![0u64; dims.len()];
        loop {
            let n: Vec<u64> = first
                .iter()
                .zip(dims.iter().zip(&tile))
                .map(|(&at, (&end, &n))| n.min(end - at))
                .collect();
            self.copy_part(twin, Some((&first, &n)))?;
            // The next tile, the last dimension fastest.
            let mut axis = dims.len();
            loop {
                if axis == 0 {
                    return Ok(());
                }
                axis -= 1;
                first[axis] += tile[axis];
                if first[axis] < dims[axis] {
                    break;
                }
                first[axis] = 0;
            }
        }
    }

    /// Copies `part` (first values and lengths), or the only value.
    fn copy_part(&self, twin: &Twin, part: Option<(&[u64], &[u64])>) -> Result<(), Side> {
        locked(|| {
            let selected = |id: hid_t| -> Outcome<Handle> {
                // SAFETY: the dataset is open; the arrays have its number of dimensions.
                unsafe {
                    let space = Handle::take(h5d::H5Dget_space(id))?;
                    if let Some((first, n)) = part {
                        check(h5s::H5Sselect_hyperslab(
                            space.id(),
                            H5S_seloper_t::H5S_SELECT_SET,
                            first.as_ptr(),
                            std::ptr::null(),
                            n.as_ptr(),
                            std::ptr::null(),
                        ))?;
                    }
                    Ok(space)
                }
            };
            let extent = match part {
                Some((_, n)) => Extent::Simple(n.to_vec()),
                None => Extent::Scalar,
            };
            let n = extent.len().unwrap_or(u64::MAX);
            let memory = space(&extent, None).map_err(Side::From)?;
            let reclaim = self.content == Content::Varying;
            let mut buffer = Buffer::new(&self.kind, &memory, n, reclaim).map_err(Side::From)?;
            let source = selected(self.place.id()).map_err(Side::From)?;
            let target = selected(twin.0.id()).map_err(Side::To)?;
            // SAFETY: the buffer has room for the selected values of this type, and every
            // selection has as many.
            unsafe {
                check(h5d::H5Dread(
                    self.place.id(),
                    self.kind.id(),
                    memory.id(),
                    source.id(),
                    h5p::H5P_DEFAULT,
                    buffer.pointer(),
                ))
                .map_err(Side::From)?;
                check(h5d::H5Dwrite(
                    twin.0.id(),
                    self.kind.id(),
                    memory.id(),
                    target.id(),
                    h5p::H5P_DEFAULT,
                    buffer.pointer(),
                ))
                .map_err(Side::To)
            }
        })
    }
}

/// The registered number of lzf.
const LZF: c_int = 32000;

/// Adds a filter with its parameters. Call it under the lock.
fn set_filter(list: &Handle, filter: &Filter) -> Outcome<()> {
    // Optional, as h5py has them: else the library asks for a filter that it need not have.
    let flags = if filter.id == h5z::H5Z_FILTER_FLETCHER32 {
        h5z::H5Z_FLAG_MANDATORY
    } else {
        h5z::H5Z_FLAG_OPTIONAL
    };
    // SAFETY: the parameters outlive the call.
    check(unsafe {
        h5p::H5Pset_filter(
            list.id(),
            filter.id,
            flags,
            filter.parameters.len(),
            filter.parameters.as_ptr(),
        )
    })
}

/// The lengths of a part that is copied at once: whole steps, about [`AT_ONCE`] bytes.
fn tile(dims: &[u64], step: &[u64], size: u64) -> Vec<u64> {
    let mut tile: Vec<u64> = dims
        .iter()
        .zip(step)
        .map(|(&n, &s)| s.clamp(1, n.max(1)))
        .collect();
    for axis in (0..tile.len()).rev() {
        let bytes = tile.iter().fold(size.max(1), |b, &n| b.saturating_mul(n));
        let more = (AT_ONCE / bytes).max(1);
        tile[axis] = tile[axis].saturating_mul(more).min(dims[axis].max(1));
        if tile[axis] < dims[axis] {
            break;
        }
    }
    tile
}

impl Twin {
    /// Writes a chunk of the original as it was stored. `first` is its first value, `mask` says
    /// which filters it skipped.
    pub(crate) fn write_chunk(&self, first: &[u64], mask: u32, bytes: &[u8]) -> Outcome<()> {
        // SAFETY: `bytes` is valid for its length; the offset has the dataset's dimensions.
        locked(|| {
            check(unsafe {
                h5d::H5Dwrite_chunk(
                    self.0.id(),
                    h5p::H5P_DEFAULT,
                    mask,
                    first.as_ptr(),
                    bytes.len(),
                    bytes.as_ptr().cast(),
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_is_whole_steps_and_a_few_megabytes() {
        assert_eq!(tile(&[10, 10], &[1, 1], 8), [10, 10]);
        assert_eq!(tile(&[1 << 30], &[1000], 4), [1_048_000]);
        assert_eq!(tile(&[5, 1 << 30], &[1, 1], 4), [1, 1 << 20]);
        assert_eq!(tile(&[1 << 20, 1 << 10], &[7, 64], 4), [1_022, 1 << 10]);
        // A chunk that is larger is copied whole.
        assert_eq!(tile(&[1 << 30], &[1 << 24], 8), [1 << 24]);
    }
}
