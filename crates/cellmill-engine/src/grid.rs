//! The grid: where blocks and spans begin. Set by the data alone.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A block closes at this many entries ...
pub const BLOCK_ENTRIES: u64 = 1 << 20;
/// ... or at this many rows, whichever comes first.
pub const BLOCK_ROWS: u64 = 65_536;
/// A span is 1 to this many blocks ...
pub const SPAN_BLOCKS: usize = 64;
/// ... chosen so that there are about this many spans.
pub const SPANS: usize = 128;

/// Where blocks and spans begin.
///
/// Depends on the matrix alone: never on threads, workers or memory. A plan records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// First row of each block, and the number of rows at the end: `n_blocks + 1` of them.
    rows: Vec<u64>,
    /// Blocks to a span (the last span may have fewer).
    span_blocks: usize,
}

impl Grid {
    /// The grid of a CSR matrix with this `indptr` (`n_rows + 1` entries, non-decreasing).
    ///
    /// A block holds at least one row, so a single row above [`BLOCK_ENTRIES`] is a block.
    pub fn from_indptr(indptr: &[u64]) -> Self {
        let mut rows = vec![0u64];
        let n_rows = indptr.len().saturating_sub(1);
        let mut start = 0usize;
        while start < n_rows {
            let limit = indptr[start] + BLOCK_ENTRIES;
            let by_entries = indptr.partition_point(|&p| p <= limit) - 1;
            let end = by_entries
                .clamp(start + 1, start.saturating_add(BLOCK_ROWS as usize))
                .min(n_rows);
            rows.push(end as u64);
            start = end;
        }
        Self::with_rows(rows)
    }

    /// A grid of blocks of `block_rows` rows each (dense sources, tests with 7-row blocks).
    pub fn regular(n_rows: u64, block_rows: u64) -> Self {
        let step = block_rows.max(1);
        let mut rows: Vec<u64> = (0..n_rows.div_ceil(step)).map(|b| b * step).collect();
        rows.push(n_rows);
        Self::with_rows(rows)
    }

    /// A grid whose blocks begin at `rows` (the last number is the number of rows): chunks that
    /// someone else cut. Blocks may be empty.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `rows` starts at 0 and never decreases.
    pub fn from_blocks(rows: Vec<u64>) -> Result<Self> {
        Self::check_rows(&rows)?;
        Ok(Self::with_rows(rows))
    }

    /// As [`Grid::from_blocks`], with all blocks in one span: what a span is where it lies alone.
    ///
    /// # Errors
    /// As [`Grid::from_blocks`].
    pub fn one_span(rows: Vec<u64>) -> Result<Self> {
        Self::check_rows(&rows)?;
        let span_blocks = (rows.len() - 1).max(1);
        Ok(Self { rows, span_blocks })
    }

    /// This grid with other numbers of rows in the same blocks and spans (after a selection of
    /// cells).
    ///
    /// # Errors
    /// [`Error::Parameter`] unless there is one number for each block.
    pub fn resized(&self, block_rows: &[u64]) -> Result<Self> {
        if block_rows.len() != self.n_blocks() {
            return Err(Error::Parameter(format!(
                "{} blocks were given for a grid of {}",
                block_rows.len(),
                self.n_blocks()
            )));
        }
        let mut rows = vec![0];
        let mut end = 0;
        for n in block_rows {
            end += n;
            rows.push(end);
        }
        Ok(Self {
            rows,
            span_blocks: self.span_blocks,
        })
    }

    fn check_rows(rows: &[u64]) -> Result<()> {
        if rows.first() != Some(&0) || rows.windows(2).any(|w| w[0] > w[1]) {
            return Err(Error::Parameter(
                "the blocks of a grid must start at row 0 and never go back".to_owned(),
            ));
        }
        Ok(())
    }

    /// Checks a grid that came from outside.
    ///
    /// # Errors
    /// [`Error::Parameter`] when it is no grid of `n_rows` rows.
    pub fn check(&self, n_rows: u64) -> Result<()> {
        Self::check_rows(&self.rows)?;
        if self.span_blocks == 0 {
            return Err(Error::Parameter(
                "a span of a grid must hold a block".to_owned(),
            ));
        }
        if self.n_rows() != n_rows {
            return Err(Error::Parameter(format!(
                "the grid is for {} rows and the matrix has {n_rows}; the file changed after the plan was made",
                self.n_rows()
            )));
        }
        Ok(())
    }

    fn with_rows(rows: Vec<u64>) -> Self {
        let n_blocks = rows.len() - 1;
        let span_blocks = n_blocks.div_ceil(SPANS).clamp(1, SPAN_BLOCKS);
        Self { rows, span_blocks }
    }

    /// The number of rows of the matrix.
    pub fn n_rows(&self) -> u64 {
        self.rows.last().copied().unwrap_or(0)
    }

    /// The number of blocks.
    pub fn n_blocks(&self) -> usize {
        self.rows.len().saturating_sub(1)
    }

    /// The number of spans.
    pub fn n_spans(&self) -> usize {
        self.n_blocks().div_ceil(self.span_blocks)
    }

    /// Blocks to a span (the last span may have fewer).
    pub fn span_blocks(&self) -> usize {
        self.span_blocks
    }

    /// The rows of block `i`.
    pub fn block(&self, i: usize) -> Range<u64> {
        self.rows[i]..self.rows[i + 1]
    }

    /// The blocks of span `i`.
    pub fn span(&self, i: usize) -> Range<usize> {
        let first = i * self.span_blocks;
        first..(first + self.span_blocks).min(self.n_blocks())
    }

    /// The rows of span `i`.
    pub fn span_rows(&self, i: usize) -> Range<u64> {
        let blocks = self.span(i);
        self.rows[blocks.start]..self.rows[blocks.end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_close_at_entries_or_rows() {
        let heavy: Vec<u64> = (0..=10).map(|i| i * (BLOCK_ENTRIES / 2)).collect();
        let grid = Grid::from_indptr(&heavy);
        assert!((0..5).all(|b| grid.block(b) == (b as u64 * 2..b as u64 * 2 + 2)));
        let light: Vec<u64> = (0..=150_000).collect();
        let grid = Grid::from_indptr(&light);
        assert_eq!((grid.n_blocks(), grid.block(2)), (3, 131_072..150_000));
        let huge = [0, BLOCK_ENTRIES * 3, BLOCK_ENTRIES * 3 + 1];
        assert_eq!(Grid::from_indptr(&huge).block(0), 0..1);
    }

    #[test]
    fn spans_cover_all_blocks_once() {
        for n_blocks in [0u64, 1, 127, 128, 129, 1000, 8192, 9000] {
            let grid = Grid::regular(n_blocks * 7, 7);
            assert_eq!(grid.n_blocks() as u64, n_blocks);
            let mut next = 0;
            for span in 0..grid.n_spans() {
                assert_eq!(grid.span(span).start, next);
                assert!((1..=SPAN_BLOCKS).contains(&grid.span(span).len()));
                next = grid.span(span).end;
            }
            assert_eq!(next as u64, n_blocks);
        }
    }

    #[test]
    fn grids_from_outside_are_checked() {
        assert!(Grid::from_blocks(vec![0, 3, 2]).is_err());
        assert!(Grid::from_blocks(vec![]).is_err());
        let grid = Grid::from_blocks(vec![0, 3, 3, 9]).unwrap();
        assert!(grid.check(9).is_ok() && grid.check(8).is_err());
        assert_eq!(grid.resized(&[1, 0, 2]).unwrap().n_rows(), 3);
        for bad in [
            r#"{"rows":[],"span_blocks":1}"#,
            r#"{"rows":[0],"span_blocks":0}"#,
        ] {
            let grid: Grid = serde_json::from_str(bad).unwrap();
            assert!(grid.check(grid.n_rows()).is_err());
        }
    }
}
