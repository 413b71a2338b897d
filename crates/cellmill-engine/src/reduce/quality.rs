//! Quality control: numbers of every cell and of every gene, and which cells lie within bounds.

mod bounds;

pub use bounds::Bounds;

use crate::op::row_sum;
use crate::{Block, Error, Reduce, Result, Values};
use serde::{Deserialize, Serialize};

/// For every cell its total, its number of genes, its totals over sets of genes and over its
/// highest values; for every gene its sum and its number of cells, over all cells and over those
/// within [`Bounds`].
///
/// The numbers that scanpy's pp.calculate_qc_metrics, filter_cells and filter_genes start from, in
/// f64: exact for counts. Bounds look at one cell at a time, so the genes of the cells that a filter
/// leaves are known in the same read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    n_genes: u32,
    /// The sets that each column belongs to, as bits; empty where there is no set.
    member: Vec<u32>,
    n_sets: usize,
    top: Vec<u32>,
    positive: bool,
    bounds: Option<Bounds>,
}

/// The state and the result of [`Quality`]. A number for each cell in row order, or for each column.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Metrics {
    /// Sum of each cell's values.
    pub total: Vec<f64>,
    /// Number of genes of each cell whose value is not 0 (above 0 where only these were asked for).
    pub n_genes: Vec<u32>,
    /// Sum over each set of genes: cells x sets, row-major.
    pub sets: Vec<f64>,
    /// Sum of the highest values, for each number asked for: cells x numbers, row-major.
    pub top: Vec<f64>,
    /// Whether each cell lies within the bounds; empty without bounds.
    pub within: Vec<bool>,
    /// Each gene over all cells.
    pub genes: Vec<GeneTally>,
    /// Each gene over the cells within the bounds; empty without bounds.
    pub genes_within: Vec<GeneTally>,
    /// Values of the row at hand.
    #[serde(skip)]
    row: Vec<f64>,
}

/// A gene over some cells.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GeneTally {
    /// Sum of the values.
    pub sum: f64,
    /// Cells whose value counts.
    pub n: u64,
}

/// More sets than a word has bits.
const MOST_SETS: usize = 32;

impl Quality {
    /// Totals and numbers of genes of a matrix of `n_genes` columns, nothing else yet.
    pub fn new(n_genes: u32) -> Self {
        Self {
            n_genes,
            member: Vec::new(),
            n_sets: 0,
            top: Vec::new(),
            positive: false,
            bounds: None,
        }
    }

    /// Adds sets of columns, whose totals are taken in each cell.
    ///
    /// # Errors
    /// [`Error::Parameter`] for more than 32 sets, or a column that is not there.
    pub fn with_sets(mut self, sets: &[Vec<u32>]) -> Result<Self> {
        if sets.len() > MOST_SETS {
            return Err(Error::Parameter(format!(
                "{} sets of genes were given, and at most {MOST_SETS} can be summed in one read",
                sets.len()
            )));
        }
        self.n_sets = sets.len();
        self.member = if sets.is_empty() {
            Vec::new()
        } else {
            vec![0; self.n_genes as usize]
        };
        for (bit, set) in sets.iter().enumerate() {
            for &gene in set {
                let member = self.member.get_mut(gene as usize).ok_or_else(|| {
                    Error::Parameter(format!(
                        "a set of genes holds column {gene} of {}",
                        self.n_genes
                    ))
                })?;
                *member |= 1 << bit;
            }
        }
        Ok(self)
    }

    /// Adds the sums of the `top` highest values of each cell, for each of these numbers.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless the numbers increase, from 1 to the number of columns.
    pub fn with_top(mut self, top: &[u32]) -> Result<Self> {
        let increases = top.windows(2).all(|w| w[0] < w[1]);
        let inside = top.iter().all(|n| (1..=self.n_genes).contains(n));
        if !(increases && inside) {
            return Err(Error::Parameter(format!(
                "the numbers of highest genes are {top:?}, and must increase from 1 to the number of genes, {}",
                self.n_genes
            )));
        }
        self.top = top.to_vec();
        Ok(self)
    }

    /// Counts values above 0 in place of values that are not 0, as scanpy's filters do.
    pub fn positive(mut self) -> Self {
        self.positive = true;
        self
    }

    /// Adds bounds: which cells lie within them, and the genes over those cells.
    ///
    /// # Errors
    /// [`Error::Parameter`] when a bound is of a set that is not there.
    pub fn with_bounds(mut self, bounds: Bounds) -> Result<Self> {
        bounds.check(self.n_sets)?;
        self.bounds = Some(bounds);
        Ok(self)
    }

    /// The number of sets of genes.
    pub fn n_sets(&self) -> usize {
        self.n_sets
    }

    /// The numbers of highest values.
    pub fn top(&self) -> &[u32] {
        &self.top
    }

    /// Whether it is of `n_genes` columns, a cell's numbers are its total, its number of genes and its
    /// totals over sets, and its genes count where they are not 0.
    pub(super) fn is_plain(&self, n_genes: u32) -> bool {
        self.n_genes == n_genes && self.bounds.is_none() && self.top.is_empty() && !self.positive
    }

    /// The genes that belong to any set.
    pub(super) fn members(&self) -> impl Iterator<Item = usize> {
        (0..)
            .zip(&self.member)
            .filter(|(_, bits)| **bits != 0)
            .map(|(gene, _)| gene)
    }

    /// Adds a gene's value to a cell's totals over the sets that it belongs to.
    #[inline(always)]
    pub(super) fn add_to_sets(&self, gene: usize, x: f64, sets: &mut [f64]) {
        let mut bits = self.member[gene];
        while bits != 0 {
            sets[bits.trailing_zeros() as usize] += x;
            bits &= bits - 1;
        }
    }

    fn fold_rows<T: Copy>(
        &self,
        state: &mut Metrics,
        block: &Block,
        values: &[T],
        widen: impl Fn(T) -> f64,
    ) {
        let counts = |x: f64| if self.positive { x > 0.0 } else { x != 0.0 };
        for row in 0..block.n_rows() {
            let range = block.row(row);
            let genes = &block.indices[range.clone()];
            let values = &values[range.clone()];
            let total = row_sum(&block.values, range);
            let mut n = 0u32;
            for (&gene, &x) in genes.iter().zip(values) {
                let x = widen(x);
                let tally = &mut state.genes[gene as usize];
                tally.sum += x;
                tally.n += u64::from(counts(x));
                n += u32::from(counts(x));
            }
            let first = state.sets.len();
            state.sets.resize(first + self.n_sets, 0.0);
            if self.n_sets > 0 {
                for (&gene, &x) in genes.iter().zip(values) {
                    self.add_to_sets(gene as usize, widen(x), &mut state.sets[first..]);
                }
            }
            if !self.top.is_empty() {
                state.row.clear();
                state.row.extend(values.iter().map(|&x| widen(x)));
                sum_highest(&mut state.row, &self.top, &mut state.top);
            }
            if let Some(bounds) = &self.bounds {
                let within = bounds.hold(total, n, &state.sets[first..]);
                state.within.push(within);
                if within {
                    for (&gene, &x) in genes.iter().zip(values) {
                        let tally = &mut state.genes_within[gene as usize];
                        tally.sum += widen(x);
                        tally.n += u64::from(counts(widen(x)));
                    }
                }
            }
            state.total.push(total);
            state.n_genes.push(n);
        }
    }
}

/// Appends the sum of the `n` highest stored values for each `n`.
fn sum_highest(values: &mut [f64], numbers: &[u32], sums: &mut Vec<f64>) {
    let most = numbers.last().map_or(0, |&n| n as usize);
    let stored = values.len().min(most);
    if stored < values.len() {
        values.select_nth_unstable_by(stored, |a, b| b.total_cmp(a));
    }
    let highest = &mut values[..stored];
    highest.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut done, mut sum) = (0, 0.0);
    for &n in numbers {
        let end = (n as usize).min(stored);
        sum += highest[done..end].iter().sum::<f64>();
        done = end;
        sums.push(sum);
    }
}

impl Reduce for Quality {
    type State = Metrics;
    type Output = Metrics;

    fn start(&self) -> Metrics {
        let n = self.n_genes as usize;
        let within = if self.bounds.is_some() { n } else { 0 };
        Metrics {
            genes: vec![GeneTally::default(); n],
            genes_within: vec![GeneTally::default(); within],
            ..Metrics::default()
        }
    }

    fn fold(&self, state: &mut Metrics, block: &Block) -> Result<()> {
        if block.n_cols != self.n_genes {
            return Err(Error::Data(format!(
                "the block at row {} has {} columns where quality control expects {}",
                block.first_row, block.n_cols, self.n_genes
            )));
        }
        match &block.values {
            Values::F32(v) => self.fold_rows(state, block, v, f64::from),
            Values::F64(v) => self.fold_rows(state, block, v, |x| x),
        }
        Ok(())
    }

    fn close(&self, state: &mut Metrics) -> Result<()> {
        state.row = Vec::new();
        Ok(())
    }

    fn merge(&self, mut left: Metrics, right: Metrics) -> Result<Metrics> {
        let n = self.n_genes as usize;
        if [&left, &right]
            .iter()
            .any(|s| s.genes.len() != n || s.genes_within.len() != self.start().genes_within.len())
        {
            return Err(Error::Wire {
                what: "state",
                reason: format!("quality control of other columns than the {n} expected"),
            });
        }
        left.total.extend_from_slice(&right.total);
        left.n_genes.extend_from_slice(&right.n_genes);
        left.sets.extend_from_slice(&right.sets);
        left.top.extend_from_slice(&right.top);
        left.within.extend_from_slice(&right.within);
        for (mine, theirs) in [
            (&mut left.genes, &right.genes),
            (&mut left.genes_within, &right.genes_within),
        ] {
            for (a, b) in mine.iter_mut().zip(theirs) {
                a.sum += b.sum;
                a.n += b.n;
            }
        }
        Ok(left)
    }

    fn finish(&self, state: Metrics) -> Result<Metrics> {
        Ok(state)
    }

    fn state_bytes(&self, rows: u64) -> u64 {
        // Twice for the spare capacity of growing vectors.
        let row = 13 + 8 * (self.n_sets + self.top.len()) as u64;
        2 * rows * row + 32 * u64::from(self.n_genes)
    }

    fn fold_bytes(&self) -> u64 {
        if self.top.is_empty() {
            0
        } else {
            16 * u64::from(self.n_genes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three cells of five genes, with explicit zeros and an empty cell.
    fn block() -> Block {
        Block {
            first_row: 0,
            n_cols: 5,
            indptr: vec![0, 4, 4, 6],
            indices: vec![0, 1, 3, 4, 1, 2],
            values: Values::F32(vec![5.0, 0.0, 1.0, 4.0, 2.0, -1.0]),
        }
    }

    fn of(reduce: &Quality) -> Metrics {
        let mut state = reduce.start();
        reduce.fold(&mut state, &block()).unwrap();
        reduce.close(&mut state).unwrap();
        reduce.finish(state).unwrap()
    }

    #[test]
    fn cells_and_genes() {
        let reduce = Quality::new(5)
            .with_sets(&[vec![0, 4], vec![4]])
            .and_then(|r| r.with_top(&[1, 2, 5]))
            .unwrap();
        let found = of(&reduce);
        assert_eq!(found.total, [10.0, 0.0, 1.0]);
        assert_eq!(found.n_genes, [3, 0, 2]);
        assert_eq!(found.sets, [9.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(found.top[..6], [5.0, 9.0, 10.0, 0.0, 0.0, 0.0]);
        let n: Vec<u64> = found.genes.iter().map(|g| g.n).collect();
        assert_eq!(n, [1, 1, 1, 1, 1]);
        let positive: Vec<u32> = of(&Quality::new(5).positive()).n_genes;
        assert_eq!(positive, [3, 0, 1]);
    }

    #[test]
    fn genes_of_the_cells_within_bounds() {
        let bounds = Bounds {
            min_genes: Some(3),
            ..Bounds::default()
        };
        let found = of(&Quality::new(5).with_bounds(bounds).unwrap());
        assert_eq!(found.within, [true, false, false]);
        let n: Vec<u64> = found.genes_within.iter().map(|g| g.n).collect();
        assert_eq!(n, [1, 0, 0, 1, 1]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Quality::new(5).with_sets(&[vec![5]]).is_err());
        assert!(Quality::new(5).with_sets(&vec![vec![]; 33]).is_err());
        for bad in [&[0][..], &[6], &[2, 2], &[3, 2]] {
            assert!(Quality::new(5).with_top(bad).is_err(), "{bad:?}");
        }
        let bounds = Bounds {
            max_percent: Some((0, 5.0)),
            ..Bounds::default()
        };
        assert!(Quality::new(5).with_bounds(bounds).is_err());
    }
}
