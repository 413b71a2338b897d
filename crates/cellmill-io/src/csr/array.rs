//! A 1-dimensional array of a file, read chunk by chunk with the program's own file descriptor.

use super::decode::Piece;
use super::pipeline::{Buffers, Order, Pipeline};
use super::stream::Stream;
use crate::error::{Error, Result};
use crate::open::{Opened, Origin};
use crate::store::hdf5::chunks::{Chunk, read_bytes};
use crate::store::hdf5::{Dtype, Filter, Layout, Storage};
use crate::store::zarr::{self, ZarrDtype};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Values of an array without chunks that are read at once.
const RUN: u64 = 1 << 16;
/// A gzip chunk above this many bytes is inflated as a stream.
const LARGE_CHUNK: u64 = 64 << 20;

/// How the values are reached.
#[derive(Debug)]
enum Way {
    /// Chunks, with this crate's own filters.
    Chunks {
        file: Arc<Opened>,
        chunks: Vec<Chunk>,
        pipeline: Pipeline,
        streams: bool,
    },
    /// One run of bytes; `None` where nothing was ever written.
    Run {
        file: Arc<Opened>,
        address: Option<u64>,
    },
    /// The library's own read; the reason.
    Library {
        file: Arc<Opened>,
        storage: Box<Storage>,
        reason: String,
    },
    /// The chunks of a zarr folder.
    Zarr(Box<zarr::Array>),
}

/// A 1-dimensional array of a file.
#[derive(Debug)]
pub(crate) struct RawArray {
    origin: Arc<Origin>,
    pub(crate) address: String,
    pub(crate) dtype: Dtype,
    pub(crate) len: u64,
    /// Values of a chunk, or of a run that is read at once.
    pub(crate) entries: u64,
    way: Way,
    fill: [u8; 8],
    big: bool,
    stored: u64,
    filters: Vec<String>,
    chunk_entries: Option<u64>,
}

impl RawArray {
    /// Opens the array at `address`: reads its chunk table, not its values.
    pub(crate) fn open(file: &Arc<Opened>, address: &str) -> Result<Self> {
        let object = file.object(address)?;
        let mut storage = Storage::of(object, file.number, file.identity.size, 1)
            .map_err(|fault| file.fault(address, fault))?;
        let size = storage.dtype.number_size().unwrap_or(1);
        let mut dtype = storage.dtype.clone();
        let mut big = is_big(&dtype);
        let mut entries = RUN.min(storage.len.max(1));
        let layout = std::mem::replace(&mut storage.layout, Layout::Opaque(String::new()));
        let fast = match layout {
            Layout::Contiguous { address: at } => {
                if let Some(at) = at {
                    file.inside(address, at, storage.len.saturating_mul(size as u64))?;
                }
                if storage.filters.is_empty() {
                    Ok(Way::Run {
                        file: file.clone(),
                        address: at,
                    })
                } else {
                    Err("filters on an array without chunks".to_owned())
                }
            }
            Layout::Chunked { entries: n, chunks } => {
                let bytes = n
                    .checked_mul(size as u64)
                    .and_then(|b| usize::try_from(b).ok());
                let pipeline = bytes
                    .ok_or_else(|| "a chunk larger than memory".to_owned())
                    .and_then(|bytes| Pipeline::new(&storage.filters, bytes, size));
                match pipeline {
                    Ok(pipeline) => {
                        for (i, chunk) in chunks.iter().enumerate() {
                            if chunk.address != u64::MAX {
                                file.inside(address, chunk.address, chunk.size.into())
                                    .map_err(|e| e_in_chunk(e, i as u64 * n))?;
                            }
                        }
                        entries = n;
                        let streams = pipeline.streams() && n * size as u64 > LARGE_CHUNK;
                        Ok(Way::Chunks {
                            file: file.clone(),
                            chunks,
                            pipeline,
                            streams,
                        })
                    }
                    Err(reason) => Err(reason),
                }
            }
            Layout::Opaque(reason) => Err(reason),
        };
        let filters = storage.filters.iter().map(|f| f.name.clone()).collect();
        let chunk_entries = storage.chunk.as_ref().and_then(|c| c.first().copied());
        let (len, fill, stored) = (storage.len, storage.fill, storage.stored);
        let way = match fast {
            Ok(way) => way,
            Err(reason) => {
                if let Some(filter) = storage.filters.iter().find(|f| !f.available) {
                    return Err(unknown_filter(file, address, filter));
                }
                // The library converts: to this machine's byte order, and halves to floats.
                big = cfg!(target_endian = "big");
                if let Dtype::Float { size: 2, .. } = dtype {
                    dtype = Dtype::Float { size: 4, big };
                }
                storage.dtype = dtype.clone();
                if let Some(n) = chunk_entries {
                    entries = n.clamp(1, RUN * 16);
                }
                Way::Library {
                    file: file.clone(),
                    storage: Box::new(storage),
                    reason,
                }
            }
        };
        Ok(Self {
            origin: file.origin.clone(),
            address: address.into(),
            dtype,
            len,
            entries,
            way,
            fill,
            big,
            stored,
            filters,
            chunk_entries,
        })
    }

    /// An array of a zarr folder.
    pub(crate) fn of_zarr(origin: &Arc<Origin>, array: zarr::Array) -> Result<Self> {
        let (&[len], &[entries], ZarrDtype::Number(dtype)) =
            (&array.shape[..], &array.chunk[..], &array.dtype)
        else {
            return Err(origin.malformed(
                &array.address,
                format!(
                    "numbers in one dimension were expected, not {:?} of shape {:?}",
                    array.dtype, array.shape
                ),
            ));
        };
        let mut fill = [0; 8];
        fill[..array.fill.len()].copy_from_slice(&array.fill);
        Ok(Self {
            origin: origin.clone(),
            address: array.address.clone(),
            dtype: dtype.clone(),
            len,
            entries,
            fill,
            big: is_big(dtype),
            stored: 0,
            filters: array.codecs(),
            chunk_entries: Some(entries),
            way: Way::Zarr(Box::new(array)),
        })
    }

    /// Bytes of a value as this module hands it out.
    pub(crate) fn element(&self) -> usize {
        self.dtype.number_size().unwrap_or(1)
    }

    /// Bytes in the file.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.stored
    }

    /// The filters' names.
    pub(crate) fn filters(&self) -> Vec<String> {
        self.filters.clone()
    }

    /// The number of values in a chunk of the file.
    pub(crate) fn chunk_entries(&self) -> Option<u64> {
        self.chunk_entries
    }

    /// Why the library has to read it; `None` on the fast path.
    pub(crate) fn library_reason(&self) -> Option<&str> {
        match &self.way {
            Way::Library { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Heap bytes of the chunk table.
    pub(crate) fn table_bytes(&self) -> u64 {
        match &self.way {
            Way::Chunks { chunks, .. } => (chunks.capacity() * size_of::<Chunk>()) as u64,
            _ => 0,
        }
    }

    /// Upper bound of the heap bytes of one cursor.
    pub(crate) fn cursor_bytes(&self) -> u64 {
        let chunk = self.entries.saturating_mul(self.element() as u64);
        match &self.way {
            Way::Chunks { streams: true, .. } => (2 << 20) + RUN * self.element() as u64,
            Way::Chunks {
                chunks, pipeline, ..
            } => {
                let largest = chunks.iter().map(|c| u64::from(c.size)).max().unwrap_or(0);
                let spare = if pipeline.is_empty() { 0 } else { chunk };
                largest.max(chunk) + chunk + spare + (1 << 16)
            }
            Way::Run { .. } => RUN * self.element() as u64 * 2,
            Way::Library { .. } | Way::Zarr(_) => chunk * 3,
        }
    }

    /// A number that changes when the values lie elsewhere or otherwise in the file.
    pub(crate) fn hash(&self, seed: u64) -> u64 {
        let mut hash = mix(seed ^ self.len, self.element() as u64);
        for byte in self.address.bytes() {
            hash = mix(hash, byte.into());
        }
        match &self.way {
            Way::Chunks { chunks, .. } => {
                hash = mix(hash, self.entries);
                for chunk in chunks {
                    hash = mix(hash, chunk.address);
                    hash = mix(hash, u64::from(chunk.size) << 32 | u64::from(chunk.mask));
                }
            }
            Way::Run { address, .. } => hash = mix(hash, address.unwrap_or(u64::MAX)),
            Way::Library { .. } | Way::Zarr(_) => hash = mix(hash, self.stored),
        }
        hash
    }

    /// Checks that nobody has written to the file since it was opened.
    pub(crate) fn unchanged(&self) -> Result<()> {
        match &self.way {
            Way::Chunks { file, .. } | Way::Run { file, .. } | Way::Library { file, .. } => {
                file.unchanged()
            }
            Way::Zarr(_) => Ok(()),
        }
    }

    /// Says that these values will be read soon.
    pub(crate) fn prefetch(&self, values: Range<u64>) {
        if let Way::Chunks { file, .. } | Way::Run { file, .. } = &self.way {
            for range in self.byte_ranges(values) {
                file.advise(range);
            }
        }
    }

    /// The byte ranges of the file that hold these values, joined where they touch.
    fn byte_ranges(&self, values: Range<u64>) -> Vec<Range<u64>> {
        let mut all: Vec<Range<u64>> = Vec::new();
        if values.is_empty() {
            return all;
        }
        match &self.way {
            Way::Chunks { chunks, .. } => {
                let (first, last) = (values.start / self.entries, (values.end - 1) / self.entries);
                let wanted = chunks
                    .get(first as usize..=last as usize)
                    .unwrap_or_default();
                for chunk in wanted.iter().filter(|c| c.address != u64::MAX) {
                    let range = chunk.address..chunk.address + u64::from(chunk.size);
                    match all.last_mut() {
                        Some(before) if before.end == range.start => before.end = range.end,
                        _ => all.push(range),
                    }
                }
            }
            Way::Run {
                address: Some(at), ..
            } => {
                let size = self.element() as u64;
                all.push(at + values.start * size..at + values.end * size);
            }
            Way::Run { address: None, .. } | Way::Library { .. } | Way::Zarr(_) => {}
        }
        all
    }

    fn wrong(&self, first: u64, what: String) -> Error {
        Error::Malformed {
            path: self.origin.path.clone(),
            element: self.address.clone(),
            rows: None,
            what: format!("the chunk that begins at entry {first} cannot be read: {what}"),
        }
    }
}

fn is_big(dtype: &Dtype) -> bool {
    matches!(
        dtype,
        Dtype::Int { big: true, .. } | Dtype::Float { big: true, .. }
    )
}

fn e_in_chunk(error: Error, first: u64) -> Error {
    match error {
        Error::Truncated {
            path,
            element,
            what,
        } => Error::Truncated {
            path,
            element,
            what: format!("the chunk of entry {first}: {what}"),
        },
        other => other,
    }
}

pub(crate) fn unknown_filter(file: &Opened, address: &str, filter: &Filter) -> Error {
    Error::Unsupported {
        path: file.path.clone(),
        element: address.into(),
        what: format!(
            "it is compressed with the filter {} (number {}), which this program cannot undo",
            if filter.name.is_empty() {
                "of an unknown name"
            } else {
                &filter.name
            },
            filter.id
        ),
        instead: "rewrite the file in Python: import hdf5plugin, read it with anndata, and \
                  write_h5ad(…, compression=\"gzip\")"
            .into(),
    }
}

pub(crate) fn mix(hash: u64, value: u64) -> u64 {
    let mut z = (hash ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Reads an array forwards; keeps the chunk that it read last, so that the two halves of a chunk
/// that two blocks share cost one inflation.
pub(crate) struct Cursor<'a> {
    array: &'a RawArray,
    /// The chunk in `bytes`.
    chunk: Option<u64>,
    /// The first value in `bytes`.
    first: u64,
    /// The number of values in `bytes`.
    held: u64,
    bytes: Vec<u8>,
    order: Order,
    stored: Vec<u8>,
    buffers: Buffers,
    stream: Option<Stream>,
    /// No value from here on is wanted, so that runs need not reach further.
    limit: u64,
    bytes_read: &'a AtomicU64,
}

impl<'a> Cursor<'a> {
    /// A cursor over the values below `limit`.
    pub(crate) fn new(array: &'a RawArray, limit: u64, bytes_read: &'a AtomicU64) -> Self {
        Self {
            array,
            limit: limit.min(array.len),
            chunk: None,
            first: 0,
            held: 0,
            bytes: Vec::new(),
            order: Order::Plain,
            stored: Vec::new(),
            buffers: Buffers::default(),
            stream: None,
            bytes_read,
        }
    }

    /// Hands the values of `wanted` to `take`, piece by piece in order.
    pub(crate) fn read(
        &mut self,
        wanted: Range<u64>,
        mut take: impl FnMut(&Piece<'_>, u64) -> Result<()>,
    ) -> Result<()> {
        let mut at = wanted.start;
        while at < wanted.end {
            if self.held == 0 || at < self.first || at >= self.first + self.held {
                self.load(at)?;
            }
            let end = wanted.end.min(self.first + self.held);
            if end <= at {
                return Err(self.array.wrong(at, "it is empty".into()));
            }
            let range = (at - self.first) as usize..(end - self.first) as usize;
            let piece = Piece {
                bytes: &self.bytes,
                order: self.order,
                range,
                big: self.array.big,
            };
            take(&piece, at)?;
            at = end;
        }
        Ok(())
    }

    /// Brings the chunk or run that holds value `at` into `bytes`.
    fn load(&mut self, at: u64) -> Result<()> {
        let array = self.array;
        let size = array.element();
        self.order = Order::Plain;
        self.held = 0;
        match &array.way {
            Way::Chunks {
                file,
                chunks,
                pipeline,
                streams,
            } => {
                let index = at / array.entries;
                let chunk = chunks
                    .get(index as usize)
                    .copied()
                    .unwrap_or(Chunk::MISSING);
                let start = index * array.entries;
                let n = array.entries.min(array.len - start);
                if chunk.address == u64::MAX {
                    let n = n.min(RUN.max(at - start + 1));
                    self.fill(n, size);
                    (self.first, self.held) = (start, n);
                    if at >= start + n {
                        self.first = at;
                        self.held = (array.len - at).min(RUN).min(start + array.entries - at);
                        self.fill(self.held, size);
                    }
                } else if *streams && chunk.mask & 1 == 0 {
                    return self.load_stream(file, at, index, chunk);
                } else {
                    self.stored.resize(chunk.size as usize, 0);
                    file.read_at(
                        &array.address,
                        &mut self.stored,
                        chunk.address,
                        self.bytes_read,
                    )?;
                    self.order = pipeline
                        .undo(
                            chunk.mask,
                            &mut self.stored,
                            &mut self.bytes,
                            &mut self.buffers,
                        )
                        .map_err(|what| array.wrong(start, what))?;
                    (self.first, self.held) = (start, n);
                }
                self.chunk = Some(index);
            }
            Way::Run { file, address } => {
                let n = (self.limit.max(at + 1) - at).min(RUN);
                match address {
                    Some(address) => {
                        self.bytes.resize(n as usize * size, 0);
                        file.read_at(
                            &array.address,
                            &mut self.bytes,
                            address + at * size as u64,
                            self.bytes_read,
                        )?;
                    }
                    None => self.fill(n, size),
                }
                (self.first, self.held) = (at, n);
            }
            Way::Library { file, storage, .. } => {
                let start = at / array.entries * array.entries;
                let n = array.entries.min(array.len - start);
                self.bytes.resize(n as usize * size, 0);
                read_bytes(storage, &[start], &[n], &mut self.bytes)
                    .map_err(|fault| file.fault(&array.address, fault))?;
                self.bytes_read
                    .fetch_add(n * size as u64, Ordering::Relaxed);
                (self.first, self.held) = (start, n);
            }
            Way::Zarr(zarr) => {
                let index = at / array.entries;
                let start = index * array.entries;
                let n = array.entries.min(array.len - start);
                match zarr.chunk(&[index], self.bytes_read)? {
                    Some(bytes) => self.bytes = bytes,
                    None => self.fill(n, size),
                }
                (self.first, self.held) = (start, n);
            }
        }
        Ok(())
    }

    /// The next values of a chunk that is too large to be held whole.
    fn load_stream(&mut self, file: &Opened, at: u64, index: u64, chunk: Chunk) -> Result<()> {
        let array = self.array;
        let (size, start) = (array.element(), index * array.entries);
        let wanted = (at - start) * size as u64;
        let fresh = match &self.stream {
            Some(stream) => self.chunk != Some(index) || stream.position() > wanted,
            None => true,
        };
        if fresh {
            self.stream = Some(Stream::new(chunk.address, chunk.size.into()));
            self.chunk = Some(index);
        }
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let counter = self.bytes_read;
        let mut fetch =
            |buffer: &mut [u8], offset: u64| file.read_at(&array.address, buffer, offset, counter);
        let broken = |what: &str| array.wrong(start, what.to_owned());
        while stream.position() < wanted {
            let skip = (wanted - stream.position()).min(RUN * size as u64);
            self.bytes.resize(skip as usize, 0);
            stream.read_exact(&mut self.bytes, &mut fetch, &broken)?;
        }
        let n = (array.entries.min(array.len - start) - (at - start)).min(RUN);
        self.bytes.resize(n as usize * size, 0);
        stream.read_exact(&mut self.bytes, &mut fetch, &broken)?;
        (self.first, self.held) = (at, n);
        Ok(())
    }

    fn fill(&mut self, n: u64, size: usize) {
        self.bytes.clear();
        for _ in 0..n {
            self.bytes.extend_from_slice(&self.array.fill[..size]);
        }
    }
}
