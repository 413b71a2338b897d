//! Mean and variance of every gene in every group of cells.

use super::gene_moments::join;
use super::{GeneMoments, Groups, Moments, MomentsState};
use crate::{Block, Error, Reduce, Result};
use serde::{Deserialize, Serialize};

/// [`Moments`] of each group of cells: of each batch, say.
///
/// The non-zero values of a gene in a group are averaged block by block, and joined by Chan's
/// formula; the zeros are joined once, at the end, so that a block costs what its entries cost,
/// however many groups there are. A state holds the groups that it has seen. One group that holds
/// all cells is [`GeneMoments`], to the last bit.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupMoments {
    whole: GeneMoments,
    n_genes: u32,
    groups: Groups,
}

/// Moments of the cells seen so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupMomentsState {
    /// The one group that holds all cells.
    whole: Option<MomentsState>,
    /// Of each group: its cells, and its genes once it was seen.
    groups: Vec<(u64, Vec<NonZeros>)>,
    #[serde(skip)]
    work: Work,
}

impl GroupMomentsState {
    /// The moments of all cells, where they are one group.
    pub(super) fn whole(&mut self) -> Option<&mut MomentsState> {
        self.whole.as_mut()
    }
}

/// The non-zero values of a gene in a group.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct NonZeros {
    n: u64,
    sum: f64,
    m2: f64,
}

impl NonZeros {
    fn add(&mut self, other: Self) {
        let (a, b) = (self.n as f64, other.n as f64);
        (self.sum, self.m2) = join(a, self.sum, self.m2, b, other.sum, other.m2);
        self.n += other.n;
    }
}

/// What one block needs, used again from block to block.
#[derive(Debug, Clone, Default)]
struct Work {
    groups: Vec<u32>,
    /// Rows of the block, by group.
    rows: Vec<u32>,
    genes: Vec<NonZeros>,
    means: Vec<f64>,
    /// Genes with a non-zero in the group at hand.
    touched: Vec<u32>,
}

impl GroupMoments {
    /// Moments of a matrix of `n_genes` columns.
    pub fn new(n_genes: u32, groups: Groups) -> Self {
        Self {
            whole: GeneMoments::new(n_genes),
            n_genes,
            groups,
        }
    }

    fn check(&self, state: &GroupMomentsState) -> Result<()> {
        let whole = self.groups.is_whole();
        let n = if whole { 0 } else { self.groups.len() };
        let genes = self.n_genes as usize;
        let fits = state.whole.is_some() == whole
            && state.groups.len() == n
            && state
                .groups
                .iter()
                .all(|(cells, found)| found.len() == genes || (found.is_empty() && *cells == 0));
        if fits {
            return Ok(());
        }
        Err(Error::Wire {
            what: "state",
            reason: format!("moments that are not of {n} groups of {genes} columns"),
        })
    }
}

impl Reduce for GroupMoments {
    type State = GroupMomentsState;
    type Output = Vec<Moments>;

    fn start(&self) -> GroupMomentsState {
        let whole = self.groups.is_whole();
        GroupMomentsState {
            whole: whole.then(|| self.whole.start()),
            groups: if whole {
                Vec::new()
            } else {
                vec![(0, Vec::new()); self.groups.len()]
            },
            work: Work::default(),
        }
    }

    fn fold(&self, state: &mut GroupMomentsState, block: &Block) -> Result<()> {
        if let Some(whole) = &mut state.whole {
            return self.whole.fold(whole, block);
        }
        if block.n_cols != self.n_genes {
            return Err(Error::Data(format!(
                "the block at row {} has {} columns where the moments expect {}",
                block.first_row, block.n_cols, self.n_genes
            )));
        }
        let n_genes = self.n_genes as usize;
        let Work {
            groups,
            rows,
            genes,
            means,
            touched,
        } = &mut state.work;
        self.groups.of(block, groups)?;
        rows.clear();
        rows.extend(
            (0u32..)
                .zip(&*groups)
                .filter(|g| *g.1 != Groups::NONE)
                .map(|g| g.0),
        );
        rows.sort_by_key(|&row| groups[row as usize]);
        genes.resize(n_genes, NonZeros::default());
        means.resize(n_genes, 0.0);
        for members in rows.chunk_by(|&a, &b| groups[a as usize] == groups[b as usize]) {
            let entries = || members.iter().flat_map(|&row| block.row(row as usize));
            for e in entries() {
                let x = block.values.get(e);
                if x != 0.0 {
                    let gene = &mut genes[block.indices[e] as usize];
                    if gene.n == 0 {
                        touched.push(block.indices[e]);
                    }
                    gene.sum += x;
                    gene.n += 1;
                }
            }
            for &gene in &*touched {
                let found = genes[gene as usize];
                means[gene as usize] = found.sum / found.n as f64;
            }
            for e in entries() {
                let x = block.values.get(e);
                if x != 0.0 {
                    let gene = block.indices[e] as usize;
                    genes[gene].m2 += (x - means[gene]) * (x - means[gene]);
                }
            }
            let (cells, found) = &mut state.groups[groups[members[0] as usize] as usize];
            *cells += members.len() as u64;
            found.resize(n_genes, NonZeros::default());
            for gene in touched.drain(..) {
                found[gene as usize].add(std::mem::take(&mut genes[gene as usize]));
            }
        }
        Ok(())
    }

    fn close(&self, state: &mut GroupMomentsState) -> Result<()> {
        state.work = Work::default();
        match &mut state.whole {
            Some(whole) => self.whole.close(whole),
            None => Ok(()),
        }
    }

    fn merge(
        &self,
        mut left: GroupMomentsState,
        right: GroupMomentsState,
    ) -> Result<GroupMomentsState> {
        self.check(&left)?;
        self.check(&right)?;
        left.whole = match (left.whole, right.whole) {
            (Some(l), Some(r)) => Some(self.whole.merge(l, r)?),
            _ => None,
        };
        for (l, r) in left.groups.iter_mut().zip(right.groups) {
            if l.0 == 0 {
                *l = r;
            } else if r.0 > 0 {
                l.0 += r.0;
                for (l, r) in l.1.iter_mut().zip(r.1) {
                    l.add(r);
                }
            }
        }
        Ok(left)
    }

    fn finish(&self, state: GroupMomentsState) -> Result<Vec<Moments>> {
        self.check(&state)?;
        if let Some(whole) = state.whole {
            return Ok(vec![self.whole.finish(whole)?]);
        }
        let n_genes = self.n_genes as usize;
        let moments = |(cells, mut found): (u64, Vec<NonZeros>)| {
            found.resize(n_genes, NonZeros::default());
            for gene in &mut found {
                let zeros = (cells - gene.n.min(cells)) as f64;
                (gene.sum, gene.m2) = join(gene.n as f64, gene.sum, gene.m2, zeros, 0.0, 0.0);
            }
            let n = cells.max(1) as f64;
            let ddof = cells.saturating_sub(1).max(1) as f64;
            Moments {
                n: cells,
                mean: found.iter().map(|g| g.sum / n).collect(),
                variance: found.iter().map(|g| g.m2 / ddof).collect(),
                n_nonzero: found.iter().map(|g| g.n).collect(),
            }
        };
        Ok(state.groups.into_iter().map(moments).collect())
    }

    fn state_bytes(&self, rows: u64) -> u64 {
        if self.groups.is_whole() {
            return self.whole.state_bytes(rows);
        }
        self.groups.len() as u64 * (24 * u64::from(self.n_genes) + 32)
    }

    fn fold_bytes(&self) -> u64 {
        if self.groups.is_whole() {
            return self.whole.fold_bytes();
        }
        36 * u64::from(self.n_genes) + 8 * crate::grid::BLOCK_ROWS
    }
}
