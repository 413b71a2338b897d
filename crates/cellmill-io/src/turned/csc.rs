//! CSC matrices.

use super::{Entries, Entry, Number, Take, Turned, cached, starts};
use crate::csr::CsrSource;
use crate::error::{Error, Result};
use crate::file_matrix::FileMatrix;
use crate::open::Origin;
use crate::store::hdf5::Dtype;
use cellmill_engine::{Block, Source};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

/// The matrix with rows and columns exchanged, which is CSR.
struct Columns(CsrSource);

impl Entries for Columns {
    fn each(&self, bytes_read: &AtomicU64, take: &mut Take<'_>) -> cellmill_engine::Result<()> {
        let before = self.0.bytes_read();
        let mut reader = self.0.open_as_stored();
        let mut block = Block::new(self.0.n_cols());
        let mut batch = Vec::new();
        while cellmill_engine::BlockReader::next_block(&mut reader, &mut block)? {
            for column in 0..block.n_rows() {
                batch.clear();
                batch.extend(block.row(column).map(|i| Entry {
                    row: block.indices[i].into(),
                    column: (block.first_row + column as u64) as u32,
                    value: block.values.get(i),
                }));
                take(&batch)?;
            }
        }
        let read = self.0.bytes_read() - before;
        bytes_read.fetch_add(read, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    fn transposed(&self) -> Option<&dyn Source> {
        Some(&self.0)
    }

    fn resident_bytes(&self) -> u64 {
        self.0.resident_bytes()
    }
}

/// Counts the entries of each row of the CSC matrix at `address`, which `open` opens with rows and
/// columns exchanged. A matrix that is open already is not counted, nor turned around, again.
pub(crate) fn open(
    origin: &Origin,
    address: &str,
    open: impl FnOnce() -> Result<CsrSource>,
) -> Result<Arc<Turned>> {
    cached(&origin.identity, address, || {
        count(origin, address, open()?)
    })
}

fn count(file: &Origin, address: &str, columns: CsrSource) -> Result<Turned> {
    let [n_cols, n_rows] = columns.shape();
    let (Ok(n_cols), Ok(rows)) = (u32::try_from(n_cols), usize::try_from(n_rows)) else {
        return Err(Error::Unsupported {
            path: file.path.clone(),
            element: address.into(),
            what: format!("it has {n_cols} columns, more than {}", u32::MAX),
            instead: "split it".into(),
        });
    };
    let mut counts = vec![0u64; rows];
    columns.count_columns(&mut counts)?;
    let number = match columns.dtype() {
        Dtype::Float { size: 8, .. } => Number::Double,
        Dtype::Int { size: 4 | 8, .. } => Number::Wide,
        _ => Number::Single,
    };
    Ok(Turned {
        path: file.path.clone(),
        identity: file.identity.clone(),
        address: address.into(),
        layout: "CSC",
        stored_dtype: columns.dtype().to_string(),
        n_cols,
        indptr: starts(counts),
        number,
        table_hash: columns.spec().table_hash,
        entries: Box::new(Columns(columns)),
        scratch: Mutex::new(None),
        bytes_read: AtomicU64::new(0),
    })
}
