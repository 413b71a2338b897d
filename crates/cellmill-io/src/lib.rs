//! Bytes: AnnData files in and out. This crate computes no statistic.
//!
//! Readers never panic on any bytes, an input file is never written to, an output appears whole
//! or not at all.

pub mod elem;

pub use elem::{Array, ArrayData, Categorical, Column, DataFrame, Elem, Scalar, SparseMatrix};
