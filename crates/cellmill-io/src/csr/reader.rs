//! The reader of consecutive blocks.

use super::array::Cursor;
use super::decode::descents;
use super::{CsrSource, Repairs, values};
use crate::error::{Error, Result};
use crate::store::hdf5::Dtype;
use cellmill_engine::{Block, BlockReader, Source, Values};
use std::ops::Range;
use std::sync::PoisonError;

pub(crate) struct Reader<'a> {
    source: &'a CsrSource,
    indices: Cursor<'a>,
    data: Cursor<'a>,
    next: usize,
    end: usize,
    /// Rows are neither sorted nor are entries added up.
    pub(super) as_stored: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a CsrSource, blocks: Range<usize>) -> Self {
        let end = blocks.end.min(source.grid().n_blocks());
        let limit = source.entries(&(blocks.start..end)).end;
        Self {
            source,
            indices: Cursor::new(&source.indices, limit, &source.bytes_read),
            data: Cursor::new(&source.data, limit, &source.bytes_read),
            next: blocks.start.min(end),
            end,
            as_stored: false,
        }
    }

    fn fill(&mut self, index: usize, block: &mut Block) -> Result<()> {
        let source = self.source;
        let rows = source.grid().block(index);
        let starts = &source.indptr[rows.start as usize..=rows.end as usize];
        let (first, last) = (starts[0], starts[starts.len() - 1]);
        let n = usize::try_from(last - first).unwrap_or(usize::MAX);

        block.first_row = rows.start;
        block.n_cols = source.n_cols;
        block.indptr.clear();
        block
            .indptr
            .extend(starts.iter().map(|&p| (p - first) as usize));

        block.indices.clear();
        let short = |_| {
            source.origin.malformed(
                &source.address,
                format!(
                    "rows {} to {} need {n} entries at once, more than memory holds",
                    rows.start,
                    rows.end - 1
                ),
            )
        };
        block.indices.try_reserve_exact(n).map_err(short)?;
        let indices = &mut block.indices;
        self.indices.read(first..last, |piece, _| {
            values::extend_columns(&source.indices.dtype, piece, indices);
            Ok(())
        })?;

        self.read_values(first..last, n, &mut block.values)?;
        self.check(index, block, first)
    }

    fn read_values(&mut self, wanted: Range<u64>, n: usize, values: &mut Values) -> Result<()> {
        let source = self.source;
        let double = matches!(source.data.dtype, Dtype::Float { size: 8, .. });
        match values {
            Values::F64(v) if double => v.clear(),
            Values::F32(v) if !double => v.clear(),
            _ if double => *values = Values::F64(Vec::new()),
            _ => *values = Values::F32(Vec::new()),
        }
        let room = match values {
            Values::F32(v) => v.try_reserve_exact(n),
            Values::F64(v) => v.try_reserve_exact(n),
        };
        if room.is_err() {
            return Err(source.origin.malformed(
                &source.address,
                format!("entries {wanted:?} do not fit in memory at once"),
            ));
        }
        let dtype = &source.data.dtype;
        self.data.read(wanted, |piece, at| {
            let before = values.len();
            if values::extend_values(dtype, piece, values) {
                Ok(())
            } else {
                Err(not_finite(source, values, before, at, piece.len()))
            }
        })
    }

    /// Sees to the block's contract: columns below `n_cols`, strictly increasing in a row.
    fn check(&self, index: usize, block: &mut Block, first: u64) -> Result<()> {
        let columns = &block.indices;
        let sorted = is_sorted(block);
        let inside = if sorted {
            (0..block.n_rows()).all(|r| {
                let row = block.row(r);
                row.is_empty() || columns[row.end - 1] < block.n_cols
            })
        } else {
            columns.iter().all(|&c| c < block.n_cols)
        };
        if !inside {
            return Err(self.out_of_range(block, first));
        }
        if !sorted && !self.as_stored {
            let repairs = sort_rows(block, matches!(self.source.data.dtype, Dtype::Int { .. }));
            let mut all = self
                .source
                .repairs
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            all.insert(index, repairs);
        }
        Ok(())
    }

    fn out_of_range(&self, block: &Block, first: u64) -> Error {
        let source = self.source;
        let at = block
            .indices
            .iter()
            .position(|&c| c >= block.n_cols)
            .unwrap_or(0);
        let row = block.indptr.partition_point(|&p| p <= at).saturating_sub(1) as u64;
        let row = block.first_row + row;
        let column = block.indices.get(at).copied().unwrap_or(0);
        let found = match column {
            u32::MAX => "negative or far too large".to_owned(),
            c if c > i32::MAX as u32 && !unsigned(&source.indices.dtype) => (c as i32).to_string(),
            c => c.to_string(),
        };
        Error::Malformed {
            path: source.origin.path.clone(),
            element: source.indices.address.clone(),
            rows: Some(row..row + 1),
            what: format!(
                "entry {} should be a column below {} and is {found}",
                first + at as u64,
                block.n_cols
            ),
        }
    }
}

fn unsigned(dtype: &Dtype) -> bool {
    matches!(dtype, Dtype::Int { signed: false, .. })
}

fn not_finite(source: &CsrSource, values: &Values, from: usize, at: u64, n: usize) -> Error {
    let offset = (0..n)
        .find(|&i| !values.get(from + i).is_finite())
        .unwrap_or(0);
    let entry = at + offset as u64;
    // Empty rows share a start: the entry is in the last row that begins at or before it.
    let row = source
        .indptr
        .partition_point(|&p| p <= entry)
        .saturating_sub(1) as u64;
    Error::Malformed {
        path: source.origin.path.clone(),
        element: source.data.address.clone(),
        rows: Some(row..row + 1),
        what: format!(
            "entry {entry} is {} and every value should be a finite number",
            values.get(from + offset)
        ),
    }
}

/// Whether the columns strictly increase in every row.
pub(crate) fn is_sorted(block: &Block) -> bool {
    // A sorted block descends only from one row to the next, so it is enough to count: no branch in
    // the long loop.
    let columns = &block.indices;
    let (mut previous, mut allowed) = (0, 0);
    for &start in &block.indptr[1..] {
        if start > previous && start < columns.len() {
            allowed += usize::from(columns[start - 1] >= columns[start]);
        }
        previous = start.max(previous);
    }
    descents(columns) == allowed
}

/// Sorts the rows of a block by column and adds up entries at the same place, in the order in
/// which they stand in the file.
pub(crate) fn sort_rows(block: &mut Block, integers: bool) -> Repairs {
    let mut repairs = Repairs::default();
    let mut row_entries: Vec<(u32, f64)> = Vec::new();
    let mut indptr = Vec::with_capacity(block.indptr.len());
    indptr.push(0usize);
    let mut write = 0usize;
    for r in 0..block.n_rows() {
        let row = block.row(r);
        if descents(&block.indices[row.clone()]) == 0 {
            // Rows before may have shrunk.
            if write != row.start {
                block.indices.copy_within(row.clone(), write);
                match &mut block.values {
                    Values::F32(v) => v.copy_within(row.clone(), write),
                    Values::F64(v) => v.copy_within(row.clone(), write),
                }
            }
            write += row.len();
            indptr.push(write);
            continue;
        }
        row_entries.clear();
        row_entries.extend(row.clone().map(|i| (block.indices[i], block.values.get(i))));
        if row_entries.windows(2).any(|w| w[0].0 > w[1].0) {
            repairs.rows_sorted += 1;
            row_entries.sort_by_key(|e| e.0);
        }
        let before = row_entries.len();
        row_entries.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1 += later.1;
            }
            same
        });
        repairs.duplicates_summed += (before - row_entries.len()) as u64;
        let exact = row_entries.iter().all(|e| f64::from(e.1 as f32) == e.1);
        if integers && !exact {
            block.values_f64();
        }
        for &(column, value) in &row_entries {
            block.indices[write] = column;
            match &mut block.values {
                Values::F32(v) => v[write] = value as f32,
                Values::F64(v) => v[write] = value,
            }
            write += 1;
        }
        indptr.push(write);
    }
    block.indices.truncate(write);
    match &mut block.values {
        Values::F32(v) => v.truncate(write),
        Values::F64(v) => v.truncate(write),
    }
    block.indptr = indptr;
    repairs
}

impl BlockReader for Reader<'_> {
    fn next_block(&mut self, block: &mut Block) -> cellmill_engine::Result<bool> {
        if self.next >= self.end {
            block.indptr.clear();
            block.indptr.push(0);
            block.indices.clear();
            match &mut block.values {
                Values::F32(v) => v.clear(),
                Values::F64(v) => v.clear(),
            }
            return Ok(false);
        }
        let index = self.next;
        self.next += 1;
        self.fill(index, block)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_duplicates_added() {
        let mut block = Block {
            first_row: 0,
            n_cols: 9,
            indptr: vec![0, 3, 3, 6, 8],
            indices: vec![1, 4, 4, 7, 2, 7, 3, 5],
            values: Values::F32(vec![1.0, 2.0, 3.0, 10.0, 20.0, 30.0, 5.0, 6.0]),
        };
        let repairs = sort_rows(&mut block, false);
        assert_eq!(
            repairs,
            Repairs {
                rows_sorted: 1,
                duplicates_summed: 2
            }
        );
        assert_eq!(block.indptr, [0, 2, 2, 4, 6]);
        assert_eq!(block.indices, [1, 4, 2, 7, 3, 5]);
        assert_eq!(
            block.values,
            Values::F32(vec![1.0, 5.0, 20.0, 40.0, 5.0, 6.0])
        );
    }

    #[test]
    fn a_sum_of_integers_that_f32_cannot_hold_becomes_f64() {
        let mut block = Block {
            first_row: 0,
            n_cols: 9,
            indptr: vec![0, 2],
            indices: vec![1, 1],
            values: Values::F32(vec![16_777_215.0, 2.0]),
        };
        sort_rows(&mut block, true);
        assert_eq!(block.values, Values::F64(vec![16_777_217.0]));
    }
}
