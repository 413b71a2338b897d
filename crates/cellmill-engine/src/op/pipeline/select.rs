//! Which entries of a block are kept, and where they go.

use crate::{Block, Values};

/// Entries that are selected from at once.
const STRIP: usize = 256;

/// A column that is not kept.
pub(super) const DROPPED: u32 = u32::MAX;

/// Copies the kept entries of the kept rows, their values as they are.
pub(super) fn copy_same_type(block: &Block, rows: &[usize], map: Option<&[u32]>, out: &mut Block) {
    match &block.values {
        Values::F32(v) => {
            let mut to = match std::mem::replace(&mut out.values, Values::F32(Vec::new())) {
                Values::F32(v) => v,
                Values::F64(_) => Vec::new(),
            };
            copy(block, v, rows, map, out, &mut to, |x| x);
            out.values = Values::F32(to);
        }
        Values::F64(v) => {
            let mut to = match std::mem::replace(&mut out.values, Values::F32(Vec::new())) {
                Values::F64(v) => v,
                Values::F32(_) => Vec::new(),
            };
            copy(block, v, rows, map, out, &mut to, |x| x);
            out.values = Values::F64(to);
        }
    }
}

/// Copies the kept entries of the kept rows: structure to `out`, values to `to`.
pub(super) fn copy<T: Copy, U: Copy + Default>(
    block: &Block,
    values: &[T],
    rows: &[usize],
    map: Option<&[u32]>,
    out: &mut Block,
    to: &mut Vec<U>,
    convert: impl Fn(T) -> U,
) {
    out.indptr.clear();
    out.indptr.push(0);
    out.indices.clear();
    to.clear();
    // What [`super::Pipeline::bytes`] says, and not up to twice of it.
    out.indices.reserve_exact(block.nnz());
    to.reserve_exact(block.nnz());
    let Some(map) = map else {
        for &row in rows {
            let range = block.row(row);
            out.indices.extend_from_slice(&block.indices[range.clone()]);
            to.extend(values[range].iter().map(|&x| convert(x)));
            out.indptr.push(out.indices.len());
        }
        return;
    };
    // Kept strip by strip: what is dropped, most of it, is written to the cache alone.
    let (mut kept, mut kept_values) = ([0u32; STRIP], [U::default(); STRIP]);
    for &row in rows {
        let range = block.row(row);
        let (columns, values) = (&block.indices[range.clone()], &values[range]);
        for (columns, values) in columns.chunks(STRIP).zip(values.chunks(STRIP)) {
            let mut end = 0usize;
            // Without a branch: there is no pattern that could be predicted.
            for (&column, &x) in columns.iter().zip(values) {
                let new = map[column as usize];
                kept[end % STRIP] = new;
                kept_values[end % STRIP] = convert(x);
                end += usize::from(new != DROPPED);
            }
            out.indices.extend_from_slice(&kept[..end]);
            to.extend_from_slice(&kept_values[..end]);
        }
        out.indptr.push(out.indices.len());
    }
}

/// Drops unselected entries in place.
pub(super) fn compact(map: &[u32], out: &mut Block, work: &mut Vec<f64>) {
    retain(out, work, |column, _| map[column as usize]);
}

/// Drops entries of value 0 in place.
pub(super) fn drop_zeros(out: &mut Block, work: &mut Vec<f64>) {
    retain(
        out,
        work,
        |column, x| if x == 0.0 { DROPPED } else { column },
    );
}

/// Gives each entry a new column in place; those that are [`DROPPED`] go.
fn retain(out: &mut Block, work: &mut Vec<f64>, new_column: impl Fn(u32, f64) -> u32) {
    let mut end = 0usize;
    let mut start = 0usize;
    for row in 1..out.indptr.len() {
        let row_end = out.indptr[row];
        for entry in start..row_end {
            let new = new_column(out.indices[entry], work[entry]);
            out.indices[end] = new;
            work[end] = work[entry];
            end += usize::from(new != DROPPED);
        }
        start = row_end;
        out.indptr[row] = end;
    }
    out.indices.truncate(end);
    work.truncate(end);
}
