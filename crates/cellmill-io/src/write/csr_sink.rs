//! A CSR matrix that is written block by block.
//!
//! Chunks of HDF5 begin at fixed entries, and where the entries of a span begin is known only
//! when the spans before it are complete. So [`Sink::accept`] only cuts the parts into chunks and
//! queues them; whoever pushes next, on any thread, takes a chunk from the queue and compresses
//! it. Chunks go to the file in their own order, so that the bytes do not depend on the threads.

use super::Output;
use super::place::Growing;
use crate::elem::ArrayData;
use crate::elem_read::join;
use crate::error::{Error, Result};
use crate::store::hdf5::create::Chunking;
use crate::store::zarr::create as zarr;
use cellmill_engine::{Block, Sink, Source, Values};
use libdeflater::{CompressionLvl, Compressor};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Chunks that may wait to be compressed; beyond it `accept` compresses itself.
const WAITING: usize = 64;

/// The type in which values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are dtypes")]
pub enum SinkDtype {
    F32,
    F64,
    I32,
    I64,
}

impl SinkDtype {
    /// The type that holds every value of a file's type.
    pub fn of(name: &str) -> Self {
        match name {
            "bool" | "int8" | "uint8" | "int16" | "uint16" | "int32" => Self::I32,
            "uint32" | "int64" | "uint64" => Self::I64,
            "float64" => Self::F64,
            _ => Self::F32,
        }
    }

    fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// How a matrix is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsrSinkOptions {
    /// Rows and columns.
    pub shape: [u64; 2],
    /// The type of the values. Values that an integer type does not hold are an error.
    pub dtype: SinkDtype,
    /// The gzip level, 1 to 9; `None`: not compressed.
    pub compression: Option<u32>,
    /// Whether bytes are shuffled before they are compressed: smaller, and faster to read.
    pub shuffle: bool,
    /// Entries in a chunk.
    pub chunk_entries: u64,
    /// No more entries than this will come. Above 2^31 - 1 the indices are written as int64.
    pub entries_at_most: u64,
}

impl CsrSinkOptions {
    /// f32, gzip 4 after shuffle, chunks of 65,536 entries.
    pub fn new(shape: [u64; 2], entries_at_most: u64) -> Self {
        Self {
            shape,
            dtype: SinkDtype::F32,
            compression: Some(4),
            shuffle: true,
            chunk_entries: 1 << 16,
            entries_at_most,
        }
    }
}

/// The entries of one span.
#[derive(Debug, Default)]
pub struct CsrPart {
    lengths: Vec<u64>,
    indices: Vec<u32>,
    values: Stored,
}

/// Values on their way to the file.
#[derive(Debug)]
enum Stored {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Default for Stored {
    fn default() -> Self {
        Self::F32(Vec::new())
    }
}

/// A chunk that is not compressed yet: ranges of parts.
struct Job {
    number: u64,
    pieces: Vec<(Arc<CsrPart>, Range<usize>)>,
    entries: usize,
}

/// A chunk that is ready: the bytes of its indices and of its values.
struct Ready {
    indices: Vec<u8>,
    values: Vec<u8>,
    entries: u64,
}

#[derive(Default)]
struct State {
    lengths: Vec<u64>,
    entries: u64,
    /// Pieces of the chunk that is not full yet.
    open: Vec<(Arc<CsrPart>, Range<usize>)>,
    open_entries: usize,
    chunks: u64,
    waiting: VecDeque<Job>,
}

#[derive(Default)]
struct Written {
    next: u64,
    ready: BTreeMap<u64, Ready>,
    /// Set once a write has failed: what comes later is dropped.
    failed: bool,
}

/// A [`Sink`] that writes a CSR matrix into an [`super::H5adWriter`]'s file.
pub struct CsrSink {
    output: Arc<Output>,
    address: String,
    options: CsrSinkOptions,
    wide: bool,
    indices: Growing,
    data: Growing,
    state: Mutex<State>,
    written: Mutex<Written>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CsrSink {
    pub(super) fn begin(
        output: Arc<Output>,
        address: &str,
        mut options: CsrSinkOptions,
    ) -> Result<Self> {
        options.chunk_entries = options.chunk_entries.clamp(1, 1 << 24);
        options.compression = options.compression.map(|level| level.clamp(1, 9));
        let narrow = i32::MAX as u64;
        let wide = options.entries_at_most > narrow
            || options.shape[0] > narrow
            || options.shape[1] > narrow;
        let chunking = Chunking {
            entries: options.chunk_entries,
            shuffle: options.shuffle && options.compression.is_some(),
            gzip: options.compression,
        };
        let index = if wide { SinkDtype::I64 } else { SinkDtype::I32 };
        let begin = |part: &str, dtype| {
            let at = join(address, part);
            let array = output.place.growing(&at, dtype, chunking);
            array.map_err(|fault| output.fault(&at, fault))
        };
        let indices = begin("indices", index)?;
        let data = begin("data", options.dtype)?;
        Ok(Self {
            output,
            address: address.into(),
            options,
            wide,
            indices,
            data,
            state: Mutex::default(),
            written: Mutex::default(),
        })
    }

    fn refuse(&self, what: String) -> Error {
        Error::Malformed {
            path: self.output.target.clone(),
            element: self.address.clone(),
            rows: None,
            what,
        }
    }

    /// Takes a chunk from the queue and brings it to the file; false where there was none.
    fn help(&self) -> Result<bool> {
        let Some(job) = lock(&self.state).waiting.pop_front() else {
            return Ok(false);
        };
        let (number, ready) = (job.number, self.compress(job)?);
        let mut written = lock(&self.written);
        written.ready.insert(number, ready);
        while let Some(ready) = {
            let next = written.next;
            written.ready.remove(&next)
        } {
            if written.failed {
                break;
            }
            let first = written.next * self.options.chunk_entries;
            let outcome = self
                .indices
                .extend(first + ready.entries)
                .and_then(|()| self.data.extend(first + ready.entries))
                .and_then(|()| self.indices.write_chunk(first, &ready.indices))
                .and_then(|()| self.data.write_chunk(first, &ready.values));
            if let Err(fault) = outcome {
                written.failed = true;
                return Err(self.output.fault(&self.address, fault));
            }
            written.next += 1;
        }
        Ok(true)
    }

    fn compress(&self, job: Job) -> Result<Ready> {
        let whole = self.options.chunk_entries as usize;
        let index_size = if self.wide { 8 } else { 4 };
        let mut indices = Vec::with_capacity(whole * index_size);
        let mut values = Vec::with_capacity(whole * self.options.dtype.size());
        for (part, range) in &job.pieces {
            let columns = &part.indices[range.clone()];
            if self.wide {
                indices.extend(columns.iter().flat_map(|&c| u64::from(c).to_ne_bytes()));
            } else {
                indices.extend(columns.iter().flat_map(|&c| c.to_ne_bytes()));
            }
            match (&part.values, self.options.dtype) {
                (Stored::F32(v), SinkDtype::F32) => {
                    values.extend(v[range.clone()].iter().flat_map(|x| x.to_ne_bytes()));
                }
                (Stored::F64(v), SinkDtype::F64) => {
                    values.extend(v[range.clone()].iter().flat_map(|x| x.to_ne_bytes()));
                }
                (Stored::F32(v), _) => {
                    self.convert(v[range.clone()].iter().map(|&x| x.into()), &mut values)?
                }
                (Stored::F64(v), _) => {
                    self.convert(v[range.clone()].iter().copied(), &mut values)?
                }
            }
        }
        indices.resize(whole * index_size, 0);
        values.resize(whole * self.options.dtype.size(), 0);
        Ok(Ready {
            indices: self.pack(indices, index_size)?,
            values: self.pack(values, self.options.dtype.size())?,
            entries: job.entries as u64,
        })
    }

    /// Values in the dtype of the file.
    fn convert(&self, from: impl Iterator<Item = f64>, to: &mut Vec<u8>) -> Result<()> {
        for value in from {
            let (fits, wanted) = match self.options.dtype {
                SinkDtype::F32 => {
                    to.extend((value as f32).to_ne_bytes());
                    (true, "float32")
                }
                SinkDtype::F64 => {
                    to.extend(value.to_ne_bytes());
                    (true, "float64")
                }
                SinkDtype::I32 => {
                    to.extend((value as i32).to_ne_bytes());
                    (f64::from(value as i32) == value, "int32")
                }
                SinkDtype::I64 => {
                    to.extend((value as i64).to_ne_bytes());
                    ((value as i64) as f64 == value, "int64")
                }
            };
            if !fits {
                return Err(self.refuse(format!("the value {value} cannot be written as {wanted}")));
            }
        }
        Ok(())
    }

    fn pack(&self, bytes: Vec<u8>, size: usize) -> Result<Vec<u8>> {
        if self.output.place.is_zarr() {
            return zarr::gzip(bytes, self.options.compression)
                .map_err(|fault| self.output.fault(&self.address, fault));
        }
        let Some(level) = self.options.compression else {
            return Ok(bytes);
        };
        let bytes = if self.options.shuffle {
            shuffle(&bytes, size)
        } else {
            bytes
        };
        let level = CompressionLvl::new(level as i32).unwrap_or_default();
        let mut compressor = Compressor::new(level);
        let mut out = vec![0; compressor.zlib_compress_bound(bytes.len())];
        let n = compressor
            .zlib_compress(&bytes, &mut out)
            .map_err(|e| self.refuse(format!("a chunk could not be compressed ({e:?})")))?;
        out.truncate(n);
        out.shrink_to_fit();
        Ok(out)
    }

    /// Takes all blocks of a source, on this thread.
    pub(super) fn take(&self, source: &dyn Source) -> Result<()> {
        let mut block = Block::new(source.n_cols());
        for index in 0..source.grid().n_blocks() {
            let mut part = self.start(index);
            let mut reader = source.open(index..index + 1)?;
            if reader.next_block(&mut block)? {
                self.push(&mut part, &block)?;
            }
            self.accept(part)?;
        }
        Ok(())
    }

    /// Ends the matrix: writes what is left and the row starts.
    ///
    /// # Errors
    /// Where the rows that came are not those of the shape, or the disk is full.
    pub fn finish(self) -> Result<()> {
        {
            let mut state = lock(&self.state);
            if state.open_entries > 0 {
                let pieces = std::mem::take(&mut state.open);
                let job = Job {
                    number: state.chunks,
                    pieces,
                    entries: state.open_entries,
                };
                state.waiting.push_back(job);
            }
        }
        while self.help()? {}
        let state = lock(&self.state);
        let rows = state.lengths.len() as u64;
        if rows != self.options.shape[0] {
            return Err(self.refuse(format!(
                "{} rows were expected and {rows} came",
                self.options.shape[0]
            )));
        }
        if state.entries > self.options.entries_at_most {
            return Err(self.refuse(format!(
                "{} entries came and no more than {} were announced",
                state.entries, self.options.entries_at_most
            )));
        }
        let at = join(&self.address, "indptr");
        let starts = std::iter::once(0).chain(state.lengths.iter().scan(0u64, |sum, &n| {
            *sum += n;
            Some(*sum)
        }));
        let starts = if self.wide {
            ArrayData::I64(starts.map(|p| p as i64).collect())
        } else {
            ArrayData::I32(starts.map(|p| p as i32).collect())
        };
        let outcome = self
            .indices
            .end()
            .and_then(|()| self.data.end())
            .and_then(|()| {
                let gzip = self.options.compression;
                let place = &self.output.place;
                place.values(&at, Some(&[rows + 1]), &starts, gzip, true)
            });
        outcome.map_err(|fault| self.output.fault(&at, fault))
    }
}

/// Byte k of every value beside byte k of the next.
fn shuffle(bytes: &[u8], size: usize) -> Vec<u8> {
    let n = bytes.len() / size;
    let mut out = Vec::with_capacity(bytes.len());
    for k in 0..size {
        out.extend(bytes[..n * size].chunks_exact(size).map(|value| value[k]));
    }
    out.extend_from_slice(&bytes[n * size..]);
    out
}

impl Sink for CsrSink {
    type Part = CsrPart;

    fn start(&self, _span: usize) -> CsrPart {
        let values = match self.options.dtype {
            SinkDtype::F32 => Stored::F32(Vec::new()),
            _ => Stored::F64(Vec::new()),
        };
        CsrPart {
            values,
            ..CsrPart::default()
        }
    }

    fn push(&self, part: &mut CsrPart, block: &Block) -> cellmill_engine::Result<()> {
        if u64::from(block.n_cols) != self.options.shape[1] {
            return Err(self
                .refuse(format!(
                    "{} columns were expected and a block of {} came",
                    self.options.shape[1], block.n_cols
                ))
                .into());
        }
        part.lengths
            .extend(block.indptr.windows(2).map(|w| (w[1] - w[0]) as u64));
        part.indices.extend_from_slice(&block.indices);
        match (&mut part.values, &block.values) {
            (Stored::F32(to), Values::F32(from)) => to.extend_from_slice(from),
            (Stored::F32(to), Values::F64(from)) => to.extend(from.iter().map(|&x| x as f32)),
            (Stored::F64(to), Values::F64(from)) => to.extend_from_slice(from),
            (Stored::F64(to), Values::F32(from)) => to.extend(from.iter().map(|&x| f64::from(x))),
        }
        // As many entries are compressed here as came in, so that the queue does not grow.
        let mut debt = block.nnz() as u64;
        while debt > 0 && self.help()? {
            debt = debt.saturating_sub(self.options.chunk_entries);
        }
        Ok(())
    }

    fn accept(&self, part: CsrPart) -> cellmill_engine::Result<()> {
        let part = Arc::new(part);
        let whole = self.options.chunk_entries as usize;
        {
            let mut state = lock(&self.state);
            state.lengths.extend_from_slice(&part.lengths);
            state.entries += part.indices.len() as u64;
            let mut at = 0;
            while at < part.indices.len() {
                let n = (whole - state.open_entries).min(part.indices.len() - at);
                state.open.push((part.clone(), at..at + n));
                state.open_entries += n;
                at += n;
                if state.open_entries == whole {
                    let pieces = std::mem::take(&mut state.open);
                    let job = Job {
                        number: state.chunks,
                        pieces,
                        entries: whole,
                    };
                    state.waiting.push_back(job);
                    state.open_entries = 0;
                    state.chunks += 1;
                }
            }
        }
        while lock(&self.state).waiting.len() > WAITING {
            self.help()?;
        }
        Ok(())
    }

    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
        let value = if self.options.dtype == SinkDtype::F32 {
            4
        } else {
            8
        };
        let chunk = self.options.chunk_entries * (value + if self.wide { 8 } else { 4 });
        // A part grows by doubling, and a thread holds a chunk before and after compression.
        (span_entries * (4 + value) + span_rows * 8) * 2 + chunk * 4
    }
}
