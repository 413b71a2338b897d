//! Totals of cells (`sc.pp.normalize_total`): what the target is, and by what a cell is divided.

use crate::{Error, Result};
use cellmill_engine::op::Pipeline;
use cellmill_engine::reduce::{CellTotals, HighlyExpressed};
use cellmill_engine::{Context, Op, Source, run_stage};

/// The total of each cell of `source` after `ops`: one read.
///
/// # Errors
/// Whatever is wrong with the source, or [`cellmill_engine::Error::Cancelled`].
pub fn totals(ctx: &Context, source: &dyn Source, ops: &[Op]) -> Result<Vec<f64>> {
    Ok(run_stage(ctx, "totals", source, ops, &CellTotals, &())?.total)
}

/// Whether each gene has more than `max_fraction` of the total of at least one cell, of `source` after
/// `ops`: one read.
///
/// # Errors
/// [`Error::Parameter`] for a fraction that is none, and as [`totals`].
pub fn highly_expressed(
    ctx: &Context,
    source: &dyn Source,
    ops: &[Op],
    max_fraction: f64,
) -> Result<Vec<bool>> {
    let n_genes = Pipeline::new(ops, source.n_rows(), source.n_cols())?.n_cols();
    let reduce = HighlyExpressed::new(n_genes, max_fraction)?;
    Ok(run_stage(
        ctx,
        "highly expressed genes",
        source,
        ops,
        &reduce,
        &(),
    )?)
}

/// As [`totals`], of the columns `genes` only, which increase.
///
/// # Errors
/// As [`totals`].
pub fn totals_of(
    ctx: &Context,
    source: &dyn Source,
    ops: &[Op],
    genes: Vec<u32>,
) -> Result<Vec<f64>> {
    let select = [Op::SelectGenes { genes }];
    totals(ctx, source, &[ops, &select].concat())
}

/// What cells are scaled to: `asked`, or the median of the totals of cells with counts.
///
/// # Errors
/// [`Error::Parameter`] unless `asked` is above 0; [`Error::Data`] when no cell has counts.
///
/// ```
/// use cellmill::pp::normalize_total::target_sum;
/// assert_eq!(target_sum(&[0.0, 3.0, 5.0], None)?, 4.0);
/// assert_eq!(target_sum(&[0.0, 3.0, 5.0], Some(1e4))?, 1e4);
/// # Ok::<(), cellmill::Error>(())
/// ```
pub fn target_sum(totals: &[f64], asked: Option<f64>) -> Result<f64> {
    match asked {
        Some(target) if target.is_finite() && target > 0.0 => Ok(target),
        Some(target) => Err(Error::Parameter(format!(
            "target_sum is {target}, and must be a number above 0"
        ))),
        None => {
            let target = crate::run::median(totals.iter().copied().filter(|&t| t > 0.0));
            if target > 0.0 {
                Ok(target)
            } else {
                Err(Error::Data(
                    "every cell has zero counts, so there is no median total to scale to"
                        .to_owned(),
                ))
            }
        }
    }
}

/// scanpy's `norm_factor` of each cell: its total over the target.
pub fn factors(totals: &[f64], target_sum: f64) -> Vec<f64> {
    totals.iter().map(|t| t / target_sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_that_cannot_be_are_refused() {
        assert!(target_sum(&[1.0], Some(0.0)).is_err());
        assert!(target_sum(&[1.0], Some(f64::NAN)).is_err());
        assert!(target_sum(&[0.0, 0.0], None).is_err());
    }

    #[test]
    fn factors_of_empty_cells_are_zero() {
        assert_eq!(factors(&[0.0, 4.0], 2.0), [0.0, 2.0]);
    }
}
