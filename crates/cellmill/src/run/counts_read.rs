//! The first read: totals, the check that the values are counts, and moments of each gene.

use super::genes_read::normalisation;
use crate::input::{Input, labels};
use crate::params::{RunParams, TargetSum};
use crate::pp::highly_variable_genes::{
    FirstRead, Flavor, HighlyVariable, Labels, MomentsPlan, by_dispersion, sums_of_matrix,
};
use crate::{Error, Result};
use cellmill_engine::op::{Op, Pipeline};
use cellmill_engine::reduce::{CountReport, Counts, GroupMoments, Groups, Metrics, Quality, Via};
use cellmill_engine::run::{self, run_stage};
use cellmill_engine::{Context, Event, Reservation, Source};

/// What the first read found.
#[derive(Debug)]
pub struct CountsRead {
    /// Totals of cells, the check of the counts, and moments of what [`moments_ops`] makes of them.
    found: FirstRead,
    labels: Labels,
    _held: Reservation,
}

/// What happens to the counts before their moments are taken in the first read.
pub(crate) fn moments_ops(params: &RunParams) -> Vec<Op> {
    match (params.hvg.flavor, params.target_sum) {
        // For seurat, moments of count / total are linear in the target sum.
        (Flavor::Seurat, _) => vec![Op::NormalizeTotal { target_sum: 1.0 }],
        (Flavor::CellRanger, TargetSum::Fixed(target)) => normalisation(target, params).to_vec(),
        _ => Vec::new(),
    }
}

/// What a read between the first one and that of the selected genes finds, where the flavour needs
/// one.
pub(crate) fn extra_read(params: &RunParams) -> Option<&'static str> {
    let [second, third] = match (params.hvg.flavor, params.target_sum) {
        (Flavor::Seurat, _) | (Flavor::CellRanger, TargetSum::Fixed(_)) => return None,
        (Flavor::CellRanger, TargetSum::Median) => [
            "read 2: moments at the median target",
            "read 3: moments at the median target",
        ],
        (Flavor::SeuratV3 | Flavor::SeuratV3Paper, _) => {
            ["read 2: clipped variances", "read 3: clipped variances"]
        }
        (Flavor::PearsonResiduals, _) => [
            "read 2: variances of residuals",
            "read 3: variances of residuals",
        ],
    };
    Some(if params.filters.need_a_read() {
        third
    } else {
        second
    })
}

/// Reads the whole matrix once; `quality`, where there is one, is folded in passing.
///
/// # Errors
/// When a value is not finite, is negative, or has a fraction that was not allowed; when nothing is
/// left without empty cells and genes; or whatever is wrong with the file.
pub fn read_counts(
    ctx: &Context,
    input: &Input,
    params: &RunParams,
    quality: Option<Quality>,
    stage: &str,
) -> Result<(CountsRead, Option<Metrics>)> {
    let source: &dyn Source = &input.source;
    let labels = labels::of_run(input, params)?;
    let shape = (source.n_rows(), source.n_cols());
    let reduce = counts_walk(params, labels.groups.clone(), shape, quality)?;
    let (found, quality) = run_stage(ctx, stage, source, &[], &reduce, &())?;
    Ok((checked(ctx, input, params, labels, found)?, quality))
}

/// What the first read folds: totals, the check that values are counts, moments, and quality.
pub(crate) fn counts_walk(
    params: &RunParams,
    groups: Groups,
    (n_rows, n_cols): (u64, u32),
    quality: Option<Quality>,
) -> Result<Counts> {
    let before = Pipeline::new(&moments_ops(params), n_rows, n_cols)?;
    let moments = GroupMoments::new(n_cols, groups);
    Ok(Counts::new(Via::new(before, moments), quality))
}

/// Whether the first read is that of [`counts_reduction`].
pub(crate) fn is_default(params: &RunParams) -> bool {
    params.hvg.flavor == Flavor::Seurat && params.batch_key.is_none()
}

/// The reduction of the first read of a matrix of `n_cols` genes, for flavour `seurat` without
/// batches.
///
/// # Errors
/// None that data could cause.
pub fn counts_reduction(n_cols: u32) -> Result<Counts> {
    counts_walk(&RunParams::default(), Groups::whole(), (0, n_cols), None)
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
    let (found, _) = run::finish(&counts_reduction(input.source.n_cols())?, state)?;
    checked(ctx, input, params, labels::of_run(input, params)?, found)
}

fn checked(
    ctx: &Context,
    input: &Input,
    params: &RunParams,
    labels: Labels,
    found: FirstRead,
) -> Result<CountsRead> {
    let moments = 24 * u64::from(input.source.n_cols()) * labels.groups.len() as u64;
    let held = ctx.budget().reserve(
        labels.groups.bytes() + moments,
        "the batch of each cell, and moments of each batch",
    )?;
    let report = &found.1;
    refuse_what_is_not_counts(input, report, params.fractional)?;
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
        found,
        labels,
        _held: held,
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
            TargetSum::Median => median(self.found.0.total.iter().copied().filter(|&t| t > 0.0)),
        }
    }

    /// Cells without counts.
    pub fn empty_cells(&self) -> usize {
        self.found.0.total.iter().filter(|&&t| t == 0.0).count()
    }

    /// The largest count.
    pub fn max(&self) -> f64 {
        self.found.1.max
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

    /// The highly variable genes. Flavours of counts, and `cell_ranger` with a median target, read
    /// the matrix once more.
    ///
    /// # Errors
    /// As [`crate::pp::highly_variable_genes::of_matrix`].
    pub fn highly_variable_genes(
        &self,
        ctx: &Context,
        input: &Input,
        params: &RunParams,
    ) -> Result<HighlyVariable> {
        let source: &dyn Source = &input.source;
        let (hvg, labels) = (&params.hvg, &self.labels);
        let target = self.target_sum(params);
        let moments = match extra_read(params) {
            Some(stage) if hvg.flavor.of_counts() => {
                return sums_of_matrix(ctx, stage, source, &[], &self.found, labels, hvg);
            }
            Some(stage) => {
                let reduce = GroupMoments::new(source.n_cols(), labels.groups.clone());
                let ops = normalisation(target, params);
                run_stage(ctx, stage, source, &ops, &reduce, &())?
            }
            None => self.found.2.clone(),
        };
        let plan = MomentsPlan::new(&normalisation(target, params), hvg.flavor, params.log_base);
        by_dispersion(&plan.finish(moments), labels, hvg)
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
