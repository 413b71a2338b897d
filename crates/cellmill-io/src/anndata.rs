//! An h5ad file that is open for reading.

use crate::csr::CsrSource;
use crate::elem::{DataFrame, Elem};
use crate::elem_read::{self, dataframe};
use crate::error::Result;
use crate::file_matrix::FileMatrix;
use crate::matrix::{self, MatrixInfo};
use crate::open::{FileIdentity, Opened};
use crate::store::hdf5::Kind;
use std::path::Path;
use std::sync::Arc;

/// An h5ad file that is open for reading. It is never written to, and a program that writes to it
/// is kept out as long as this is alive.
///
/// Addresses are those of the file: `obs`, `X`, `raw/X`, `layers/counts`, `uns/pca/variance`.
#[derive(Debug, Clone)]
pub struct H5ad {
    file: Arc<Opened>,
}

impl H5ad {
    /// Opens a file.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`], [`crate::Error::NotHdf5`], [`crate::Error::Locked`],
    /// [`crate::Error::Truncated`], or what the system says.
    pub fn open(path: &Path) -> Result<Self> {
        Opened::open(path).map(|file| Self {
            file: Arc::new(file),
        })
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// What makes the file this file.
    pub fn identity(&self) -> FileIdentity {
        self.file.identity.clone()
    }

    /// What a user should know about how the file could be opened.
    pub fn warnings(&self) -> &[String] {
        &self.file.warnings
    }

    /// The names in a group, sorted; none where the group is not there. `""` is the root.
    ///
    /// # Errors
    /// Where the file is damaged.
    pub fn keys(&self, group: &str) -> Result<Vec<String>> {
        match self.file.find(group)? {
            Some(object) if object.kind() == Kind::Group => object
                .names()
                .map_err(|fault| self.file.fault(group, fault)),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether there is an element at `address`.
    pub fn exists(&self, address: &str) -> bool {
        matches!(self.file.find(address), Ok(Some(_)))
    }

    /// Reads an element of any encoding, whole. A matrix of the size of an atlas does not belong
    /// here: see [`H5ad::csr_source`].
    ///
    /// # Errors
    /// Where it is missing or damaged. What this version does not read becomes
    /// [`Elem::Foreign`].
    pub fn read(&self, address: &str) -> Result<Elem> {
        elem_read::read(&self.file, address)
    }

    /// Reads a dataframe (`obs`, `var`, `raw/var`), or some of its columns, in the order asked for.
    ///
    /// # Errors
    /// Where it or one of the columns is missing or damaged.
    pub fn read_dataframe(&self, address: &str, columns: Option<&[String]>) -> Result<DataFrame> {
        dataframe::read(&self.file, address, columns)
    }

    /// The columns of a dataframe, in its own order, without the index.
    ///
    /// # Errors
    /// Where it is missing or damaged.
    pub fn dataframe_columns(&self, address: &str) -> Result<Vec<String>> {
        dataframe::columns(&self.file, address)
    }

    /// The dimensions of an element: rows (and columns) of a matrix or an array, rows and columns
    /// of a dataframe.
    ///
    /// # Errors
    /// Where it is missing, damaged or has none.
    pub fn shape_of(&self, address: &str) -> Result<Vec<u64>> {
        elem_read::shape_of(&self.file, address)
    }

    /// `X`, `raw/X` and every layer, as far as they are there.
    ///
    /// # Errors
    /// Where one of them is damaged.
    pub fn matrices(&self) -> Result<Vec<MatrixInfo>> {
        let mut addresses: Vec<String> = ["X", "raw/X"]
            .iter()
            .filter(|a| self.exists(a))
            .map(|&a| a.into())
            .collect();
        addresses.extend(
            self.keys("layers")?
                .into_iter()
                .map(|name| format!("layers/{name}")),
        );
        addresses
            .iter()
            .map(|address| self.matrix_info(address))
            .collect()
    }

    /// Describes the matrix at `address`.
    ///
    /// # Errors
    /// Where it is missing or damaged.
    pub fn matrix_info(&self, address: &str) -> Result<MatrixInfo> {
        matrix::describe(&self.file, address)
    }

    /// The CSR matrix at `address` as a source of row blocks.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for CSC and dense matrices and for filters that neither this
    /// crate nor the library can undo; [`crate::Error::Malformed`] where the parts contradict
    /// each other; [`crate::Error::Truncated`] where the file ends before them.
    pub fn csr_source(&self, address: &str) -> Result<CsrSource> {
        CsrSource::open(&self.file, address)
    }

    /// The matrix at `address` as a source of row blocks, in whatever way it is stored; in blocks of
    /// `block_rows` cells, where a number is given.
    ///
    /// # Errors
    /// As [`H5ad::csr_source`].
    pub fn source(&self, address: &str, block_rows: Option<u64>) -> Result<Arc<dyn FileMatrix>> {
        let source = self.csr_source(address)?;
        Ok(Arc::new(match block_rows {
            Some(rows) => source.with_grid_rows(rows.max(1)),
            None => source,
        }))
    }

    pub(crate) fn opened(&self) -> &Arc<Opened> {
        &self.file
    }
}
