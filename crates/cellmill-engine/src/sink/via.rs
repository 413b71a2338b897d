//! A sink behind ops of its own.

use crate::op::{Pipeline, Scratch};
use crate::{Block, Result, Sink};

/// A sink that sees the blocks of the stage through ops of its own, so that one read can write
/// a whole layer and keep the selected genes.
#[derive(Debug, Clone)]
pub struct Via<S> {
    ops: Pipeline,
    sink: S,
}

impl<S: Sink> Via<S> {
    /// Puts `ops` before `sink`.
    pub fn new(ops: Pipeline, sink: S) -> Self {
        Self { ops, sink }
    }
}

impl<S: Sink> Sink for Via<S> {
    type Part = (S::Part, Scratch, Block);

    fn start(&self, span: usize) -> Self::Part {
        (
            self.sink.start(span),
            Scratch::default(),
            Block::new(self.ops.n_cols()),
        )
    }

    fn push(&self, part: &mut Self::Part, block: &Block) -> Result<()> {
        let (part, scratch, seen) = part;
        if self.ops.is_identity() {
            return self.sink.push(part, block);
        }
        self.ops.apply(block, scratch, seen)?;
        self.sink.push(part, seen)
    }

    fn accept(&self, part: Self::Part) -> Result<()> {
        self.sink.accept(part.0)
    }

    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
        let kept = span_entries.min(span_rows.saturating_mul(u64::from(self.ops.n_cols())));
        self.sink.part_bytes(kept, span_rows)
            + self.ops.bytes(
                span_entries.min(crate::grid::BLOCK_ENTRIES),
                span_rows.min(crate::grid::BLOCK_ROWS),
            )
    }
}
