//! Principal components from a Gram matrix.

use crate::reduce::GramMatrix;
use crate::run::abandonable;
use crate::{Context, Error, Event, Result};
use faer::{Mat, Par, Side};
use std::time::Instant;

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

/// Principal components from the Gram matrix of `n` cells: the covariance
/// `(XᵀX − n m mᵀ) / (n − 1)` in full, all its eigenvectors on one thread (so the bits do not
/// depend on the number of threads), the first `n_comps` kept. Without `zero_center`, those of
/// `XᵀX / n` instead: the singular vectors of the columns as they are.
///
/// # Errors
/// [`Error::Parameter`] unless `1 <= n_comps <= min(n, k)`; [`Error::Data`] when no column
/// varies; [`Error::Budget`]; [`Error::Cancelled`] (the decomposition is abandoned).
pub fn pca(ctx: &Context, gram: &GramMatrix, n_comps: usize, zero_center: bool) -> Result<Pca> {
    ctx.cancel().check()?;
    let started = Instant::now();
    let k = gram.k;
    let most = (k as u64).min(gram.n);
    if n_comps == 0 || n_comps as u64 > most {
        return Err(Error::Parameter(format!(
            "n_comps is {n_comps} and must be from 1 to {most}, the smaller of {} cells and {k} genes",
            gram.n
        )));
    }
    // The covariance, its reduced form and the eigenvectors, with the solver's workspace.
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
    for j in 0..k {
        for i in 0..=j {
            let value = (gram.get(i, j) - gram.sums[i] * centre[j]) / ddof;
            covariance[(i, j)] = value;
            covariance[(j, i)] = value;
        }
    }
    let off = |i: usize| if zero_center { 0.0 } else { mean[i] * mean[i] };
    let total: f64 = (0..k).map(|i| covariance[(i, i)] - off(i)).sum();
    if !total.is_finite() || total <= 0.0 {
        return Err(Error::Data(format!(
            "the PCA found no variance in the {k} selected genes of {} cells (total variance {total})",
            gram.n
        )));
    }
    let (mut variance, loadings) = abandonable(ctx, "the eigenproblem", move || {
        let result = decompose(&covariance, n_comps);
        drop(held);
        result
    })??;
    if !zero_center {
        for (component, variance) in variance.iter_mut().enumerate() {
            let along: f64 = (0..k)
                .map(|i| mean[i] * loadings[i * n_comps + component])
                .sum();
            *variance = (*variance - along * along).max(0.0);
        }
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

fn decompose(covariance: &Mat<f64>, n_comps: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    faer::set_global_parallelism(Par::Seq);
    let k = covariance.nrows();
    let eigen = covariance.self_adjoint_eigen(Side::Lower).map_err(|e| {
        Error::Data(format!(
            "the eigenproblem of the PCA did not converge: {e:?}"
        ))
    })?;
    let values = eigen.S().column_vector();
    let vectors = eigen.U();
    let mut variance = Vec::with_capacity(n_comps);
    let mut loadings = vec![0.0; k * n_comps];
    for component in 0..n_comps {
        // The values come in increasing order.
        let column = k - 1 - component;
        variance.push(values[column].max(0.0));
        let mut largest = 0.0f64;
        for i in 0..k {
            if vectors[(i, column)].abs() > largest.abs() {
                largest = vectors[(i, column)];
            }
        }
        let sign = if largest < 0.0 { -1.0 } else { 1.0 };
        for i in 0..k {
            loadings[i * n_comps + component] = sign * vectors[(i, column)];
        }
    }
    Ok((variance, loadings))
}
