//! Options of `convert`.

use super::MachineArgs;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// An h5ad file.
    H5ad,
    /// A zarr folder of AnnData, version 3.
    Zarr,
    /// A folder of 10x Genomics.
    Mtx,
}

/// How matrices lie in what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Sparse, cell by cell.
    Csr,
    /// Sparse, gene by gene.
    Csc,
    /// Every value, zeros as well.
    Dense,
}

/// Options of `convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// An h5ad file, a zarr folder, or a file or folder of 10x Genomics.
    pub file: PathBuf,
    /// What is written: an h5ad file, a zarr folder (`.zarr`) or, of the counts alone, a folder of 10x
    /// Genomics (`.mtx`), as the end of the name says.
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
    /// Replaces what stands there.
    #[arg(long)]
    pub force: bool,
    /// What to write, where the name does not say it.
    #[arg(long, value_enum, value_name = "FORM")]
    pub to: Option<Form>,
    /// How X and the layers are written: sparse cell by cell (csr), sparse gene by gene (csc: two more
    /// reads, and scratch), or dense, in chunks of whole cells. raw and graphs stay csr.
    #[arg(long, value_enum, value_name = "LAYOUT", default_value = "csr")]
    pub layout: Layout,
    /// The count matrix for a folder of 10x Genomics: X, raw/X or layers/NAME; by default the one that
    /// holds raw counts.
    #[arg(long, value_name = "ADDRESS")]
    pub matrix: Option<String>,
    /// Keeps the cells whose names are in this file, one a line, in the order of the input.
    #[arg(long, value_name = "FILE")]
    pub cells: Option<PathBuf>,
    /// Keeps the genes whose names are in this file, one a line, in the order of the input.
    #[arg(long, value_name = "FILE")]
    pub genes: Option<PathBuf>,
    /// Writes everything anew with this gzip level, 0 for none; without it, compressed chunks are
    /// copied where they can be.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u32).range(0..=9))]
    pub gzip: Option<u32>,
    /// Entries in a chunk of a matrix; writes everything anew.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=16_777_216))]
    pub chunk: Option<u64>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}
