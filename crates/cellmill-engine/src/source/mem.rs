//! A CSR matrix in memory, read in place.

use crate::{Block, BlockReader, Error, Grid, Result, Source, Values};
use std::borrow::Cow;
use std::ops::Range;

/// A value type that a matrix in memory may have: f32 or f64.
pub trait MemValue: Copy + Send + Sync + 'static {
    /// Whether the value is finite.
    fn finite(self) -> bool;
    /// Replaces the values of a block, using its memory again where it can.
    fn fill(from: &[Self], to: &mut Values);
}

impl MemValue for f32 {
    fn finite(self) -> bool {
        self.is_finite()
    }

    fn fill(from: &[Self], to: &mut Values) {
        match to {
            Values::F32(v) => {
                v.clear();
                v.extend_from_slice(from);
            }
            Values::F64(_) => *to = Values::F32(from.to_vec()),
        }
    }
}

impl MemValue for f64 {
    fn finite(self) -> bool {
        self.is_finite()
    }

    fn fill(from: &[Self], to: &mut Values) {
        match to {
            Values::F64(v) => {
                v.clear();
                v.extend_from_slice(from);
            }
            Values::F32(_) => *to = Values::F64(from.to_vec()),
        }
    }
}

/// A CSR matrix in memory, borrowed or owned.
///
/// ```
/// use cellmill_engine::{Context, MemSource, reduce::CellTotals, run_stage};
/// let source = MemSource::new(3, vec![0, 2, 2, 3], vec![0, 2, 1], vec![1f32, 4.0, 7.0])?;
/// let totals = run_stage(&Context::quiet(1)?, "totals", &source, &[], &CellTotals, &())?;
/// assert_eq!(totals.total, [5.0, 0.0, 7.0]);
/// # Ok::<(), cellmill_engine::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemSource<'a, T: MemValue = f32> {
    n_cols: u32,
    indptr: Cow<'a, [u64]>,
    indices: Cow<'a, [u32]>,
    values: Cow<'a, [T]>,
    grid: Grid,
}

impl<'a, T: MemValue> MemSource<'a, T> {
    /// A matrix of `n_cols` columns with the grid that its entries set.
    ///
    /// # Errors
    /// [`Error::Data`] with the row when the arrays are no canonical CSR matrix (`indptr` from 0
    /// up to the number of entries, columns strictly increasing in a row and below `n_cols`) or a
    /// value is not finite.
    pub fn new(
        n_cols: u32,
        indptr: impl Into<Cow<'a, [u64]>>,
        indices: impl Into<Cow<'a, [u32]>>,
        values: impl Into<Cow<'a, [T]>>,
    ) -> Result<Self> {
        let (indptr, indices, values) = (indptr.into(), indices.into(), values.into());
        check(n_cols, &indptr, &indices, &values)?;
        let grid = Grid::from_indptr(&indptr);
        Ok(Self {
            n_cols,
            indptr,
            indices,
            values,
            grid,
        })
    }

    /// The same matrix with blocks of `block_rows` rows.
    #[must_use]
    pub fn with_block_rows(mut self, block_rows: u64) -> Self {
        self.grid = Grid::regular(self.grid.n_rows(), block_rows);
        self
    }

    /// The same matrix with another grid.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the grid is for another number of rows.
    pub fn with_grid(mut self, grid: Grid) -> Result<Self> {
        grid.check(self.grid.n_rows())?;
        self.grid = grid;
        Ok(self)
    }
}

fn check<T: MemValue>(n_cols: u32, indptr: &[u64], indices: &[u32], values: &[T]) -> Result<()> {
    if indices.len() != values.len() {
        return Err(Error::Data(format!(
            "a CSR matrix has {} column indices and {} values",
            indices.len(),
            values.len()
        )));
    }
    if indptr.first() != Some(&0) || indptr.last() != Some(&(indices.len() as u64)) {
        return Err(Error::Data(format!(
            "the indptr of a CSR matrix must run from 0 to its {} entries",
            indices.len()
        )));
    }
    for (row, w) in indptr.windows(2).enumerate() {
        if w[0] > w[1] || w[1] > indices.len() as u64 {
            return Err(Error::Data(format!(
                "the indptr of a CSR matrix goes from {} to {} at row {row}",
                w[0], w[1]
            )));
        }
        let range = w[0] as usize..w[1] as usize;
        let columns = &indices[range.clone()];
        if let Some(pair) = columns.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Error::Data(format!(
                "the columns of row {row} must strictly increase, and {} follows {}",
                pair[1], pair[0]
            )));
        }
        if let Some(&last) = columns.last().filter(|&&last| last >= n_cols) {
            return Err(Error::Data(format!(
                "row {row} has an entry in column {last} of {n_cols}"
            )));
        }
        if let Some(entry) = values[range].iter().position(|x| !x.finite()) {
            return Err(Error::Data(format!(
                "the value of row {row}, column {} is not finite",
                columns[entry]
            )));
        }
    }
    Ok(())
}

impl<T: MemValue> Source for MemSource<'_, T> {
    fn n_cols(&self) -> u32 {
        self.n_cols
    }

    fn nnz(&self) -> Option<u64> {
        Some(self.indices.len() as u64)
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn open(&self, blocks: Range<usize>) -> Result<Box<dyn BlockReader + '_>> {
        if blocks.start > blocks.end || blocks.end > self.grid.n_blocks() {
            return Err(Error::Parameter(format!(
                "blocks {}..{} were asked of {} blocks",
                blocks.start,
                blocks.end,
                self.grid.n_blocks()
            )));
        }
        Ok(Box::new(Reader {
            source: self,
            blocks,
        }))
    }

    fn reader_bytes(&self) -> u64 {
        let entries = (0..self.grid.n_blocks()).map(|b| {
            let rows = self.grid.block(b);
            self.indptr[rows.end as usize] - self.indptr[rows.start as usize]
        });
        let rows =
            (0..self.grid.n_blocks()).map(|b| self.grid.block(b).end - self.grid.block(b).start);
        entries.max().unwrap_or(0) * (4 + size_of::<T>() as u64) + (rows.max().unwrap_or(0) + 1) * 8
    }

    fn describe(&self) -> String {
        format!(
            "a matrix in memory, {} x {}, {} entries",
            self.n_rows(),
            self.n_cols,
            self.indices.len()
        )
    }
}

struct Reader<'a, T: MemValue> {
    source: &'a MemSource<'a, T>,
    blocks: Range<usize>,
}

impl<T: MemValue> BlockReader for Reader<'_, T> {
    fn next_block(&mut self, block: &mut Block) -> Result<bool> {
        block.n_cols = self.source.n_cols;
        let rows = match self.blocks.next() {
            Some(next) => self.source.grid.block(next),
            None => {
                block.indptr.clear();
                block.indptr.push(0);
                block.indices.clear();
                T::fill(&[], &mut block.values);
                return Ok(false);
            }
        };
        let starts = &self.source.indptr[rows.start as usize..=rows.end as usize];
        let range = starts[0] as usize..starts[starts.len() - 1] as usize;
        block.first_row = rows.start;
        block.indptr.clear();
        block
            .indptr
            .extend(starts.iter().map(|p| (p - starts[0]) as usize));
        block.indices.clear();
        block
            .indices
            .extend_from_slice(&self.source.indices[range.clone()]);
        T::fill(&self.source.values[range], &mut block.values);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_csr_matrix() {
        let bad = |indptr: &[u64], indices: &[u32], values: &[f32]| {
            MemSource::new(3, indptr.to_vec(), indices.to_vec(), values.to_vec())
                .unwrap_err()
                .to_string()
        };
        assert!(bad(&[0, 1], &[0, 1], &[1.0]).contains("2 column indices and 1 values"));
        assert!(bad(&[0, 1], &[0, 1], &[1.0, 1.0]).contains("must run from 0 to its 2 entries"));
        assert!(bad(&[0, 2, 1, 2], &[0, 1], &[1.0, 1.0]).contains("from 2 to 1 at row 1"));
        assert!(bad(&[0, 5, 2], &[0, 1], &[1.0, 1.0]).contains("from 0 to 5 at row 0"));
        assert!(bad(&[0, 0, 2], &[1, 1], &[1.0, 1.0]).contains("row 1 must strictly increase"));
        assert!(bad(&[0, 1], &[3], &[1.0]).contains("column 3 of 3"));
        assert!(bad(&[0, 1], &[2], &[f32::NAN]).contains("row 0, column 2 is not finite"));
    }
}
