//! Graphs over points: neighbours, fuzzy sets, communities, layouts.
//!
//! This crate knows points and sparse graphs in memory, and nothing of cells, files or Python.
//! Its SIMD kernels live in `kernel`: unsafe code is there, and in one call in `trim`, nowhere else in
//! this crate. No result depends on the number of threads.

pub mod fuzzy;
pub mod graph;
mod handed;
pub mod kernel;
pub mod knn;
pub mod leiden;
pub mod points;
mod relabel;
pub mod spectral;
mod trim;
pub mod umap;

pub use fuzzy::fuzzy_simplicial_set;
pub use graph::{KnnGraph, WeightedGraph};
pub use handed::Handed;
pub use knn::{KnnParams, Method, Metric, knn};
pub use leiden::{Leiden, LeidenParams};
pub use points::{Points, Rows};
pub use spectral::{spectral_layout, spectral_layout_of_points};
pub use trim::give_back;
pub use umap::{Init, Ordered, UmapParams, find_ab_params, initial_layout, layout_parts, umap};
