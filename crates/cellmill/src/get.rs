//! Values out of a matrix: one file for each scanpy function.

pub mod aggregate;
