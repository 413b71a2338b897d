//! What another process needs to open the same matrix.

use super::{CsrSource, Repairs};
use crate::error::{Error, Result};
use crate::file_matrix::{FileMatrix, MatrixSpec};
use crate::open::{FileIdentity, Opened};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// A matrix in a file, in a form that travels: a path, never the values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// The file, as it was.
    pub file: FileIdentity,
    /// The element's address in it.
    pub address: String,
    /// A hash of where the values lie in the file.
    pub table_hash: u64,
    /// Rows of a block, where the blocks were prescribed.
    pub block_rows: Option<u64>,
}

impl FileMatrix for CsrSource {
    fn spec(&self) -> MatrixSpec {
        MatrixSpec::Csr(CsrSource::spec(self))
    }

    fn stored_dtype(&self) -> String {
        self.data.dtype.to_string()
    }

    fn resident_bytes(&self) -> u64 {
        CsrSource::resident_bytes(self)
    }

    fn path(&self) -> &Path {
        &self.file.path
    }

    fn repairs(&self) -> Repairs {
        CsrSource::repairs(self)
    }
}

impl CsrSource {
    /// What another process needs to open this matrix.
    pub fn spec(&self) -> SourceSpec {
        SourceSpec {
            file: self.file.identity.clone(),
            address: self.address.clone(),
            table_hash: self.table_hash,
            block_rows: self.block_rows,
        }
    }

    /// Opens the matrix that `spec` names.
    ///
    /// # Errors
    /// [`Error::Changed`] where size, time or chunk table are not those of the plan, and what
    /// [`crate::H5ad::csr_source`] can meet.
    pub fn from_spec(spec: &SourceSpec) -> Result<Self> {
        let file = Arc::new(Opened::open(&spec.file.path)?);
        let changed = |what: String| Error::Changed {
            path: spec.file.path.clone(),
            what,
        };
        if file.identity.size != spec.file.size {
            return Err(changed(format!(
                "it had {} bytes and has {}",
                spec.file.size, file.identity.size
            )));
        }
        if file.identity.mtime_ns != spec.file.mtime_ns {
            return Err(changed("it was written to".into()));
        }
        let source = Self::open(&file, &spec.address)?;
        if source.table_hash != spec.table_hash {
            return Err(changed(format!("{} lies elsewhere in it", spec.address)));
        }
        Ok(match spec.block_rows {
            Some(rows) => source.with_grid_rows(rows),
            None => source,
        })
    }
}
