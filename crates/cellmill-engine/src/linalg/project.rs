//! The scores of all cells: kept columns times loadings.

use super::Pca;
use super::tiles::{TILE, Tiles};
use crate::run::Reservation;
use crate::{Block, Context, Error, Result, Sink, Source, Values, run_stage};
use std::sync::{Mutex, PoisonError};

/// The scores of all cells (scanpy's `obsm["X_pca"]`).
#[derive(Debug)]
pub struct Scores {
    /// `n x n_comps`, row-major, rounded once from f64.
    pub data: Vec<f32>,
    /// The number of cells.
    pub n: usize,
    /// The number of components.
    pub n_comps: usize,
    /// The bytes of `data` in the budget, given back when dropped.
    pub held: Reservation,
}

/// `(X − mean) · loadings` for every cell, computed in f64 in the order of the genes.
///
/// # Errors
/// [`Error::Parameter`] when `source` has other columns than the PCA; as [`run_stage`].
pub fn project(ctx: &Context, source: &dyn Source, pca: &Pca) -> Result<Scores> {
    if source.n_cols() as usize != pca.k {
        return Err(Error::Parameter(format!(
            "the PCA is of {} genes and the matrix to project has {}",
            pca.k,
            source.n_cols()
        )));
    }
    let n = usize::try_from(source.n_rows())
        .map_err(|_| Error::Parameter("too many cells".to_owned()))?;
    let held = ctx.budget().reserve(
        (n * pca.n_comps * 4) as u64,
        "the scores of the PCA (X_pca)",
    )?;
    let sink = Projector {
        weights: Tiles::new(pca.k, pca.n_comps, &pca.loadings, &pca.mean),
        data: Mutex::new(Vec::with_capacity(n * pca.n_comps)),
    };
    run_stage(ctx, "project", source, &[], &(), &sink)?;
    let data = sink
        .data
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    Ok(Scores {
        data,
        n,
        n_comps: pca.n_comps,
        held,
    })
}

struct Projector {
    weights: Tiles,
    data: Mutex<Vec<f32>>,
}

/// The scores of one block.
struct Kernel<'a, T> {
    weights: &'a Tiles,
    block: &'a Block,
    values: &'a [T],
    scores: &'a mut Vec<f32>,
}

impl<T: Copy + Into<f64>> pulp::WithSimd for Kernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let w = self.weights;
        for row in 0..self.block.n_rows() {
            let range = self.block.row(row);
            let (indices, values) = (&self.block.indices[range.clone()], &self.values[range]);
            for (tile, offset) in w.offset.iter().enumerate() {
                let sums = w.times(tile, indices, values);
                let left = (w.width - tile * TILE).min(TILE);
                for lane in 0..left {
                    self.scores.push((sums[lane] - offset[lane]) as f32);
                }
            }
        }
    }
}

impl Sink for Projector {
    type Part = Vec<f32>;

    fn start(&self, _span: usize) -> Vec<f32> {
        Vec::new()
    }

    fn push(&self, part: &mut Vec<f32>, block: &Block) -> Result<()> {
        part.reserve(block.n_rows() * self.weights.width);
        let arch = pulp::Arch::new();
        match &block.values {
            Values::F32(values) => arch.dispatch(Kernel {
                weights: &self.weights,
                block,
                values,
                scores: part,
            }),
            Values::F64(values) => arch.dispatch(Kernel {
                weights: &self.weights,
                block,
                values,
                scores: part,
            }),
        }
        Ok(())
    }

    fn accept(&self, part: Vec<f32>) -> Result<()> {
        self.data
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(&part);
        Ok(())
    }

    fn part_bytes(&self, _span_entries: u64, span_rows: u64) -> u64 {
        span_rows * self.weights.width as u64 * 8
    }
}
