//! The laws of a reduction.

use super::Matrix;
use crate::run::{finish, merge, merge_tree, run_span, run_spans};
use crate::{Block, Budget, Cancel, Context, Error, Op, Reduce, Result, Source, run_stage};
use std::fmt::Debug;
use std::sync::Arc;

/// Panics unless `reduce` behind `ops` keeps the laws of [`Reduce`] on `matrix`: for each grid the
/// same bits from 1, 2 and 5 threads, from the smallest budget, and from spans run last to first
/// in wire form; across grids, and with f32
/// values, what `close` accepts. Returns the result of the usual grid.
pub fn reduce_laws<R>(
    matrix: &Matrix,
    ops: &[Op],
    reduce: &R,
    close: impl Fn(&R::Output, &R::Output),
) -> R::Output
where
    R: Reduce,
    R::Output: PartialEq + Debug,
{
    let source = matrix.source().unwrap_or_else(|e| panic!("{e}"));
    let whole = one_grid(&source, ops, reduce);
    for block_rows in [1, 7, 64] {
        close(
            &one_grid(&source.clone().with_block_rows(block_rows), ops, reduce),
            &whole,
        );
    }
    if matrix.is_narrow() {
        let narrow = matrix.source_of(|x| x as f32);
        let narrow = narrow.unwrap_or_else(|e| panic!("{e}"));
        close(&one_grid(&narrow, ops, reduce), &whole);
        let narrow = narrow.with_block_rows(7);
        close(&one_grid(&narrow, ops, reduce), &whole);
    }
    empty_block(&source, ops, reduce);
    for rows in [0, 1] {
        let few = Matrix {
            n_cols: matrix.n_cols,
            rows: matrix.rows.iter().take(rows).cloned().collect(),
        };
        let source = few.source().unwrap_or_else(|e| panic!("{e}"));
        if !ops
            .iter()
            .any(|op| matches!(op, Op::ScaleRows { .. } | Op::SelectCells { .. }))
        {
            one_grid(&source, ops, reduce);
        }
    }
    assert!(
        reduce.state_bytes(0) <= reduce.state_bytes(1)
            && reduce.state_bytes(1) <= reduce.state_bytes(1000)
    );
    whole
}

fn one_grid<R>(source: &dyn Source, ops: &[Op], reduce: &R) -> R::Output
where
    R: Reduce,
    R::Output: PartialEq + Debug,
{
    let context = |threads, budget| {
        Context::new(threads, budget, Arc::new(()), std::env::temp_dir())
            .unwrap_or_else(|e| panic!("{e}"))
    };
    let run = |ctx: &Context| run_stage(ctx, "laws", source, ops, reduce, &());
    let one = run(&context(1, Budget::unlimited())).unwrap_or_else(|e| panic!("{e}"));
    for threads in [2, 5] {
        let many = run(&context(threads, Budget::unlimited())).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(many, one, "{threads} threads");
    }
    if let Err(error) = run(&context(2, Budget::new(0))) {
        let Error::Budget { smallest, .. } = error else {
            panic!("no budget: {error}")
        };
        let tight = context(5, Budget::new(smallest));
        assert_eq!(
            run(&tight).unwrap_or_else(|e| panic!("{e}")),
            one,
            "the smallest budget"
        );
        assert_eq!(tight.budget().used(), 0, "the budget must be given back");
        assert!(
            run(&context(1, Budget::new(smallest - 1))).is_err(),
            "less than the smallest budget"
        );
    }

    let n_spans = source.grid().n_spans();
    if n_spans == 0 {
        return one;
    }
    let mut nodes: Vec<Option<Vec<u8>>> = vec![None; n_spans];
    for span in (0..n_spans).rev() {
        let bytes = run_span(source, ops, reduce, span, &Cancel::default())
            .unwrap_or_else(|e| panic!("{e}"));
        let again = reduce
            .from_bytes(&bytes)
            .and_then(|state| reduce.to_bytes(&state))
            .unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            again, bytes,
            "from_bytes(to_bytes(state)) must be the state"
        );
        assert!(
            reduce.from_bytes(&bytes[..bytes.len() / 2]).is_err() || bytes.is_empty(),
            "half a state must be refused"
        );
        nodes[span] = Some(bytes);
    }
    for join in merge_tree(n_spans) {
        let (Some(left), Some(right)) = (nodes[join.left].take(), nodes[join.right].take()) else {
            panic!("the merge tree uses a node twice")
        };
        nodes.push(Some(
            merge(reduce, &left, &right).unwrap_or_else(|e| panic!("{e}")),
        ));
    }
    let Some(Some(last)) = nodes.pop() else {
        panic!("the merge tree has no root")
    };
    assert_eq!(
        finish(reduce, &last).unwrap_or_else(|e| panic!("{e}")),
        one,
        "spans last to first, in wire form"
    );
    for size in [2, 4] {
        assert_eq!(
            in_groups(source, ops, reduce, size).unwrap_or_else(|e| panic!("{e}")),
            one,
            "spans in groups of {size}"
        );
    }
    one
}

fn in_groups<R: Reduce>(
    source: &dyn Source,
    ops: &[Op],
    reduce: &R,
    size: usize,
) -> Result<R::Output> {
    let n_spans = source.grid().n_spans();
    let mut nodes = (0..n_spans)
        .step_by(size)
        .map(|from| from..n_spans.min(from + size))
        .map(|group| run_spans(source, ops, reduce, group, &Cancel::default()))
        .collect::<Result<Vec<_>>>()?;
    for join in merge_tree(nodes.len()) {
        nodes.push(merge(reduce, &nodes[join.left], &nodes[join.right])?);
    }
    finish(reduce, &nodes[nodes.len() - 1])
}

fn empty_block<R: Reduce>(source: &dyn Source, ops: &[Op], reduce: &R) {
    let pipeline = crate::op::Pipeline::new(ops, source.n_rows(), source.n_cols())
        .unwrap_or_else(|e| panic!("{e}"));
    let mut state = reduce.start();
    let before = reduce.to_bytes(&state).unwrap_or_else(|e| panic!("{e}"));
    let empty = Block::new(pipeline.n_cols());
    reduce
        .fold(&mut state, &empty)
        .unwrap_or_else(|e| panic!("{e}"));
    reduce.close(&mut state).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        reduce.to_bytes(&state).unwrap_or_else(|e| panic!("{e}")),
        before,
        "an empty block must change nothing"
    );
}
