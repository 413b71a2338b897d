//! Preprocessing: one file for each scanpy function.

pub mod calculate_qc_metrics;
pub mod downsample_counts;
pub mod filter;
pub mod highly_variable_genes;
pub mod neighbors;
pub mod normalize_total;
pub mod pca;
pub mod regress_out;
pub mod scale;
