//! Centred columns: entries, and a row of what stands where there is none.

use crate::{Error, Result};
use cellmill_engine::op::{Pipeline, Scratch};
use cellmill_engine::{Block, Op, Source, Values};

/// What stands in each column where a row has no entry, where `ops` centred the columns.
pub(super) fn offset(ops: &[Op]) -> Option<Vec<f64>> {
    let mut offset: Option<Vec<f64>> = None;
    for op in ops {
        match op {
            Op::ScaleGenes(scale) if scale.mean.is_some() => {
                offset = Some((0..scale.std.len()).map(|gene| scale.zero(gene)).collect());
            }
            Op::SelectGenes { genes } => {
                offset = offset.map(|all| genes.iter().map(|&g| all[g as usize]).collect());
            }
            _ => {}
        }
    }
    offset
}

/// Refuses an op, other than a selection, behind columns that were centred.
///
/// # Errors
/// [`Error::Parameter`], naming the op.
pub(super) fn refuse(op: &Op) -> Result<()> {
    match op {
        Op::SelectGenes { .. } | Op::SelectCells { .. } => Ok(()),
        other => Err(Error::Parameter(format!(
            "{other} was asked of a lazy matrix that was scaled with zero_center=True, which has no \
             zeros any more; do it before the scaling, or scale with zero_center=False"
        ))),
    }
}

/// All values of row `row` of a block, added to `offset`.
pub(crate) fn dense_row<T: Copy>(
    block: &Block,
    row: usize,
    offset: &[f64],
    round: impl Fn(f64) -> T,
    to: &mut Vec<T>,
) {
    let start = to.len();
    to.extend(offset.iter().map(|&x| round(x)));
    for e in block.row(row) {
        let gene = block.indices[e] as usize;
        to[start + gene] = round(offset[gene] + block.values.get(e));
    }
}

/// Rows of a block with all their values, row-major.
fn dense<T: Copy>(block: &Block, offset: &[f64], round: impl Fn(f64) -> T, to: &mut Vec<T>) {
    for row in 0..block.n_rows() {
        dense_row(block, row, offset, &round, to);
    }
}

/// All values of the blocks `blocks` of `source` after `ops`, which centred the columns: row-major,
/// f32 where `narrow`.
///
/// # Errors
/// Whatever is wrong with the source.
pub fn dense_blocks(
    source: &dyn Source,
    ops: &[Op],
    blocks: std::ops::Range<usize>,
    narrow: bool,
) -> Result<Values> {
    let offset = offset(ops).ok_or_else(|| {
        Error::Parameter("columns that were not centred have zeros, and stay sparse".to_owned())
    })?;
    let pipeline = Pipeline::new(ops, source.n_rows(), source.n_cols())?;
    let mut reader = source.open(blocks)?;
    let (mut block, mut out) = (Block::new(source.n_cols()), Block::new(pipeline.n_cols()));
    let mut scratch = Scratch::default();
    let (mut f32s, mut f64s) = (Vec::new(), Vec::new());
    while reader.next_block(&mut block)? {
        pipeline.apply(&block, &mut scratch, &mut out)?;
        if narrow {
            dense(&out, &offset, |x| x as f32, &mut f32s);
        } else {
            dense(&out, &offset, |x| x, &mut f64s);
        }
    }
    Ok(if narrow {
        Values::F32(f32s)
    } else {
        Values::F64(f64s)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellmill_engine::MemSource;
    use cellmill_engine::op::ScaleGenes;

    #[test]
    fn values_are_those_of_scanpy() {
        let source = MemSource::new(3, vec![0, 2, 2], vec![0, 2], vec![4f32, 1.0]).unwrap();
        let scale = ScaleGenes {
            std: vec![2.0, 1.0, 0.5],
            mean: Some(vec![2.0, 0.0, 1.0]),
            max: Some(1.5),
        };
        let ops = [Op::ScaleGenes(scale), Op::SelectGenes { genes: vec![0, 2] }];
        let found = dense_blocks(&source, &ops, 0..source.grid().n_blocks(), false).unwrap();
        assert_eq!(found, Values::F64(vec![1.0, 0.0, -1.0, -1.5]));
        assert_eq!(offset(&ops), Some(vec![-1.0, -1.5]));
        assert_eq!(offset(&[Op::RoundF32]), None);
        assert!(refuse(&Op::RoundF32).is_err());
        assert!(refuse(&ops[1]).is_ok());
    }
}
