//! The laws of ops.

use super::{Matrix, check_block};
use crate::op::{Pipeline, Scratch};
use crate::{Block, Grid, MemSource, Op, Source};

/// Panics unless `ops` keep the laws on `matrix`: the same bits for any blocks, fused or one by
/// one, and every block keeps its contract. Returns the result.
pub fn op_laws(matrix: &Matrix, ops: &[Op]) -> Matrix {
    let source = matrix.source().unwrap_or_else(|e| panic!("{e}"));
    let n_rows = source.n_rows();
    let whole = apply(&source.clone().with_block_rows(n_rows), ops);
    for block_rows in [1, 7] {
        assert_eq!(
            apply(&source.clone().with_block_rows(block_rows), ops),
            whole,
            "blocks of {block_rows} rows"
        );
    }
    let rows = vec![0, 0, n_rows / 2, n_rows / 2, n_rows, n_rows];
    let grid = Grid::from_blocks(rows).unwrap_or_else(|e| panic!("{e}"));
    let with_empty = source
        .clone()
        .with_grid(grid)
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(apply(&with_empty, ops), whole, "with empty blocks");
    // One op after the other, where rows keep their numbers.
    if !ops.iter().any(|op| matches!(op, Op::SelectCells { .. })) {
        let mut now = matrix.clone();
        for op in ops {
            let source = now.source().unwrap_or_else(|e| panic!("{e}"));
            now = apply(&source, std::slice::from_ref(op));
        }
        assert_eq!(now, whole, "fused and one by one");
    }
    whole
}

fn apply(source: &MemSource<'_, f64>, ops: &[Op]) -> Matrix {
    let pipeline =
        Pipeline::new(ops, source.n_rows(), source.n_cols()).unwrap_or_else(|e| panic!("{e}"));
    let mut reader = source
        .open(0..source.grid().n_blocks())
        .unwrap_or_else(|e| panic!("{e}"));
    let (mut block, mut out, mut scratch) = (Block::new(0), Block::new(0), Scratch::default());
    let mut result = Matrix {
        n_cols: pipeline.n_cols(),
        rows: Vec::new(),
    };
    while reader
        .next_block(&mut block)
        .unwrap_or_else(|e| panic!("{e}"))
    {
        pipeline
            .apply(&block, &mut scratch, &mut out)
            .unwrap_or_else(|e| panic!("{e}"));
        check_block(&out);
        assert_eq!(out.first_row, block.first_row);
        result.push(&out);
    }
    result
}
