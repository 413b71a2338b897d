//! Products of the genes with a few columns of numbers.

use super::Groups;
use crate::{Block, Error, Reduce, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `DᵀX`: of every gene, the sum of its values times those of each column of `D`, which has a row
/// for each cell. What a regression on `D` needs of the cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Products {
    n_genes: u32,
    n_columns: usize,
    /// The row of `D` of each row that arrives.
    rows: Groups,
    design: Arc<[f64]>,
}

/// Sums of the cells seen so far: genes x columns of `D`, row-major.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProductsState {
    sums: Vec<f64>,
    /// Rows of the block at hand, used again from block to block.
    #[serde(skip)]
    rows: Vec<u32>,
}

impl Products {
    /// Of a matrix of `n_genes` columns, with `design` (row-major, `n_columns` numbers in each of as
    /// many rows as there are groups in `rows`: a group is a row of it).
    ///
    /// # Errors
    /// [`Error::Parameter`] when there are not so many numbers.
    pub fn new(n_genes: u32, rows: Groups, design: Arc<[f64]>, n_columns: usize) -> Result<Self> {
        if design.len() != rows.len() * n_columns {
            return Err(Error::Parameter(format!(
                "{n_columns} columns of {} rows need {} numbers, and {} were given",
                rows.len(),
                rows.len() * n_columns,
                design.len()
            )));
        }
        Ok(Self {
            n_genes,
            n_columns,
            rows,
            design,
        })
    }
}

impl Reduce for Products {
    type State = ProductsState;
    /// Genes x columns of `D`, row-major.
    type Output = Vec<f64>;

    fn start(&self) -> ProductsState {
        ProductsState {
            sums: vec![0.0; self.n_genes as usize * self.n_columns],
            rows: Vec::new(),
        }
    }

    fn fold(&self, state: &mut ProductsState, block: &Block) -> Result<()> {
        if block.n_cols != self.n_genes {
            return Err(Error::Data(format!(
                "the block at row {} has {} columns where {} are expected",
                block.first_row, block.n_cols, self.n_genes
            )));
        }
        self.rows.of(block, &mut state.rows)?;
        let k = self.n_columns;
        for (row, &of) in state.rows.iter().enumerate() {
            if of == Groups::NONE {
                continue;
            }
            let numbers = &self.design[of as usize * k..][..k];
            for e in block.row(row) {
                let x = block.values.get(e);
                let sums = &mut state.sums[block.indices[e] as usize * k..][..k];
                for (sum, number) in sums.iter_mut().zip(numbers) {
                    *sum += x * number;
                }
            }
        }
        Ok(())
    }

    fn close(&self, state: &mut ProductsState) -> Result<()> {
        state.rows = Vec::new();
        Ok(())
    }

    fn merge(&self, mut left: ProductsState, right: ProductsState) -> Result<ProductsState> {
        let n = self.n_genes as usize * self.n_columns;
        if left.sums.len() != n || right.sums.len() != n {
            return Err(Error::Wire {
                what: "state",
                reason: format!(
                    "products that are not of {} genes and {} columns",
                    self.n_genes, self.n_columns
                ),
            });
        }
        left.sums
            .iter_mut()
            .zip(&right.sums)
            .for_each(|(l, r)| *l += r);
        Ok(left)
    }

    fn finish(&self, state: ProductsState) -> Result<Vec<f64>> {
        Ok(state.sums)
    }

    fn state_bytes(&self, _rows: u64) -> u64 {
        8 * u64::from(self.n_genes) * self.n_columns as u64
    }

    fn fold_bytes(&self) -> u64 {
        4 * crate::grid::BLOCK_ROWS
    }
}
