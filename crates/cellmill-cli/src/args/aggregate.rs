//! Options of `aggregate`.

use super::MachineArgs;
use cellmill::get::aggregate::file::Func;
use clap::Args;
use std::path::PathBuf;

/// Options of `aggregate`.
#[derive(Debug, Args)]
pub struct AggregateArgs {
    /// An h5ad file, a zarr folder, or a file or folder of 10x Genomics.
    pub file: PathBuf,
    /// The result: an h5ad file or a zarr folder (`.zarr`), as the end of the name says.
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
    /// Replaces what stands there.
    #[arg(long)]
    pub force: bool,
    /// The obs column that tells the groups apart; several: their combinations that there are.
    #[arg(long, value_name = "KEY", required = true)]
    pub by: Vec<String>,
    /// What is computed, a layer each: sum, mean, count_nonzero, var; several with commas.
    #[arg(
        long,
        value_name = "FUNC",
        value_delimiter = ',',
        default_value = "sum"
    )]
    pub func: Vec<Func>,
    /// The matrix, of any kind: X, raw/X or layers/NAME; by default the one that holds raw counts.
    #[arg(long, value_name = "ADDRESS")]
    pub matrix: Option<String>,
    /// Takes counts with fractions (SoupX, RSEM) as counts.
    #[arg(long)]
    pub fractional: bool,
    /// Degrees of freedom of the variance: it is divided by cells - N.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub dof: u32,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}
