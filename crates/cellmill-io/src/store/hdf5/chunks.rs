//! How a dataset of numbers lies in the file: chunk table, filters, fill value.

use super::dtype::Dtype;
use super::handle::{Fault, Handle, Outcome, check, count, locked};
use super::object::Object;
use super::values::{Extent, Place};
use hdf5_metno_sys::h5::hsize_t;
use hdf5_metno_sys::h5d::{self, H5D_layout_t, H5D_space_status_t};
use hdf5_metno_sys::{h5p, h5t, h5z};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// A filter of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Its registered number.
    pub(crate) id: i32,
    /// Its parameters.
    pub(crate) parameters: Vec<u32>,
    /// Its name as stored in the file, or a known one.
    pub(crate) name: String,
    /// Whether the library can undo it.
    pub(crate) available: bool,
}

/// A chunk in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Byte offset in the file; `u64::MAX` where the chunk was never written.
    pub(crate) address: u64,
    /// Bytes in the file.
    pub(crate) size: u32,
    /// Bit i set: filter i was skipped for this chunk.
    pub(crate) mask: u32,
}

impl Chunk {
    pub(crate) const MISSING: Self = Self {
        address: u64::MAX,
        size: 0,
        mask: 0,
    };
}

/// Where the values are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In chunks of `entries` values each, by position in the grid of chunks, row-major.
    Chunked { entries: u64, chunks: Vec<Chunk> },
    /// In one run of bytes from this address; `None` where nothing was ever written.
    Contiguous { address: Option<u64> },
    /// Known to the library only; the reason, in words.
    Opaque(String),
}

/// A dataset of numbers.
#[derive(Debug)]
pub(crate) struct Storage {
    /// The dataset, for reads through the library.
    pub(crate) place: Place,
    pub(crate) dtype: Dtype,
    /// Length of each dimension.
    pub(crate) dims: Vec<u64>,
    /// The number of values.
    pub(crate) len: u64,
    pub(crate) layout: Layout,
    pub(crate) filters: Vec<Filter>,
    /// The bytes of the fill value, as the file would hold them.
    pub(crate) fill: [u8; 8],
    /// Bytes in the file.
    pub(crate) stored: u64,
    /// The dimensions of a chunk, where there are chunks.
    pub(crate) chunk: Option<Vec<u64>>,
}

struct Table {
    /// Dimensions of a chunk, and the number of chunks along each dimension.
    chunk: Vec<u64>,
    counts: Vec<u64>,
    chunks: Vec<Chunk>,
    wrong: Option<String>,
}

unsafe extern "C" fn visit(
    offset: *const hsize_t,
    mask: c_uint,
    address: hdf5_metno_sys::h5::haddr_t,
    size: hsize_t,
    data: *mut c_void,
) -> c_int {
    // SAFETY: `data` is the table below, alive during the iteration; `offset` has as many dimensions
    // as its chunks.
    let (table, offset) = unsafe {
        let table = &mut *data.cast::<Table>();
        let offset = std::slice::from_raw_parts(offset, table.chunk.len());
        (table, offset)
    };
    let mut index = Some(0u64);
    for ((&at, &step), &n) in offset.iter().zip(&table.chunk).zip(&table.counts) {
        index = index
            .filter(|_| at % step == 0 && at / step < n)
            .and_then(|i| i.checked_mul(n)?.checked_add(at / step));
    }
    let place = index
        .and_then(|i| usize::try_from(i).ok())
        .and_then(|i| table.chunks.get_mut(i));
    match (place, u32::try_from(size)) {
        (Some(slot), Ok(size)) => {
            *slot = Chunk {
                address,
                size,
                mask,
            };
            0
        }
        _ => {
            table.wrong = Some(format!(
                "its chunk index holds a chunk of {size} bytes at offset {offset:?}"
            ));
            1
        }
    }
}

impl Storage {
    /// Reads how a dataset of `rank` dimensions lies in its file. `file_number` is that of the file
    /// that was opened.
    pub(crate) fn of(
        object: Object,
        file_number: u64,
        file_bytes: u64,
        rank: usize,
    ) -> Outcome<Self> {
        let elsewhere = object.file_number() != file_number;
        let place = object.dataset()?;
        let extent = place.extent()?;
        let len = extent.len();
        let (dims, len) = match (extent, len) {
            (Extent::Simple(dims), Some(len)) if dims.len() == rank => (dims, len),
            (other, _) => {
                return Err(Fault(format!(
                    "{} was expected, not {other:?}",
                    if rank == 1 {
                        "one dimension"
                    } else {
                        "two dimensions"
                    }
                )));
            }
        };
        let dtype = place.dtype()?;
        if dtype.number_size().is_none() {
            return Err(Fault(format!("numbers were expected, not {dtype}")));
        }
        let stored = place.stored_bytes();
        locked(|| {
            // SAFETY: the dataset is open; out-parameters are local and large enough.
            unsafe {
                let list = Handle::take(h5d::H5Dget_create_plist(place.id()))?;
                let filters = filters(&list)?;
                let mut fill = [0u8; 8];
                let kind = Handle::take(h5d::H5Dget_type(place.id()))?;
                if h5t::H5Tget_size(kind.id()) <= fill.len()
                    && h5p::H5Pget_fill_value(list.id(), kind.id(), fill.as_mut_ptr().cast()) < 0
                {
                    // An undefined fill value: what was never written reads as zero.
                    fill = [0; 8];
                }
                let (layout, chunk) = layout(&place, &list, &dims, stored, file_bytes, elsewhere)?;
                Ok(Self {
                    place,
                    dtype,
                    dims,
                    len,
                    layout,
                    filters,
                    fill,
                    stored,
                    chunk,
                })
            }
        })
    }
}

/// # Safety
/// Under the lock, with open handles.
unsafe fn layout(
    place: &Place,
    list: &Handle,
    lengths: &[u64],
    stored: u64,
    file_bytes: u64,
    elsewhere: bool,
) -> Outcome<(Layout, Option<Vec<u64>>)> {
    // SAFETY: the caller's promise; out-parameters are local.
    unsafe {
        let kind = h5p::H5Pget_layout(list.id());
        if elsewhere || h5p::H5Pget_external_count(list.id()) > 0 {
            return Ok((
                Layout::Opaque("its values are in another file".into()),
                None,
            ));
        }
        match kind {
            H5D_layout_t::H5D_CONTIGUOUS => {
                let address = h5d::H5Dget_offset(place.id());
                let mut status = H5D_space_status_t::H5D_SPACE_STATUS_ERROR;
                check(h5d::H5Dget_space_status(place.id(), &mut status))?;
                let written = status != H5D_space_status_t::H5D_SPACE_STATUS_NOT_ALLOCATED;
                let there = written && address != u64::MAX && !lengths.contains(&0);
                Ok((
                    Layout::Contiguous {
                        address: there.then_some(address),
                    },
                    None,
                ))
            }
            H5D_layout_t::H5D_CHUNKED => {
                let mut chunk = vec![0u64; 32];
                let rank = count(h5p::H5Pget_chunk(list.id(), 32, chunk.as_mut_ptr()).into())?;
                chunk.truncate(rank as usize);
                if chunk.len() != lengths.len() || chunk.contains(&0) {
                    return Err(Fault(format!(
                        "its chunks {chunk:?} do not have the dimensions {lengths:?}"
                    )));
                }
                let mut options: c_uint = 0;
                check(h5p::H5Pget_chunk_opts(list.id(), &mut options))?;
                let partial = lengths
                    .iter()
                    .zip(&chunk)
                    .any(|(n, c)| !n.is_multiple_of(*c));
                if options & h5d::H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS != 0 && partial {
                    let reason = "its last chunk is stored without filters".to_owned();
                    return Ok((Layout::Opaque(reason), Some(chunk)));
                }
                let product = |all: &[u64]| all.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
                let counts: Vec<u64> = lengths
                    .iter()
                    .zip(&chunk)
                    .map(|(n, c)| n.div_ceil(*c))
                    .collect();
                let (Some(n), Some(entries)) = (product(&counts), product(&chunk)) else {
                    return Err(Fault(format!("its dimensions {lengths:?} are too large")));
                };
                // A table much larger than the file can hold means that the dimensions are wrong.
                if n > (1 << 20) && n > file_bytes {
                    return Err(Fault(format!(
                        "its dimensions {lengths:?} need {n} chunks, more than the file has bytes ({file_bytes})"
                    )));
                }
                let mut table = Table {
                    chunk,
                    counts,
                    chunks: vec![Chunk::MISSING; n as usize],
                    wrong: None,
                };
                if stored > 0 && n > 0 {
                    check(h5d::H5Dchunk_iter(
                        place.id(),
                        h5p::H5P_DEFAULT,
                        Some(visit),
                        (&raw mut table).cast(),
                    ))?;
                }
                if let Some(wrong) = table.wrong {
                    return Err(Fault(wrong));
                }
                Ok((
                    Layout::Chunked {
                        entries,
                        chunks: table.chunks,
                    },
                    Some(table.chunk),
                ))
            }
            H5D_layout_t::H5D_COMPACT => Ok((Layout::Opaque("its layout is compact".into()), None)),
            _ => Ok((Layout::Opaque("its layout is virtual".into()), None)),
        }
    }
}

/// The filters of a dataset. Call it under the lock.
fn filters(list: &Handle) -> Outcome<Vec<Filter>> {
    // SAFETY: the list is open; the buffers have the sizes that are passed.
    unsafe {
        let n = count(h5p::H5Pget_nfilters(list.id()).into())?;
        let mut all = Vec::new();
        for i in 0..n as c_uint {
            let mut flags = 0;
            let mut values = [0u32; 32];
            let mut n_values = values.len();
            let mut label = [0 as c_char; 256];
            let id = h5p::H5Pget_filter2(
                list.id(),
                i,
                &mut flags,
                &mut n_values,
                values.as_mut_ptr(),
                label.len() - 1,
                label.as_mut_ptr(),
                std::ptr::null_mut(),
            );
            if id < 0 {
                return Err(Fault("its filters cannot be read".into()));
            }
            let stored = CStr::from_ptr(label.as_ptr())
                .to_string_lossy()
                .into_owned();
            all.push(Filter {
                id,
                parameters: values[..n_values.min(values.len())].to_vec(),
                name: known_filter(id).map_or(stored, str::to_owned),
                available: h5z::H5Zfilter_avail(id) > 0,
            });
        }
        Ok(all)
    }
}

/// The usual name of a registered filter.
fn known_filter(id: i32) -> Option<&'static str> {
    Some(match id {
        1 => "gzip",
        2 => "shuffle",
        3 => "fletcher32",
        4 => "szip",
        5 => "nbit",
        6 => "scaleoffset",
        307 => "bzip2",
        32000 => "lzf",
        32001 => "blosc",
        32004 => "lz4",
        32008 => "bitshuffle",
        32013 => "zfp",
        32015 => "zstd",
        32026 => "blosc2",
        _ => return None,
    })
}

/// The filters of a dataset of any rank, for `MatrixInfo`.
pub(crate) fn filters_of(place: &Place) -> Outcome<(Vec<Filter>, Option<Vec<u64>>)> {
    locked(|| {
        // SAFETY: the dataset is open; the buffer has room for 32 dimensions.
        unsafe {
            let list = Handle::take(h5d::H5Dget_create_plist(place.id()))?;
            let mut chunk = None;
            if h5p::H5Pget_layout(list.id()) == H5D_layout_t::H5D_CHUNKED {
                let mut dims = vec![0u64; 32];
                let rank = count(h5p::H5Pget_chunk(list.id(), 32, dims.as_mut_ptr()).into())?;
                dims.truncate(rank as usize);
                chunk = Some(dims);
            }
            Ok((filters(&list)?, chunk))
        }
    })
}

/// Reads the values of a box (its first corner and its lengths) as bytes in this machine's layout of
/// the same type, through the library.
pub(crate) fn read_bytes(
    storage: &Storage,
    first: &[u64],
    lengths: &[u64],
    out: &mut [u8],
) -> Outcome<()> {
    macro_rules! through {
        ($t:ty) => {{
            let mut values = vec![<$t>::default(); out.len() / size_of::<$t>()];
            super::values::numbers_in(&storage.place, first, lengths, &mut values)?;
            let lanes = out.as_chunks_mut::<{ size_of::<$t>() }>().0;
            for (lane, value) in lanes.iter_mut().zip(&values) {
                *lane = value.to_ne_bytes();
            }
        }};
    }
    match storage.dtype {
        Dtype::Bool
        | Dtype::Int {
            size: 1,
            signed: true,
            ..
        } => through!(i8),
        Dtype::Int { size: 1, .. } => through!(u8),
        Dtype::Int {
            size: 2,
            signed: true,
            ..
        } => through!(i16),
        Dtype::Int { size: 2, .. } => through!(u16),
        Dtype::Int {
            size: 4,
            signed: true,
            ..
        } => through!(i32),
        Dtype::Int { size: 4, .. } => through!(u32),
        Dtype::Int { signed: true, .. } => through!(i64),
        Dtype::Int { .. } => through!(u64),
        Dtype::Float { size: 4, .. } => through!(f32),
        Dtype::Float { size: 8, .. } => through!(f64),
        ref other => return Err(Fault(format!("{other} is not read through the library"))),
    }
    Ok(())
}
