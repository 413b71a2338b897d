//! The sink: takes blocks in order.

mod tuple;
mod via;

pub use via::Via;

use crate::{Block, Result};

/// Takes the blocks of a stage, span by span, and stores them in row order.
///
/// The heavy work (encoding, compressing) happens in [`Sink::push`], on many threads at once,
/// each with a part of its own; [`Sink::accept`] is called by one thread at a time, with the
/// parts in span order, and only stitches and writes.
pub trait Sink: Send + Sync {
    /// What one span leaves to be accepted.
    type Part: Send;

    /// Starts the part of a span.
    fn start(&self, span: usize) -> Self::Part;

    /// Adds a block to the part. Blocks of a span arrive in row order.
    ///
    /// # Errors
    /// Whatever the sink finds wrong.
    fn push(&self, part: &mut Self::Part, block: &Block) -> Result<()>;

    /// Takes a finished part. Called in span order, never twice at once.
    ///
    /// # Errors
    /// Whatever the sink finds wrong, a full disk first of all.
    fn accept(&self, part: Self::Part) -> Result<()>;

    /// Upper bound of the heap bytes that the part of one span holds.
    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64;
}

/// The sink of a stage that writes nothing.
impl Sink for () {
    type Part = ();

    fn start(&self, _span: usize) {}

    fn push(&self, _part: &mut (), _block: &Block) -> Result<()> {
        Ok(())
    }

    fn accept(&self, _part: ()) -> Result<()> {
        Ok(())
    }

    fn part_bytes(&self, _span_entries: u64, _span_rows: u64) -> u64 {
        0
    }
}
