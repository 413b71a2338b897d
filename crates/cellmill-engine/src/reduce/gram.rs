//! The Gram matrix of the selected genes.

use crate::{Block, Error, Reduce, Result, Values};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Entries that a state holds back before it works on them: few enough to stay in a near cache,
/// many enough that walking the whole matrix for them pays.
const PENDING: usize = 1 << 17;

/// Bytes of an entry that waits, with those of its row's end.
const ENTRY_BYTES: usize = 2 + 8 + 4;

/// As many columns as a two-byte number tells apart; more would be a matrix of 17 GB.
const MOST_COLUMNS: usize = 1 << 16;

/// The Gram matrix XᵀX of `k` columns, with column sums: what PCA needs of the cells.
///
/// Rows are held back until there are enough of them; then the matrix is walked row by row (a row
/// of it stays in the nearest cache), each row of the matrix taking from every cell that has the
/// gene. Each element is a sum over cells in row order, whatever the number of rows held back, so
/// that blocks can be cut anywhere inside a span without changing a bit.
///
/// A state of few rows is those rows, and merging two of them puts the rows together: the matrix
/// is as much work as some thousand cells.
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
    /// Empty while the rows that wait are all there are.
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

    /// Entries of a state that is its rows alone: with as much room again in the vectors they take
    /// what the matrix would.
    fn most_rows_only(&self) -> usize {
        self.packed_len() * 8 / (2 * ENTRY_BYTES)
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
    /// Whether it is rows of a matrix of `k` columns.
    fn is_whole(&self, k: usize) -> bool {
        let starts = std::iter::once(&0).chain(&self.ends);
        self.values.len() == self.indices.len()
            && starts.zip(&self.ends).all(|(start, end)| start <= end)
            && self.ends.last().map_or(0, |&end| end as usize) == self.indices.len()
            && self.indices.iter().all(|&column| usize::from(column) < k)
    }

    /// Takes the rows of `later`, which follow.
    fn append(&mut self, later: Self) {
        let first = self.indices.len() as u32;
        self.ends.reserve_exact(later.ends.len());
        self.indices.reserve_exact(later.indices.len());
        self.values.reserve_exact(later.values.len());
        self.ends.extend(later.ends.iter().map(|end| first + end));
        self.indices.extend_from_slice(&later.indices);
        self.values.extend_from_slice(&later.values);
    }

    /// Adds the rows to the matrix, as many at a time as stay in a near cache, and forgets them.
    fn flush(&mut self, k: usize, packed: &mut [f64]) {
        let mut next = 0;
        while next < self.ends.len() {
            let before = next.checked_sub(1).map_or(0, |last| self.ends[last]);
            let fit = |&end: &u32| (end - before) as usize <= PENDING;
            let rows = self.ends[next..].partition_point(fit).max(1);
            self.add_rows(next..next + rows, before, k, packed);
            next += rows;
        }
        self.ends.clear();
        self.indices.clear();
        self.values.clear();
    }

    /// Adds `rows`, whose entries begin at `first`, to the matrix.
    fn add_rows(&self, rows: Range<usize>, first: u32, k: usize, packed: &mut [f64]) {
        let ends = &self.ends[rows];
        let last = ends.last().map_or(first, |&end| end);
        let indices = &self.indices[first as usize..last as usize];
        if indices.is_empty() {
            return;
        }
        // For each column, the entries that hold it, in row order (a counting sort).
        let mut starts = vec![0u32; k + 1];
        for &column in indices {
            starts[column as usize + 1] += 1;
        }
        for column in 0..k {
            starts[column + 1] += starts[column];
        }
        let mut at = starts.clone();
        // Of each entry: its own place, and the end of its row.
        let mut tails = vec![(0u32, 0u32); indices.len()];
        let mut start = first;
        for &end in ends {
            for entry in start..end {
                let slot = &mut at[self.indices[entry as usize] as usize];
                tails[*slot as usize] = (entry, end);
                *slot += 1;
            }
            start = end;
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
    }
}

impl GramState {
    /// Whether it is a state of `reduce`: it may come from elsewhere.
    fn check(&self, reduce: &Gram) -> Result<()> {
        let k = reduce.k as usize;
        let made = [0, reduce.packed_len()].contains(&self.packed.len());
        let reason = if k > MOST_COLUMNS {
            format!("a Gram matrix of {k} columns; the most is {MOST_COLUMNS}")
        } else if self.sums.len() != k || !made {
            format!(
                "a Gram matrix of {} columns where {k} are expected",
                self.sums.len()
            )
        } else if !self.pending.is_whole(k) {
            "rows that are not those of a Gram matrix".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::Wire {
            what: "state",
            reason,
        })
    }

    /// Makes the matrix of the rows that wait.
    fn flush(&mut self, reduce: &Gram) {
        if self.packed.is_empty() {
            self.packed = vec![0.0; reduce.packed_len()];
        }
        self.pending.flush(reduce.k as usize, &mut self.packed);
    }

    /// Makes the matrix, unless the rows that wait are few and all there are.
    fn settle(&mut self, reduce: &Gram) {
        if !self.packed.is_empty() || self.pending.indices.len() > reduce.most_rows_only() {
            self.flush(reduce);
            self.pending = Pending::default();
        }
    }
}

impl Reduce for Gram {
    type State = GramState;
    type Output = GramMatrix;

    fn start(&self) -> GramState {
        GramState {
            n: 0,
            sums: vec![0.0; self.k as usize],
            packed: Vec::new(),
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
            let held = state.pending.indices.len();
            let most = if state.packed.is_empty() {
                self.most_rows_only().max(PENDING)
            } else {
                PENDING
            };
            if held > 0 && held + range.len() > most {
                state.flush(self);
            }
            let pending = &mut state.pending;
            let first = pending.indices.len();
            // Columns are below k, which was checked above.
            let columns = block.indices[range.clone()].iter().map(|&c| c as u16);
            pending.indices.extend(columns);
            match &block.values {
                Values::F32(v) => pending
                    .values
                    .extend(v[range.clone()].iter().map(|&x| f64::from(x))),
                Values::F64(v) => pending.values.extend_from_slice(&v[range.clone()]),
            }
            for (&column, &x) in pending.indices[first..]
                .iter()
                .zip(&pending.values[first..])
            {
                state.sums[column as usize] += x;
            }
            if !range.is_empty() {
                pending.ends.push(pending.indices.len() as u32);
            }
        }
        Ok(())
    }

    fn close(&self, state: &mut GramState) -> Result<()> {
        state.settle(self);
        Ok(())
    }

    fn merge(&self, mut left: GramState, mut right: GramState) -> Result<GramState> {
        left.check(self)?;
        right.check(self)?;
        if right.packed.is_empty() {
            left.pending.append(std::mem::take(&mut right.pending));
        } else {
            left.flush(self);
            right.flush(self);
            for (a, b) in left.packed.iter_mut().zip(&right.packed) {
                *a += b;
            }
        }
        left.settle(self);
        left.n += right.n;
        left.sums
            .iter_mut()
            .zip(&right.sums)
            .for_each(|(a, b)| *a += b);
        Ok(left)
    }

    fn finish(&self, mut state: GramState) -> Result<GramMatrix> {
        state.check(self)?;
        state.flush(self);
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
        // Twice for the spare capacity of growing vectors; then what a flush needs. Where rows become a
        // matrix, here or while states are merged, both are there.
        let pending = PENDING.max(self.k as usize) as u64;
        let matrix = self.packed_len() as u64 * 8;
        matrix
            + pending * (2 * ENTRY_BYTES as u64 + 8)
            + u64::from(self.k) * 8
            + MOST_COLUMNS as u64 * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows `from` to `to` of a matrix of 12 columns, some of them empty.
    fn rows(from: usize, to: usize) -> Block {
        let of_row = |row: usize| {
            let has = move |column: &usize| {
                !row.is_multiple_of(7) && row.is_multiple_of((*column).max(1))
            };
            (0..12).filter(has)
        };
        let mut block = Block {
            first_row: from as u64,
            n_cols: 12,
            indptr: vec![0],
            indices: Vec::new(),
            values: Values::F64(Vec::new()),
        };
        let mut values = Vec::new();
        for row in from..to {
            block
                .indices
                .extend(of_row(row).map(|column| column as u32));
            values.extend(of_row(row).map(|column| (1 + row + column) as f64));
            block.indptr.push(block.indices.len());
        }
        block.values = Values::F64(values);
        block
    }

    fn closed(reduce: &Gram, from: usize, to: usize) -> GramState {
        let mut state = reduce.start();
        reduce.fold(&mut state, &rows(from, to)).unwrap();
        reduce.close(&mut state).unwrap();
        state
    }

    #[test]
    fn few_rows_wait_and_merge_with_whatever_comes() {
        let reduce = Gram::new(12);
        assert!(
            closed(&reduce, 0, 5).packed.is_empty() && !closed(&reduce, 0, 90).packed.is_empty()
        );
        let whole = reduce.finish(closed(&reduce, 0, 200)).unwrap();
        // Sums of integers are exact.
        for cuts in [
            &[5, 9, 200][..],
            &[5, 100, 104, 200],
            &[90, 95, 200],
            &[3, 199, 200],
        ] {
            let mut from = 0;
            let mut all = reduce.start();
            for &to in cuts {
                let wire = reduce.to_bytes(&closed(&reduce, from, to)).unwrap();
                all = reduce
                    .merge(all, reduce.from_bytes(&wire).unwrap())
                    .unwrap();
                from = to;
            }
            assert_eq!(reduce.finish(all).unwrap(), whole, "{cuts:?}");
        }
    }

    #[test]
    fn refuses_rows_that_are_none() {
        let reduce = Gram::new(12);
        let spoil: [fn(&mut Pending); 4] = [
            |rows| rows.indices[0] = 12,
            |rows| rows.ends[0] = 1000,
            |rows| rows.values.push(1.0),
            |rows| rows.ends.clear(),
        ];
        for spoil in spoil {
            let (left, mut right) = (closed(&reduce, 1, 3), closed(&reduce, 3, 6));
            spoil(&mut right.pending);
            assert!(matches!(reduce.merge(left, right), Err(Error::Wire { .. })));
        }
    }

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
