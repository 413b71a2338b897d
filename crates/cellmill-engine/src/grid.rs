//! The grid: where blocks and spans begin. Set by the data alone.

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
            let end = by_entries.clamp(start + 1, start.saturating_add(BLOCK_ROWS as usize)).min(n_rows);
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

    fn with_rows(rows: Vec<u64>) -> Self {
        let n_blocks = rows.len() - 1;
        let span_blocks = n_blocks.div_ceil(SPANS).clamp(1, SPAN_BLOCKS);
        Self { rows, span_blocks }
    }

    /// The number of rows of the matrix.
    pub fn n_rows(&self) -> u64 {
        self.rows[self.rows.len() - 1]
    }

    /// The number of blocks.
    pub fn n_blocks(&self) -> usize {
        self.rows.len() - 1
    }

    /// The number of spans.
    pub fn n_spans(&self) -> usize {
        self.n_blocks().div_ceil(self.span_blocks)
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
