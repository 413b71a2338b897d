//! Any matrix of a file that can be read as a stream of row blocks, whatever its format.

use crate::anndata::H5ad;
use crate::csr::Repairs;
use crate::error::{Error, Result};
use crate::open::FileIdentity;
use cellmill_engine::Source;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A matrix in a file, in a form that travels: a path, never the values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixSpec {
    /// The file, as it was.
    pub file: FileIdentity,
    /// The element's address in it.
    pub address: String,
    /// A hash of where the values lie in the file.
    pub table_hash: u64,
    /// Rows of a block, where the blocks were prescribed.
    pub block_rows: Option<u64>,
}

impl MatrixSpec {
    /// Opens the matrix.
    ///
    /// # Errors
    /// [`Error::Changed`] where size, time or chunk table are not those that the specification was
    /// made for, and what [`H5ad::source`] can meet.
    pub fn open(&self) -> Result<Arc<dyn FileMatrix>> {
        let file = H5ad::open(&self.file.path)?;
        let changed = |what: String| Error::Changed {
            path: self.file.path.clone(),
            what,
        };
        let found = file.identity();
        if found.size != self.file.size {
            return Err(changed(format!(
                "it had {} bytes and has {}",
                self.file.size, found.size
            )));
        }
        if found.mtime_ns != self.file.mtime_ns {
            return Err(changed("it was written to".into()));
        }
        let source = file.source(&self.address, self.block_rows)?;
        if source.spec().table_hash != self.table_hash {
            return Err(changed(format!("{} lies elsewhere in it", self.address)));
        }
        Ok(source)
    }

    /// The file.
    pub fn path(&self) -> &PathBuf {
        &self.file.path
    }
}

/// A matrix of a file as a [`Source`], which another process can open again.
///
/// Values: f32 where the file holds f32, f16, booleans or integers of up to 16 bits; f64 where it
/// holds f64. For wider integers each block decides for itself: f32 if every value is below 2^24
/// in size, else f64.
pub trait FileMatrix: Source {
    /// What another process needs to open this matrix.
    fn spec(&self) -> MatrixSpec;

    /// The type of the values in the file, in numpy's words.
    fn stored_dtype(&self) -> String;

    /// Heap bytes that the source holds while it is open: row starts and chunk tables. They grow
    /// with the number of cells and of chunks.
    fn resident_bytes(&self) -> u64;

    /// The file.
    fn path(&self) -> &Path;

    /// Rows and columns.
    fn shape(&self) -> [u64; 2] {
        [self.n_rows(), self.n_cols().into()]
    }

    /// Cuts the matrix into blocks of `block_rows` rows, whatever they hold: for tests, and where an
    /// executor prescribes the blocks.
    fn set_grid_rows(&mut self, block_rows: u64);

    /// What had to be put right in the blocks that were read so far.
    fn repairs(&self) -> Repairs {
        Repairs::default()
    }

    /// The matrix with rows and columns exchanged, where the file holds that: for a look at it
    /// without a read.
    fn transposed(&self) -> Option<&dyn Source> {
        None
    }

    /// Bytes of scratch that [`FileMatrix::turn`] will write; `None` where there is nothing to turn
    /// around.
    fn to_turn(&self) -> Option<u64> {
        None
    }

    /// Turns a matrix around that the file does not hold cell by cell: one read of the file. The
    /// first reader does it where nobody did before.
    ///
    /// # Errors
    /// Where the file is damaged, scratch is full or the work is cancelled.
    fn turn(&self) -> cellmill_engine::Result<()> {
        Ok(())
    }
}
