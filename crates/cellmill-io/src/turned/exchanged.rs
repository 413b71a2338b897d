//! Any matrix with rows and columns exchanged.

use super::{Entries, Entry, Number, Take, Turned, TurnedSource, starts};
use crate::error::{Error, Result};
use crate::file_matrix::FileMatrix;
use crate::workspace::Workspace;
use cellmill_engine::source::Selected;
use cellmill_engine::{Block, Source};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

type Matrix = Selected<Arc<dyn FileMatrix>>;

impl Entries for Matrix {
    fn each(&self, bytes_read: &AtomicU64, take: &mut Take<'_>) -> cellmill_engine::Result<()> {
        let before = self.bytes_read();
        let mut reader = self.open(0..self.grid().n_blocks())?;
        let mut block = Block::new(self.n_cols());
        let mut batch = Vec::new();
        while reader.next_block(&mut block)? {
            for r in 0..block.n_rows() {
                batch.clear();
                batch.extend(block.row(r).map(|i| Entry {
                    row: block.indices[i].into(),
                    column: (block.first_row + r as u64) as u32,
                    value: block.values.get(i),
                }));
                take(&batch)?;
            }
        }
        bytes_read.fetch_add(self.bytes_read() - before, Ordering::Relaxed);
        Ok(())
    }

    fn resident_bytes(&self) -> u64 {
        self.inner().resident_bytes()
    }
}

impl TurnedSource {
    /// `matrix` with rows and columns exchanged: the CSR of it is the CSC of `matrix`, rows in order
    /// within a column. Its entries are counted now, in one read; [`FileMatrix::turn`] is another.
    ///
    /// # Errors
    /// Where the matrix cannot be read, the work is cancelled, or it has more than 2^32 - 1 rows.
    pub fn exchanging(matrix: Matrix, workspace: &Workspace) -> Result<Self> {
        let spec = matrix.inner().spec();
        let stored_dtype = matrix.inner().stored_dtype();
        let Ok(n_cols) = u32::try_from(matrix.n_rows()) else {
            return Err(Error::Unsupported {
                path: spec.file.path,
                element: spec.address,
                what: format!("it has {} rows, more than {}", matrix.n_rows(), u32::MAX),
                instead: "write it as CSR".into(),
            });
        };
        let bytes_read = AtomicU64::new(0);
        let mut counts = vec![0u64; matrix.n_cols() as usize];
        matrix.each(&bytes_read, &mut |batch| {
            workspace.cancel.check()?;
            batch.iter().for_each(|e| counts[e.row as usize] += 1);
            Ok(())
        })?;
        let number = match stored_dtype.as_str() {
            "float64" => Number::Double,
            "int32" | "uint32" | "int64" | "uint64" => Number::Wide,
            _ => Number::Single,
        };
        let turned = Turned {
            path: spec.file.path.clone(),
            identity: spec.file,
            address: spec.address,
            layout: "rows and columns exchanged",
            stored_dtype,
            n_cols,
            indptr: starts(counts),
            number,
            table_hash: spec.table_hash,
            entries: Box::new(matrix),
            scratch: Mutex::new(None),
            bytes_read,
        };
        Ok(Self::new(Arc::new(turned), workspace))
    }
}
