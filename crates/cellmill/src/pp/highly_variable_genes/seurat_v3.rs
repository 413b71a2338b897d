//! Variances of counts against a loess fit: the flavours `seurat_v3` and `seurat_v3_paper` (Stuart
//! et al. 2019).

use super::Labels;
use crate::{Error, Result};
use cellmill_engine::reduce::Moments;
use loess_rs::prelude::*;

/// The regularised standard deviation of each gene in a batch: the root of 10^y, with y the loess
/// fit of log10 variance on log10 mean (span, degree 2), 1 for genes that do not vary.
///
/// The settings are those with which loess-rs agrees with `skmisc.loess` to 2e-12.
pub(super) fn deviations(
    moments: &Moments,
    span: f64,
    labels: &Labels,
    group: usize,
) -> Result<Vec<f64>> {
    let varies: Vec<usize> = (0..moments.mean.len())
        .filter(|&gene| moments.variance[gene] > 0.0)
        .collect();
    let mut deviations = vec![1.0; moments.mean.len()];
    if varies.is_empty() {
        return Ok(deviations);
    }
    let log = |of: &[f64]| varies.iter().map(|&g| of[g].log10()).collect::<Vec<f64>>();
    let fitted = Loess::new()
        .fraction(span)
        .iterations(0)
        .degree("quadratic")
        .surface_mode("interpolation")
        .cell(0.2)
        .boundary_policy("noboundary")
        .boundary_degree_fallback(false)
        .build()
        .and_then(|model| model.fit(&log(&moments.mean), &log(&moments.variance)))
        .map_err(|e| {
            refused(
                &labels.batch(group),
                moments.n,
                varies.len(),
                &e.to_string(),
            )
        })?;
    for (&gene, y) in varies.iter().zip(&fitted.y) {
        if !y.is_finite() {
            let reason = "the fit is not finite";
            return Err(refused(
                &labels.batch(group),
                moments.n,
                varies.len(),
                reason,
            ));
        }
        deviations[gene] = 10f64.powf(*y).sqrt();
    }
    Ok(deviations)
}

fn refused(batch: &str, cells: u64, genes: usize, reason: &str) -> Error {
    Error::Data(format!(
        "flavor seurat_v3 could not fit variances against means in {batch} ({cells} cells, {genes} \
         genes that vary): {reason}; give a larger span, or join small batches"
    ))
}

/// Above these, counts of each gene in a batch are clipped.
pub(super) fn limits<'a>(
    moments: &'a Moments,
    deviations: &'a [f64],
) -> impl Iterator<Item = f64> + 'a {
    let root = (moments.n as f64).sqrt();
    deviations
        .iter()
        .zip(&moments.mean)
        .map(move |(deviation, mean)| deviation * root + mean)
}

/// Variance of the clipped and standardised counts of each gene in a batch, from the sums of
/// clipped counts and of their squares.
pub(super) fn normalised(moments: &Moments, deviations: &[f64], sums: &[[f64; 2]]) -> Vec<f64> {
    let n = moments.n as f64;
    deviations
        .iter()
        .zip(&moments.mean)
        .zip(sums)
        .map(|((deviation, mean), [sum, squares])| {
            let about_mean = n * mean * mean + squares - 2.0 * sum * mean;
            about_mean / ((n - 1.0) * deviation * deviation)
        })
        .collect()
}
