//! Folds that are told something of each cell, span by span.

use crate::Result;
use cellmill_engine::{Cancel, Op, Reduce, Source, run};
use std::ops::Range;

/// A fold over a matrix of whose cells something is known: their groups, their numbers.
pub trait OfCells: Sync {
    /// The reduction.
    type Fold: Reduce;

    /// The reduction of `source` after `ops`.
    ///
    /// # Errors
    /// When what is known is not of the cells that `ops` leave of the source.
    fn of_source(&self, source: &dyn Source, ops: &[Op]) -> Result<Self::Fold>;

    /// The reduction for states that are merged: no row arrives any more.
    ///
    /// # Errors
    /// As the reduction's own.
    fn of_states(&self, n_genes: u32) -> Result<Self::Fold>;

    /// The state of consecutive spans, in its wire form.
    ///
    /// # Errors
    /// As [`OfCells::of_source`], and whatever is wrong with the source.
    fn of_spans(
        &self,
        source: &dyn Source,
        ops: &[Op],
        spans: Range<usize>,
        cancel: &Cancel,
    ) -> Result<Vec<u8>> {
        let fold = self.of_source(source, ops)?;
        Ok(run::run_spans(source, ops, &fold, spans, cancel)?)
    }

    /// The least memory in bytes that the fold of one span needs.
    ///
    /// # Errors
    /// As [`OfCells::of_source`].
    fn span_bytes(&self, source: &dyn Source, ops: &[Op]) -> Result<u64> {
        let fold = self.of_source(source, ops)?;
        Ok(run::smallest_stage(source, ops, &fold, &())?)
    }

    /// Merges two neighbouring states of a matrix of `n_genes` columns.
    ///
    /// # Errors
    /// When the states are none of this fold.
    fn merge(&self, n_genes: u32, left: &[u8], right: &[u8]) -> Result<Vec<u8>> {
        Ok(run::merge(&self.of_states(n_genes)?, left, right)?)
    }
}
