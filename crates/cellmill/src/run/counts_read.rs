//! The first read: totals, the check that the values are counts, and moments of each gene.

use crate::input::Input;
use crate::params::{RunParams, TargetSum};
use crate::pp::highly_variable_genes::{HighlyVariable, highly_variable_genes};
use crate::{Error, Result};
use cellmill_engine::op::{Op, Pipeline};
use cellmill_engine::reduce::{
    CellTotals, CountCheck, CountReport, GeneMoments, Moments, Totals, Via,
};
use cellmill_engine::run::{self, run_stage};
use cellmill_engine::{Context, Event, Reduce, Source};

/// What the first read found.
#[derive(Debug)]
pub struct CountsRead {
    totals: Totals,
    report: CountReport,
    /// Moments of count / total.
    moments: Moments,
}

/// Reads the whole matrix once; `quality` is folded in passing.
///
/// # Errors
/// When a value is not finite, is negative, or has a fraction that was not allowed; when nothing is
/// left without empty cells and genes; or whatever is wrong with the file.
pub fn read_counts<Q: Reduce>(
    ctx: &Context,
    input: &Input,
    params: &RunParams,
    quality: &Q,
    stage: &str,
) -> Result<(CountsRead, Q::Output)> {
    let source: &dyn Source = &input.source;
    let reduce = (counts_reduction(source.n_cols())?, quality);
    let (found, quality) = run_stage(ctx, stage, source, &[], &reduce, &())?;
    Ok((checked(ctx, input, params, found)?, quality))
}

/// What the first read folds: totals, the check that values are counts, moments of count / total.
pub type CountsReduction = (CellTotals, CountCheck, Via<GeneMoments>);

/// The reduction of the first read of a matrix of `n_cols` genes.
///
/// # Errors
/// None that data could cause.
pub fn counts_reduction(n_cols: u32) -> Result<CountsReduction> {
    let shares = Pipeline::new(&[Op::NormalizeTotal { target_sum: 1.0 }], 0, n_cols)?;
    Ok((
        CellTotals,
        CountCheck,
        Via::new(shares, GeneMoments::new(n_cols)),
    ))
}

/// What [`read_counts`] finds, from the state of [`counts_reduction`] over all cells.
///
/// # Errors
/// As [`read_counts`], and when the bytes are no such state.
pub fn counts_of_state(
    ctx: &Context,
    input: &Input,
    params: &RunParams,
    state: &[u8],
) -> Result<CountsRead> {
    let found = run::finish(&counts_reduction(input.source.n_cols())?, state)?;
    checked(ctx, input, params, found)
}

fn checked(
    ctx: &Context,
    input: &Input,
    params: &RunParams,
    (totals, report, moments): (Totals, CountReport, Moments),
) -> Result<CountsRead> {
    refuse_what_is_not_counts(input, &report, params.fractional)?;
    let repairs = input.source.inner().repairs();
    if repairs.duplicates_summed > 0 {
        ctx.emit(Event::Warning {
            text: format!(
                "{}: {} entries of {} stand at a place that another has too; they were added, as \
                 scipy does",
                input.file.path().display(),
                repairs.duplicates_summed,
                input.matrix
            ),
        });
    }
    if report.n_entries == report.n_zeros {
        return Err(Error::Data(format!(
            "{}: {} holds only zeros; nothing is left without empty cells and genes",
            input.file.path().display(),
            input.matrix
        )));
    }
    Ok(CountsRead {
        totals,
        report,
        moments,
    })
}

pub(super) fn refuse_what_is_not_counts(
    input: &Input,
    report: &CountReport,
    fractional: bool,
) -> Result<()> {
    if report.n_negative == 0 && (fractional || report.n_fractional == 0) {
        return Ok(());
    }
    let address = format!("{}: {}", input.file.path().display(), input.matrix);
    let first = report.first_bad.map_or(String::new(), |bad| {
        let gene = input
            .var
            .index
            .get(bad.gene as usize)
            .map_or("", String::as_str);
        format!(
            "; the first is {} in cell {} (row, from 0) and gene {} ({gene})",
            bad.value, bad.row, bad.gene
        )
    });
    let (what, hint) = if report.n_negative > 0 {
        let genes = report.negative_genes.len();
        (
            format!("{} negative values in {genes} genes", report.n_negative),
            "it looks like Seurat's scale.data or a scaled matrix; name the raw counts with --matrix",
        )
    } else {
        (
            format!("{} values that are not whole numbers", report.n_fractional),
            "name the raw counts with --matrix, or say --fractional if these are counts",
        )
    };
    Err(Error::Data(format!(
        "{address} should hold raw counts, and holds {what}{first}; {hint}"
    )))
}

impl CountsRead {
    /// What each cell is scaled to: the target, or the median of the totals of cells with counts.
    pub fn target_sum(&self, params: &RunParams) -> f64 {
        match params.target_sum {
            TargetSum::Fixed(target) => target,
            TargetSum::Median => median(self.totals.total.iter().copied().filter(|&t| t > 0.0)),
        }
    }

    /// Cells without counts.
    pub fn empty_cells(&self) -> usize {
        self.totals.total.iter().filter(|&&t| t == 0.0).count()
    }

    /// Genes without counts.
    pub fn empty_genes(&self) -> usize {
        self.moments.n_nonzero.iter().filter(|&&n| n == 0).count()
    }

    /// The largest count.
    pub fn max(&self) -> f64 {
        self.report.max
    }

    /// Sentences about empty cells.
    pub fn warnings(&self) -> Vec<String> {
        match self.empty_cells() {
            0 => Vec::new(),
            n => vec![format!(
                "{n} cells have zero counts; they are kept, and stay zero where others are normalised"
            )],
        }
    }

    /// The highly variable genes. Moments of count / total are linear in the target sum, so they
    /// need no read of their own.
    ///
    /// # Errors
    /// As [`highly_variable_genes`].
    pub fn highly_variable_genes(&self, params: &RunParams) -> Result<HighlyVariable> {
        let target = self.target_sum(params);
        let means: Vec<f64> = self.moments.mean.iter().map(|m| m * target).collect();
        let variances: Vec<f64> = self
            .moments
            .variance
            .iter()
            .map(|v| v * (target * target))
            .collect();
        highly_variable_genes(&means, &variances, &params.hvg)
    }
}

/// `numpy.median`; 0 for no values.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    let odd = values.len() % 2 == 1;
    let (below, &mut high, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if odd {
        return high;
    }
    let low = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_numpys() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(median([5.0].into_iter()), 5.0);
        assert_eq!(median([1.0, 9.0].into_iter()), 5.0);
        assert_eq!(median([6.0, 1.0, 2.0, 9.0, 4.0].into_iter()), 4.0);
        assert_eq!(median(std::iter::empty()), 0.0);
    }
}
