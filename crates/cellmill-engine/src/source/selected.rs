//! A source of some cells and genes of another, which looks like a smaller matrix.

use crate::op::{CellSet, Pipeline, Scratch};
use crate::{Block, BlockReader, Grid, Op, Result, Source, Values};
use std::ops::Range;

/// Some cells and genes of a source. The blocks are those of the source with fewer rows, numbered
/// from 0 without gaps; a block of which no cell is left is not read.
#[derive(Debug, Clone)]
pub struct Selected<S> {
    source: S,
    cells: Option<CellSet>,
    genes: Option<Vec<u32>>,
    pipeline: Pipeline,
    /// The grid after a selection of cells.
    grid: Option<Grid>,
}

impl<S: Source> Selected<S> {
    /// All of `source`.
    ///
    /// # Errors
    /// None that data can reach: there is no op that could be out of range.
    pub fn whole(source: S) -> Result<Self> {
        let pipeline = Pipeline::new(&[], source.n_rows(), source.n_cols())?;
        Ok(Self {
            source,
            cells: None,
            genes: None,
            pipeline,
            grid: None,
        })
    }

    /// These cells and genes of the source, in place of a selection that was there. Cells are rows of
    /// the source, genes its columns, strictly increasing; `None`: all.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] when they do not fit the source; the selection stays as it was.
    pub fn select(&mut self, cells: Option<CellSet>, genes: Option<Vec<u32>>) -> Result<()> {
        let mut ops = Vec::new();
        if let Some(cells) = &cells {
            ops.push(Op::SelectCells {
                cells: cells.clone(),
            });
        }
        if let Some(genes) = &genes {
            ops.push(Op::SelectGenes {
                genes: genes.clone(),
            });
        }
        let pipeline = Pipeline::new(&ops, self.source.n_rows(), self.source.n_cols())?;
        let grid = match &cells {
            None => None,
            Some(cells) => {
                let grid = self.source.grid();
                let rows: Vec<u64> = (0..grid.n_blocks())
                    .map(|i| cells.within(grid.block(i)).count() as u64)
                    .collect();
                Some(grid.resized(&rows)?)
            }
        };
        (self.cells, self.genes) = (cells, genes);
        (self.pipeline, self.grid) = (pipeline, grid);
        Ok(())
    }

    /// The source itself: all of it.
    pub fn inner(&self) -> &S {
        &self.source
    }

    /// The cells that are left, as rows of the source; `None`: all.
    pub fn cells(&self) -> Option<&CellSet> {
        self.cells.as_ref()
    }

    /// The genes that are left, as columns of the source; `None`: all.
    pub fn genes(&self) -> Option<&[u32]> {
        self.genes.as_deref()
    }

    /// Whether nothing is left out.
    pub fn is_whole(&self) -> bool {
        self.pipeline.is_identity()
    }

    /// No more entries than this are stored.
    pub fn entries_at_most(&self) -> u64 {
        let most = self.n_rows().saturating_mul(self.n_cols().into());
        self.source.nnz().map_or(most, |nnz| nnz.min(most))
    }
}

impl<S: Source> Source for Selected<S> {
    fn n_cols(&self) -> u32 {
        self.pipeline.n_cols()
    }

    fn nnz(&self) -> Option<u64> {
        if self.is_whole() {
            self.source.nnz()
        } else {
            None
        }
    }

    fn grid(&self) -> &Grid {
        self.grid.as_ref().unwrap_or(self.source.grid())
    }

    fn open(&self, blocks: Range<usize>) -> Result<Box<dyn BlockReader + '_>> {
        if self.is_whole() {
            return self.source.open(blocks);
        }
        Ok(Box::new(Reader {
            selected: self,
            blocks,
            inner: None,
            seen: Block::new(self.source.n_cols()),
            scratch: Scratch::default(),
        }))
    }

    fn prefetch(&self, blocks: Range<usize>) {
        let holds = |&i: &usize| {
            let rows = self.grid().block(i);
            self.grid.is_none() || rows.start < rows.end
        };
        let first = blocks.clone().find(holds);
        let last = blocks.rev().find(holds);
        if let (Some(first), Some(last)) = (first, last) {
            self.source.prefetch(first..last + 1);
        }
    }

    fn reader_bytes(&self) -> u64 {
        let entries = self.source.reader_bytes();
        if self.is_whole() {
            entries
        } else {
            // The block that is read, and the one that is handed out.
            2 * entries
        }
    }

    fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    fn describe(&self) -> String {
        if self.is_whole() {
            return self.source.describe();
        }
        format!(
            "{}, of which {} x {}",
            self.source.describe(),
            self.n_rows(),
            self.n_cols()
        )
    }
}

struct Reader<'a, S> {
    selected: &'a Selected<S>,
    blocks: Range<usize>,
    /// A reader of the source, and the block that it hands out next.
    inner: Option<(usize, Box<dyn BlockReader + 'a>)>,
    seen: Block,
    scratch: Scratch,
}

impl<S: Source> BlockReader for Reader<'_, S> {
    fn next_block(&mut self, block: &mut Block) -> Result<bool> {
        let selected = self.selected;
        let Some(index) = self.blocks.next() else {
            empty(block, selected.n_cols());
            return Ok(false);
        };
        let rows = selected.grid().block(index);
        if rows.start == rows.end {
            empty(block, selected.n_cols());
            block.first_row = rows.start;
            return Ok(true);
        }
        let mut reader = match self.inner.take() {
            Some((at, reader)) if at == index => reader,
            _ => selected.source.open(index..self.blocks.end)?,
        };
        reader.next_block(&mut self.seen)?;
        self.inner = Some((index + 1, reader));
        selected
            .pipeline
            .apply(&self.seen, &mut self.scratch, block)?;
        block.first_row = rows.start;
        Ok(true)
    }
}

fn empty(block: &mut Block, n_cols: u32) {
    block.n_cols = n_cols;
    block.indptr.clear();
    block.indptr.push(0);
    block.indices.clear();
    match &mut block.values {
        Values::F32(v) => v.clear(),
        Values::F64(v) => v.clear(),
    }
}
