//! Total and number of genes of every cell.

use crate::op::row_sum;
use crate::{Block, Reduce, Result, Values};
use serde::{Deserialize, Serialize};

/// Total and number of non-zero genes of every cell, in row order.
///
/// scanpy's `total_counts` and `n_genes_by_counts` (pp.calculate_qc_metrics), with totals in
/// f64. The same totals to the last bit as `normalize_total` divides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellTotals;

/// The state and the result of [`CellTotals`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Sum of each cell's values.
    pub total: Vec<f64>,
    /// Number of genes of each cell whose value is not 0 (explicit zeros are zeros).
    pub n_genes: Vec<u32>,
}

impl Reduce for CellTotals {
    type State = Totals;
    type Output = Totals;

    fn start(&self) -> Totals {
        Totals::default()
    }

    fn fold(&self, state: &mut Totals, block: &Block) -> Result<()> {
        for row in 0..block.n_rows() {
            let range = block.row(row);
            state.total.push(row_sum(&block.values, range.clone()));
            let n = match &block.values {
                Values::F32(v) => v[range].iter().filter(|&&x| x != 0.0).count(),
                Values::F64(v) => v[range].iter().filter(|&&x| x != 0.0).count(),
            };
            state.n_genes.push(n as u32);
        }
        Ok(())
    }

    fn merge(&self, mut left: Totals, right: Totals) -> Result<Totals> {
        left.total.extend_from_slice(&right.total);
        left.n_genes.extend_from_slice(&right.n_genes);
        Ok(left)
    }

    fn finish(&self, state: Totals) -> Result<Totals> {
        Ok(state)
    }

    fn state_bytes(&self, rows: u64) -> u64 {
        // Twelve bytes a row, twice for the spare capacity of a growing vector.
        rows * 24
    }
}
