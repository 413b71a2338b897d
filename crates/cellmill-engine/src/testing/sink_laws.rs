//! The laws of a sink.

use super::Matrix;
use crate::{Block, Budget, Context, Grid, Result, Sink, Source, run_stage};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Panics unless a sink stores the same for any number of threads and any blocks. `make` makes a
/// new sink for a grid; `read` says what it holds afterwards, without a trace of the grid. Returns
/// what it holds.
pub fn sink_laws<S: Sink, T: PartialEq + Debug>(
    matrix: &Matrix,
    make: impl Fn(&Context, &Grid) -> S,
    read: impl Fn(&S) -> T,
) -> T {
    let source = matrix.source().unwrap_or_else(|e| panic!("{e}"));
    let n_rows = source.n_rows();
    let fill = |threads, block_rows| {
        let ctx = Context::new(
            threads,
            Budget::unlimited(),
            Arc::new(()),
            std::env::temp_dir(),
        )
        .unwrap_or_else(|e| panic!("{e}"));
        let source = source.clone().with_block_rows(block_rows);
        let sink = InOrder {
            sink: make(&ctx, source.grid()),
            next: AtomicUsize::new(0),
        };
        run_stage(&ctx, "laws", &source, &[], &(), &sink).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            sink.next.load(Ordering::Relaxed),
            source.grid().n_spans(),
            "every span must be accepted"
        );
        read(&sink.sink)
    };
    let whole = fill(1, n_rows.max(1));
    for (threads, block_rows) in [(1, 1), (2, 1), (5, 1), (1, 7), (5, 7), (2, 64)] {
        assert_eq!(
            fill(threads, block_rows),
            whole,
            "{threads} threads, blocks of {block_rows} rows"
        );
    }
    assert!(
        make(
            &Context::quiet(1).unwrap_or_else(|e| panic!("{e}")),
            source.grid()
        )
        .part_bytes(10, 10)
            <= 1 << 40
    );
    whole
}

/// Watches that parts arrive in span order, one at a time.
struct InOrder<S> {
    sink: S,
    next: AtomicUsize,
}

impl<S: Sink> Sink for InOrder<S> {
    type Part = (usize, S::Part);

    fn start(&self, span: usize) -> Self::Part {
        (span, self.sink.start(span))
    }

    fn push(&self, part: &mut Self::Part, block: &Block) -> Result<()> {
        self.sink.push(&mut part.1, block)
    }

    fn accept(&self, part: Self::Part) -> Result<()> {
        assert_eq!(
            self.next.fetch_add(1, Ordering::Relaxed),
            part.0,
            "spans must be accepted in order"
        );
        self.sink.accept(part.1)
    }

    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
        self.sink.part_bytes(span_entries, span_rows)
    }
}
