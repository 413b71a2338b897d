//! Files of 10x Genomics: HDF5 of version 3 and of version 2, and folders of Matrix Market files.
//!
//! All of them are stored cell by cell, seen as genes x cells: what they call columns are our rows.
//! The names and columns of obs and var are those of `scanpy.read_10x_h5` and `read_10x_mtx`.

pub(crate) mod hdf5;
pub(crate) mod mtx;
mod text;

use crate::csr::CsrSource;
use crate::elem::{DataFrame, Elem};
use crate::error::{Error, Result};
use crate::file_matrix::FileMatrix;
use crate::matrix::MatrixInfo;
use crate::open::{FileIdentity, Opened};
use crate::turned::TurnedSource;
use crate::workspace::Workspace;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Cells, genes and counts, without anything else.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) path: PathBuf,
    pub(crate) identity: FileIdentity,
    pub(crate) warnings: Vec<String>,
    /// One for each genome of a file of version 2, else one.
    all: Vec<Table>,
    /// Which of several is meant.
    chosen: Mutex<Option<usize>>,
}

/// The cells and genes of one genome.
#[derive(Debug)]
pub(crate) struct Table {
    /// The address of the matrix: `X`, or the genome where there are several.
    address: String,
    obs: DataFrame,
    var: DataFrame,
    info: MatrixInfo,
    counts: Counts,
}

/// Where the counts are.
#[derive(Debug)]
enum Counts {
    /// The parts of a sparse matrix in a group of an HDF5 file.
    Parts { file: Arc<Opened>, group: String },
    /// A Matrix Market file.
    Mtx(Box<mtx::Mtx>),
}

impl Tables {
    fn table(&self) -> Result<&Table> {
        let chosen = *self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        match (chosen, &self.all[..]) {
            (Some(i), all) if i < all.len() => Ok(&all[i]),
            (None, [only]) => Ok(only),
            (_, all) => Err(Error::Unsupported {
                path: self.path.clone(),
                element: "the root group".into(),
                what: format!("it holds {} genomes", all.len()),
                instead: format!("choose one with --matrix: {}", self.names().join(", ")),
            }),
        }
    }

    fn names(&self) -> Vec<&str> {
        self.all.iter().map(|t| t.address.as_str()).collect()
    }

    /// Makes the genome whose matrix has this address the one that obs and var are of.
    pub(crate) fn choose(&self, address: &str) {
        let found = self.all.iter().position(|t| t.address == address);
        if found.is_some() {
            *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = found;
        }
    }

    fn missing(&self, address: &str) -> Error {
        Error::MissingElement {
            path: self.path.clone(),
            element: address.into(),
            instead: format!("there are obs, var, {}", self.names().join(", ")),
        }
    }

    fn matrix(&self, address: &str) -> Result<&Table> {
        let found = self.all.iter().find(|t| t.address == address);
        match found {
            Some(table) => Ok(table),
            None if address == "X" && self.all.len() > 1 => self.table(),
            None => Err(self.missing(address)),
        }
    }

    pub(crate) fn keys(&self, group: &str) -> Vec<String> {
        let mut names = vec!["obs".to_owned(), "var".to_owned()];
        names.extend(self.names().iter().map(|&n| n.to_owned()));
        if group.is_empty() { names } else { Vec::new() }
    }

    pub(crate) fn exists(&self, address: &str) -> bool {
        matches!(address, "obs" | "var") || self.matrix(address).is_ok()
    }

    pub(crate) fn frame(&self, address: &str) -> Result<&DataFrame> {
        match address {
            "obs" => Ok(&self.table()?.obs),
            "var" => Ok(&self.table()?.var),
            other => Err(self.missing(other)),
        }
    }

    pub(crate) fn read(&self, address: &str) -> Result<Elem> {
        self.frame(address).cloned().map(Elem::DataFrame)
    }

    pub(crate) fn shape_of(&self, address: &str) -> Result<Vec<u64>> {
        match address {
            "obs" | "var" => {
                let frame = self.frame(address)?;
                Ok(vec![frame.index.len() as u64, frame.columns.len() as u64])
            }
            _ => Ok(self.matrix(address)?.info.shape.to_vec()),
        }
    }

    pub(crate) fn matrices(&self) -> Vec<MatrixInfo> {
        self.all.iter().map(|t| t.info.clone()).collect()
    }

    pub(crate) fn matrix_info(&self, address: &str) -> Result<MatrixInfo> {
        self.matrix(address).map(|t| t.info.clone())
    }

    pub(crate) fn source(
        &self,
        address: &str,
        workspace: &Workspace,
    ) -> Result<Box<dyn FileMatrix>> {
        let table = self.matrix(address)?;
        Ok(match &table.counts {
            Counts::Parts { file, group } => Box::new(
                CsrSource::of_parts(file, &table.address, group, table.info.shape)?
                    .known_as(&table.info.data_dtype),
            ),
            Counts::Mtx(mtx) => {
                let turned = mtx.turned(&self.identity, workspace)?;
                Box::new(TurnedSource::new(turned, workspace))
            }
        })
    }
}
