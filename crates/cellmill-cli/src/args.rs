//! The command line: one definition of every flag.

mod aggregate;
mod convert;
mod machine;
mod run;
mod size;

pub use aggregate::AggregateArgs;
pub use convert::{ConvertArgs, Form, Layout};
pub use machine::MachineArgs;
pub use run::RunArgs;
pub use size::Size;

use cellmill::input::Several;
use cellmill::matrix::Join;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Single-cell atlases, out of core: from counts to clusters and pictures.
#[derive(Debug, Parser)]
#[command(name = "cellmill", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows what a file holds, and which matrices look like raw counts.
    Info(InfoArgs),
    /// Prints the plan of a run: stages, reads, memory and scratch. Computes nothing.
    Plan(PlanArgs),
    /// Runs the whole job: counts, genes, PCA, neighbours, clusters, layout.
    Run(WholeArgs),
    /// Writes the numbers of quality control into obs and var.
    Qc(StepArgs),
    /// Finds highly variable genes.
    Hvg(StepArgs),
    /// Computes principal components of the highly variable genes.
    Pca(StepArgs),
    /// Finds neighbours and their fuzzy set.
    Neighbors(StepArgs),
    /// Clusters the neighbour graph.
    Leiden(StepArgs),
    /// Lays the neighbour graph out in the plane.
    Umap(StepArgs),
    /// Writes a file in another form: h5ad, zarr, 10x folder; other compression, some cells and genes.
    Convert(ConvertArgs),
    /// Takes the cells of each group together (pseudobulk): sums, means, variances of every gene.
    Aggregate(AggregateArgs),
    /// Writes a realistic synthetic atlas.
    Simulate(SimulateArgs),
    /// Draws pictures of a result.
    Plot(PlotArgs),
}

/// Options of `info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// An h5ad file, a zarr folder, or a file or folder of 10x Genomics.
    pub file: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// An h5ad file, a zarr folder, or a file or folder of 10x Genomics.
    pub file: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// A TOML file of options.
#[derive(Debug, Args)]
pub struct ConfigArg {
    /// A TOML file with options by the same names; options on the command line win.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Where a result goes.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// The result, an h5ad file.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Replaces the result file if it exists.
    #[arg(long)]
    pub force: bool,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct WholeArgs {
    /// An h5ad file, a zarr folder, or a file or folder of 10x Genomics; several are put together.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) several: SeveralArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    /// Folds and searches on this Dask cluster, whose workers see the file by the same path; needs
    /// the Python package.
    #[arg(long, value_name = "ADDRESS")]
    pub dask: Option<String>,
    /// Draws the layout coloured by this obs column; may be given several times.
    #[arg(long, value_name = "KEY")]
    pub color: Vec<String>,
    /// Where pictures go, with --color.
    #[arg(long, value_name = "DIR", requires = "color")]
    pub figs: Option<PathBuf>,
}

/// How several files are put together.
#[derive(Debug, Args)]
pub struct SeveralArgs {
    /// The column of obs that says which file a cell is from.
    #[arg(long, value_name = "KEY")]
    pub batch_column: Option<String>,
    /// Which genes stay: those of all files, or those of any.
    #[arg(long, value_enum, default_value_t = JoinArg::Inner)]
    pub join: JoinArg,
    /// Appends this and the file's name to the names of its cells.
    #[arg(long, value_name = "TEXT")]
    pub index_unique: Option<String>,
}

/// Which genes of several files stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JoinArg {
    /// Those that all files have.
    Inner,
    /// Those that any file has.
    Outer,
}

impl SeveralArgs {
    /// What the library wants.
    pub(crate) fn how(&self) -> Several {
        Several {
            batch_column: self.batch_column.clone(),
            join: match self.join {
                JoinArg::Inner => Join::Inner,
                JoinArg::Outer => Join::Outer,
            },
            index_unique: self.index_unique.clone(),
        }
    }
}

/// Options of a single step.
#[derive(Debug, Args)]
pub struct StepArgs {
    /// An h5ad file with what the step needs; for the first steps also a zarr folder, or a file or
    /// folder of 10x Genomics.
    pub file: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// The representation that neighbours are found in, a key of obsm.
    #[arg(long, value_name = "KEY")]
    pub use_rep: Option<String>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// Options of `simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The h5ad file to write.
    pub output: PathBuf,
    /// Number of cells.
    #[arg(long, default_value_t = 20_000)]
    pub cells: u64,
    /// Number of genes.
    #[arg(long, default_value_t = 27_714)]
    pub genes: u32,
    /// Mean number of stored entries a cell.
    #[arg(long, default_value_t = 1000.0)]
    pub entries_per_cell: f64,
    /// Number of cell types; by default it grows with the number of cells.
    #[arg(long)]
    pub types: Option<u32>,
    /// Number of batches.
    #[arg(long)]
    pub batches: Option<u32>,
    /// Seed.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Draws from the cells of this h5ad file instead of from the model.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// The count matrix of --from.
    #[arg(long, value_name = "ADDRESS", requires = "from")]
    pub matrix: Option<String>,
    /// The obs column of --from whose labels are carried over.
    #[arg(long, value_name = "KEY", requires = "from")]
    pub label: Option<String>,
    /// Writes the counts as X and not, as CELLxGENE does, as raw/X.
    #[arg(long)]
    pub plain: bool,
    /// Replaces the file if it exists.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// What `plot` draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlotKind {
    /// Cells, coloured.
    Embedding,
    /// The share of each component in the variance.
    #[value(name = "pca_variance", alias = "pca-variance")]
    PcaVariance,
    /// Dispersion against mean.
    Hvg,
}

/// File formats of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Pixels.
    Png,
    /// Vector text and axes over pixels of points.
    Svg,
}

/// Options of `plot`.
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// The result, an h5ad file.
    pub file: PathBuf,
    /// What colours the cells: an obs column or a gene; may be given several times, never split.
    #[arg(long, value_name = "KEY")]
    pub color: Vec<String>,
    /// The folder for pictures.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// What to draw.
    #[arg(long, value_enum, default_value_t = PlotKind::Embedding)]
    pub kind: PlotKind,
    /// Which coordinates: `umap` stands for obsm `X_umap`, and so on.
    #[arg(long, default_value = "umap")]
    pub basis: String,
    /// The matrix that a gene's values are taken from (X, raw/X, layers/NAME).
    #[arg(long, default_value = "X", value_name = "ADDRESS")]
    pub matrix: String,
    /// The file that a gene's values are taken from, where it is not the result.
    #[arg(long, value_name = "FILE")]
    pub source: Option<PathBuf>,
    /// The column of var that holds the genes' symbols [default: the first known one].
    #[arg(long, value_name = "COLUMN")]
    pub gene_symbols: Option<String>,
    /// PNG, SVG, or both.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Format::Png, Format::Svg])]
    pub format: Vec<Format>,
    /// Writes names onto the clusters in place of a legend.
    #[arg(long)]
    pub on_data: bool,
    /// Diameter of a point in pixels.
    #[arg(long)]
    pub point_size: Option<f32>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}
