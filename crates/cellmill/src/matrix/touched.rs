//! A source that passes over what no selection touches.

use cellmill_engine::op::CellSet;
use cellmill_engine::{Block, BlockReader, Grid, Source};
use std::ops::Range;
use std::sync::Arc;

/// A source that reads only the blocks in which a cell is selected; the others are handed out
/// without entries, since an op drops all their cells.
pub struct Touched {
    source: Arc<dyn Source>,
    cells: Option<CellSet>,
}

impl Touched {
    /// `source`, of which only `cells` (`None`: all) are looked at.
    pub fn new(source: Arc<dyn Source>, cells: Option<CellSet>) -> Self {
        Self { source, cells }
    }

    fn touches(&self, block: usize) -> bool {
        match &self.cells {
            None => true,
            Some(cells) => cells
                .within(self.source.grid().block(block))
                .next()
                .is_some(),
        }
    }
}

impl Source for Touched {
    fn n_cols(&self) -> u32 {
        self.source.n_cols()
    }

    fn nnz(&self) -> Option<u64> {
        self.source.nnz()
    }

    fn grid(&self) -> &Grid {
        self.source.grid()
    }

    fn open(&self, blocks: Range<usize>) -> cellmill_engine::Result<Box<dyn BlockReader + '_>> {
        if self.cells.is_none() {
            return self.source.open(blocks);
        }
        Ok(Box::new(Reader {
            source: self,
            blocks,
            inner: None,
        }))
    }

    fn prefetch(&self, blocks: Range<usize>) {
        let first = blocks.clone().find(|&b| self.touches(b));
        let last = blocks.rev().find(|&b| self.touches(b));
        if let (Some(first), Some(last)) = (first, last) {
            self.source.prefetch(first..last + 1);
        }
    }

    fn reader_bytes(&self) -> u64 {
        self.source.reader_bytes()
    }

    fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }
}

struct Reader<'a> {
    source: &'a Touched,
    blocks: Range<usize>,
    /// A reader of the source, and the block that it hands out next.
    inner: Option<(usize, Box<dyn BlockReader + 'a>)>,
}

impl BlockReader for Reader<'_> {
    fn next_block(&mut self, block: &mut Block) -> cellmill_engine::Result<bool> {
        let next = self.blocks.next();
        if let Some(index) = next.filter(|&b| self.source.touches(b)) {
            let mut reader = match self.inner.take() {
                Some((at, reader)) if at == index => reader,
                _ => self.source.source.open(index..self.blocks.end)?,
            };
            let found = reader.next_block(block)?;
            self.inner = Some((index + 1, reader));
            return Ok(found);
        }
        block.n_cols = self.source.n_cols();
        block.clear();
        if let Some(index) = next {
            let rows = self.source.grid().block(index);
            block.first_row = rows.start;
            block.indptr.resize((rows.end - rows.start) as usize + 1, 0);
        }
        Ok(next.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellmill_engine::reduce::CellTotals;
    use cellmill_engine::{Context, MemSource, Op, run_stage};

    fn source(n: usize) -> MemSource<'static> {
        let values: Vec<f32> = (1..=n).map(|i| i as f32).collect();
        let indptr: Vec<u64> = (0..=n as u64).collect();
        MemSource::new(2, indptr, vec![1u32; n], values)
            .unwrap()
            .with_block_rows(3)
    }

    #[test]
    fn blocks_without_a_selected_cell_are_passed_over() {
        for chosen in [vec![0], vec![4, 5, 19], vec![7, 16], (0..20).collect()] {
            let mask: Vec<bool> = (0..20).map(|i| chosen.contains(&i)).collect();
            let cells = CellSet::from_mask(&mask);
            let touched = Touched::new(Arc::new(source(20)), Some(cells.clone()));
            let ops = [Op::SelectCells { cells }];
            let ctx = Context::quiet(2).unwrap();
            let found = run_stage(&ctx, "t", &touched, &ops, &CellTotals, &()).unwrap();
            let expected: Vec<f64> = chosen.iter().map(|&i| i as f64 + 1.0).collect();
            assert_eq!(found.total, expected);
        }
    }
}
