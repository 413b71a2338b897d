//! The Gram matrix of the selected genes.

use crate::{Block, Error, Reduce, Result, Values};
use serde::{Deserialize, Serialize};

/// Entries that a state holds back before it works on them: few enough to stay in a near cache,
/// many enough that walking the whole matrix for them pays.
const PENDING: usize = 1 << 17;

/// As many columns as a two-byte number tells apart; more would be a matrix of 17 GB.
const MOST_COLUMNS: usize = 1 << 16;

/// The Gram matrix XᵀX of `k` columns, with column sums: what PCA needs of the cells.
///
/// Rows are held back until there are enough of them; then the matrix is walked row by row (a row
/// of it stays in the nearest cache), each row of the matrix taking from every cell that has the
/// gene. Each element is a sum over cells in row order, whatever the number of rows held back, so
/// that blocks can be cut anywhere inside a span without changing a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gram {
    k: u32,
}

/// The result of [`Gram`].
#[derive(Debug, Clone, PartialEq)]
pub struct GramMatrix {
    /// The number of columns.
    pub k: usize,
    /// The number of cells.
    pub n: u64,
    /// Sum of each column.
    pub sums: Vec<f64>,
    /// The upper triangle, row by row: `k * (k + 1) / 2` elements.
    pub packed: Vec<f64>,
}

/// The Gram matrix of the cells seen so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GramState {
    n: u64,
    sums: Vec<f64>,
    packed: Vec<f64>,
    pending: Pending,
}

/// Rows that wait.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Pending {
    ends: Vec<u32>,
    indices: Vec<u16>,
    values: Vec<f64>,
}

impl Gram {
    /// The Gram matrix of `k` columns; `k * (k + 1) / 2 * 8` bytes a state.
    pub fn new(k: u32) -> Self {
        Self { k }
    }

    fn packed_len(&self) -> usize {
        let k = self.k as usize;
        k * (k + 1) / 2
    }
}

impl GramMatrix {
    /// Element `(i, j)`, in either triangle.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        let (i, j) = (i.min(j), i.max(j));
        self.packed[row_start(self.k, i) + (j - i)]
    }
}

/// Where row `i` of the packed upper triangle starts (its first element is the diagonal one).
fn row_start(k: usize, i: usize) -> usize {
    // Sum of the lengths k, k - 1, … of the rows above, without going below 0 in between.
    i * k - (i * i - i) / 2
}

impl Pending {
    /// Adds the rows to the matrix and forgets them.
    fn flush(&mut self, k: usize, packed: &mut [f64]) {
        if self.indices.is_empty() {
            self.ends.clear();
            return;
        }
        // For each column, the entries that hold it, in row order (a counting sort).
        let mut starts = vec![0u32; k + 1];
        for &column in &self.indices {
            starts[column as usize + 1] += 1;
        }
        for column in 0..k {
            starts[column + 1] += starts[column];
        }
        let mut at = starts.clone();
        // Of each entry: its own place, and the end of its row.
        let mut tails = vec![(0u32, 0u32); self.indices.len()];
        let mut first = 0u32;
        for &end in &self.ends {
            for entry in first..end {
                let slot = &mut at[self.indices[entry as usize] as usize];
                tails[*slot as usize] = (entry, end);
                *slot += 1;
            }
            first = end;
        }
        // One row of the matrix at a time, in an array that every two-byte number can index.
        let Ok(mut row) = Box::<[f64; MOST_COLUMNS]>::try_from(vec![0.0; MOST_COLUMNS]) else {
            return;
        };
        let mut rest = packed;
        for column in 0..k {
            let (home, below) = rest.split_at_mut(k - column);
            rest = below;
            let waiting = &tails[starts[column] as usize..starts[column + 1] as usize];
            if waiting.is_empty() {
                continue;
            }
            row[column..k].copy_from_slice(home);
            for &(entry, end) in waiting {
                let range = entry as usize..end as usize;
                let (indices, values) = (&self.indices[range.clone()], &self.values[range]);
                let x = values[0];
                for (&other, &y) in indices.iter().zip(values) {
                    row[usize::from(other)] += x * y;
                }
            }
            home.copy_from_slice(&row[column..k]);
        }
        self.ends.clear();
        self.indices.clear();
        self.values.clear();
    }
}

impl Reduce for Gram {
    type State = GramState;
    type Output = GramMatrix;

    fn start(&self) -> GramState {
        GramState {
            n: 0,
            sums: vec![0.0; self.k as usize],
            packed: vec![0.0; self.packed_len()],
            pending: Pending::default(),
        }
    }

    fn fold(&self, state: &mut GramState, block: &Block) -> Result<()> {
        if block.n_cols != self.k {
            return Err(Error::Data(format!(
                "the block at row {} has {} columns where the Gram matrix expects {}",
                block.first_row, block.n_cols, self.k
            )));
        }
        if self.k as usize > MOST_COLUMNS {
            return Err(Error::Parameter(format!(
                "a Gram matrix was asked for {} columns; the most is {MOST_COLUMNS}",
                self.k
            )));
        }
        state.n += block.n_rows() as u64;
        for row in 0..block.n_rows() {
            let range = block.row(row);
            let pending = &mut state.pending;
            if !pending.indices.is_empty() && pending.indices.len() + range.len() > PENDING {
                pending.flush(self.k as usize, &mut state.packed);
            }
            let first = pending.indices.len();
            // Columns are below k, which was checked above.
            let columns = block.indices[range.clone()].iter().map(|&c| c as u16);
            pending.indices.extend(columns);
            match &block.values {
                Values::F32(v) => pending
                    .values
                    .extend(v[range].iter().map(|&x| f64::from(x))),
                Values::F64(v) => pending.values.extend_from_slice(&v[range]),
            }
            for (&column, &x) in pending.indices[first..]
                .iter()
                .zip(&pending.values[first..])
            {
                state.sums[column as usize] += x;
            }
            pending.ends.push(pending.indices.len() as u32);
        }
        Ok(())
    }

    fn close(&self, state: &mut GramState) -> Result<()> {
        state.pending.flush(self.k as usize, &mut state.packed);
        state.pending = Pending::default();
        Ok(())
    }

    fn merge(&self, mut left: GramState, mut right: GramState) -> Result<GramState> {
        for state in [&mut left, &mut right] {
            if state.sums.len() != self.k as usize || state.packed.len() != self.packed_len() {
                return Err(Error::Wire {
                    what: "state",
                    reason: format!(
                        "a Gram matrix of {} columns where {} are expected",
                        state.sums.len(),
                        self.k
                    ),
                });
            }
            self.close(state)?;
        }
        left.n += right.n;
        left.sums
            .iter_mut()
            .zip(&right.sums)
            .for_each(|(a, b)| *a += b);
        left.packed
            .iter_mut()
            .zip(&right.packed)
            .for_each(|(a, b)| *a += b);
        Ok(left)
    }

    fn finish(&self, mut state: GramState) -> Result<GramMatrix> {
        self.close(&mut state)?;
        Ok(GramMatrix {
            k: self.k as usize,
            n: state.n,
            sums: state.sums,
            packed: state.packed,
        })
    }

    fn state_bytes(&self, _rows: u64) -> u64 {
        (self.packed_len() as u64 + u64::from(self.k)) * 8
    }

    fn fold_bytes(&self) -> u64 {
        // Twice for the spare capacity of growing vectors; then what a flush needs.
        let pending = PENDING.max(self.k as usize) as u64;
        pending * 2 * (2 + 8 + 4) + pending * 8 + u64::from(self.k) * 8 + MOST_COLUMNS as u64 * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_triangle_follow_each_other() {
        for k in 1..20 {
            let mut expected = 0;
            for i in 0..k {
                assert_eq!(row_start(k, i), expected);
                expected += k - i;
            }
            assert_eq!(Gram::new(k as u32).packed_len(), expected);
        }
    }
}
