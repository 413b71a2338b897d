//! A file or folder of cells that is open for reading.

use crate::csr::CsrSource;
use crate::dense::DenseSource;
use crate::elem::{DataFrame, Elem};
use crate::elem_read::{self, dataframe};
use crate::error::{Error, Result};
use crate::file_matrix::FileMatrix;
use crate::matrix::{self, MatrixInfo};
use crate::open::{FileIdentity, Opened};
use crate::store::hdf5::Kind;
use crate::tenx::{self, Tables};
use crate::turned;
use crate::workspace::Workspace;
use std::path::Path;
use std::sync::Arc;

/// Cells and genes that are open for reading: an h5ad file, an HDF5 file of 10x Genomics or a folder
/// of its Matrix Market files. Nothing is ever written to it, and of HDF5 a program that writes is
/// kept out as long as this is alive.
///
/// Addresses are those of an h5ad file: `obs`, `X`, `raw/X`, `layers/counts`, `uns/pca/variance`.
#[derive(Debug, Clone)]
pub struct H5ad {
    store: Store,
    workspace: Workspace,
}

#[derive(Debug, Clone)]
enum Store {
    Hdf5(Arc<Opened>),
    Tables(Arc<Tables>),
}

impl H5ad {
    /// Opens a file or folder.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`], [`crate::Error::NotHdf5`], [`crate::Error::Locked`],
    /// [`crate::Error::Truncated`], or what the system says.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_in(path, &Workspace::default())
    }

    /// Opens a file or folder whose matrices may use this scratch folder and memory.
    ///
    /// # Errors
    /// As [`H5ad::open`].
    pub fn open_in(path: &Path, workspace: &Workspace) -> Result<Self> {
        let store = match tenx::mtx::open(path)? {
            Some(tables) => Store::Tables(Arc::new(tables)),
            None => {
                let file = Arc::new(Opened::open(path)?);
                match tenx::hdf5::open(&file)? {
                    Some(tables) => Store::Tables(Arc::new(tables)),
                    None => Store::Hdf5(file),
                }
            }
        };
        Ok(Self {
            store,
            workspace: workspace.clone(),
        })
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        match &self.store {
            Store::Hdf5(file) => &file.path,
            Store::Tables(tables) => &tables.path,
        }
    }

    /// What makes the file this file.
    pub fn identity(&self) -> FileIdentity {
        match &self.store {
            Store::Hdf5(file) => file.identity.clone(),
            Store::Tables(tables) => tables.identity.clone(),
        }
    }

    /// What a user should know about how the file could be opened.
    pub fn warnings(&self) -> &[String] {
        match &self.store {
            Store::Hdf5(file) => &file.warnings,
            Store::Tables(tables) => &tables.warnings,
        }
    }

    /// The names in a group, sorted; none where the group is not there. `""` is the root.
    ///
    /// # Errors
    /// Where the file is damaged.
    pub fn keys(&self, group: &str) -> Result<Vec<String>> {
        match &self.store {
            Store::Hdf5(file) => match file.find(group)? {
                Some(object) if object.kind() == Kind::Group => {
                    object.names().map_err(|fault| file.fault(group, fault))
                }
                _ => Ok(Vec::new()),
            },
            Store::Tables(tables) => Ok(tables.keys(group)),
        }
    }

    /// Whether there is an element at `address`.
    pub fn exists(&self, address: &str) -> bool {
        match &self.store {
            Store::Hdf5(file) => matches!(file.find(address), Ok(Some(_))),
            Store::Tables(tables) => tables.exists(address),
        }
    }

    /// Reads an element of any encoding, whole. A matrix of the size of an atlas does not belong
    /// here: see [`H5ad::source`].
    ///
    /// # Errors
    /// Where it is missing or damaged. What this version does not read becomes
    /// [`Elem::Foreign`].
    pub fn read(&self, address: &str) -> Result<Elem> {
        match &self.store {
            Store::Hdf5(file) => elem_read::read(file, address),
            Store::Tables(tables) => tables.read(address),
        }
    }

    /// Reads a dataframe (`obs`, `var`, `raw/var`), or some of its columns, in the order asked for.
    ///
    /// # Errors
    /// Where it or one of the columns is missing or damaged.
    pub fn read_dataframe(&self, address: &str, columns: Option<&[String]>) -> Result<DataFrame> {
        match &self.store {
            Store::Hdf5(file) => dataframe::read(file, address, columns),
            Store::Tables(tables) => {
                let frame = tables.frame(address)?.clone();
                dataframe::select(&tables.path, address, frame, columns)
            }
        }
    }

    /// The columns of a dataframe, in its own order, without the index.
    ///
    /// # Errors
    /// Where it is missing or damaged.
    pub fn dataframe_columns(&self, address: &str) -> Result<Vec<String>> {
        match &self.store {
            Store::Hdf5(file) => dataframe::columns(file, address),
            Store::Tables(tables) => {
                let frame = tables.frame(address)?;
                Ok(frame.columns.iter().map(|(name, _)| name.clone()).collect())
            }
        }
    }

    /// The dimensions of an element: rows (and columns) of a matrix or an array, rows and columns
    /// of a dataframe.
    ///
    /// # Errors
    /// Where it is missing, damaged or has none.
    pub fn shape_of(&self, address: &str) -> Result<Vec<u64>> {
        match &self.store {
            Store::Hdf5(file) => elem_read::shape_of(file, address),
            Store::Tables(tables) => tables.shape_of(address),
        }
    }

    /// `X`, `raw/X` and every layer, as far as they are there; the genomes where a file of 10x
    /// Genomics has several.
    ///
    /// # Errors
    /// Where one of them is damaged.
    pub fn matrices(&self) -> Result<Vec<MatrixInfo>> {
        if let Store::Tables(tables) = &self.store {
            return Ok(tables.matrices());
        }
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

    /// Says which of several genomes `obs` and `var` are of from here on, by its matrix. Without a
    /// meaning for other files.
    pub fn choose(&self, matrix: &str) {
        if let Store::Tables(tables) = &self.store {
            tables.choose(matrix);
        }
    }

    /// Describes the matrix at `address`.
    ///
    /// # Errors
    /// Where it is missing or damaged.
    pub fn matrix_info(&self, address: &str) -> Result<MatrixInfo> {
        match &self.store {
            Store::Hdf5(file) => matrix::describe(file, address),
            Store::Tables(tables) => tables.matrix_info(address),
        }
    }

    /// The CSR matrix at `address` of an h5ad file as a source of row blocks.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for every other matrix; [`crate::Error::Malformed`] where the
    /// parts contradict each other; [`crate::Error::Truncated`] where the file ends before them.
    pub fn csr_source(&self, address: &str) -> Result<CsrSource> {
        match &self.store {
            Store::Hdf5(file) => CsrSource::open(file, address),
            Store::Tables(tables) => Err(Error::Unsupported {
                path: tables.path.clone(),
                element: address.into(),
                what: "it is in no h5ad file".into(),
                instead: "convert the file first".into(),
            }),
        }
    }

    /// The matrix at `address` as a source of row blocks, in whatever way it is stored; in blocks of
    /// `block_rows` cells, where a number is given.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for filters that neither this crate nor the library can undo;
    /// [`crate::Error::Malformed`] where the parts contradict each other;
    /// [`crate::Error::Truncated`] where the file ends before them.
    pub fn source(&self, address: &str, block_rows: Option<u64>) -> Result<Arc<dyn FileMatrix>> {
        let address = address.trim_matches('/');
        let mut source = match &self.store {
            Store::Hdf5(file) => self.of_hdf5(file, address)?,
            Store::Tables(tables) => tables.source(address, &self.workspace)?,
        };
        if let Some(rows) = block_rows {
            source.set_grid_rows(rows.max(1));
        }
        Ok(source.into())
    }

    fn of_hdf5(&self, file: &Arc<Opened>, address: &str) -> Result<Box<dyn FileMatrix>> {
        let object = file.object(address)?;
        let encoding = matrix::encoding_of(file, address, &object)?;
        Ok(match encoding.as_str() {
            "dense" => Box::new(DenseSource::open(file, address)?),
            "csc" => Box::new(turned::open_csc(file, address, &self.workspace)?),
            _ => Box::new(CsrSource::open(file, address)?),
        })
    }

    /// The HDF5 file whose elements can be copied as they are stored.
    pub(crate) fn opened(&self) -> Option<&Arc<Opened>> {
        match &self.store {
            Store::Hdf5(file) => Some(file),
            Store::Tables(_) => None,
        }
    }

    /// Whether [`crate::H5adWriter::copy_from`] copies elements as they are stored, compressed
    /// chunks included.
    pub fn copies_chunks(&self) -> bool {
        self.opened().is_some()
    }
}
