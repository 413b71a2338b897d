//! A set of rows, as runs.

use crate::{Error, Op, Result};
use serde::{Deserialize, Serialize};

/// A set of rows of the source, kept as sorted runs so that a plan stays small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct CellSet {
    /// `[first, end)` of each run: increasing, not empty, not touching.
    runs: Vec<[u64; 2]>,
}

impl CellSet {
    /// The rows whose mask is true.
    ///
    /// ```
    /// use cellmill_engine::op::CellSet;
    /// let set = CellSet::from_mask(&[true, true, false, true]);
    /// assert_eq!(set.len(), 3);
    /// assert!(set.contains(3) && !set.contains(2) && !set.contains(9));
    /// ```
    pub fn from_mask(mask: &[bool]) -> Self {
        let mut runs: Vec<[u64; 2]> = Vec::new();
        for (row, _) in mask.iter().enumerate().filter(|&(_, &keep)| keep) {
            let row = row as u64;
            match runs.last_mut() {
                Some(run) if run[1] == row => run[1] = row + 1,
                _ => runs.push([row, row + 1]),
            }
        }
        Self { runs }
    }

    /// The rows that the selections among `ops` leave; `None` where there is no selection.
    pub fn of_ops(ops: &[Op]) -> Option<Self> {
        let mut left: Option<Self> = None;
        for op in ops {
            if let Op::SelectCells { cells } = op {
                left = Some(match left {
                    None => cells.clone(),
                    Some(before) => before.intersect(cells),
                });
            }
        }
        left
    }

    /// The number of rows in the set.
    pub fn len(&self) -> u64 {
        self.runs.iter().map(|[first, end]| end - first).sum()
    }

    /// Whether no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether the set holds `row`.
    pub fn contains(&self, row: u64) -> bool {
        let after = self.runs.partition_point(|run| run[0] <= row);
        after > 0 && row < self.runs[after - 1][1]
    }

    /// One past the last row of the set.
    pub fn end(&self) -> u64 {
        self.runs.last().map_or(0, |run| run[1])
    }

    /// The rows of the set inside `rows`, counted from `rows.start`.
    pub fn within(&self, rows: std::ops::Range<u64>) -> impl Iterator<Item = usize> + '_ {
        let first = self.runs.partition_point(|run| run[1] <= rows.start);
        self.runs[first..]
            .iter()
            .take_while(move |run| run[0] < rows.end)
            .flat_map(move |run| {
                (run[0].max(rows.start)..run[1].min(rows.end))
                    .map(move |row| (row - rows.start) as usize)
            })
    }

    /// The rows that are in both sets.
    pub fn intersect(&self, other: &Self) -> Self {
        let mut runs = Vec::new();
        let (mut a, mut b) = (0, 0);
        while a < self.runs.len() && b < other.runs.len() {
            let (x, y) = (self.runs[a], other.runs[b]);
            let (first, end) = (x[0].max(y[0]), x[1].min(y[1]));
            if first < end {
                runs.push([first, end]);
            }
            if x[1] <= y[1] { a += 1 } else { b += 1 }
        }
        Self { runs }
    }

    /// Checks a set that came from outside.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the runs are not increasing or leave the source.
    pub fn check(&self, n_rows: u64) -> Result<()> {
        let mut end = None;
        for run in &self.runs {
            if run[0] >= run[1] || end.is_some_and(|end| run[0] <= end) {
                return Err(Error::Parameter(format!(
                    "the runs of a set of cells must increase without touching, and one is {}..{}",
                    run[0], run[1]
                )));
            }
            end = Some(run[1]);
        }
        if self.end() > n_rows {
            return Err(Error::Parameter(format!(
                "a set of cells reaches row {} and the matrix has {n_rows} rows",
                self.end() - 1
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_mask() {
        let mask: Vec<bool> = (0..50).map(|i| i % 7 != 0 && i % 3 != 1).collect();
        let other: Vec<bool> = (0..50).map(|i| i % 5 < 3).collect();
        let set = CellSet::from_mask(&mask);
        set.check(50).unwrap();
        assert_eq!(set.len(), mask.iter().filter(|&&m| m).count() as u64);
        for (a, b) in [(0, 50), (7, 8), (8, 8), (13, 31), (45, 50)] {
            let expected: Vec<usize> = (a..b).filter(|&i| mask[i]).map(|i| i - a).collect();
            assert_eq!(set.within(a as u64..b as u64).collect::<Vec<_>>(), expected);
        }
        let both: Vec<bool> = mask.iter().zip(&other).map(|(&a, &b)| a && b).collect();
        let met = set.intersect(&CellSet::from_mask(&other));
        met.check(50).unwrap();
        assert!((0..50).all(|i| met.contains(i) == both[i as usize]));
    }

    #[test]
    fn refuses_bad_runs() {
        assert!(CellSet { runs: vec![[3, 3]] }.check(10).is_err());
        assert!(
            CellSet {
                runs: vec![[0, 3], [2, 5]]
            }
            .check(10)
            .is_err()
        );
        assert!(
            CellSet {
                runs: vec![[0, 11]]
            }
            .check(10)
            .is_err()
        );
    }
}
