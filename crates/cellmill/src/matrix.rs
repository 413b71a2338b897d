//! A matrix with ops to happen to it, as a shell holds it: its dtype, its selections, and a source
//! that passes over what no selection touches.

mod column;

use crate::{Error, Result};
use cellmill_engine::op::CellSet;
use cellmill_engine::{Block, BlockReader, Grid, Op, Source, Values};
pub use column::column;
use std::ops::Range;
use std::sync::Arc;

/// The dtype of a matrix that is stored as `stored` (numpy's words) after `ops`, as scanpy has it:
/// normalize_total makes f32 of integers, log1p makes f64 of them, floats stay as they are.
///
/// ```
/// use cellmill::matrix::result_dtype;
/// use cellmill_engine::Op;
/// assert_eq!(result_dtype("int64", &[Op::NormalizeTotal { target_sum: 1e4 }]), "float32");
/// assert_eq!(result_dtype("uint16", &[Op::Log1p { base: None }]), "float64");
/// assert_eq!(result_dtype("float16", &[]), "float32");
/// ```
pub fn result_dtype(stored: &str, ops: &[Op]) -> &'static str {
    const KNOWN: [&str; 9] = [
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    ];
    let mut dtype = match stored {
        "float64" => "float64",
        other => KNOWN.into_iter().find(|&k| k == other).unwrap_or("float32"),
    };
    for op in ops {
        let float = dtype.starts_with("float");
        match op {
            Op::NormalizeTotal { .. } | Op::ScaleRows { .. } if !float => dtype = "float32",
            Op::Log1p { .. } | Op::Expm1 { .. } if !float => dtype = "float64",
            Op::RoundF32 => dtype = "float32",
            _ => {}
        }
    }
    dtype
}

/// A selection among the rows that are left: the set of source rows, of `n_rows`, that `mask` (an
/// entry for each row of `before`) keeps.
///
/// # Errors
/// [`Error::Parameter`] when the mask has another length.
pub fn select_within(before: Option<&CellSet>, n_rows: u64, mask: &[bool]) -> Result<CellSet> {
    let have = before.map_or(n_rows, CellSet::len);
    if have != mask.len() as u64 {
        return Err(Error::Parameter(format!(
            "a mask of {} cells was given for a matrix of {have}",
            mask.len()
        )));
    }
    let Some(before) = before else {
        return Ok(CellSet::from_mask(mask));
    };
    let mut full = vec![false; n_rows as usize];
    for (row, &keep) in before.within(0..n_rows).zip(mask) {
        full[row] = keep;
    }
    Ok(CellSet::from_mask(&full))
}

/// A source that reads only the blocks in which a cell is selected; the others are handed out
/// without entries, since an op drops all their cells.
pub struct Touched {
    source: Arc<dyn Source>,
    cells: Option<CellSet>,
}

impl Touched {
    /// `source`, of which only `cells` (`None`: all) are looked at.
    pub fn new(source: Arc<dyn Source>, cells: Option<CellSet>) -> Self {
        Self { source, cells }
    }

    fn touches(&self, block: usize) -> bool {
        match &self.cells {
            None => true,
            Some(cells) => cells
                .within(self.source.grid().block(block))
                .next()
                .is_some(),
        }
    }
}

impl Source for Touched {
    fn n_cols(&self) -> u32 {
        self.source.n_cols()
    }

    fn nnz(&self) -> Option<u64> {
        self.source.nnz()
    }

    fn grid(&self) -> &Grid {
        self.source.grid()
    }

    fn open(&self, blocks: Range<usize>) -> cellmill_engine::Result<Box<dyn BlockReader + '_>> {
        if self.cells.is_none() {
            return self.source.open(blocks);
        }
        Ok(Box::new(Reader {
            source: self,
            blocks,
            inner: None,
        }))
    }

    fn prefetch(&self, blocks: Range<usize>) {
        let first = blocks.clone().find(|&b| self.touches(b));
        let last = blocks.rev().find(|&b| self.touches(b));
        if let (Some(first), Some(last)) = (first, last) {
            self.source.prefetch(first..last + 1);
        }
    }

    fn reader_bytes(&self) -> u64 {
        self.source.reader_bytes()
    }

    fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }
}

struct Reader<'a> {
    source: &'a Touched,
    blocks: Range<usize>,
    /// A reader of the source, and the block that it hands out next.
    inner: Option<(usize, Box<dyn BlockReader + 'a>)>,
}

impl BlockReader for Reader<'_> {
    fn next_block(&mut self, block: &mut Block) -> cellmill_engine::Result<bool> {
        let next = self.blocks.next();
        if let Some(index) = next.filter(|&b| self.source.touches(b)) {
            let mut reader = match self.inner.take() {
                Some((at, reader)) if at == index => reader,
                _ => self.source.source.open(index..self.blocks.end)?,
            };
            let found = reader.next_block(block)?;
            self.inner = Some((index + 1, reader));
            return Ok(found);
        }
        block.n_cols = self.source.n_cols();
        block.indptr.clear();
        block.indices.clear();
        match &mut block.values {
            Values::F32(v) => v.clear(),
            Values::F64(v) => v.clear(),
        }
        match next {
            None => block.indptr.push(0),
            Some(index) => {
                let rows = self.source.grid().block(index);
                block.first_row = rows.start;
                block.indptr.resize((rows.end - rows.start) as usize + 1, 0);
            }
        }
        Ok(next.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellmill_engine::reduce::CellTotals;
    use cellmill_engine::{Context, MemSource, run_stage};

    fn source(n: usize) -> MemSource<'static> {
        let values: Vec<f32> = (1..=n).map(|i| i as f32).collect();
        let indptr: Vec<u64> = (0..=n as u64).collect();
        MemSource::new(2, indptr, vec![1u32; n], values)
            .unwrap()
            .with_block_rows(3)
    }

    #[test]
    fn blocks_without_a_selected_cell_are_passed_over() {
        for chosen in [vec![0], vec![4, 5, 19], vec![7, 16], (0..20).collect()] {
            let mask: Vec<bool> = (0..20).map(|i| chosen.contains(&i)).collect();
            let cells = CellSet::from_mask(&mask);
            let touched = Touched::new(Arc::new(source(20)), Some(cells.clone()));
            let ops = [Op::SelectCells { cells }];
            let ctx = Context::quiet(2).unwrap();
            let found = run_stage(&ctx, "t", &touched, &ops, &CellTotals, &()).unwrap();
            let expected: Vec<f64> = chosen.iter().map(|&i| i as f64 + 1.0).collect();
            assert_eq!(found.total, expected);
        }
    }

    #[test]
    fn selections_in_selections() {
        let first = CellSet::from_mask(&[true, false, true, true]);
        let second = select_within(Some(&first), 4, &[false, true, true]).unwrap();
        assert_eq!(second, CellSet::from_mask(&[false, false, true, true]));
        assert!(select_within(Some(&first), 4, &[true; 4]).is_err());
    }
}
