//! Dealing entries out to buckets of rows, and sorting the buckets.

use super::{Number, Turned, changed};
use crate::workspace::Workspace;
use cellmill_engine::run::scratch_file;
use cellmill_engine::{Error, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes of a bucket's buffer before it goes to scratch.
const BUFFER: usize = 1 << 18;
/// A bucket is at most this large, however much memory there is.
const LARGEST: u64 = 512 << 20;
/// A bucket need not be smaller than this.
const SMALLEST: u64 = 16 << 20;

/// Rows of one bucket.
struct Bucket {
    /// First row, and the row after the last.
    rows: [u64; 2],
    buffer: Vec<u8>,
    /// Bytes that are in scratch already.
    written: u64,
}

/// Bytes of an entry in a bucket: row within the bucket, column, value.
fn record_bytes(turned: &Turned) -> u64 {
    8 + turned.value_bytes()
}

fn plan(turned: &Turned, bytes: u64) -> Vec<Bucket> {
    let entries = (bytes / record_bytes(turned)).max(1);
    let n_rows = turned.indptr.len() as u64 - 1;
    let mut buckets = Vec::new();
    let mut first = 0u64;
    while first < n_rows {
        let limit = turned.indptr[first as usize] + entries;
        let end = turned.indptr.partition_point(|&p| p <= limit) as u64 - 1;
        let end = end.clamp(first + 1, n_rows);
        buckets.push(Bucket {
            rows: [first, end],
            buffer: Vec::new(),
            written: 0,
        });
        first = end;
    }
    buckets
}

fn io(what: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io {
        what: format!("{what} a scratch file"),
        source,
    }
}

/// The matrix as CSR in a scratch file: all column numbers, then all values.
pub(super) fn fill(turned: &Turned, workspace: &Workspace) -> Result<File> {
    let nnz = turned.nnz();
    let record = record_bytes(turned);
    let free = workspace.budget.free();
    let whole = (nnz * record).max(1);
    let bytes = whole.min((free / 4).clamp(SMALLEST, LARGEST));
    let mut buckets = plan(turned, bytes);
    // Records of one bucket, the same sorted, and a buffer for each bucket.
    let largest = buckets
        .iter()
        .map(|b| turned.indptr[b.rows[1] as usize] - turned.indptr[b.rows[0] as usize])
        .max()
        .unwrap_or(0)
        * record;
    let several = buckets.len() > 1;
    let buffers = if several { buckets.len() * BUFFER } else { 0 };
    let _held = workspace
        .budget
        .reserve(2 * largest + buffers as u64, "turning the matrix around")?;
    let records = if several {
        Some(scratch_file(&workspace.scratch)?)
    } else {
        None
    };
    turned.entries.each(&turned.bytes_read, &mut |batch| {
        workspace.cancel.check()?;
        for entry in batch {
            let at = buckets.partition_point(|b| b.rows[1] <= entry.row);
            let Some(bucket) = buckets.get_mut(at) else {
                return Err(changed(turned).into());
            };
            let row = (entry.row - bucket.rows[0]) as u32;
            bucket.buffer.extend_from_slice(&row.to_ne_bytes());
            bucket.buffer.extend_from_slice(&entry.column.to_ne_bytes());
            match turned.number {
                Number::Single => {
                    let value = entry.value as f32;
                    bucket.buffer.extend_from_slice(&value.to_ne_bytes());
                }
                _ => bucket.buffer.extend_from_slice(&entry.value.to_ne_bytes()),
            }
            if let Some(records) = &records
                && bucket.buffer.len() >= BUFFER
            {
                flush(turned, bucket, records)?;
            }
        }
        Ok(())
    })?;
    let out = scratch_file(&workspace.scratch)?;
    for bucket in &mut buckets {
        workspace.cancel.check()?;
        let bytes = match &records {
            Some(records) => {
                flush(turned, bucket, records)?;
                let mut all = vec![0; bucket.written as usize];
                let at = turned.indptr[bucket.rows[0] as usize] * record;
                records.read_exact_at(&mut all, at).map_err(io("reading"))?;
                all
            }
            None => std::mem::take(&mut bucket.buffer),
        };
        sort(turned, bucket, &bytes, &out)?;
    }
    Ok(out)
}

/// Writes a bucket's buffer behind what is in scratch.
fn flush(turned: &Turned, bucket: &mut Bucket, records: &File) -> Result<()> {
    let start = turned.indptr[bucket.rows[0] as usize] * record_bytes(turned);
    let end = turned.indptr[bucket.rows[1] as usize] * record_bytes(turned);
    if start + bucket.written + bucket.buffer.len() as u64 > end {
        return Err(changed(turned).into());
    }
    records
        .write_all_at(&bucket.buffer, start + bucket.written)
        .map_err(io("writing"))?;
    bucket.written += bucket.buffer.len() as u64;
    bucket.buffer.clear();
    Ok(())
}

/// Puts the records of a bucket in order of their rows, each row in the order of the file.
fn sort(turned: &Turned, bucket: &Bucket, bytes: &[u8], out: &File) -> Result<()> {
    let indptr = &turned.indptr[bucket.rows[0] as usize..=bucket.rows[1] as usize];
    let first = indptr[0];
    let n = (indptr[indptr.len() - 1] - first) as usize;
    let size = turned.value_bytes() as usize;
    if bytes.len() != n * (8 + size) {
        return Err(changed(turned).into());
    }
    let mut next: Vec<u64> = indptr[..indptr.len() - 1]
        .iter()
        .map(|p| p - first)
        .collect();
    let mut columns = vec![0u8; n * 4];
    let mut values = vec![0u8; n * size];
    for record in bytes.chunks_exact(8 + size) {
        let row = u32::from_ne_bytes([record[0], record[1], record[2], record[3]]) as usize;
        let (Some(place), Some(&end)) = (next.get_mut(row), indptr.get(row + 1)) else {
            return Err(changed(turned).into());
        };
        if *place + first >= end {
            return Err(changed(turned).into());
        }
        let at = *place as usize;
        *place += 1;
        columns[at * 4..at * 4 + 4].copy_from_slice(&record[4..8]);
        values[at * size..(at + 1) * size].copy_from_slice(&record[8..]);
    }
    let write = |bytes: &[u8], at: u64| out.write_all_at(bytes, at).map_err(io("writing"));
    write(&columns, first * 4)?;
    write(&values, turned.nnz() * 4 + first * size as u64)
}
