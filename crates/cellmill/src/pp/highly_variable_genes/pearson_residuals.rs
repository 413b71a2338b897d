//! Variances of Pearson residuals of counts (Lause, Berens and Kobak 2021).

use crate::Result;
use cellmill_engine::Context;
use cellmill_engine::reduce::{Groups, Moments, Residual};
use rayon::prelude::*;

/// The offset model of each batch: the share of each gene in its counts.
pub(super) fn model(moments: &[Moments], theta: f64, clip: Option<f64>) -> Residual {
    let shares = moments.iter().flat_map(|m| {
        // n cells in numerator and denominator cancel.
        let total: f64 = m.mean.iter().sum();
        m.mean
            .iter()
            .map(move |mean| if total > 0.0 { mean / total } else { 0.0 })
    });
    let first = moments.first().map_or(0, |m| m.n);
    Residual {
        shares: shares.collect(),
        theta,
        // Of the first batch, for all: so scanpy has it.
        clip: clip.unwrap_or((first as f64).sqrt()),
    }
}

/// Variance (ddof 0) of the residuals of each gene in each batch, from the sums over stored values.
///
/// The residual of a zero depends on the total of its cell alone, so the zeros of a gene need one
/// residual for each total that occurs, not one for each cell; what the sums hold is the difference
/// that the other values make. Residuals have a mean near 0 and a spread near 1, so their squares
/// can be summed without loss. Cells without counts have residual 0.
pub(super) fn variances(
    ctx: &Context,
    model: &Residual,
    moments: &[Moments],
    totals: &[f64],
    groups: &Groups,
    sums: &[Vec<[f64; 2]>],
) -> Result<Vec<Vec<f64>>> {
    let _held = ctx
        .budget()
        .reserve(16 * totals.len() as u64, "totals of cells, sorted")?;
    let mut by_group = vec![Vec::new(); moments.len()];
    for (&total, group) in totals.iter().zip(groups.ids(totals.len() as u64)) {
        if total > 0.0 && group != Groups::NONE {
            by_group[group as usize].push(total);
        }
    }
    let mut found = Vec::with_capacity(moments.len());
    for (group, mut totals) in by_group.into_iter().enumerate() {
        totals.sort_unstable_by(f64::total_cmp);
        let counted: Vec<(f64, f64)> = totals
            .chunk_by(|a, b| a == b)
            .map(|equal| (equal[0], equal.len() as f64))
            .collect();
        let n = moments[group].n as f64;
        let n_genes = moments[group].mean.len();
        let shares = &model.shares[group * n_genes..(group + 1) * n_genes];
        let variance = |(&share, &[sum, squares]): (&f64, &[f64; 2])| {
            if share == 0.0 {
                return Ok(0.0);
            }
            ctx.cancel().check()?;
            let (mut sum, mut squares) = (sum, squares);
            for &(total, cells) in &counted {
                let zero = model.of(0.0, share, total);
                sum += cells * zero;
                squares += cells * (zero * zero);
            }
            Ok((squares - sum * sum / n) / n)
        };
        let found_here: cellmill_engine::Result<Vec<f64>> = ctx
            .pool()
            .install(|| shares.par_iter().zip(&sums[group]).map(variance).collect());
        found.push(found_here?);
    }
    Ok(found)
}
