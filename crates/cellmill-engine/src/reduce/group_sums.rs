//! Sums of a function of the values, in every group of cells.

use super::Groups;
use crate::op::row_sum;
use crate::{Block, Error, Reduce, Result};
use serde::{Deserialize, Serialize};

/// What is summed, for each stored value `x` of a gene in a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Term {
    /// `m = min(x, limit)`: sums of `m` and of its square. Limits of one group after another.
    Clipped(Vec<f64>),
    /// `r`, the clipped Pearson residual of `x`, against `z`, that of a zero in the same cell: sums
    /// of `r - z` and of `r^2 - z^2`, so that with sums over zeros alone they make those of all
    /// cells (Lause, Berens and Kobak 2021).
    Residual(Residual),
}

/// The negative binomial offset model of Pearson residuals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Residual {
    /// Share of each gene in the counts of a group, one group after another.
    pub shares: Vec<f64>,
    /// Overdispersion.
    pub theta: f64,
    /// Residuals are held within `-clip..=clip`.
    pub clip: f64,
}

impl Residual {
    /// The residual of the value `x` of a gene with this share, in a cell with this total.
    #[inline]
    pub fn of(&self, x: f64, share: f64, total: f64) -> f64 {
        let mu = share * total;
        let deviation = (mu + mu * mu / self.theta).sqrt();
        ((x - mu) / deviation).min(self.clip).max(-self.clip)
    }
}

/// Sums of a [`Term`] over the stored values of each gene, in each group of cells.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSums {
    n_genes: u32,
    groups: Groups,
    term: Term,
}

/// The sums so far; a group is empty until it was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSumsState(Vec<Vec<[f64; 2]>>);

impl GroupSums {
    /// Sums over a matrix of `n_genes` columns.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the term is not of so many groups and genes.
    pub fn new(n_genes: u32, groups: Groups, term: Term) -> Result<Self> {
        let (Term::Clipped(given) | Term::Residual(Residual { shares: given, .. })) = &term;
        let expected = groups.len() * n_genes as usize;
        if given.len() != expected {
            return Err(Error::Parameter(format!(
                "sums over {n_genes} columns in {} groups need {expected} numbers, and {} were given",
                groups.len(),
                given.len()
            )));
        }
        Ok(Self {
            n_genes,
            groups,
            term,
        })
    }
}

impl Reduce for GroupSums {
    type State = GroupSumsState;
    /// The two sums of each gene, of one group after another.
    type Output = Vec<Vec<[f64; 2]>>;

    fn start(&self) -> GroupSumsState {
        GroupSumsState(vec![Vec::new(); self.groups.len()])
    }

    fn fold(&self, state: &mut GroupSumsState, block: &Block) -> Result<()> {
        let n_genes = self.n_genes as usize;
        if block.n_cols != self.n_genes {
            return Err(Error::Data(format!(
                "the block at row {} has {} columns where the sums expect {n_genes}",
                block.first_row, block.n_cols
            )));
        }
        let mut groups = Vec::new();
        self.groups.of(block, &mut groups)?;
        for (row, &group) in groups.iter().enumerate() {
            if group == Groups::NONE {
                continue;
            }
            let first = group as usize * n_genes;
            let sums = &mut state.0[group as usize];
            sums.resize(n_genes, [0.0; 2]);
            let entries = block.row(row);
            let indices = &block.indices[entries.clone()];
            match &self.term {
                Term::Clipped(limits) => {
                    let limits = &limits[first..first + n_genes];
                    for (e, &gene) in entries.zip(indices) {
                        let x = block.values.get(e).min(limits[gene as usize]);
                        let sum = &mut sums[gene as usize];
                        sum[0] += x;
                        sum[1] += x * x;
                    }
                }
                Term::Residual(model) => {
                    let shares = &model.shares[first..first + n_genes];
                    let total = row_sum(&block.values, entries.clone());
                    for (e, &gene) in entries.zip(indices) {
                        let x = block.values.get(e);
                        if x == 0.0 {
                            continue;
                        }
                        let share = shares[gene as usize];
                        let zero = model.of(0.0, share, total);
                        let r = model.of(x, share, total);
                        let sum = &mut sums[gene as usize];
                        sum[0] += r - zero;
                        sum[1] += r * r - zero * zero;
                    }
                }
            }
        }
        Ok(())
    }

    fn merge(&self, mut left: GroupSumsState, right: GroupSumsState) -> Result<GroupSumsState> {
        let fits = |s: &GroupSumsState| {
            let genes = self.n_genes as usize;
            s.0.len() == self.groups.len() && s.0.iter().all(|g| g.is_empty() || g.len() == genes)
        };
        if !fits(&left) || !fits(&right) {
            return Err(Error::Wire {
                what: "state",
                reason: format!(
                    "sums that are not of {} groups of {} columns",
                    self.groups.len(),
                    self.n_genes
                ),
            });
        }
        for (l, r) in left.0.iter_mut().zip(right.0) {
            if l.is_empty() {
                *l = r;
            } else {
                for (l, r) in l.iter_mut().zip(r) {
                    l[0] += r[0];
                    l[1] += r[1];
                }
            }
        }
        Ok(left)
    }

    fn finish(&self, mut state: GroupSumsState) -> Result<Self::Output> {
        for group in &mut state.0 {
            group.resize(self.n_genes as usize, [0.0; 2]);
        }
        Ok(state.0)
    }

    fn state_bytes(&self, _rows: u64) -> u64 {
        self.groups.len() as u64 * (16 * u64::from(self.n_genes) + 24)
    }

    fn fold_bytes(&self) -> u64 {
        4 * crate::grid::BLOCK_ROWS
    }
}
