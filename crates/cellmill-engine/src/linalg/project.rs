//! The scores of all cells: kept columns times loadings.

use super::Pca;
use crate::run::Reservation;
use crate::{Block, Context, Error, Result, Sink, Source, Values, run_stage};
use std::sync::{Mutex, PoisonError};

/// Components that are summed at once: as many accumulators as stay in registers.
const TILE: usize = 16;

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
        weights: Weights::new(pca),
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

/// The loadings in tiles of [`TILE`] components: `tiles x k x TILE`, zeros after the last one.
struct Weights {
    k: usize,
    n_comps: usize,
    tiles: Vec<[f64; TILE]>,
    /// `mean · loadings`, tile by tile.
    offset: Vec<[f64; TILE]>,
}

impl Weights {
    fn new(pca: &Pca) -> Self {
        let n_tiles = pca.n_comps.div_ceil(TILE);
        let mut tiles = vec![[0.0; TILE]; n_tiles * pca.k];
        let mut offset = vec![[0.0; TILE]; n_tiles];
        for gene in 0..pca.k {
            for component in 0..pca.n_comps {
                let weight = pca.loadings[gene * pca.n_comps + component];
                tiles[component / TILE * pca.k + gene][component % TILE] = weight;
                offset[component / TILE][component % TILE] += pca.mean[gene] * weight;
            }
        }
        Self {
            k: pca.k,
            n_comps: pca.n_comps,
            tiles,
            offset,
        }
    }
}

struct Projector {
    weights: Weights,
    data: Mutex<Vec<f32>>,
}

/// The scores of one block.
struct Kernel<'a, T> {
    weights: &'a Weights,
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
                let weights = &w.tiles[tile * w.k..(tile + 1) * w.k];
                let mut sums = [0.0f64; TILE];
                for (&gene, &x) in indices.iter().zip(values) {
                    let x: f64 = x.into();
                    let of_gene = &weights[gene as usize];
                    for lane in 0..TILE {
                        sums[lane] += x * of_gene[lane];
                    }
                }
                let left = (w.n_comps - tile * TILE).min(TILE);
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
        part.reserve(block.n_rows() * self.weights.n_comps);
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
        span_rows * self.weights.n_comps as u64 * 8
    }
}
