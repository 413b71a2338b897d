//! Sum and number of non-zero cells of every gene in every group of cells.

use super::Groups;
use crate::{Block, Error, Reduce, Result};
use serde::{Deserialize, Serialize};

/// Sums and numbers of non-zero values of each gene over each group of cells: a pseudobulk.
///
/// Sums are taken in row order, so sums of counts are exact below 2^53. A group costs memory once it
/// was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupTotals {
    n_genes: u32,
    groups: Groups,
}

/// A gene over the cells of a group.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GroupTotal {
    /// Sum of the values.
    pub sum: f64,
    /// Cells whose value is not 0.
    pub n_nonzero: u64,
}

/// The totals so far; a group is empty until it was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupTotalsState {
    groups: Vec<Vec<GroupTotal>>,
    /// Groups of the block at hand, used again from block to block.
    #[serde(skip)]
    ids: Vec<u32>,
}

impl GroupTotals {
    /// Totals of a matrix of `n_genes` columns.
    pub fn new(n_genes: u32, groups: Groups) -> Self {
        Self { n_genes, groups }
    }

    fn check(&self, state: &GroupTotalsState) -> Result<()> {
        let (n, genes) = (self.groups.len(), self.n_genes as usize);
        let fits = |found: &Vec<GroupTotal>| found.is_empty() || found.len() == genes;
        if state.groups.len() == n && state.groups.iter().all(fits) {
            return Ok(());
        }
        Err(Error::Wire {
            what: "state",
            reason: format!("totals that are not of {n} groups of {genes} columns"),
        })
    }
}

impl Reduce for GroupTotals {
    type State = GroupTotalsState;
    /// The genes of one group after another.
    type Output = Vec<Vec<GroupTotal>>;

    fn start(&self) -> GroupTotalsState {
        GroupTotalsState {
            groups: vec![Vec::new(); self.groups.len()],
            ids: Vec::new(),
        }
    }

    fn fold(&self, state: &mut GroupTotalsState, block: &Block) -> Result<()> {
        if block.n_cols != self.n_genes {
            return Err(Error::Data(format!(
                "the block at row {} has {} columns where the totals expect {}",
                block.first_row, block.n_cols, self.n_genes
            )));
        }
        self.groups.of(block, &mut state.ids)?;
        for (row, &group) in state.ids.iter().enumerate() {
            if group == Groups::NONE {
                continue;
            }
            let found = &mut state.groups[group as usize];
            found.resize(self.n_genes as usize, GroupTotal::default());
            for e in block.row(row) {
                let x = block.values.get(e);
                let total = &mut found[block.indices[e] as usize];
                total.sum += x;
                total.n_nonzero += u64::from(x != 0.0);
            }
        }
        Ok(())
    }

    fn close(&self, state: &mut GroupTotalsState) -> Result<()> {
        state.ids = Vec::new();
        Ok(())
    }

    fn merge(
        &self,
        mut left: GroupTotalsState,
        right: GroupTotalsState,
    ) -> Result<GroupTotalsState> {
        self.check(&left)?;
        self.check(&right)?;
        for (l, r) in left.groups.iter_mut().zip(right.groups) {
            if l.is_empty() {
                *l = r;
            } else {
                for (l, r) in l.iter_mut().zip(r) {
                    l.sum += r.sum;
                    l.n_nonzero += r.n_nonzero;
                }
            }
        }
        Ok(left)
    }

    fn finish(&self, mut state: GroupTotalsState) -> Result<Vec<Vec<GroupTotal>>> {
        self.check(&state)?;
        for found in &mut state.groups {
            found.resize(self.n_genes as usize, GroupTotal::default());
        }
        Ok(state.groups)
    }

    fn state_bytes(&self, _rows: u64) -> u64 {
        self.groups.len() as u64 * (16 * u64::from(self.n_genes) + 24)
    }

    fn fold_bytes(&self) -> u64 {
        4 * crate::grid::BLOCK_ROWS
    }
}
