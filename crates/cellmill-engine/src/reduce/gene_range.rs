//! The least and the greatest value of every gene.

use crate::{Block, Error, Reduce, Result};
use serde::{Deserialize, Serialize};

/// The range of each gene over all cells; what has no entry is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneRange {
    n_genes: u32,
}

/// Ranges of the cells seen so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneRangeState {
    n: u64,
    genes: Vec<Range>,
}

/// Of a gene's entries: least, greatest, how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Range(f64, f64, u64);

impl Range {
    const EMPTY: Self = Self(f64::INFINITY, f64::NEG_INFINITY, 0);

    fn join(&mut self, other: Self) {
        self.0 = self.0.min(other.0);
        self.1 = self.1.max(other.1);
        self.2 += other.2;
    }
}

impl GeneRange {
    /// Ranges of a matrix of `n_genes` columns.
    pub fn new(n_genes: u32) -> Self {
        Self { n_genes }
    }
}

impl Reduce for GeneRange {
    type State = GeneRangeState;
    /// The least and the greatest value of each gene; of no cell, infinity and its negative.
    type Output = Vec<(f64, f64)>;

    fn start(&self) -> GeneRangeState {
        GeneRangeState {
            n: 0,
            genes: vec![Range::EMPTY; self.n_genes as usize],
        }
    }

    fn fold(&self, state: &mut GeneRangeState, block: &Block) -> Result<()> {
        if block.n_cols != self.n_genes {
            return Err(Error::Data(format!(
                "the block at row {} has {} columns where {} are expected",
                block.first_row, block.n_cols, self.n_genes
            )));
        }
        state.n += block.n_rows() as u64;
        for (e, &gene) in block.indices.iter().enumerate() {
            let x = block.values.get(e);
            state.genes[gene as usize].join(Range(x, x, 1));
        }
        Ok(())
    }

    fn merge(&self, mut left: GeneRangeState, right: GeneRangeState) -> Result<GeneRangeState> {
        let n = self.n_genes as usize;
        if left.genes.len() != n || right.genes.len() != n {
            return Err(Error::Wire {
                what: "state",
                reason: format!("ranges that are not of {n} columns"),
            });
        }
        left.n += right.n;
        for (l, r) in left.genes.iter_mut().zip(right.genes) {
            l.join(r);
        }
        Ok(left)
    }

    fn finish(&self, state: GeneRangeState) -> Result<Self::Output> {
        let whole = |mut range: Range| {
            if range.2 < state.n {
                range.join(Range(0.0, 0.0, state.n - range.2));
            }
            (range.0, range.1)
        };
        Ok(state.genes.into_iter().map(whole).collect())
    }

    fn state_bytes(&self, _rows: u64) -> u64 {
        24 * u64::from(self.n_genes)
    }
}
