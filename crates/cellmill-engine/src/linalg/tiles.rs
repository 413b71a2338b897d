//! A tall matrix of few columns, laid out for products with sparse rows.

use serde::{Deserialize, Serialize};

/// Columns that are summed at once: as many accumulators as stay in registers.
pub(crate) const TILE: usize = 16;

/// A `k x width` matrix in tiles of [`TILE`] columns: `tiles x k x TILE`, zeros after the last one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tiles {
    pub(crate) k: usize,
    pub(crate) width: usize,
    tiles: Vec<[f64; TILE]>,
    /// `mean · matrix`, tile by tile.
    pub(crate) offset: Vec<[f64; TILE]>,
}

impl Tiles {
    /// From a row-major matrix, and what is taken off each of the `k` columns that it multiplies.
    pub(crate) fn new(k: usize, width: usize, rows: &[f64], mean: &[f64]) -> Self {
        let n_tiles = width.div_ceil(TILE);
        let mut tiles = vec![[0.0; TILE]; n_tiles * k];
        let mut offset = vec![[0.0; TILE]; n_tiles];
        for gene in 0..k {
            for column in 0..width {
                let weight = rows[gene * width + column];
                tiles[column / TILE * k + gene][column % TILE] = weight;
                offset[column / TILE][column % TILE] += mean[gene] * weight;
            }
        }
        Self {
            k,
            width,
            tiles,
            offset,
        }
    }

    /// Whether the parts have the sizes that they should have.
    pub(crate) fn is_whole(&self) -> bool {
        let n_tiles = self.width.div_ceil(TILE);
        self.offset.len() == n_tiles && Some(self.tiles.len()) == n_tiles.checked_mul(self.k)
    }

    /// The products of a sparse row with the columns of a tile, in the order of the entries.
    #[inline(always)]
    pub(crate) fn times<T: Copy + Into<f64>>(
        &self,
        tile: usize,
        indices: &[u32],
        values: &[T],
    ) -> [f64; TILE] {
        let weights = &self.tiles[tile * self.k..(tile + 1) * self.k];
        let mut sums = [0.0f64; TILE];
        for (&gene, &x) in indices.iter().zip(values) {
            let x: f64 = x.into();
            let of_gene = &weights[gene as usize];
            for lane in 0..TILE {
                sums[lane] += x * of_gene[lane];
            }
        }
        sums
    }
}
