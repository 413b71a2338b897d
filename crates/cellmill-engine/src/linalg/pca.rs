//! Principal components from a Gram matrix.

use super::krylov::leading;
use crate::reduce::GramMatrix;
use crate::run::abandonable;
use crate::{Context, Error, Event, Result};
use faer::{Mat, MatRef, Par, Side};
use std::time::Instant;

/// Up to this many columns the Gram matrix is made; of more, [`super::block_krylov`] finds the
/// components.
pub const MOST_GRAM: u32 = 4096;

/// Principal components of the columns (scanpy.pp.pca), centred or as they are
/// (`zero_center=False`).
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// The number of cells.
    pub n: u64,
    /// The number of columns.
    pub k: usize,
    /// The number of components.
    pub n_comps: usize,
    /// What is taken off each column: its mean, or 0 where the columns are not centred.
    pub mean: Vec<f64>,
    /// Loadings, `k x n_comps`, row-major (scanpy's `varm["PCs"]`): orthonormal columns, in each
    /// the element of largest magnitude (the first of them) positive.
    pub loadings: Vec<f64>,
    /// Variance along each component: with ddof 1, decreasing; where the columns are not centred,
    /// that of the scores with ddof 0, as scikit-learn's `TruncatedSVD` has it.
    pub variance: Vec<f64>,
    /// `variance` over the total variance of the columns.
    pub variance_ratio: Vec<f64>,
}

/// Principal components from the Gram matrix of `n` cells: the first `n_comps` eigenvectors of the
/// covariance `(XᵀX − n m mᵀ) / (n − 1)`, by block Lanczos where they are few of many and none
/// is as good as equal to many others; else by a full decomposition on one thread. The bits do not depend on the number of
/// threads. Without `zero_center`, those of `XᵀX / n` instead: the singular vectors of the columns
/// as they are.
///
/// # Errors
/// [`Error::Parameter`] unless `1 <= n_comps <= min(n, k)`; [`Error::Data`] when no column
/// varies; [`Error::Budget`]; [`Error::Cancelled`] (the decomposition is abandoned).
pub fn pca(ctx: &Context, gram: &GramMatrix, n_comps: usize, zero_center: bool) -> Result<Pca> {
    ctx.cancel().check()?;
    let started = Instant::now();
    let k = gram.k;
    refuse_n_comps(n_comps, gram.n, k)?;
    // The covariance, its reduced form and the eigenvectors, with the solver's workspace; block Lanczos
    // takes less.
    let held = ctx
        .budget()
        .reserve((k * k) as u64 * 8 * 5, "the eigenproblem of the PCA")?;
    let stage = "eigenproblem".to_owned();
    ctx.emit(Event::StageStarted {
        stage: stage.clone(),
        total: 0,
        unit: "genes".to_owned(),
    });
    let n = gram.n as f64;
    let mean: Vec<f64> = gram.sums.iter().map(|s| s / n).collect();
    let (ddof, centre) = if zero_center {
        ((n - 1.0).max(1.0), mean.clone())
    } else {
        (n, vec![0.0; k])
    };
    let mut covariance = Mat::<f64>::zeros(k, k);
    for i in 0..k {
        for j in i..k {
            covariance[(j, i)] = (gram.get(i, j) - gram.sums[i] * centre[j]) / ddof;
        }
    }
    mirror(&mut covariance);
    let off = |i: usize| if zero_center { 0.0 } else { mean[i] * mean[i] };
    let total: f64 = (0..k).map(|i| covariance[(i, i)] - off(i)).sum();
    if !total.is_finite() || total <= 0.0 {
        return Err(Error::Data(format!(
            "the PCA found no variance in the {k} selected genes of {} cells (total variance {total})",
            gram.n
        )));
    }
    let (values, vectors) = match leading(ctx, &covariance, n_comps)? {
        Some(found) => found,
        None => abandonable(ctx, "the eigenproblem", move || {
            let found = decompose(covariance.as_ref(), n_comps);
            drop(held);
            found
        })??,
    };
    let mut variance: Vec<f64> = values.iter().map(|value| value.max(0.0)).collect();
    let loadings = signed(k, n_comps, |i, component| vectors[(i, component)]);
    if !zero_center {
        less_means(&mut variance, &loadings, &mean);
    }
    let variance_ratio = variance.iter().map(|v| v / total).collect();
    ctx.emit(Event::StageFinished {
        stage,
        seconds: started.elapsed().as_secs_f64(),
        bytes_read: 0,
    });
    Ok(Pca {
        n: gram.n,
        k,
        n_comps,
        mean: centre,
        loadings,
        variance,
        variance_ratio,
    })
}

/// The upper triangle becomes the lower one, in tiles that stay in the nearest cache.
fn mirror(matrix: &mut Mat<f64>) {
    const TILE: usize = 32;
    let k = matrix.nrows();
    for from in (0..k).step_by(TILE) {
        for to in (from..k).step_by(TILE) {
            for i in from..k.min(from + TILE) {
                for j in to.max(i + 1)..k.min(to + TILE) {
                    matrix[(i, j)] = matrix[(j, i)];
                }
            }
        }
    }
}

/// The number of components must be possible.
pub(super) fn refuse_n_comps(n_comps: usize, n: u64, k: usize) -> Result<()> {
    let most = (k as u64).min(n);
    if n_comps == 0 || n_comps as u64 > most {
        return Err(Error::Parameter(format!(
            "n_comps is {n_comps} and must be from 1 to {most}, the smaller of {n} cells and {k} genes"
        )));
    }
    Ok(())
}

/// Mean squares of scores become their variances (ddof 0): less the squares of their means.
pub(super) fn less_means(variance: &mut [f64], loadings: &[f64], mean: &[f64]) {
    let n_comps = variance.len();
    for (component, variance) in variance.iter_mut().enumerate() {
        let along: f64 = mean
            .iter()
            .zip(loadings.chunks_exact(n_comps))
            .map(|(mean, of_gene)| mean * of_gene[component])
            .sum();
        *variance = (*variance - along * along).max(0.0);
    }
}

/// Loadings, row-major, with the largest of each component (the first of them) positive, from
/// element `i` of the vector of a component.
pub(super) fn signed(k: usize, n_comps: usize, vector: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut loadings = vec![0.0; k * n_comps];
    for component in 0..n_comps {
        let mut largest = 0.0f64;
        for i in 0..k {
            if vector(i, component).abs() > largest.abs() {
                largest = vector(i, component);
            }
        }
        let sign = if largest < 0.0 { -1.0 } else { 1.0 };
        for i in 0..k {
            loadings[i * n_comps + component] = sign * vector(i, component);
        }
    }
    loadings
}

/// The `n` largest eigenvalues of a symmetric matrix, decreasing, and their vectors, as columns: a full
/// decomposition of its lower triangle, on this thread.
pub(super) fn decompose(matrix: MatRef<'_, f64>, n: usize) -> Result<(Vec<f64>, Mat<f64>)> {
    faer::set_global_parallelism(Par::Seq);
    let k = matrix.nrows();
    let eigen = matrix.self_adjoint_eigen(Side::Lower).map_err(|e| {
        Error::Data(format!(
            "the eigenproblem of the PCA did not converge: {e:?}"
        ))
    })?;
    let (values, vectors) = (eigen.S().column_vector(), eigen.U());
    // They come in increasing order.
    Ok((
        (0..n).map(|i| values[k - 1 - i]).collect(),
        Mat::from_fn(k, n, |i, j| vectors[(i, k - 1 - j)]),
    ))
}
