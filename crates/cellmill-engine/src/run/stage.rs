//! One stage: one read of a source, folded by all threads.

use super::span::{Work, fold_span};
use super::tree::{Place, Tree};
use crate::grid::{BLOCK_ENTRIES, BLOCK_ROWS};
use crate::op::Pipeline;
use crate::{Context, Error, Event, Op, Reduce, Reservation, Result, Sink, Source};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Reads `source` once: every block goes through `ops`, is folded by `reduce` and pushed into
/// `sink`.
///
/// Threads take spans in order; states are merged in the tree that the number of spans fixes, so
/// the result has the same bits for any number of threads and any budget. How many spans fold at
/// once, and how far the fastest may run ahead of the slowest, is what the budget allows.
///
/// # Errors
/// The error of the lowest span that failed (whichever thread met its error first);
/// [`Error::Budget`] when not even one span at a time fits; [`Error::Cancelled`];
/// [`Error::Parameter`] when an op does not fit the source.
pub fn run_stage<R: Reduce, S: Sink>(
    ctx: &Context,
    name: &str,
    source: &dyn Source,
    ops: &[Op],
    reduce: &R,
    sink: &S,
) -> Result<R::Output> {
    let started = Instant::now();
    let bytes_before = source.bytes_read();
    let begin = || {
        ctx.emit(Event::StageStarted {
            stage: name.to_owned(),
            total: source.n_rows(),
            unit: "cells".to_owned(),
        });
    };
    let output = run_pass(ctx, name, source, ops, (reduce, sink), begin)?;
    ctx.emit(Event::StageFinished {
        stage: name.to_owned(),
        seconds: started.elapsed().as_secs_f64(),
        bytes_read: source.bytes_read().saturating_sub(bytes_before),
    });
    Ok(output)
}

/// As [`run_stage`], as one of several passes of a stage, which tells the observer of its start and
/// end by itself. `begin` is called once the memory is there.
pub(crate) fn run_pass<R: Reduce, S: Sink>(
    ctx: &Context,
    name: &str,
    source: &dyn Source,
    ops: &[Op],
    (reduce, sink): (&R, &S),
    begin: impl FnOnce(),
) -> Result<R::Output> {
    let ops = Pipeline::new(ops, source.n_rows(), source.n_cols())?;
    let (pace, reservation) = reserve(ctx, name, source, &ops, reduce, sink)?;
    begin();
    let bytes_before = source.bytes_read();
    let stage = Stage {
        ctx,
        name,
        source,
        ops,
        reduce,
        sink,
        pace,
        n_spans: source.grid().n_spans(),
        bytes_before,
        lane: Mutex::new(Lane {
            next: 0,
            accepted: 0,
            accepting: false,
            parts: BTreeMap::new(),
            tree: Tree::default(),
            failed: None,
        }),
        wake: Condvar::new(),
        lowest_failed: AtomicUsize::new(usize::MAX),
        rows_done: AtomicU64::new(0),
        last_progress: Mutex::new(Instant::now()),
    };
    ctx.pool().scope(|scope| {
        for _ in 0..pace.workers {
            scope.spawn(|_| stage.work());
        }
    });
    let lane = stage
        .lane
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some((_, error)) = lane.failed {
        return Err(error);
    }
    let mut rest = lane.tree.into_rest();
    let mut whole = rest.pop().unwrap_or_else(|| reduce.start());
    while let Some(left) = rest.pop() {
        ctx.cancel().check()?;
        whole = reduce.merge(left, whole)?;
    }
    let output = reduce.finish(whole)?;
    drop(reservation);
    Ok(output)
}

/// How fast a stage may go.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Spans that fold at once.
    workers: usize,
    /// Spans that may be folded or wait for an earlier one.
    window: usize,
}

/// Bytes that a stage holds, at any pace.
struct Needs {
    n_spans: usize,
    worker: u64,
    part: u64,
    state: u64,
    growth: u64,
}

impl Needs {
    fn of<R: Reduce, S: Sink>(source: &dyn Source, ops: &Pipeline, reduce: &R, sink: &S) -> Self {
        let grid = source.grid();
        let n_spans = grid.n_spans().max(1);
        let span_rows = (0..grid.n_spans())
            .map(|i| grid.span_rows(i))
            .map(|r| r.end - r.start)
            .max()
            .unwrap_or(0);
        let block_rows = (0..grid.n_blocks())
            .map(|i| grid.block(i))
            .map(|r| r.end - r.start)
            .max()
            .unwrap_or(0);
        let n_cols = u64::from(source.n_cols());
        // No block has more entries than the grid's limit, but for single rows and foreign chunks,
        // where twice the average is taken.
        let nnz = source.nnz().unwrap_or(u64::MAX);
        let average = if source.nnz().is_some() {
            2 * nnz / grid.n_blocks().max(1) as u64
        } else {
            0
        };
        let block_entries = BLOCK_ENTRIES
            .max(average)
            .min(nnz)
            .min(block_rows.saturating_mul(n_cols));
        let span_entries = block_entries
            .saturating_mul(grid.span_blocks() as u64)
            .min(nnz)
            .min(span_rows.saturating_mul(u64::from(ops.n_cols()).min(n_cols)));
        let state = reduce.state_bytes(0);
        Self {
            n_spans,
            worker: source
                .reader_bytes()
                .saturating_add(reduce.fold_bytes())
                .saturating_add(ops.bytes(block_entries, block_rows.min(BLOCK_ROWS))),
            part: sink.part_bytes(span_entries, span_rows),
            state,
            growth: reduce.state_bytes(source.n_rows()).saturating_sub(state),
        }
    }

    fn bytes(&self, pace: Pace) -> u64 {
        let window = pace.window as u64;
        let waiting = u64::from(self.n_spans.ilog2()) + 1;
        self.worker
            .saturating_mul(pace.workers as u64)
            .saturating_add(self.part.saturating_mul(window))
            .saturating_add(
                self.state
                    .saturating_mul((window + waiting).min(self.n_spans as u64 + 1)),
            )
            .saturating_add(self.growth)
    }
}

/// One span at a time.
const SLOWEST: Pace = Pace {
    workers: 1,
    window: 1,
};

/// The least memory with which [`run_stage`] runs such a stage: one span at a time.
///
/// # Errors
/// [`Error::Parameter`] when an op does not fit the source.
pub fn smallest_stage<R: Reduce, S: Sink>(
    source: &dyn Source,
    ops: &[Op],
    reduce: &R,
    sink: &S,
) -> Result<u64> {
    let ops = Pipeline::new(ops, source.n_rows(), source.n_cols())?;
    Ok(Needs::of(source, &ops, reduce, sink).bytes(SLOWEST))
}

/// The fastest pace that fits the budget, and the bytes that it holds.
fn reserve<R: Reduce, S: Sink>(
    ctx: &Context,
    name: &str,
    source: &dyn Source,
    ops: &Pipeline,
    reduce: &R,
    sink: &S,
) -> Result<(Pace, Reservation)> {
    let needs = Needs::of(source, ops, reduce, sink);
    for workers in (1..=ctx.threads().min(needs.n_spans)).rev() {
        for window in [2 * workers, workers] {
            let pace = Pace { workers, window };
            if let Some(held) = ctx.budget().try_reserve(needs.bytes(pace)) {
                return Ok((pace, held));
            }
        }
    }
    let held = ctx
        .budget()
        .reserve(needs.bytes(SLOWEST), &format!("the stage \"{name}\""))?;
    Ok((SLOWEST, held))
}

/// What the threads share under the lock.
struct Lane<State, Part> {
    /// The next span to hand out.
    next: usize,
    /// The next span that the sink takes.
    accepted: usize,
    /// Whether a thread is giving parts to the sink.
    accepting: bool,
    parts: BTreeMap<usize, Part>,
    tree: Tree<State>,
    /// The lowest span that failed, and its error.
    failed: Option<(usize, Error)>,
}

struct Stage<'a, R: Reduce, S: Sink> {
    ctx: &'a Context,
    name: &'a str,
    source: &'a dyn Source,
    ops: Pipeline,
    reduce: &'a R,
    sink: &'a S,
    pace: Pace,
    n_spans: usize,
    bytes_before: u64,
    lane: Mutex<Lane<R::State, S::Part>>,
    wake: Condvar,
    lowest_failed: AtomicUsize,
    rows_done: AtomicU64,
    last_progress: Mutex<Instant>,
}

impl<R: Reduce, S: Sink> Stage<'_, R, S> {
    fn lane(&self) -> MutexGuard<'_, Lane<R::State, S::Part>> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of one thread in this stage.
    fn work(&self) {
        let mut work = Work::new(self.source.n_cols());
        while let Some(span) = self.take() {
            let ahead = span + self.pace.workers;
            if ahead < self.n_spans {
                self.source.prefetch(self.source.grid().span(ahead));
            }
            let folded = guard(|| {
                let (state, part) = fold_span(
                    self.source,
                    &self.ops,
                    (self.reduce, self.sink),
                    span,
                    &mut work,
                    |rows| self.between(span, rows),
                )?;
                self.join(span, state)?;
                Ok(part)
            });
            match folded {
                Ok(part) => self.hand_over(span, part),
                Err(error) => self.fail(span, error),
            }
        }
    }

    /// The next span, once it is near enough to the slowest; none when there is nothing to do.
    fn take(&self) -> Option<usize> {
        let mut lane = self.lane();
        loop {
            if lane.failed.is_some() || lane.next == self.n_spans {
                return None;
            }
            if lane.next < lane.accepted + self.pace.window {
                lane.next += 1;
                return Some(lane.next - 1);
            }
            // The slowest span is in the hands of a thread that runs, so this ends.
            lane = self.wake.wait(lane).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Between two blocks: stop where an earlier span has failed, and tell the observer.
    fn between(&self, span: usize, rows: u64) -> Result<()> {
        self.ctx.cancel().check()?;
        if self.lowest_failed.load(Ordering::Relaxed) < span {
            return Err(Error::Cancelled);
        }
        let done = self.rows_done.fetch_add(rows, Ordering::Relaxed) + rows;
        if rows > 0
            && let Ok(mut last) = self.last_progress.try_lock()
            && last.elapsed() > Duration::from_millis(50)
        {
            *last = Instant::now();
            self.ctx.emit(Event::Progress {
                stage: self.name.to_owned(),
                done,
                bytes_read: self.source.bytes_read().saturating_sub(self.bytes_before),
            });
        }
        Ok(())
    }

    /// Puts a state into the merge tree and does the merges that it makes possible.
    fn join(&self, span: usize, state: R::State) -> Result<()> {
        let mut at = Place::leaf(span);
        let mut node = Some(state);
        loop {
            let sibling = self.lane().tree.take_or_put(at, &mut node);
            let (Some(sibling), Some(own)) = (sibling, node.take()) else {
                return Ok(());
            };
            let merged = if at.is_left() {
                self.reduce.merge(own, sibling)
            } else {
                self.reduce.merge(sibling, own)
            };
            node = Some(merged?);
            at = at.parent();
        }
    }

    /// Gives a part to the sink when its turn comes, and those after it that wait.
    fn hand_over(&self, span: usize, part: S::Part) {
        let mut lane = self.lane();
        lane.parts.insert(span, part);
        if lane.accepting {
            return;
        }
        lane.accepting = true;
        loop {
            let next = lane.accepted;
            if lane
                .failed
                .as_ref()
                .is_some_and(|(failed, _)| *failed <= next)
            {
                break;
            }
            let Some(part) = lane.parts.remove(&next) else {
                break;
            };
            drop(lane);
            let result = guard(|| self.sink.accept(part));
            if let Err(error) = result {
                self.fail(next, error);
                lane = self.lane();
                break;
            }
            lane = self.lane();
            lane.accepted += 1;
            self.wake.notify_all();
        }
        lane.accepting = false;
    }

    fn fail(&self, span: usize, error: Error) {
        let mut lane = self.lane();
        if lane
            .failed
            .as_ref()
            .is_none_or(|(lowest, _)| span < *lowest)
        {
            lane.failed = Some((span, error));
            self.lowest_failed.fetch_min(span, Ordering::Relaxed);
        }
        self.wake.notify_all();
    }
}

/// Turns a panic into an error, so that the other threads stop and the caller hears of it.
fn guard<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without a text");
        Err(Error::Bug(text.to_owned()))
    })
}
