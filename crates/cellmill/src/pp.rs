//! Preprocessing: one file for each scanpy function.

pub mod highly_variable_genes;
pub mod neighbors;
pub mod normalize_total;
pub mod pca;
