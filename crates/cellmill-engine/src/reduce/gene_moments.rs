//! Mean and variance of every gene, through merged centred moments.

mod column;

pub(super) use column::{Column, TOO_MANY_ROWS};

use crate::{Block, Error, Reduce, Result, Values};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Mean, variance (ddof 1) and number of non-zero cells of every column.
///
/// In each block (of the first one in a span, in its first rows and in the others) the non-zero values
/// of a column are summed as distances from a pivot, which is the column's average so far in the
/// span, and their squares with them; the zeros and the other blocks are joined by Chan, Golub and
/// LeVeque's formula (1979). Never E\[x²\] − E\[x\]²: what the average of n values is away from
/// that of n₀ before them is part of the variance, so taking it off costs at most 1 + n / n₀ roundings
/// of that. Where there is no cell before, the pivot is the first value. One pass over the entries, no
/// division. Sums of counts below 2^31 are exact up to 2^53, in blocks of up to 2^22 cells, so that
/// genes with equal sums have equal means, to the last bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneMoments {
    n_genes: u32,
}

/// The result of [`GeneMoments`].
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// The number of cells.
    pub n: u64,
    /// Mean of each column, zeros included (0 where there is no cell).
    pub mean: Vec<f64>,
    /// Variance of each column with ddof 1 (0 where there are fewer than two cells).
    pub variance: Vec<f64>,
    /// Cells of each column whose value is not 0.
    pub n_nonzero: Vec<u64>,
}

/// Moments of the cells seen so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MomentsState {
    n: u64,
    sum: Vec<f64>,
    /// Sum of squared distances from the mean.
    m2: Vec<f64>,
    n_nonzero: Vec<u64>,
    /// Sums of the block at hand, used again from block to block.
    #[serde(skip)]
    block: Vec<Column>,
}

impl GeneMoments {
    /// Moments of a matrix of `n_genes` columns.
    pub fn new(n_genes: u32) -> Self {
        Self { n_genes }
    }
}

impl Moments {
    /// Moments of all cells, from those of groups that share none; of one group, its own.
    pub fn of_all(groups: &[Self]) -> Self {
        let Some((first, rest)) = groups.split_first() else {
            return Self {
                n: 0,
                mean: Vec::new(),
                variance: Vec::new(),
                n_nonzero: Vec::new(),
            };
        };
        let mut all = first.clone();
        for group in rest.iter().filter(|group| group.n > 0) {
            let (n_a, n_b) = (all.n as f64, group.n as f64);
            let ddof = |n: f64| (n - 1.0).max(1.0);
            for gene in 0..all.mean.len() {
                let sum = |n: f64, m: &Self| (n * m.mean[gene], m.variance[gene] * ddof(n));
                let ((sum_a, m2_a), (sum_b, m2_b)) = (sum(n_a, &all), sum(n_b, group));
                let (sum, m2) = join(n_a, sum_a, m2_a, n_b, sum_b, m2_b);
                all.mean[gene] = sum / (n_a + n_b);
                all.variance[gene] = m2 / ddof(n_a + n_b);
                all.n_nonzero[gene] += group.n_nonzero[gene];
            }
            all.n += group.n;
        }
        all
    }
}

/// Chan's formula: joins `(n, sum, m2)` of two sets of cells, and gives `(sum, m2)`.
#[inline]
pub(super) fn join(n_a: f64, sum_a: f64, m2_a: f64, n_b: f64, sum_b: f64, m2_b: f64) -> (f64, f64) {
    if n_a == 0.0 || n_b == 0.0 {
        return (sum_a + sum_b, m2_a + m2_b);
    }
    let delta = sum_b / n_b - sum_a / n_a;
    let share = n_b / (n_a + n_b);
    (sum_a + sum_b, m2_a + m2_b + delta * delta * (n_a * share))
}

/// Rows after which the columns of a span have an average to begin with.
const FIRST_ROWS: usize = 256;

impl MomentsState {
    /// The rows of a block of so many that are taken up together.
    pub(super) fn pieces(&self, rows: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let first = if self.n == 0 { FIRST_ROWS } else { 0 }.min(rows);
        [0..first, first..rows]
            .into_iter()
            .filter(|piece| !piece.is_empty())
    }

    /// Takes up rows: the columns that their entries are added to.
    pub(super) fn open(&mut self) -> &mut [Column] {
        let seen = self.sum.iter().zip(&self.n_nonzero);
        let begun = self.begun();
        self.block.clear();
        self.block
            .extend(seen.map(|(&sum, &n)| Column::after(sum, n, begun)));
        &mut self.block
    }

    /// Whether there were rows before those that are taken up next.
    pub(super) fn begun(&self) -> bool {
        self.n > 0
    }

    /// The number of columns.
    pub(super) fn n_genes(&self) -> usize {
        self.sum.len()
    }

    /// The columns of the rows that [`Self::open`] took up.
    pub(super) fn columns(&mut self) -> &mut [Column] {
        &mut self.block
    }

    /// Joins them; they are so many.
    pub(super) fn join_rows(&mut self, rows: usize) {
        let (n_before, rows) = (self.n as f64, rows as u64);
        for (gene, column) in self.block.iter().enumerate() {
            let n = u64::from(column.n());
            let (sum, m2) = if n > 0 {
                let (sum, m2) = column.moments();
                join(n as f64, sum, m2, (rows - n) as f64, 0.0, 0.0)
            } else {
                (0.0, 0.0)
            };
            (self.sum[gene], self.m2[gene]) = join(
                n_before,
                self.sum[gene],
                self.m2[gene],
                rows as f64,
                sum,
                m2,
            );
            self.n_nonzero[gene] += n;
        }
        self.n += rows;
    }
}

impl Reduce for GeneMoments {
    type State = MomentsState;
    type Output = Moments;

    fn start(&self) -> MomentsState {
        let n = self.n_genes as usize;
        MomentsState {
            n: 0,
            sum: vec![0.0; n],
            m2: vec![0.0; n],
            n_nonzero: vec![0; n],
            block: Vec::new(),
        }
    }

    fn fold(&self, state: &mut MomentsState, block: &Block) -> Result<()> {
        if block.n_cols != self.n_genes {
            return Err(Error::Data(format!(
                "the block at row {} has {} columns where the moments expect {}",
                block.first_row, block.n_cols, self.n_genes
            )));
        }
        let rows = block.n_rows();
        if rows >= TOO_MANY_ROWS {
            return Err(Error::Data(format!(
                "the block at row {} has {rows} rows; the most are {}",
                block.first_row,
                TOO_MANY_ROWS - 1
            )));
        }
        for piece in state.pieces(rows) {
            let columns = state.open();
            let entries = block.indptr[piece.start]..block.indptr[piece.end];
            let genes = block.indices[entries.clone()].iter();
            match &block.values {
                Values::F32(v) => {
                    for (&gene, &x) in genes.zip(&v[entries]) {
                        columns[gene as usize].add(x.into());
                    }
                }
                Values::F64(v) => {
                    for (&gene, &x) in genes.zip(&v[entries]) {
                        columns[gene as usize].add(x);
                    }
                }
            }
            state.join_rows(piece.len());
        }
        Ok(())
    }

    fn close(&self, state: &mut MomentsState) -> Result<()> {
        state.block = Vec::new();
        Ok(())
    }

    fn merge(&self, mut left: MomentsState, right: MomentsState) -> Result<MomentsState> {
        let n = self.n_genes as usize;
        for state in [&left, &right] {
            if state.sum.len() != n || state.m2.len() != n || state.n_nonzero.len() != n {
                return Err(Error::Wire {
                    what: "state",
                    reason: format!(
                        "moments of {} columns where {n} are expected",
                        state.sum.len()
                    ),
                });
            }
        }
        if right.n == 0 {
            return Ok(left);
        }
        let (n_a, n_b) = (left.n as f64, right.n as f64);
        for gene in 0..n {
            (left.sum[gene], left.m2[gene]) = join(
                n_a,
                left.sum[gene],
                left.m2[gene],
                n_b,
                right.sum[gene],
                right.m2[gene],
            );
            left.n_nonzero[gene] += right.n_nonzero[gene];
        }
        left.n += right.n;
        Ok(left)
    }

    fn finish(&self, state: MomentsState) -> Result<Moments> {
        let ddof = state.n.saturating_sub(1).max(1) as f64;
        let variance = state.m2.iter().map(|m2| m2 / ddof).collect();
        let n = state.n.max(1) as f64;
        Ok(Moments {
            n: state.n,
            mean: state.sum.iter().map(|sum| sum / n).collect(),
            variance,
            n_nonzero: state.n_nonzero,
        })
    }

    fn state_bytes(&self, _rows: u64) -> u64 {
        u64::from(self.n_genes) * 24
    }

    fn fold_bytes(&self) -> u64 {
        u64::from(self.n_genes) * 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_offset_loses_nothing() {
        // E[x²] − E[x]² would have no digit left here.
        let values: Vec<f64> = (0..1000).map(|i| 1e9 + f64::from(i % 10)).collect();
        let block = Block {
            first_row: 0,
            n_cols: 1,
            indptr: (0..=1000).collect(),
            indices: vec![0; 1000],
            values: Values::F64(values),
        };
        let reduce = GeneMoments::new(1);
        let mut state = reduce.start();
        reduce.fold(&mut state, &block).unwrap();
        let moments = reduce.finish(state).unwrap();
        assert!((moments.variance[0] - 8.25 * 1000.0 / 999.0).abs() < 1e-9);
        assert_eq!(moments.mean[0], 1e9 + 4.5);
    }

    #[test]
    fn explicit_zeros_are_zeros() {
        let with = Block {
            first_row: 0,
            n_cols: 2,
            indptr: vec![0, 2, 4],
            indices: vec![0, 1, 0, 1],
            values: Values::F32(vec![3.0, 0.0, 0.0, 2.0]),
        };
        let without = Block {
            first_row: 0,
            n_cols: 2,
            indptr: vec![0, 1, 2],
            indices: vec![0, 1],
            values: Values::F32(vec![3.0, 2.0]),
        };
        let reduce = GeneMoments::new(2);
        let of = |block| {
            let mut state = reduce.start();
            reduce.fold(&mut state, block).unwrap();
            reduce.finish(state).unwrap()
        };
        assert_eq!(of(&with), of(&without));
        assert_eq!(of(&with).n_nonzero, [1, 1]);
        assert_eq!(of(&with).variance, [4.5, 2.0]);
    }
}
