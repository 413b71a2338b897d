//! The kept columns: the selected genes, kept for the reads that follow.

mod aside;
mod part;
mod store;
mod wire;

pub use aside::Aside;
pub use part::KeptPart;

use crate::run::Reservation;
use crate::{Block, BlockReader, Context, Error, Grid, Result, Sink, Source};
use part::{Indices, Numbers};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use store::{Bulk, Store};

/// The precision of kept values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Rounded once to f32.
    F32,
    /// As computed.
    F64,
}

/// The columns that a stage selected, as compact CSR: a [`Sink`] for the stage that fills it and
/// a [`Source`] afterwards, with the same blocks and spans as the stage's source.
///
/// Parts stay in memory while their share of the budget lasts, and go to a scratch file without a
/// name afterwards; what is read back is the same. Column numbers take two bytes where there are
/// at most 65,536 columns. As a source its rows are numbered from 0 without gaps, also after a
/// selection of cells.
pub struct KeptColumns {
    n_cols: u32,
    precision: Precision,
    stage_grid: Grid,
    store: Store,
    spans: Vec<OnceLock<Stored>>,
    filling: Mutex<Filling>,
    filled: OnceLock<Filled>,
    bytes_read: AtomicU64,
}

#[derive(Default)]
struct Filling {
    next: usize,
    rows: u64,
    block_rows: Vec<u64>,
}

struct Filled {
    grid: Grid,
    nnz: u64,
    block_bytes: u64,
}

/// A span at rest.
struct Stored {
    blocks: Vec<BlockAt>,
    row_lengths: Vec<u32>,
    bulk: Bulk,
    _held: Reservation,
}

/// A block inside its span.
struct BlockAt {
    rows: Range<usize>,
    entries: Range<usize>,
}

impl KeptColumns {
    /// Keeps `n_cols` columns of a stage whose source has this `grid`. Up to half of what is free
    /// in the budget now may be used; the rest goes to the context's scratch folder.
    pub fn new(ctx: &Context, grid: &Grid, n_cols: u32, precision: Precision) -> Self {
        Self::with_memory(ctx, grid, n_cols, precision, ctx.budget().free() / 2)
    }

    /// As [`KeptColumns::new`], with at most `memory` bytes of entries in memory.
    pub fn with_memory(
        ctx: &Context,
        grid: &Grid,
        n_cols: u32,
        precision: Precision,
        memory: u64,
    ) -> Self {
        let kept = Self {
            n_cols,
            precision,
            stage_grid: grid.clone(),
            store: Store::new(ctx.budget().clone(), ctx.scratch().to_owned(), memory),
            spans: (0..grid.n_spans()).map(|_| OnceLock::new()).collect(),
            filling: Mutex::default(),
            filled: OnceLock::new(),
            bytes_read: AtomicU64::new(0),
        };
        if grid.n_spans() == 0 {
            // No span will ever be accepted.
            let _ = kept.filled.set(Filled {
                grid: grid.clone(),
                nnz: 0,
                block_bytes: 0,
            });
        }
        kept
    }

    /// Upper bound of the bytes that `entries` entries in `rows` rows take.
    pub fn estimate(n_cols: u32, precision: Precision, entries: u64, rows: u64) -> u64 {
        let entry = Indices::width(n_cols) + Numbers::width(precision);
        entries
            .saturating_mul(entry)
            .saturating_add(rows.saturating_mul(4))
    }

    /// Bytes of entries that are held in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.store.memory_used()
    }

    /// Bytes of entries in the scratch file.
    pub fn scratch_bytes(&self) -> u64 {
        self.store.scratch_used()
    }

    fn finish(&self, filling: &Filling) -> Result<()> {
        let grid = self.stage_grid.resized(&filling.block_rows)?;
        let stored = || self.spans.iter().filter_map(OnceLock::get);
        let nnz = stored()
            .flat_map(|s| &s.blocks)
            .map(|b| b.entries.len() as u64)
            .sum();
        let block_bytes = stored()
            .flat_map(|s| &s.blocks)
            .map(|b| {
                b.entries.len() as u64 * (4 + 2 + Numbers::width(self.precision))
                    + (b.rows.len() as u64 + 1) * 8
            })
            .max()
            .unwrap_or(0);
        // A second fill is refused in accept, so the cell is empty here.
        let _ = self.filled.set(Filled {
            grid,
            nnz,
            block_bytes,
        });
        Ok(())
    }
}

impl Sink for KeptColumns {
    type Part = KeptPart;

    fn start(&self, span: usize) -> KeptPart {
        KeptPart::new(span, self.n_cols, self.precision)
    }

    fn push(&self, part: &mut KeptPart, block: &Block) -> Result<()> {
        if block.n_cols != self.n_cols {
            return Err(Error::Data(format!(
                "the block at row {} has {} columns where {} are kept",
                block.first_row, block.n_cols, self.n_cols
            )));
        }
        part.push(block);
        Ok(())
    }

    fn accept(&self, part: KeptPart) -> Result<()> {
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if part.span != filling.next || self.filled.get().is_some() {
            return Err(Error::Bug(format!(
                "span {} was kept where span {} is next",
                part.span, filling.next
            )));
        }
        let held = self
            .store
            .hold(part.row_lengths.len() as u64 * 4 + part.blocks.len() as u64 * 32)?;
        let mut blocks = Vec::with_capacity(part.blocks.len());
        let (mut row, mut entry) = (0, 0);
        for &(rows, entries) in &part.blocks {
            blocks.push(BlockAt {
                rows: row..row + rows,
                entries: entry..entry + entries,
            });
            (row, entry) = (row + rows, entry + entries);
            filling.block_rows.push(rows as u64);
        }
        filling.rows += row as u64;
        let mut row_lengths = part.row_lengths;
        row_lengths.shrink_to_fit();
        let bulk = self.store.put(part.indices, part.numbers)?;
        let stored = Stored {
            blocks,
            row_lengths,
            bulk,
            _held: held,
        };
        if self.spans[part.span].set(stored).is_err() {
            return Err(Error::Bug(format!("span {} was kept twice", part.span)));
        }
        filling.next += 1;
        if filling.next == self.spans.len() {
            self.finish(&filling)?;
        }
        Ok(())
    }

    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
        // Half as much again for the spare capacity of growing vectors.
        let entries = span_entries.min(span_rows.saturating_mul(u64::from(self.n_cols)));
        Self::estimate(self.n_cols, self.precision, entries, span_rows).saturating_mul(3) / 2
    }
}

impl Source for KeptColumns {
    fn n_cols(&self) -> u32 {
        self.n_cols
    }

    fn nnz(&self) -> Option<u64> {
        self.filled.get().map(|f| f.nnz)
    }

    fn grid(&self) -> &Grid {
        self.filled.get().map_or(&self.stage_grid, |f| &f.grid)
    }

    fn open(&self, blocks: Range<usize>) -> Result<Box<dyn BlockReader + '_>> {
        if self.filled.get().is_none() {
            return Err(Error::Bug(
                "kept columns were read before the stage that fills them was done".to_owned(),
            ));
        }
        if blocks.start > blocks.end || blocks.end > self.grid().n_blocks() {
            return Err(Error::Parameter(format!(
                "blocks {}..{} were asked of {} blocks",
                blocks.start,
                blocks.end,
                self.grid().n_blocks()
            )));
        }
        Ok(Box::new(Reader {
            kept: self,
            blocks,
            narrow: Vec::new(),
        }))
    }

    fn reader_bytes(&self) -> u64 {
        self.filled.get().map_or(0, |f| f.block_bytes)
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    fn describe(&self) -> String {
        let (memory, scratch) = (self.memory_bytes(), self.scratch_bytes());
        format!(
            "kept columns, {} x {}, {} in memory, {} in scratch",
            self.n_rows(),
            self.n_cols,
            crate::error::human_bytes(memory),
            crate::error::human_bytes(scratch)
        )
    }
}

struct Reader<'a> {
    kept: &'a KeptColumns,
    blocks: Range<usize>,
    narrow: Vec<u16>,
}

impl BlockReader for Reader<'_> {
    fn next_block(&mut self, block: &mut Block) -> Result<bool> {
        let kept = self.kept;
        block.n_cols = kept.n_cols;
        block.indptr.clear();
        block.indptr.push(0);
        block.indices.clear();
        let Some(index) = self.blocks.next() else {
            block.values = crate::Values::F32(Vec::new());
            return Ok(false);
        };
        let span = index / kept.grid().span_blocks();
        let within = index - kept.grid().span(span).start;
        let stored = kept.spans[span]
            .get()
            .ok_or_else(|| Error::Bug(format!("span {span} was never kept")))?;
        let at = &stored.blocks[within];
        block.first_row = kept.grid().block(index).start;
        let mut end = 0;
        for &length in &stored.row_lengths[at.rows.clone()] {
            end += length as usize;
            block.indptr.push(end);
        }
        let read = kept
            .store
            .get(&stored.bulk, at.entries.clone(), block, &mut self.narrow)?;
        kept.bytes_read.fetch_add(read, Ordering::Relaxed);
        Ok(true)
    }
}
