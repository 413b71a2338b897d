//! Single-cell atlases, out of core: from counts to clusters and pictures.

pub mod draw;
pub mod simulate;
