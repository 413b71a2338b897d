//! Tools: one file for each scanpy function.

pub mod leiden;
pub mod umap;
