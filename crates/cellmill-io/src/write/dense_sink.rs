//! A dense matrix that is written block by block: chunks of whole rows.

use super::chunks::{Chunks, Job, lock, pack, refuse};
use super::part::CsrPart;
use super::place::Growing;
use super::{Output, SinkDtype};
use crate::error::{Error, Result};
use crate::store::hdf5::create::Chunking;
use cellmill_engine::{Block, Sink};
use std::sync::{Arc, Mutex};

/// How a dense matrix is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenseSinkOptions {
    /// Rows and columns.
    pub shape: [u64; 2],
    /// The type of the values. Values that an integer type does not hold are an error.
    pub dtype: SinkDtype,
    /// The gzip level, 1 to 9; `None`: not compressed.
    pub compression: Option<u32>,
    /// Values in a chunk, which has whole rows, and one at least.
    pub chunk_values: u64,
}

impl DenseSinkOptions {
    /// f32, gzip 4 after shuffle, chunks of 2^18 values.
    pub fn new(shape: [u64; 2]) -> Self {
        Self {
            shape,
            dtype: SinkDtype::F32,
            compression: Some(4),
            chunk_values: 1 << 18,
        }
    }
}

/// A [`Sink`] that writes a dense matrix into an [`super::H5adWriter`]'s file. Entries that are not
/// stored are zeros.
pub struct DenseSink {
    output: Arc<Output>,
    address: String,
    options: DenseSinkOptions,
    /// Rows of a chunk.
    rows: u64,
    array: Growing,
    /// Rows that came.
    came: Mutex<u64>,
    chunks: Chunks<CsrPart, Vec<u8>>,
}

impl DenseSink {
    pub(super) fn begin(
        output: Arc<Output>,
        address: &str,
        mut options: DenseSinkOptions,
    ) -> Result<Self> {
        options.compression = options.compression.map(|level| level.clamp(1, 9));
        let width = options.shape[1].max(1);
        let rows = (options.chunk_values / width).clamp(1, options.shape[0].max(1));
        let chunking = Chunking {
            entries: rows.saturating_mul(width),
            shuffle: options.compression.is_some(),
            gzip: options.compression,
        };
        let array = output
            .place
            .rows(address, options.dtype, options.shape, chunking)
            .map_err(|fault| output.fault(address, fault))?;
        Ok(Self {
            output,
            address: address.into(),
            chunks: Chunks::new(rows as usize),
            options,
            rows,
            array,
            came: Mutex::default(),
        })
    }

    fn refuse(&self, what: String) -> Error {
        refuse(&self.output, &self.address, what)
    }

    /// Takes a chunk from the queue and brings it to the file; false where there was none.
    fn help(&self) -> Result<bool> {
        self.chunks.help(
            |job| self.fill(job),
            |number, bytes| {
                self.array
                    .write_chunk(number * self.rows, bytes)
                    .map_err(|fault| self.output.fault(&self.address, fault))
            },
        )
    }

    fn fill(&self, job: &Job<CsrPart>) -> Result<Vec<u8>> {
        let (dtype, size) = (self.options.dtype, self.options.dtype.size());
        let width = self.options.shape[1] as usize;
        let mut bytes = vec![0; self.rows as usize * width * size];
        let mut row = 0;
        for (part, rows) in &job.pieces {
            for r in rows.clone() {
                for i in part.starts[r] as usize..part.starts[r + 1] as usize {
                    let value = part.values.get(i);
                    let Some(of) = dtype.bytes(value) else {
                        let name = dtype.name();
                        let what = format!("the value {value} cannot be written as {name}");
                        return Err(self.refuse(what));
                    };
                    let at = (row * width + part.indices[i] as usize) * size;
                    bytes[at..at + size].copy_from_slice(&of[..size]);
                }
                row += 1;
            }
        }
        let gzip = self.options.compression;
        pack(&self.output, &self.address, bytes, size, gzip, true)
    }

    /// Ends the matrix: writes what is left.
    ///
    /// # Errors
    /// Where the rows that came are not those of the shape, or the disk is full.
    pub fn finish(self) -> Result<()> {
        self.chunks.end();
        while self.help()? {}
        let (came, expected) = (*lock(&self.came), self.options.shape[0]);
        if came != expected {
            return Err(self.refuse(format!("{expected} rows were expected and {came} came")));
        }
        self.array
            .end()
            .map_err(|fault| self.output.fault(&self.address, fault))?;
        self.output.encode(&self.address, "array", "0.2.0")
    }
}

impl Sink for DenseSink {
    type Part = CsrPart;

    fn start(&self, _span: usize) -> CsrPart {
        CsrPart::new(self.options.dtype)
    }

    fn push(&self, part: &mut CsrPart, block: &Block) -> cellmill_engine::Result<()> {
        part.push(block, self.options.shape[1], &self.output, &self.address)?;
        // As many rows are compressed here as came in, so that the queue does not grow.
        let mut debt = block.n_rows() as u64;
        while debt > 0 && self.help()? {
            debt = debt.saturating_sub(self.rows);
        }
        Ok(())
    }

    fn accept(&self, part: CsrPart) -> cellmill_engine::Result<()> {
        let part = Arc::new(part);
        *lock(&self.came) += part.n_rows() as u64;
        if self.options.shape[1] > 0 {
            self.chunks.add(&part, part.n_rows());
        }
        while self.chunks.is_full() {
            self.help()?;
        }
        Ok(())
    }

    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
        let row = self.options.shape[1].saturating_mul(self.options.dtype.size() as u64);
        // A thread holds a chunk before and after compression.
        let chunk = self.rows.saturating_mul(row).saturating_mul(4);
        CsrPart::bytes(self.options.dtype, span_entries, span_rows).saturating_add(chunk)
    }
}
