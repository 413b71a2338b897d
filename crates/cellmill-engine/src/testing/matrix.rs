//! A matrix written out entry by entry, to compare with.

use crate::source::MemValue;
use crate::{Block, MemSource, Result, Source};

/// A matrix as lists of `(column, value)`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    /// The number of columns.
    pub n_cols: u32,
    /// The entries of each row.
    pub rows: Vec<Vec<(u32, f64)>>,
}

impl Matrix {
    /// Everything that a source hands out, read with one reader.
    ///
    /// # Errors
    /// The source's own.
    pub fn read(source: &dyn Source) -> Result<Self> {
        let mut matrix = Self {
            n_cols: source.n_cols(),
            rows: Vec::new(),
        };
        let mut reader = source.open(0..source.grid().n_blocks())?;
        let mut block = Block::new(source.n_cols());
        while reader.next_block(&mut block)? {
            matrix.push(&block);
        }
        Ok(matrix)
    }

    /// Adds the rows of a block.
    pub fn push(&mut self, block: &Block) {
        self.n_cols = block.n_cols;
        for row in 0..block.n_rows() {
            self.rows.push(
                block
                    .row(row)
                    .map(|e| (block.indices[e], block.values.get(e)))
                    .collect(),
            );
        }
    }

    /// The matrix as a source in memory (f64 values).
    ///
    /// # Errors
    /// As [`MemSource::new`].
    pub fn source(&self) -> Result<MemSource<'static, f64>> {
        self.source_of(|x| x)
    }

    /// The same with other values, of another type perhaps.
    ///
    /// # Errors
    /// As [`MemSource::new`].
    pub fn source_of<T: MemValue>(
        &self,
        value: impl Fn(f64) -> T,
    ) -> Result<MemSource<'static, T>> {
        let mut indptr = vec![0u64];
        let (mut indices, mut values) = (Vec::new(), Vec::new());
        for row in &self.rows {
            indices.extend(row.iter().map(|e| e.0));
            values.extend(row.iter().map(|e| value(e.1)));
            indptr.push(indices.len() as u64);
        }
        MemSource::new(self.n_cols, indptr, indices, values)
    }

    /// Whether f32 holds every value.
    pub fn is_narrow(&self) -> bool {
        let mut values = self.rows.iter().flatten();
        values.all(|e| f64::from(e.1 as f32) == e.1)
    }

    /// One column with its zeros.
    pub fn column(&self, column: u32) -> Vec<f64> {
        let of_row =
            |row: &Vec<(u32, f64)>| row.iter().find(|e| e.0 == column).map_or(0.0, |e| e.1);
        self.rows.iter().map(of_row).collect()
    }
}

/// Panics unless `block` keeps the contract of [`Block`].
pub fn check_block(block: &Block) {
    assert_eq!(
        block.indptr.first(),
        Some(&0),
        "indptr of a block must start at 0"
    );
    assert_eq!(
        block.indptr.last(),
        Some(&block.indices.len()),
        "indptr of a block must end at its entries"
    );
    assert_eq!(
        block.indices.len(),
        block.values.len(),
        "a block must have as many values as indices"
    );
    for row in 0..block.n_rows() {
        assert!(
            block.indptr[row] <= block.indptr[row + 1],
            "indptr of a block must not go back"
        );
        let columns = &block.indices[block.row(row)];
        assert!(
            columns.windows(2).all(|w| w[0] < w[1]),
            "the columns of a row must strictly increase"
        );
        assert!(
            columns.last().is_none_or(|&c| c < block.n_cols),
            "a column must be below n_cols"
        );
        assert!(
            block.row(row).all(|e| block.values.get(e).is_finite()),
            "values must be finite"
        );
    }
}

/// Counts that look like a small experiment: sparse, a few genes in most cells, some empty cells
/// and genes, some explicit zeros. The same for the same arguments.
pub fn random_counts(n_rows: usize, n_cols: u32, seed: u64) -> Matrix {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let rates: Vec<f64> = (0..n_cols)
        .map(|g| {
            if g % 11 == 3 {
                0.0
            } else {
                0.9 * next().powi(3)
            }
        })
        .collect();
    let rows = (0..n_rows).map(|_| {
        let depth = if next() < 0.05 { 0.0 } else { 0.3 + next() };
        let mut row = Vec::new();
        for (gene, rate) in rates.iter().enumerate() {
            if next() < rate * depth {
                let zero = next() < 0.02;
                row.push((
                    gene as u32,
                    if zero {
                        0.0
                    } else {
                        (next().powi(4) * 30.0).floor() + 1.0
                    },
                ));
            }
        }
        row
    });
    Matrix {
        n_cols,
        rows: rows.collect(),
    }
}
