//! Genes that make up much of some cell.

use crate::op::row_sum;
use crate::{Block, Error, Reduce, Result};
use serde::{Deserialize, Serialize};

/// Whether each gene has more than a fraction of the total of at least one cell
/// (scanpy.pp.normalize_total with `exclude_highly_expressed`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HighlyExpressed {
    n_genes: u32,
    max_fraction: f64,
}

impl HighlyExpressed {
    /// Genes of a matrix of `n_genes` columns.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless the fraction is between 0 and 1.
    pub fn new(n_genes: u32, max_fraction: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&max_fraction) {
            return Err(Error::Parameter(format!(
                "max_fraction is {max_fraction}, and must be between 0 and 1"
            )));
        }
        Ok(Self {
            n_genes,
            max_fraction,
        })
    }
}

impl Reduce for HighlyExpressed {
    type State = Vec<bool>;
    /// An entry for each gene.
    type Output = Vec<bool>;

    fn start(&self) -> Vec<bool> {
        vec![false; self.n_genes as usize]
    }

    fn fold(&self, state: &mut Vec<bool>, block: &Block) -> Result<()> {
        if block.n_cols != self.n_genes {
            return Err(Error::Data(format!(
                "the block at row {} has {} columns where {} are expected",
                block.first_row, block.n_cols, self.n_genes
            )));
        }
        for row in 0..block.n_rows() {
            let entries = block.row(row);
            // The product and not the quotient: scanpy's rounding decides what is equal.
            let most = self.max_fraction * row_sum(&block.values, entries.clone());
            for e in entries {
                if block.values.get(e) > most {
                    state[block.indices[e] as usize] = true;
                }
            }
        }
        Ok(())
    }

    fn merge(&self, mut left: Vec<bool>, right: Vec<bool>) -> Result<Vec<bool>> {
        let n = self.n_genes as usize;
        if left.len() != n || right.len() != n {
            return Err(Error::Wire {
                what: "state",
                reason: format!("genes that are not {n}"),
            });
        }
        left.iter_mut().zip(right).for_each(|(l, r)| *l |= r);
        Ok(left)
    }

    fn finish(&self, state: Vec<bool>) -> Result<Vec<bool>> {
        Ok(state)
    }

    fn state_bytes(&self, _rows: u64) -> u64 {
        self.n_genes.into()
    }
}
