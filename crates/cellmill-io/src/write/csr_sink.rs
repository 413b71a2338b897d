//! A CSR matrix that is written block by block. Chunks begin at fixed entries.

use super::chunks::{Chunks, Job, lock, pack, refuse};
use super::part::CsrPart;
use super::place::Growing;
use super::{Output, SinkDtype};
use crate::elem::ArrayData;
use crate::elem_read::join;
use crate::error::{Error, Result};
use crate::store::hdf5::create::Chunking;
use cellmill_engine::{Block, Sink, Source, Values};
use std::sync::{Arc, Mutex};

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

/// A chunk that is ready: the bytes of its indices and of its values.
struct Ready {
    indices: Vec<u8>,
    values: Vec<u8>,
    entries: u64,
}

/// What came so far.
#[derive(Default)]
struct Came {
    lengths: Vec<u64>,
    entries: u64,
}

/// A [`Sink`] that writes a CSR matrix into an [`super::H5adWriter`]'s file.
pub struct CsrSink {
    output: Arc<Output>,
    address: String,
    options: CsrSinkOptions,
    wide: bool,
    indices: Growing,
    data: Growing,
    came: Mutex<Came>,
    chunks: Chunks<CsrPart, Ready>,
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
            chunks: Chunks::new(options.chunk_entries as usize),
            options,
            wide,
            indices,
            data,
            came: Mutex::default(),
        })
    }

    fn refuse(&self, what: String) -> Error {
        refuse(&self.output, &self.address, what)
    }

    /// Takes a chunk from the queue and brings it to the file; false where there was none.
    fn help(&self) -> Result<bool> {
        self.chunks.help(
            |job| self.compress(job),
            |number, ready| {
                let first = number * self.options.chunk_entries;
                self.indices
                    .extend(first + ready.entries)
                    .and_then(|()| self.data.extend(first + ready.entries))
                    .and_then(|()| self.indices.write_chunk(first, &ready.indices))
                    .and_then(|()| self.data.write_chunk(first, &ready.values))
                    .map_err(|fault| self.output.fault(&self.address, fault))
            },
        )
    }

    fn compress(&self, job: &Job<CsrPart>) -> Result<Ready> {
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
                (Values::F32(v), SinkDtype::F32) => {
                    values.extend(v[range.clone()].iter().flat_map(|x| x.to_ne_bytes()));
                }
                (Values::F64(v), SinkDtype::F64) => {
                    values.extend(v[range.clone()].iter().flat_map(|x| x.to_ne_bytes()));
                }
                (Values::F32(v), _) => {
                    self.convert(v[range.clone()].iter().map(|&x| x.into()), &mut values)?
                }
                (Values::F64(v), _) => {
                    self.convert(v[range.clone()].iter().copied(), &mut values)?
                }
            }
        }
        indices.resize(whole * index_size, 0);
        values.resize(whole * self.options.dtype.size(), 0);
        Ok(Ready {
            indices: self.pack(indices, index_size)?,
            values: self.pack(values, self.options.dtype.size())?,
            entries: job.len as u64,
        })
    }

    /// Values in the dtype of the file.
    fn convert(&self, from: impl Iterator<Item = f64>, to: &mut Vec<u8>) -> Result<()> {
        let dtype = self.options.dtype;
        for value in from {
            let bytes = dtype.bytes(value).ok_or_else(|| {
                let name = dtype.name();
                self.refuse(format!("the value {value} cannot be written as {name}"))
            })?;
            to.extend_from_slice(&bytes[..dtype.size()]);
        }
        Ok(())
    }

    fn pack(&self, bytes: Vec<u8>, size: usize) -> Result<Vec<u8>> {
        let CsrSinkOptions {
            compression,
            shuffle,
            ..
        } = self.options;
        pack(
            &self.output,
            &self.address,
            bytes,
            size,
            compression,
            shuffle,
        )
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
        self.chunks.end();
        while self.help()? {}
        let came = lock(&self.came);
        let rows = came.lengths.len() as u64;
        if rows != self.options.shape[0] {
            return Err(self.refuse(format!(
                "{} rows were expected and {rows} came",
                self.options.shape[0]
            )));
        }
        if came.entries > self.options.entries_at_most {
            return Err(self.refuse(format!(
                "{} entries came and no more than {} were announced",
                came.entries, self.options.entries_at_most
            )));
        }
        let at = join(&self.address, "indptr");
        let starts = std::iter::once(0).chain(came.lengths.iter().scan(0u64, |sum, &n| {
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

impl Sink for CsrSink {
    type Part = CsrPart;

    fn start(&self, _span: usize) -> CsrPart {
        CsrPart::new(self.options.dtype)
    }

    fn push(&self, part: &mut CsrPart, block: &Block) -> cellmill_engine::Result<()> {
        part.push(block, self.options.shape[1], &self.output, &self.address)?;
        // As many entries are compressed here as came in, so that the queue does not grow.
        let mut debt = block.nnz() as u64;
        while debt > 0 && self.help()? {
            debt = debt.saturating_sub(self.options.chunk_entries);
        }
        Ok(())
    }

    fn accept(&self, part: CsrPart) -> cellmill_engine::Result<()> {
        let part = Arc::new(part);
        {
            let mut came = lock(&self.came);
            came.lengths
                .extend(part.starts.windows(2).map(|w| w[1] - w[0]));
            came.entries += part.indices.len() as u64;
        }
        self.chunks.add(&part, part.indices.len());
        while self.chunks.is_full() {
            self.help()?;
        }
        Ok(())
    }

    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
        let index = if self.wide { 8 } else { 4 };
        let chunk = self.options.chunk_entries * (self.options.dtype.size() as u64 + index);
        // A thread holds a chunk before and after compression.
        CsrPart::bytes(self.options.dtype, span_entries, span_rows) + chunk * 4
    }
}
