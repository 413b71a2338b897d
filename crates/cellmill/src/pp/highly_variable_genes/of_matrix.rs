//! Highly variable genes of a matrix, in the one or two reads that the flavour needs.

use super::pearson_residuals as pearson;
use super::{
    Flavor, HighlyVariable, HvgParams, Labels, MomentsPlan, by_dispersion, ranks, seurat_v3,
};
use crate::{Error, Result, keys};
use cellmill_engine::op::Pipeline;
use cellmill_engine::reduce::{
    CountReport, Counts, GroupMoments, GroupSums, Groups, Moments, Term, Totals, Via,
};
use cellmill_engine::{Context, Op, Source, run_stage};
use cellmill_io::ArrayData;
use serde::{Deserialize, Serialize};

/// What the first read finds, for flavours of counts.
pub type FirstRead = (Totals, CountReport, Vec<Moments>);

/// What flavours of counts fold in the first read.
///
/// # Errors
/// None that data could cause.
pub fn first_read(n_genes: u32, groups: Groups) -> Result<Counts> {
    let as_stored = Pipeline::new(&[], 0, n_genes)?;
    let moments = GroupMoments::new(n_genes, groups);
    Ok(Counts::new(Via::new(as_stored, moments), None))
}

/// What flavours of counts sum in the second read, in a form that travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondRead {
    /// What is summed.
    pub term: Term,
    /// `seurat_v3`: the regularised deviation of each gene in each batch.
    deviations: Vec<Vec<f64>>,
}

impl SecondRead {
    /// The wire form.
    ///
    /// # Errors
    /// [`Error::Data`] when it cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        postcard::to_stdvec(self).map_err(|e| Error::Data(format!("the second read: {e}")))
    }

    /// From the wire form.
    ///
    /// # Errors
    /// [`Error::Data`] when the bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        postcard::from_bytes(bytes).map_err(|e| Error::Data(format!("the second read: {e}")))
    }
}

/// What the second read of a flavour of counts has to sum, from what the first one found.
///
/// # Errors
/// [`Error::Data`] when a cell has no batch, or the variances of a batch cannot be fitted.
pub fn second_read(
    ctx: &Context,
    (totals, _, moments): &FirstRead,
    labels: &Labels,
    params: &HvgParams,
) -> Result<SecondRead> {
    use rayon::prelude::*;
    let without = totals.total.len() as u64 - moments.iter().map(|m| m.n).sum::<u64>();
    if without > 0 {
        return Err(Error::Data(format!(
            "{without} cells have no batch, and flavor {} needs one for each; leave those cells out, \
             or give them a batch",
            params.flavor.name()
        )));
    }
    if params.flavor == Flavor::PearsonResiduals {
        return Ok(SecondRead {
            term: Term::Residual(pearson::model(moments, params.theta, params.clip)),
            deviations: Vec::new(),
        });
    }
    let fit = |(group, moments)| {
        ctx.cancel().check()?;
        seurat_v3::deviations(moments, params.span, labels, group)
    };
    let moments = moments.as_slice();
    let fits = || moments.par_iter().enumerate().map(fit).collect();
    let deviations: Result<Vec<Vec<f64>>> = ctx.pool().install(fits);
    let deviations = deviations?;
    let limits = moments
        .iter()
        .zip(&deviations)
        .flat_map(|(m, d)| seurat_v3::limits(m, d))
        .collect();
    Ok(SecondRead {
        term: Term::Clipped(limits),
        deviations,
    })
}

/// The genes of a flavour of counts, from what its two reads found.
///
/// Matches `sc.pp.highly_variable_genes` for `seurat_v3` and `seurat_v3_paper`, and
/// `sc.experimental.pp.highly_variable_genes` for `pearson_residuals`, of scanpy 1.12. Batches of
/// one cell have no variance: `seurat_v3` leaves them out, where scanpy ends with NaN.
///
/// # Errors
/// [`Error::Data`] when no batch has two cells for a variance; [`cellmill_engine::Error::Budget`] or
/// [`cellmill_engine::Error::Cancelled`].
pub fn finish(
    ctx: &Context,
    (totals, report, moments): &FirstRead,
    second: &SecondRead,
    sums: &[Vec<[f64; 2]>],
    labels: &Labels,
    params: &HvgParams,
) -> Result<HighlyVariable> {
    let n_top = params.n_top()?;
    let mut warnings = Vec::new();
    if params.check_values && !report.is_counts() {
        warnings.push(format!(
            "`flavor='{}'` expects raw count data, but non-integers were found.",
            params.flavor.name()
        ));
    }
    let residuals = params.flavor == Flavor::PearsonResiduals;
    let values = match &second.term {
        Term::Residual(model) => {
            pearson::variances(ctx, model, moments, &totals.total, &labels.groups, sums)?
        }
        Term::Clipped(_) => {
            let single = moments.iter().filter(|m| m.n < 2).count();
            if single > 0 {
                warnings.push(format!(
                    "{single} of {} batches have one cell, and no variance; flavor {} leaves them out",
                    moments.len(),
                    params.flavor.name()
                ));
            }
            moments
                .iter()
                .zip(&second.deviations)
                .zip(sums)
                .filter(|((moments, _), _)| moments.n > 1)
                .map(|((moments, d), sums)| seurat_v3::normalised(moments, d, sums))
                .collect()
        }
    };
    if values.is_empty() {
        return Err(Error::Data(format!(
            "flavor {} needs variances, and there is one cell alone (in each batch)",
            params.flavor.name()
        )));
    }
    let ranked = ranks::ranked(&values, n_top, params.flavor, labels);
    let all = moments.len() as i64;
    let everywhere = ranked.n_batches.iter().map(|&n| n == all).collect();
    let whole = Moments::of_all(moments);
    let rank = (keys::HIGHLY_VARIABLE_RANK, ArrayData::F32(ranked.rank));
    let means = (keys::MEANS, ArrayData::F64(whole.mean));
    let variances = (keys::VARIANCES, ArrayData::F64(whole.variance));
    let batches = (
        keys::HIGHLY_VARIABLE_NBATCHES,
        ArrayData::I64(ranked.n_batches),
    );
    let mean = ArrayData::F64(ranked.mean);
    let mut columns = if residuals {
        vec![means, variances, (keys::RESIDUAL_VARIANCES, mean), rank]
    } else {
        vec![rank, means, variances, (keys::VARIANCES_NORM, mean)]
    };
    if labels.batches.is_some() {
        columns.push(batches);
        if residuals {
            columns.push((
                keys::HIGHLY_VARIABLE_INTERSECTION,
                ArrayData::Bool(everywhere),
            ));
        }
    }
    Ok(HighlyVariable {
        flavor: params.flavor,
        columns,
        highly_variable: ranked.highly_variable,
        warnings,
    })
}

/// Highly variable genes of the matrix that `ops` make of `source`: one read, two for flavours of
/// counts. `base` is that of the logarithm that `seurat` undoes.
///
/// # Errors
/// As [`by_dispersion`] and [`second_read`], when the moments of all batches do not fit the budget,
/// and whatever is wrong with the source.
pub fn of_matrix(
    ctx: &Context,
    source: &dyn Source,
    ops: &[Op],
    base: Option<f64>,
    labels: &Labels,
    params: &HvgParams,
) -> Result<HighlyVariable> {
    params.validate()?;
    let width = Pipeline::new(ops, source.n_rows(), source.n_cols())?.n_cols();
    let groups = || labels.groups.clone();
    let kept = labels.groups.bytes() + 24 * u64::from(width) * groups().len() as u64;
    let _held = ctx.budget().reserve(kept, "moments of each batch")?;
    let plan = MomentsPlan::new(ops, params.flavor, base);
    if !params.flavor.of_counts() {
        let reduce = GroupMoments::new(width, groups());
        let found = run_stage(ctx, "moments of genes", source, &plan.ops, &reduce, &())?;
        return by_dispersion(&plan.finish(found), labels, params);
    }
    let reduce = first_read(width, groups())?;
    let (first, _) = run_stage(ctx, "moments of genes", source, ops, &reduce, &())?;
    let stage = "normalised variances";
    sums_of_matrix(ctx, stage, source, ops, &first, labels, params)
}

/// The second read of a flavour of counts, and what follows from both.
///
/// # Errors
/// As [`of_matrix`].
pub(crate) fn sums_of_matrix(
    ctx: &Context,
    stage: &str,
    source: &dyn Source,
    ops: &[Op],
    first: &FirstRead,
    labels: &Labels,
    params: &HvgParams,
) -> Result<HighlyVariable> {
    let second = second_read(ctx, first, labels, params)?;
    let width = first.2.first().map_or(0, |m| m.mean.len()) as u32;
    // Limits, once more in the reduction, deviations, and the two sums.
    let bytes = 40 * u64::from(width) * labels.groups.len() as u64;
    let _held = ctx
        .budget()
        .reserve(bytes, "limits and sums of each batch")?;
    let reduce = GroupSums::new(width, labels.groups.clone(), second.term.clone())?;
    let sums = run_stage(ctx, stage, source, ops, &reduce, &())?;
    finish(ctx, first, &second, &sums, labels, params)
}
