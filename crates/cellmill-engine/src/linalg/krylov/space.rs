//! A Krylov space that grows by blocks, and what is known in it of the matrix.

use super::basis::Basis;
use crate::linalg::pca::decompose;
use crate::{Context, Result};
use faer::Mat;

/// A vector is done when its residual is below this share of the gap to its neighbours: the sine
/// of its angle with the exact one is then about this (Davis and Kahan).
const ANGLE: f64 = 1e-7;

/// An orthonormal basis Q of a Krylov space of a symmetric matrix A, and Qᵀ A Q.
pub(super) struct Space {
    basis: Basis,
    /// The newest columns of the basis, which A is to be multiplied with.
    fresh: usize,
    /// Qᵀ A Q, of all columns but the newest.
    projected: Mat<f64>,
}

/// What a space holds of the eigenvectors, from the largest value to the smallest.
pub(super) struct Ritz {
    pub(super) values: Vec<f64>,
    /// In the coordinates of the basis.
    vectors: Mat<f64>,
    /// `|A v − value v|` of each.
    residuals: Vec<f64>,
}

impl Space {
    /// Of vectors of `k` numbers, at most `most` of them.
    pub(super) fn new(k: usize, most: usize) -> Self {
        Self {
            basis: Basis::new(k, most),
            fresh: 0,
            projected: Mat::zeros(most, most),
        }
    }

    pub(super) fn used(&self) -> usize {
        self.basis.used()
    }

    pub(super) fn most(&self) -> usize {
        self.basis.most()
    }

    /// How many the newest columns are.
    pub(super) fn fresh(&self) -> usize {
        self.fresh
    }

    /// The newest columns, row-major.
    pub(super) fn newest(&self) -> Vec<f64> {
        self.basis.last(self.fresh)
    }

    /// Takes A times the newest columns; what the space does not hold of it is left in `w`.
    pub(super) fn take(&mut self, ctx: &Context, w: &mut Mat<f64>) -> Result<()> {
        let used = self.basis.used();
        let first = used - self.fresh;
        let along = self.basis.project_out(ctx, w)?;
        for j in 0..self.fresh {
            for i in 0..used {
                let value = if i < first {
                    along[(i, j)]
                } else {
                    // Equal but for rounding.
                    (along[(i, j)] + along[(first + j, i - first)]) / 2.0
                };
                self.projected[(i, first + j)] = value;
                self.projected[(first + j, i)] = value;
            }
        }
        // Twice is enough.
        self.basis.project_out(ctx, w)?;
        Ok(())
    }

    /// What the space holds, with the `w` that [`Space::take`] left.
    pub(super) fn ritz(&self, w: &Mat<f64>) -> Result<Ritz> {
        let n = self.used();
        let (values, vectors) = decompose(self.projected.submatrix(0, 0, n, n), n)?;
        Ok(Ritz {
            values,
            residuals: residuals(w, &vectors, n - self.fresh),
            vectors,
        })
    }

    /// Keeps the `kept` first of `ritz`, which it holds, in place of all.
    pub(super) fn restart(&mut self, ctx: &Context, ritz: &Ritz, kept: usize) -> Result<()> {
        self.basis.turn(ctx, &ritz.vectors, kept)?;
        self.projected = Mat::zeros(self.most(), self.most());
        for (i, &value) in ritz.values[..kept].iter().enumerate() {
            self.projected[(i, i)] = value;
        }
        self.fresh = 0;
        Ok(())
    }

    /// Grows by the directions of `w`, which it does not hold; those that are nothing, measured by
    /// `scale` (0: by the largest), are left out. Returns how many they are.
    pub(super) fn append(&mut self, ctx: &Context, w: Mat<f64>, scale: f64) -> Result<usize> {
        self.fresh = self.basis.append(ctx, w, scale)?;
        Ok(self.fresh)
    }

    /// Grows by the directions of `w` that it does not hold.
    pub(super) fn append_any(&mut self, ctx: &Context, mut w: Mat<f64>) -> Result<usize> {
        self.basis.project_out(ctx, &mut w)?;
        self.basis.project_out(ctx, &mut w)?;
        self.append(ctx, w, 0.0)
    }

    /// The first `n` of `ritz`, as columns.
    pub(super) fn vectors(&self, ctx: &Context, ritz: &Ritz, n: usize) -> Result<Mat<f64>> {
        self.basis.times(ctx, &ritz.vectors, n)
    }
}

impl Ritz {
    /// How many of the first `wanted` are not as good as exact. Residuals below `floor`, a share of
    /// the largest value, are good enough: values that are as good as equal have no directions of
    /// their own.
    pub(super) fn open(&self, wanted: usize, floor: f64) -> usize {
        let (values, wanted) = (&self.values, wanted.min(self.values.len()));
        let gap = |i: usize| {
            let above = if i == 0 {
                f64::INFINITY
            } else {
                values[i - 1] - values[i]
            };
            let below = values.get(i + 1).map_or(0.0, |next| values[i] - next);
            above.min(below)
        };
        let done = |&i: &usize| self.residuals[i] <= (ANGLE * gap(i)).max(floor * values[0].abs());
        wanted - (0..wanted).filter(done).count()
    }
}

/// `|A v − value v|` of each Ritz vector: what of the newest block is in it, times what the basis
/// does not hold of the newest product.
fn residuals(w: &Mat<f64>, vectors: &Mat<f64>, first: usize) -> Vec<f64> {
    let square = w.transpose() * w;
    let tail = vectors.subrows(first, vectors.nrows() - first);
    let through = &square * tail;
    (0..tail.ncols())
        .map(|j| {
            let norm: f64 = (0..tail.nrows())
                .map(|i| tail[(i, j)] * through[(i, j)])
                .sum();
            // Of rounding; what is no number stays none.
            if norm < 0.0 { 0.0 } else { norm.sqrt() }
        })
        .collect()
}
