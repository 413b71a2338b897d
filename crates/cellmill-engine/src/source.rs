//! The source: hands out the blocks of a matrix.

mod concat;
mod mem;
mod selected;

pub use concat::{ConcatPart, ConcatSource, blocks_left};
pub use mem::{MemSource, MemValue};
pub use selected::Selected;

use crate::{Block, Grid, Result};
use std::ops::Range;

/// A matrix that can be read as a stream of row blocks, several spans at once.
///
/// Laws (`testing::source_laws` checks them): the blocks of any range of blocks, read by any
/// number of readers in any order, concatenate to the same matrix; every block keeps the
/// contract of [`Block`]; reading twice gives the same bits.
pub trait Source: Send + Sync {
    /// The number of rows (cells).
    fn n_rows(&self) -> u64 {
        self.grid().n_rows()
    }

    /// The number of columns (genes).
    fn n_cols(&self) -> u32;

    /// The number of stored entries, where it is known without a read.
    fn nnz(&self) -> Option<u64>;

    /// Where blocks and spans begin.
    fn grid(&self) -> &Grid;

    /// Opens a reader over consecutive blocks. Readers are independent of each other.
    fn open(&self, blocks: Range<usize>) -> Result<Box<dyn BlockReader + '_>>;

    /// Says that these blocks will be read soon, so that the system can fetch them. Free of
    /// memory and free to do nothing.
    fn prefetch(&self, blocks: Range<usize>) {
        let _ = blocks;
    }

    /// Upper bound of the heap bytes that one open reader and the block that it fills hold.
    fn reader_bytes(&self) -> u64;

    /// Bytes read from the file so far by all readers of this source.
    fn bytes_read(&self) -> u64 {
        0
    }

    /// One line for plans and errors: path, element, shape.
    fn describe(&self) -> String;
}

impl<S: Source + ?Sized> Source for std::sync::Arc<S> {
    fn n_rows(&self) -> u64 {
        (**self).n_rows()
    }

    fn n_cols(&self) -> u32 {
        (**self).n_cols()
    }

    fn nnz(&self) -> Option<u64> {
        (**self).nnz()
    }

    fn grid(&self) -> &Grid {
        (**self).grid()
    }

    fn open(&self, blocks: Range<usize>) -> Result<Box<dyn BlockReader + '_>> {
        (**self).open(blocks)
    }

    fn prefetch(&self, blocks: Range<usize>) {
        (**self).prefetch(blocks);
    }

    fn reader_bytes(&self) -> u64 {
        (**self).reader_bytes()
    }

    fn bytes_read(&self) -> u64 {
        (**self).bytes_read()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}

/// Reads consecutive blocks of a [`Source`].
pub trait BlockReader: Send {
    /// Fills `block` with the next block, reusing its memory; `false` after the last one (the
    /// block is then empty).
    ///
    /// # Errors
    /// Whatever the source finds wrong, with file, element and rows.
    fn next_block(&mut self, block: &mut Block) -> Result<bool>;
}
