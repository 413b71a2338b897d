//! Datasets and attributes made anew in another file.
//!
//! The library's own H5Ocopy is not used. It re-encodes a chunk that it finds in the cache of an
//! open dataset, which overruns memory with some filters (scale-offset, HDF5 2.2.0); it refuses
//! layouts newer than the oldest format that the target allows; and it leaves references behind
//! that mean nothing in the target.

use super::chunks::{Chunk, Filter, filters_of};
use super::create::untimed;
use super::dtype::{self, Dtype};
use super::handle::{Fault, Handle, Outcome, check, count, locked, name, truth};
use super::object::Object;
use super::values::{Extent, Place};
use hdf5_metno::globals;
use hdf5_metno_sys::h5::hsize_t;
use hdf5_metno_sys::h5d::{self, H5D_fill_value_t, H5D_layout_t};
use hdf5_metno_sys::h5i::hid_t;
use hdf5_metno_sys::h5s::{self, H5S_class_t, H5S_seloper_t};
use hdf5_metno_sys::h5t::{self, H5T_class_t, H5T_order_t};
use hdf5_metno_sys::{h5a, h5p, h5z};
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

/// What the bytes of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// The value itself.
    Plain,
    /// A pointer into a heap of the file, at least in part.
    Varying,
    /// References to objects of the file.
    References,
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

/// The stored chunks of a dataset. There can be millions, so their places are in one vector.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    rank: usize,
    /// `rank` numbers for each chunk: its first value.
    firsts: Vec<u64>,
    chunks: Vec<Chunk>,
}

impl Stored {
    /// Every chunk with its first value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u64], Chunk)> {
        let firsts = self.firsts.chunks_exact(self.rank.max(1));
        firsts.zip(self.chunks.iter().copied())
    }
}

/// The dataset in the target.
#[derive(Debug)]
pub(crate) struct Twin(Handle);

/// The same type without what only newer libraries can read. Call it under the lock.
fn oldest(kind: &Handle) -> Outcome<Handle> {
    // SAFETY: the type is open; the copies are ours and the setter only changes them.
    unsafe {
        let standard = match dtype::describe(kind)? {
            Dtype::Bool => return dtype::bool_type(),
            Dtype::Text(text) => return dtype::text_type(&text),
            Dtype::Int { size, signed, big } => {
                let native = match (size, signed) {
                    (1, true) => *globals::H5T_NATIVE_INT8,
                    (1, false) => *globals::H5T_NATIVE_UINT8,
                    (2, true) => *globals::H5T_NATIVE_INT16,
                    (2, false) => *globals::H5T_NATIVE_UINT16,
                    (4, true) => *globals::H5T_NATIVE_INT32,
                    (4, false) => *globals::H5T_NATIVE_UINT32,
                    (_, true) => *globals::H5T_NATIVE_INT64,
                    (_, false) => *globals::H5T_NATIVE_UINT64,
                };
                Some((native, big))
            }
            Dtype::Float { size: 4, big } => Some((*globals::H5T_NATIVE_FLOAT, big)),
            Dtype::Float { size: 8, big } => Some((*globals::H5T_NATIVE_DOUBLE, big)),
            _ => None,
        };
        let Some((native, big)) = standard else {
            return Handle::take(h5t::H5Tcopy(kind.id()));
        };
        let copy = Handle::take(h5t::H5Tcopy(native))?;
        let order = if big {
            H5T_order_t::H5T_ORDER_BE
        } else {
            H5T_order_t::H5T_ORDER_LE
        };
        check(h5t::H5Tset_order(copy.id(), order))?;
        Ok(copy)
    }
}

/// What the bytes of a value are. Call it under the lock.
fn content(kind: &Handle, depth: usize) -> Outcome<Content> {
    // SAFETY: the type is open; the types inside are owned.
    unsafe {
        if truth(h5t::H5Tdetect_class(kind.id(), H5T_class_t::H5T_REFERENCE))? {
            return Ok(Content::References);
        }
        let varying = |yes: bool| {
            if yes {
                Content::Varying
            } else {
                Content::Plain
            }
        };
        Ok(match h5t::H5Tget_class(kind.id()) {
            H5T_class_t::H5T_STRING => varying(truth(h5t::H5Tis_variable_str(kind.id()))?),
            H5T_class_t::H5T_VLEN => Content::Varying,
            // Deeper than anything has: the careful way is right for every type.
            _ if depth > 8 => Content::Varying,
            H5T_class_t::H5T_ARRAY => {
                content(&Handle::take(h5t::H5Tget_super(kind.id()))?, depth + 1)?
            }
            H5T_class_t::H5T_COMPOUND => {
                let mut all = Content::Plain;
                for i in 0..h5t::H5Tget_nmembers(kind.id()).max(0) as c_uint {
                    let member = Handle::take(h5t::H5Tget_member_type(kind.id(), i))?;
                    if content(&member, depth + 1)? != Content::Plain {
                        all = Content::Varying;
                    }
                }
                all
            }
            _ => Content::Plain,
        })
    }
}

/// A dataspace of this extent. Call it under the lock.
fn space(extent: &Extent, limits: Option<&[u64]>) -> Outcome<Handle> {
    // SAFETY: dimensions and limits have the same number and outlive the call.
    Handle::take(unsafe {
        match extent {
            Extent::Null => h5s::H5Screate(H5S_class_t::H5S_NULL),
            Extent::Scalar => h5s::H5Screate(H5S_class_t::H5S_SCALAR),
            Extent::Simple(dims) => {
                let limits = limits.filter(|l| l.len() == dims.len());
                h5s::H5Screate_simple(
                    dims.len() as c_int,
                    dims.as_ptr(),
                    limits.map_or(std::ptr::null(), <[u64]>::as_ptr),
                )
            }
        }
    })
}

/// Bytes of values, with what the library allocated for them.
struct Buffer<'a> {
    bytes: Vec<u8>,
    kind: &'a Handle,
    space: &'a Handle,
    reclaim: bool,
}

impl<'a> Buffer<'a> {
    /// Zeroed room for `n` values of `kind`; `space` has `n` values too.
    fn new(kind: &'a Handle, space: &'a Handle, n: u64, reclaim: bool) -> Outcome<Self> {
        // SAFETY: the type is open.
        let size = locked(|| unsafe { h5t::H5Tget_size(kind.id()) }) as u64;
        let total = n.checked_mul(size).and_then(|b| usize::try_from(b).ok());
        let mut bytes = Vec::new();
        let fits = total.is_some_and(|total| bytes.try_reserve_exact(total).is_ok());
        let Some(total) = total.filter(|_| fits) else {
            return Err(Fault(format!(
                "{n} values of {size} bytes do not fit in memory"
            )));
        };
        bytes.resize(total, 0);
        Ok(Self {
            bytes,
            kind,
            space,
            reclaim,
        })
    }

    fn pointer(&mut self) -> *mut c_void {
        self.bytes.as_mut_ptr().cast()
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        if self.reclaim && !self.bytes.is_empty() {
            let pointer = self.pointer();
            // SAFETY: the library filled the buffer with values of this type, or it is all zero,
            // which is no pointer.
            locked(|| unsafe {
                h5t::H5Treclaim(self.kind.id(), self.space.id(), h5p::H5P_DEFAULT, pointer);
            });
        }
    }
}

struct Visit {
    chunk: Vec<u64>,
    dims: Vec<u64>,
    all: Stored,
    wrong: Option<String>,
}

unsafe extern "C" fn visit(
    offset: *const hsize_t,
    mask: c_uint,
    address: hdf5_metno_sys::h5::haddr_t,
    size: hsize_t,
    data: *mut c_void,
) -> c_int {
    // SAFETY: `data` is the structure below, alive during the iteration; `offset` has as many
    // dimensions as the dataset.
    let (to, first) = unsafe {
        let to = &mut *data.cast::<Visit>();
        let first = std::slice::from_raw_parts(offset, to.dims.len());
        (to, first)
    };
    let sound = first
        .iter()
        .zip(to.chunk.iter().zip(&to.dims))
        .all(|(&at, (&step, &end))| at < end && at.is_multiple_of(step));
    match u32::try_from(size) {
        Ok(size) if sound => {
            let chunk = Chunk {
                address,
                size,
                mask,
            };
            to.all.firsts.extend_from_slice(first);
            to.all.chunks.push(chunk);
            0
        }
        _ => {
            to.wrong = Some(format!(
                "its chunk index holds a chunk of {size} bytes at offset {first:?}"
            ));
            1
        }
    }
}

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
        let (Arrangement::Chunked { chunk, .. }, Extent::Simple(dims)) =
            (&self.arrangement, &self.extent)
        else {
            return Ok(Stored::default());
        };
        if self.place.stored_bytes() == 0 || dims.contains(&0) {
            return Ok(Stored::default());
        }
        let mut to = Visit {
            chunk: chunk.clone(),
            dims: dims.clone(),
            all: Stored {
                rank: dims.len(),
                ..Stored::default()
            },
            wrong: None,
        };
        // SAFETY: the dataset is open; the callback matches the library's signature and does not
        // unwind.
        let outcome = locked(|| unsafe {
            check(h5d::H5Dchunk_iter(
                self.place.id(),
                h5p::H5P_DEFAULT,
                Some(visit),
                (&raw mut to).cast(),
            ))
        });
        match to.wrong {
            Some(wrong) => Err(Fault(wrong)),
            None => outcome.map(|()| to.all),
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

/// Copies the attributes of an object to the one at `path`. References are left out: they mean
/// nothing in another file.
pub(crate) fn attributes(from: &Object, at: hid_t, path: &str) -> Result<(), Side> {
    let labels = from.attribute_names().map_err(Side::From)?;
    if labels.is_empty() {
        return Ok(());
    }
    let target = Object::open(at, path)
        .and_then(|object| object.ok_or_else(|| Fault("it is not there".into())))
        .map_err(Side::To)?;
    for label in labels {
        let Some(place) = from.attribute(&label).map_err(Side::From)? else {
            continue;
        };
        attribute(&place, &target, &label)?;
    }
    Ok(())
}

fn attribute(place: &Place, target: &Object, label: &str) -> Result<(), Side> {
    let extent = place.extent().map_err(Side::From)?;
    let c_label = name(label).map_err(Side::From)?;
    locked(|| {
        // SAFETY: the attribute is open; the buffer has room for its values of this type.
        unsafe {
            let look = || -> Outcome<_> {
                let kind = Handle::take(h5a::H5Aget_type(place.id()))?;
                Ok((oldest(&kind)?, content(&kind, 0)?))
            };
            let (kind, content) = look().map_err(Side::From)?;
            if content == Content::References {
                return Ok(());
            }
            let n = match &extent {
                Extent::Null => 0,
                _ => place
                    .plausible(h5t::H5Tget_size(kind.id()))
                    .map_err(Side::From)? as u64,
            };
            let space = space(&extent, None).map_err(Side::From)?;
            let reclaim = content == Content::Varying;
            let mut buffer = Buffer::new(&kind, &space, n, reclaim).map_err(Side::From)?;
            if n > 0 {
                check(h5a::H5Aread(place.id(), kind.id(), buffer.pointer())).map_err(Side::From)?;
            }
            let mut write = || -> Outcome<()> {
                let list = Handle::take(h5p::H5Pcreate(*globals::H5P_ATTRIBUTE_CREATE))?;
                check(h5p::H5Pset_char_encoding(
                    list.id(),
                    h5t::H5T_cset_t::H5T_CSET_UTF8,
                ))?;
                let made = Handle::take(h5a::H5Acreate2(
                    target.id(),
                    c_label.as_ptr(),
                    kind.id(),
                    space.id(),
                    list.id(),
                    h5p::H5P_DEFAULT,
                ))?;
                if n > 0 {
                    check(h5a::H5Awrite(made.id(), kind.id(), buffer.pointer()))?;
                }
                Ok(())
            };
            write().map_err(Side::To)
        }
    })
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
