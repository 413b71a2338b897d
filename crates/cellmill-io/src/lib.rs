//! Bytes: AnnData files in and out. This crate computes no statistic.
//!
//! Readers never panic on any bytes, an input file is never written to, an output appears whole
//! or not at all.

pub mod anndata;
pub mod csr;
pub mod dense;
pub mod elem;
mod elem_read;
pub mod error;
pub mod file_matrix;
pub mod matrix;
pub mod open;
mod store;
mod tenx;
pub mod turned;
pub mod workspace;
pub mod write;
mod zarr_read;

pub use anndata::{H5ad, Together};
pub use csr::{CsrSource, Repairs};
pub use dense::DenseSource;
pub use elem::{Array, ArrayData, Categorical, Column, DataFrame, Elem, Scalar, SparseMatrix};
pub use error::{Error, Result};
pub use file_matrix::{FileMatrix, MatrixSpec};
pub use matrix::{MatrixInfo, ReadPath};
pub use open::FileIdentity;
pub use turned::TurnedSource;
pub use workspace::Workspace;
pub use write::{
    CsrSink, CsrSinkOptions, DenseSink, DenseSinkOptions, H5adWriter, MtxSink, MtxWriter,
    SinkDtype, WriteOptions, abandon,
};
