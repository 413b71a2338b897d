//! An orthonormal basis that grows by blocks.

use crate::{Context, Result};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

/// Rows that a task works on: fixed, so that sums over rows have the same bits on any number of
/// threads.
const PANEL: usize = 1024;
/// What is left of a direction, of the size of the whole, when nothing but rounding is left.
const NOTHING: f64 = 1e-13;

/// Orthonormal columns of `k` numbers, at most so many.
pub(super) struct Basis {
    columns: Mat<f64>,
    used: usize,
}

impl Basis {
    pub(super) fn new(k: usize, most: usize) -> Self {
        Self {
            columns: Mat::zeros(k, most),
            used: 0,
        }
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn most(&self) -> usize {
        self.columns.ncols()
    }

    fn all(&self) -> MatRef<'_, f64> {
        self.columns.subcols(0, self.used)
    }

    /// The last `n` columns, row-major.
    pub(super) fn last(&self, n: usize) -> Vec<f64> {
        let last = self.columns.subcols(self.used - n, n);
        (0..last.nrows())
            .flat_map(|i| (0..n).map(move |j| last[(i, j)]))
            .collect()
    }

    /// Takes off `w` what the basis holds of it, and returns that: `Qᵀ w`.
    pub(super) fn project_out(&self, ctx: &Context, w: &mut Mat<f64>) -> Result<Mat<f64>> {
        ctx.cancel().check()?;
        let (basis, width) = (self.all(), w.ncols());
        let of_panel = |panel: usize| {
            let start = panel * PANEL;
            let rows = PANEL.min(w.nrows() - start);
            let mut part = Mat::zeros(self.used, width);
            let lhs = basis.subrows(start, rows).transpose();
            let rhs = w.subrows(start, rows);
            matmul(part.as_mut(), Accum::Replace, lhs, rhs, 1.0, Par::Seq);
            part
        };
        let panels = 0..w.nrows().div_ceil(PANEL);
        let parts: Vec<Mat<f64>> = ctx
            .pool()
            .install(|| panels.into_par_iter().map(of_panel).collect());
        let mut along = Mat::zeros(self.used, width);
        parts.iter().for_each(|part| along += part);
        ctx.pool().install(|| {
            w.par_row_chunks_mut(PANEL)
                .enumerate()
                .for_each(|(panel, part)| {
                    let of_basis = basis.subrows(panel * PANEL, part.nrows());
                    matmul(part, Accum::Add, of_basis, &along, -1.0, Par::Seq);
                });
        });
        Ok(along)
    }

    /// Appends the directions of `w`, which the basis does not hold any more; those that are
    /// nothing, measured by `scale` (0: by the largest), are left out. Returns how many they are.
    pub(super) fn append(&mut self, ctx: &Context, w: Mat<f64>, scale: f64) -> Result<usize> {
        faer::set_global_parallelism(Par::Seq);
        let qr = w.col_piv_qr();
        let r = qr.thin_R();
        let size = |i: usize| r[(i, i)].abs();
        let room = self.most() - self.used;
        let scale = if scale > 0.0 { scale } else { size(0) };
        let rank = (0..w.ncols().min(room))
            .take_while(|&i| size(i) > NOTHING * scale)
            .count();
        if rank == 0 {
            return Ok(0);
        }
        let mut q = qr.compute_thin_Q().subcols(0, rank).to_owned();
        drop(w);
        // Small directions are not orthogonal any more once they have length 1.
        self.project_out(ctx, &mut q)?;
        let q = q.qr().compute_thin_Q();
        self.columns
            .subcols_mut(self.used, rank)
            .copy_from(q.as_ref());
        self.used += rank;
        Ok(rank)
    }

    /// The basis times the first `n` columns of `by`.
    pub(super) fn times(&self, ctx: &Context, by: &Mat<f64>, n: usize) -> Result<Mat<f64>> {
        ctx.cancel().check()?;
        let (basis, by) = (self.all(), by.subcols(0, n));
        let mut found = Mat::zeros(basis.nrows(), n);
        ctx.pool().install(|| {
            found
                .par_row_chunks_mut(PANEL)
                .enumerate()
                .for_each(|(panel, part)| {
                    let of_basis = basis.subrows(panel * PANEL, part.nrows());
                    matmul(part, Accum::Replace, of_basis, by, 1.0, Par::Seq);
                });
        });
        Ok(found)
    }

    /// Becomes its product with the first `n` columns of the orthogonal matrix `by`.
    pub(super) fn turn(&mut self, ctx: &Context, by: &Mat<f64>, n: usize) -> Result<()> {
        ctx.cancel().check()?;
        let (used, by) = (self.used, by.subcols(0, n));
        ctx.pool().install(|| {
            self.columns.par_row_chunks_mut(PANEL).for_each(|mut part| {
                let mut turned = Mat::zeros(part.nrows(), n);
                let before = part.as_ref().subcols(0, used);
                matmul(turned.as_mut(), Accum::Replace, before, by, 1.0, Par::Seq);
                part.as_mut().subcols_mut(0, n).copy_from(turned.as_ref());
            });
        });
        self.used = n;
        Ok(())
    }
}
