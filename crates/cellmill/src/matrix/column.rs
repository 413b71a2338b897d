//! One gene's values in every cell.

use crate::Result;
use cellmill_engine::keep::{KeptColumns, Precision};
use cellmill_engine::{Block, Context, Op, Source, run_stage};

/// Column `gene` of `source` after `ops`, a value for each cell: one read, which the budget counts
/// (kept columns, and four bytes a cell).
///
/// # Errors
/// When the budget is too small, there is no such column, or whatever is wrong with the source.
pub fn column(
    ctx: &Context,
    source: &dyn Source,
    ops: &[Op],
    gene: u32,
    stage: &str,
) -> Result<Vec<f32>> {
    let mut ops = ops.to_vec();
    ops.push(Op::SelectGenes { genes: vec![gene] });
    let kept = KeptColumns::new(ctx, source.grid(), 1, Precision::F32);
    run_stage(ctx, stage, source, &ops, &(), &kept)?;
    let n = kept.n_rows() as usize;
    let _reserved = ctx.budget().reserve(4 * n as u64, stage)?;
    let mut values = vec![0_f32; n];
    let mut reader = kept.open(0..kept.grid().n_blocks())?;
    let mut block = Block::new(1);
    while reader.next_block(&mut block)? {
        for row in 0..block.n_rows() {
            if let Some(entry) = block.row(row).next() {
                values[block.first_row as usize + row] = block.values.get(entry) as f32;
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellmill_engine::MemSource;
    use cellmill_engine::op::CellSet;

    #[test]
    fn a_column_of_the_cells_that_are_left() {
        // Row i holds i + 1 in column i % 3.
        let n = 20;
        let values: Vec<f32> = (1..=n).map(|i| i as f32).collect();
        let indptr: Vec<u64> = (0..=n as u64).collect();
        let indices: Vec<u32> = (0..n as u32).map(|i| i % 3).collect();
        let source = MemSource::new(3, indptr, indices, values)
            .unwrap()
            .with_block_rows(7);
        let ctx = Context::quiet(2).unwrap();
        let all = column(&ctx, &source, &[], 1, "t").unwrap();
        let expected = |i: usize| if i % 3 == 1 { i as f32 + 1.0 } else { 0.0 };
        assert_eq!(all, (0..n).map(expected).collect::<Vec<_>>());
        let mask: Vec<bool> = (0..n).map(|i| i > 9 && i % 2 == 1).collect();
        let cells = CellSet::from_mask(&mask);
        let some = column(&ctx, &source, &[Op::SelectCells { cells }], 1, "t").unwrap();
        assert_eq!(some, [0.0, 14.0, 0.0, 0.0, 20.0]);
        assert!(column(&ctx, &source, &[], 3, "t").is_err());
    }
}
