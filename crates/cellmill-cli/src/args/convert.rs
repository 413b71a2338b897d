//! Options of `convert`.

use super::{MachineArgs, OutputArgs};
use clap::Args;
use std::path::PathBuf;

/// Options of `convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// An h5ad file, a zarr folder, or a file or folder of 10x Genomics.
    pub file: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
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
