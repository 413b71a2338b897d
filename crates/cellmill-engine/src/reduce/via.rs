//! A reduction behind ops of its own.

use crate::op::{Pipeline, Scratch};
use crate::{Block, Reduce, Result};
use serde::{Deserialize, Serialize};

/// A reduction that sees the blocks of the stage through ops of its own, so that one read can
/// serve raw totals and moments of normalised counts.
#[derive(Debug, Clone)]
pub struct Via<R> {
    ops: Pipeline,
    reduce: R,
}

impl<R: Reduce> Via<R> {
    /// Puts `ops` before `reduce`.
    pub fn new(ops: Pipeline, reduce: R) -> Self {
        Self { ops, reduce }
    }
}

/// The state of [`Via`]: the inner state, and a block that is used again.
#[derive(Serialize, Deserialize)]
#[serde(bound(serialize = "S: Serialize", deserialize = "S: Deserialize<'de>"))]
pub struct ViaState<S> {
    state: S,
    #[serde(skip)]
    scratch: Option<Box<(Scratch, Block)>>,
}

impl<R> Via<R> {
    /// What happens to blocks first.
    pub(super) fn ops(&self) -> &Pipeline {
        &self.ops
    }
}

impl<S> ViaState<S> {
    /// The state of the reduction.
    pub(super) fn inner(&mut self) -> &mut S {
        &mut self.state
    }
}

impl<R: Reduce> Reduce for Via<R> {
    type State = ViaState<R::State>;
    type Output = R::Output;

    fn start(&self) -> Self::State {
        ViaState {
            state: self.reduce.start(),
            scratch: None,
        }
    }

    fn fold(&self, state: &mut Self::State, block: &Block) -> Result<()> {
        if self.ops.is_identity() {
            return self.reduce.fold(&mut state.state, block);
        }
        let (scratch, seen) = &mut **state
            .scratch
            .get_or_insert_with(|| Box::new((Scratch::default(), Block::new(self.ops.n_cols()))));
        self.ops.apply(block, scratch, seen)?;
        self.reduce.fold(&mut state.state, seen)
    }

    fn close(&self, state: &mut Self::State) -> Result<()> {
        state.scratch = None;
        self.reduce.close(&mut state.state)
    }

    fn merge(&self, left: Self::State, right: Self::State) -> Result<Self::State> {
        Ok(ViaState {
            state: self.reduce.merge(left.state, right.state)?,
            scratch: None,
        })
    }

    fn finish(&self, state: Self::State) -> Result<R::Output> {
        self.reduce.finish(state.state)
    }

    fn state_bytes(&self, rows: u64) -> u64 {
        self.reduce.state_bytes(rows)
    }

    fn fold_bytes(&self) -> u64 {
        self.reduce.fold_bytes()
            + self
                .ops
                .bytes(crate::grid::BLOCK_ENTRIES, crate::grid::BLOCK_ROWS)
    }
}
