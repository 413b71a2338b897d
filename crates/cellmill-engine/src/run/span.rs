//! One span by itself: what a thread folds here, and a worker of a cluster there.

use super::tree::{Place, Tree};
use crate::op::{Pipeline, Scratch};
use crate::{Block, Cancel, Error, Op, Reduce, Result, Sink, Source};
use std::ops::Range;

/// Memory of one thread, used again from span to span.
pub(super) struct Work {
    block: Block,
    out: Block,
    scratch: Scratch,
}

impl Work {
    pub(super) fn new(n_cols: u32) -> Self {
        Self {
            block: Block::new(n_cols),
            out: Block::new(n_cols),
            scratch: Scratch::default(),
        }
    }
}

/// Reads, edits and folds the blocks of span `span`. `between` is called after each block with
/// its number of rows and may stop the fold.
pub(super) fn fold_span<R: Reduce, S: Sink>(
    source: &dyn Source,
    ops: &Pipeline,
    (reduce, sink): (&R, &S),
    span: usize,
    work: &mut Work,
    between: impl Fn(u64) -> Result<()>,
) -> Result<(R::State, S::Part)> {
    between(0)?;
    let grid = source.grid();
    let mut reader = source.open(grid.span(span))?;
    let mut state = reduce.start();
    let mut part = sink.start(span);
    for index in grid.span(span) {
        let rows = grid.block(index);
        let found = reader.next_block(&mut work.block)?;
        let n_rows = work.block.n_rows() as u64;
        if !found || work.block.first_row != rows.start || n_rows != rows.end - rows.start {
            return Err(Error::Bug(format!(
                "{} handed out {n_rows} rows from row {} as block {index}, which is rows {} to {}",
                source.describe(),
                work.block.first_row,
                rows.start,
                rows.end
            )));
        }
        let seen = if ops.is_identity() {
            &work.block
        } else {
            ops.apply(&work.block, &mut work.scratch, &mut work.out)?;
            &work.out
        };
        reduce.fold(&mut state, seen)?;
        sink.push(&mut part, seen)?;
        between(n_rows)?;
    }
    reduce.close(&mut state)?;
    Ok((state, part))
}

/// Folds span `span` on the calling thread and returns its state in wire form. The states of all
/// spans, merged along [`super::merge_tree`] and finished, are [`super::run_stage`]'s result to the
/// last bit.
///
/// # Errors
/// As [`super::run_stage`]; [`Error::Parameter`] when the grid has no such span.
pub fn run_span<R: Reduce>(
    source: &dyn Source,
    ops: &[Op],
    reduce: &R,
    span: usize,
    cancel: &Cancel,
) -> Result<Vec<u8>> {
    run_spans(source, ops, reduce, span..span + 1, cancel)
}

/// Folds consecutive spans on the calling thread and returns the state of all of them in wire form.
///
/// Where all spans are cut into groups of one power of two (the last may be smaller), the groups'
/// states, merged along [`super::merge_tree`] of their number, are those of single spans to the last
/// bit: a group is a node of their tree.
///
/// # Errors
/// As [`run_span`].
pub fn run_spans<R: Reduce>(
    source: &dyn Source,
    ops: &[Op],
    reduce: &R,
    spans: Range<usize>,
    cancel: &Cancel,
) -> Result<Vec<u8>> {
    let states = spans.map(|span| span_state(source, ops, reduce, span, cancel));
    reduce.to_bytes(&merge_states(reduce, states)?)
}

/// The state of span `span`, folded on the calling thread.
///
/// # Errors
/// As [`run_span`].
pub fn span_state<R: Reduce>(
    source: &dyn Source,
    ops: &[Op],
    reduce: &R,
    span: usize,
    cancel: &Cancel,
) -> Result<R::State> {
    Ok(alone(source, ops, (reduce, &()), span, cancel)?.0)
}

/// Merges the states of consecutive spans along the tree that their number fixes; of none, the state
/// of no row.
///
/// # Errors
/// The first of `states`; whatever [`Reduce::merge`] finds wrong.
pub fn merge_states<R: Reduce>(
    reduce: &R,
    states: impl IntoIterator<Item = Result<R::State>>,
) -> Result<R::State> {
    let mut tree = Tree::default();
    for (span, state) in states.into_iter().enumerate() {
        let (mut at, mut node) = (Place::leaf(span), Some(state?));
        while let Some(sibling) = tree.take_or_put(at, &mut node) {
            // Spans arrive in order: the sibling that waits is the left one.
            node = node.map(|right| reduce.merge(sibling, right)).transpose()?;
            at = at.parent();
        }
    }
    let mut rest = tree.into_rest();
    let mut whole = rest.pop().unwrap_or_else(|| reduce.start());
    while let Some(left) = rest.pop() {
        whole = reduce.merge(left, whole)?;
    }
    Ok(whole)
}

/// Pushes span `span` into `sink` on the calling thread and returns its part, which the sink has
/// not accepted: how a worker of a cluster keeps the columns of a span.
///
/// # Errors
/// As [`run_span`].
pub fn keep_span<S: Sink>(
    source: &dyn Source,
    ops: &[Op],
    sink: &S,
    span: usize,
    cancel: &Cancel,
) -> Result<S::Part> {
    Ok(alone(source, ops, (&(), sink), span, cancel)?.1)
}

fn alone<R: Reduce, S: Sink>(
    source: &dyn Source,
    ops: &[Op],
    into: (&R, &S),
    span: usize,
    cancel: &Cancel,
) -> Result<(R::State, S::Part)> {
    if span >= source.grid().n_spans() {
        return Err(Error::Parameter(format!(
            "span {span} was asked of {} spans",
            source.grid().n_spans()
        )));
    }
    let ops = Pipeline::new(ops, source.n_rows(), source.n_cols())?;
    let mut work = Work::new(source.n_cols());
    fold_span(source, &ops, into, span, &mut work, |_| cancel.check())
}

/// Merges two neighbouring states in wire form; `left` holds the earlier rows.
///
/// # Errors
/// [`Error::Wire`] when the bytes are no such states.
pub fn merge<R: Reduce>(reduce: &R, left: &[u8], right: &[u8]) -> Result<Vec<u8>> {
    let merged = reduce.merge(reduce.from_bytes(left)?, reduce.from_bytes(right)?)?;
    reduce.to_bytes(&merged)
}

/// The result of the whole, from its state in wire form.
///
/// # Errors
/// [`Error::Wire`] when the bytes are no such state; whatever [`Reduce::finish`] finds wrong.
pub fn finish<R: Reduce>(reduce: &R, state: &[u8]) -> Result<R::Output> {
    reduce.finish(reduce.from_bytes(state)?)
}
