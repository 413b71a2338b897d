//! Any matrix of a file that can be read as a stream of row blocks, whatever its format.

use crate::csr::{CsrSource, Repairs, SourceSpec};
use crate::error::Result;
use cellmill_engine::Source;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A matrix in a file, in a form that travels: a path, never the values. One variant for each
/// format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "snake_case")]
pub enum MatrixSpec {
    /// CSR in an h5ad file.
    Csr(SourceSpec),
}

impl MatrixSpec {
    /// Opens the matrix.
    ///
    /// # Errors
    /// [`crate::Error::Changed`] where the file is not the one that the specification was made
    /// for, and whatever opening such a matrix can meet.
    pub fn open(&self) -> Result<Arc<dyn FileMatrix>> {
        Ok(match self {
            Self::Csr(spec) => Arc::new(CsrSource::from_spec(spec)?),
        })
    }

    /// The file.
    pub fn path(&self) -> &PathBuf {
        match self {
            Self::Csr(spec) => &spec.file.path,
        }
    }
}

/// A matrix of a file as a [`Source`], which another process can open again.
pub trait FileMatrix: Source {
    /// What another process needs to open this matrix.
    fn spec(&self) -> MatrixSpec;

    /// The type of the values in the file, in numpy's words.
    fn stored_dtype(&self) -> String;

    /// Heap bytes that the source holds while it is open.
    fn resident_bytes(&self) -> u64;

    /// The file.
    fn path(&self) -> &Path;

    /// What had to be put right in the blocks that were read so far.
    fn repairs(&self) -> Repairs {
        Repairs::default()
    }
}
