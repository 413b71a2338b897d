//! A file or folder of cells that is open for reading.

use crate::csr::CsrSource;
use crate::dense::DenseSource;
use crate::elem::{DataFrame, Elem};
use crate::elem_read::{self, dataframe};
use crate::error::{Error, Result};
use crate::file_matrix::FileMatrix;
use crate::matrix::{self, MatrixInfo, ReadPath};
use crate::open::{FileIdentity, Opened};
use crate::store::hdf5::Kind;
use crate::store::zarr::{Node, Zarr};
use crate::tenx::{self, Tables};
use crate::turned::{self, TurnedSource};
use crate::workspace::Workspace;
use crate::zarr_read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Cells and genes that are open for reading: an h5ad file, a zarr folder of AnnData, an HDF5
/// file of 10x Genomics or a folder of its Matrix Market files. Nothing is ever written to it, and of HDF5 a program that writes is
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
    Zarr(Arc<Zarr>),
    Together(Arc<Together>),
}

/// Cells and genes that were put together from several files.
#[derive(Clone)]
pub struct Together {
    /// The path that is named in messages.
    pub path: PathBuf,
    /// The cells.
    pub obs: DataFrame,
    /// The genes.
    pub var: DataFrame,
    /// The counts.
    pub x: Arc<dyn FileMatrix>,
}

impl std::fmt::Debug for Together {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.x.describe())
    }
}

impl Together {
    fn missing(&self, address: &str) -> Error {
        Error::MissingElement {
            path: self.path.clone(),
            element: address.into(),
            instead: "of several files there are obs, var and X".into(),
        }
    }

    fn frame(&self, address: &str) -> Result<&DataFrame> {
        match address {
            "obs" => Ok(&self.obs),
            "var" => Ok(&self.var),
            other => Err(self.missing(other)),
        }
    }

    fn info(&self, address: &str) -> Result<MatrixInfo> {
        if address != "X" {
            return Err(self.missing(address));
        }
        Ok(MatrixInfo {
            address: "X".into(),
            encoding: "csr".into(),
            shape: self.x.shape(),
            nnz: self.x.nnz(),
            data_dtype: self.x.stored_dtype(),
            indices_dtype: "int64".into(),
            indptr_dtype: "int64".into(),
            chunk_entries: None,
            filters: Vec::new(),
            compressed_bytes: 0,
            path: ReadPath::Fast,
        })
    }
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
            None if path.is_dir() => match Zarr::open(path)? {
                Some(zarr) => Store::Zarr(Arc::new(zarr)),
                None => Store::Hdf5(Arc::new(Opened::open(path)?)),
            },
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

    /// Cells and genes of several files, as if they were one.
    pub fn together(all: Together) -> Self {
        Self {
            store: Store::Together(Arc::new(all)),
            workspace: Workspace::default(),
        }
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        match &self.store {
            Store::Hdf5(file) => &file.path,
            Store::Tables(tables) => &tables.path,
            Store::Zarr(zarr) => &zarr.origin.path,
            Store::Together(all) => &all.path,
        }
    }

    /// What makes the file this file.
    pub fn identity(&self) -> FileIdentity {
        match &self.store {
            Store::Hdf5(file) => file.identity.clone(),
            Store::Tables(tables) => tables.identity.clone(),
            Store::Zarr(zarr) => zarr.origin.identity.clone(),
            Store::Together(all) => all.x.spec().file,
        }
    }

    /// What a user should know about how the file could be opened.
    pub fn warnings(&self) -> &[String] {
        match &self.store {
            Store::Hdf5(file) => &file.warnings,
            Store::Tables(tables) => &tables.warnings,
            Store::Zarr(_) | Store::Together(_) => &[],
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
            Store::Zarr(zarr) => match zarr.node(group)? {
                Some(Node::Group(_)) => zarr.names(group),
                _ => Ok(Vec::new()),
            },
            Store::Together(_) if group.is_empty() => {
                Ok(["X", "obs", "var"].map(str::to_owned).to_vec())
            }
            Store::Together(_) => Ok(Vec::new()),
        }
    }

    /// Whether there is an element at `address`.
    pub fn exists(&self, address: &str) -> bool {
        match &self.store {
            Store::Hdf5(file) => matches!(file.find(address), Ok(Some(_))),
            Store::Tables(tables) => tables.exists(address),
            // anndata writes a null where there is no raw or X; in uns it is Python's None.
            Store::Zarr(zarr) => {
                let none = |node: &Node| node.text("encoding-type") == Some("null");
                matches!(zarr.node(address), Ok(Some(node)) if address.contains('/') || !none(&node))
            }
            Store::Together(_) => matches!(address, "X" | "obs" | "var"),
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
            Store::Zarr(zarr) => zarr_read::read(zarr, address),
            Store::Together(all) => all.frame(address).cloned().map(Elem::DataFrame),
        }
    }

    /// The names in `uns` of categories that old files keep there, and that are read with their
    /// columns.
    ///
    /// # Errors
    /// Where the file is damaged.
    pub fn categories_in_uns(&self) -> Result<Vec<String>> {
        match &self.store {
            Store::Hdf5(file) => elem_read::legacy::category_keys(file),
            _ => Ok(Vec::new()),
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
            Store::Zarr(zarr) => zarr_read::read_dataframe(zarr, address, columns),
            Store::Together(all) => {
                dataframe::select(&all.path, address, all.frame(address)?.clone(), columns)
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
            Store::Zarr(zarr) => zarr_read::columns(zarr, address),
            Store::Together(all) => {
                let columns = &all.frame(address)?.columns;
                Ok(columns.iter().map(|(name, _)| name.clone()).collect())
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
            Store::Zarr(zarr) => zarr_read::shape_of(zarr, address.trim_matches('/')),
            Store::Together(all) if address == "X" => Ok(all.x.shape().to_vec()),
            Store::Together(all) => {
                let frame = all.frame(address)?;
                Ok(vec![frame.index.len() as u64, frame.columns.len() as u64])
            }
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
            Store::Zarr(zarr) => zarr_read::matrix_info(zarr, address.trim_matches('/')),
            Store::Together(all) => all.info(address),
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
            _ => Err(Error::Unsupported {
                path: self.path().into(),
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
            Store::Zarr(zarr) => zarr_read::source(zarr, address, &self.workspace)?,
            // Its blocks are those of its parts.
            Store::Together(all) => return all.info(address).map(|_| all.x.clone()),
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
            "csc" => {
                let open = || CsrSource::open_transposed(file, address);
                let turned = turned::open_csc(&file.origin, address, open)?;
                Box::new(TurnedSource::new(turned, &self.workspace))
            }
            _ => Box::new(CsrSource::open(file, address)?),
        })
    }

    /// The HDF5 file whose elements can be copied as they are stored.
    pub(crate) fn opened(&self) -> Option<&Arc<Opened>> {
        match &self.store {
            Store::Hdf5(file) => Some(file),
            Store::Tables(_) | Store::Zarr(_) | Store::Together(_) => None,
        }
    }

    /// Whether [`crate::H5adWriter::copy_from`] copies elements as they are stored, compressed
    /// chunks included.
    pub fn copies_chunks(&self) -> bool {
        self.opened().is_some()
    }
}
