//! Options that change numbers.

use cellmill::params::{Init, Metric, RunParams, TargetSum, WriteX};
use cellmill::pp::filter::Filters;
use cellmill::pp::highly_variable_genes::{Flavor, Selection};
use clap::Args;
use serde::{Deserialize, Deserializer};
use std::path::PathBuf;

/// `1e4` or `median`.
fn target_sum(s: &str) -> Result<TargetSum, String> {
    if s.eq_ignore_ascii_case("median") {
        return Ok(TargetSum::Median);
    }
    s.parse()
        .map(TargetSum::Fixed)
        .map_err(|_| format!("`{s}` is neither a number nor `median`"))
}

fn flavor(s: &str) -> Result<Flavor, String> {
    Flavor::parse(s).map_err(|e| e.to_string())
}

fn metric(s: &str) -> Result<Metric, String> {
    match s {
        "euclidean" => Ok(Metric::Euclidean),
        "cosine" => Ok(Metric::Cosine),
        _ => Err(format!(
            "`{s}` is not a metric; known are euclidean and cosine"
        )),
    }
}

fn init(s: &str) -> Result<Init, String> {
    match s {
        "spectral" => Ok(Init::Spectral),
        "pca" => Ok(Init::Pca),
        "random" => Ok(Init::Random),
        _ => Err(format!(
            "`{s}` is no initialisation; known are spectral, pca and random"
        )),
    }
}

fn write_x(s: &str) -> Result<WriteX, String> {
    match s {
        "lognorm" => Ok(WriteX::Lognorm),
        "counts" => Ok(WriteX::Counts),
        "hvg" => Ok(WriteX::Hvg),
        "none" => Ok(WriteX::None),
        _ => Err(format!(
            "`{s}` is not known; known are lognorm, counts, hvg and none"
        )),
    }
}

fn de_target_sum<'de, D: Deserializer<'de>>(d: D) -> Result<Option<TargetSum>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(f64),
        Text(String),
    }
    match Either::deserialize(d)? {
        Either::Number(x) => Ok(Some(TargetSum::Fixed(x))),
        Either::Text(s) => target_sum(&s).map(Some).map_err(serde::de::Error::custom),
    }
}

fn de_one_or_many<'de, D, T>(d: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        One(T),
        Many(Vec<T>),
    }
    Ok(match Either::deserialize(d)? {
        Either::One(x) => vec![x],
        Either::Many(v) => v,
    })
}

/// The method's parameters. What is not given has [`RunParams`]' default.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RunArgs {
    /// The count matrix: X, raw/X or layers/NAME; by default the one that holds raw counts.
    #[arg(long, value_name = "ADDRESS", help_heading = "Counts")]
    pub matrix: Option<String>,
    /// Takes counts with fractions (SoupX, RSEM) as counts.
    #[arg(long, help_heading = "Counts")]
    pub fractional: bool,
    /// The column of var that holds the genes' symbols [default: the first known one].
    #[arg(long, value_name = "COLUMN", help_heading = "Counts")]
    pub gene_symbols: Option<String>,
    /// Total that each cell is scaled to, or `median` [default: 1e4].
    #[arg(long, value_parser = target_sum, value_name = "SUM", help_heading = "Counts")]
    #[serde(deserialize_with = "de_target_sum")]
    pub target_sum: Option<TargetSum>,
    /// Base of the logarithm [default: natural].
    #[arg(long, value_name = "BASE", help_heading = "Counts")]
    pub log_base: Option<f64>,
    /// A file of obs names, one a line: the cells that are looked at.
    #[arg(long, value_name = "FILE", help_heading = "Filters (run)")]
    pub cells: Option<PathBuf>,
    /// Keeps cells with at least this many genes.
    #[arg(long, value_name = "N", help_heading = "Filters (run)")]
    pub min_genes: Option<u64>,
    /// Keeps cells with at most this many genes.
    #[arg(long, value_name = "N", help_heading = "Filters (run)")]
    pub max_genes: Option<u64>,
    /// Keeps cells with at least this total.
    #[arg(long, value_name = "X", help_heading = "Filters (run)")]
    pub min_counts: Option<f64>,
    /// Keeps cells with at most this total.
    #[arg(long, value_name = "X", help_heading = "Filters (run)")]
    pub max_counts: Option<f64>,
    /// Keeps cells of whose total mitochondrial genes have at most this percentage.
    #[arg(long, value_name = "PERCENT", help_heading = "Filters (run)")]
    pub max_mt: Option<f64>,
    /// Keeps genes that are in at least this many of the cells that are left.
    #[arg(long, value_name = "N", help_heading = "Filters (run)")]
    pub min_cells: Option<u64>,
    /// How highly variable genes are found: seurat, cell_ranger, seurat_v3, seurat_v3_paper or
    /// pearson_residuals [default: seurat].
    #[arg(long, value_parser = flavor, value_name = "FLAVOR", help_heading = "Genes")]
    pub flavor: Option<Flavor>,
    /// The obs column of batches: genes are found in each, and those kept that most agree on.
    #[arg(long, value_name = "KEY", help_heading = "Genes")]
    pub batch_key: Option<String>,
    /// Genes that are never highly variable, and stay in totals: a name or shell-like pattern of
    /// whole names, symbols or identifiers ('MT-*'), a family (mt, ribo, hb), or @FILE, a list of
    /// names, one a line. Statistics are those of all genes; the best of the others are selected. May
    /// be given several times.
    #[arg(long, value_name = "GENES", help_heading = "Genes")]
    #[serde(deserialize_with = "de_one_or_many")]
    pub hvg_exclude: Vec<String>,
    /// Number of highly variable genes [default: 2000, unless a cut-off is given].
    #[arg(long, value_name = "N", help_heading = "Genes",
          conflicts_with_all = ["min_mean", "max_mean", "min_disp", "max_disp"])]
    pub n_top_genes: Option<u64>,
    /// Lower cut-off of the mean [default: 0.0125].
    #[arg(long, value_name = "X", help_heading = "Genes")]
    pub min_mean: Option<f64>,
    /// Upper cut-off of the mean [default: 3].
    #[arg(long, value_name = "X", help_heading = "Genes")]
    pub max_mean: Option<f64>,
    /// Lower cut-off of the normalised dispersion [default: 0.5].
    #[arg(
        long,
        value_name = "X",
        help_heading = "Genes",
        allow_negative_numbers = true
    )]
    pub min_disp: Option<f64>,
    /// Upper cut-off of the normalised dispersion [default: none].
    #[arg(
        long,
        value_name = "X",
        help_heading = "Genes",
        allow_negative_numbers = true
    )]
    pub max_disp: Option<f64>,
    /// Number of bins over the means, of flavor seurat [default: 20].
    #[arg(long, value_name = "N", help_heading = "Genes")]
    pub n_bins: Option<usize>,
    /// Share of the genes that a point of the loess fit looks at, of flavor seurat_v3 [default: 0.3].
    #[arg(long, value_name = "X", help_heading = "Genes")]
    pub span: Option<f64>,
    /// Overdispersion, of flavor pearson_residuals [default: 100].
    #[arg(long, value_name = "X", help_heading = "Genes")]
    pub theta: Option<f64>,
    /// Leaves genes that no cell has out of the bins, of flavors seurat and cell_ranger.
    #[arg(long, help_heading = "Genes")]
    pub filter_unexpressed_genes: bool,
    /// Number of principal components [default: 50].
    #[arg(long, value_name = "N", help_heading = "PCA")]
    pub n_comps: Option<u32>,
    /// Neighbours a cell, itself counted [default: 15].
    #[arg(long, value_name = "K", help_heading = "Neighbours")]
    pub n_neighbors: Option<usize>,
    /// Components that the neighbours are found in [default: all].
    #[arg(long, value_name = "N", help_heading = "Neighbours")]
    pub n_pcs: Option<usize>,
    /// Distance: euclidean or cosine [default: euclidean].
    #[arg(long, value_parser = metric, help_heading = "Neighbours")]
    pub metric: Option<Metric>,
    /// Leiden resolution [default: 1]; may be given several times, a column for each.
    #[arg(long, value_name = "R", help_heading = "Leiden")]
    #[serde(deserialize_with = "de_one_or_many")]
    pub resolution: Vec<f64>,
    /// Leiden iterations, -1 for as long as it gains [default: 2].
    #[arg(
        long,
        value_name = "N",
        help_heading = "Leiden",
        allow_negative_numbers = true
    )]
    pub n_iterations: Option<i32>,
    /// Least distance of points in the layout [default: 0.5].
    #[arg(long, value_name = "X", help_heading = "UMAP")]
    pub min_dist: Option<f64>,
    /// Scale of the layout [default: 1].
    #[arg(long, value_name = "X", help_heading = "UMAP")]
    pub spread: Option<f64>,
    /// The curve's a, in place of --min-dist and --spread.
    #[arg(long, value_name = "A", help_heading = "UMAP", requires = "b")]
    pub a: Option<f64>,
    /// The curve's b, in place of --min-dist and --spread.
    #[arg(long, value_name = "B", help_heading = "UMAP", requires = "a")]
    pub b: Option<f64>,
    /// Epochs [default: 500 up to 10,000 cells, else 200].
    #[arg(long, value_name = "N", help_heading = "UMAP")]
    pub epochs: Option<u32>,
    /// Where the layout begins: spectral, pca or random [default: spectral].
    #[arg(long, value_parser = init, help_heading = "UMAP")]
    pub init: Option<Init>,
    /// Initial learning rate [default: 1].
    #[arg(long, value_name = "X", help_heading = "UMAP")]
    pub alpha: Option<f64>,
    /// Weight of repulsion [default: 1].
    #[arg(long, value_name = "X", help_heading = "UMAP")]
    pub gamma: Option<f64>,
    /// Repelling samples for each attracting one [default: 5].
    #[arg(long, value_name = "N", help_heading = "UMAP")]
    pub negative_sample_rate: Option<u32>,
    /// Seed of neighbours, clusters and layout [default: 0].
    #[arg(long, value_name = "N", help_heading = "Result")]
    pub seed: Option<u64>,
    /// X of the result: lognorm (and counts as a layer), counts, hvg or none [default: lognorm].
    #[arg(long, value_parser = write_x, help_heading = "Result")]
    pub write_x: Option<WriteX>,
    /// Replaces slots of the input that have the names of new ones.
    #[arg(long, help_heading = "Result")]
    pub overwrite: bool,
    /// Blocks of this many cells in place of the grid's own; changes the last bits.
    #[arg(long, value_name = "N", hide = true)]
    pub block_rows: Option<u64>,
}

impl RunArgs {
    /// These options, and `other`'s where these are silent.
    pub fn or(self, other: Self) -> Self {
        let cutoffs = self.min_mean.is_some()
            || self.max_mean.is_some()
            || self.min_disp.is_some()
            || self.max_disp.is_some();
        Self {
            matrix: self.matrix.or(other.matrix),
            fractional: self.fractional || other.fractional,
            gene_symbols: self.gene_symbols.or(other.gene_symbols),
            cells: self.cells.or(other.cells),
            min_genes: self.min_genes.or(other.min_genes),
            max_genes: self.max_genes.or(other.max_genes),
            min_counts: self.min_counts.or(other.min_counts),
            max_counts: self.max_counts.or(other.max_counts),
            max_mt: self.max_mt.or(other.max_mt),
            min_cells: self.min_cells.or(other.min_cells),
            target_sum: self.target_sum.or(other.target_sum),
            log_base: self.log_base.or(other.log_base),
            n_top_genes: self.n_top_genes.or(other.n_top_genes.filter(|_| !cutoffs)),
            min_mean: self
                .min_mean
                .or(other.min_mean.filter(|_| self.n_top_genes.is_none())),
            max_mean: self
                .max_mean
                .or(other.max_mean.filter(|_| self.n_top_genes.is_none())),
            min_disp: self
                .min_disp
                .or(other.min_disp.filter(|_| self.n_top_genes.is_none())),
            max_disp: self
                .max_disp
                .or(other.max_disp.filter(|_| self.n_top_genes.is_none())),
            flavor: self.flavor.or(other.flavor),
            hvg_exclude: if self.hvg_exclude.is_empty() {
                other.hvg_exclude
            } else {
                self.hvg_exclude
            },
            batch_key: self.batch_key.or(other.batch_key),
            n_bins: self.n_bins.or(other.n_bins),
            span: self.span.or(other.span),
            theta: self.theta.or(other.theta),
            filter_unexpressed_genes: self.filter_unexpressed_genes
                || other.filter_unexpressed_genes,
            n_comps: self.n_comps.or(other.n_comps),
            n_neighbors: self.n_neighbors.or(other.n_neighbors),
            n_pcs: self.n_pcs.or(other.n_pcs),
            metric: self.metric.or(other.metric),
            resolution: if self.resolution.is_empty() {
                other.resolution
            } else {
                self.resolution
            },
            n_iterations: self.n_iterations.or(other.n_iterations),
            min_dist: self.min_dist.or(other.min_dist),
            spread: self.spread.or(other.spread),
            a: self.a.or(other.a),
            b: self.b.or(other.b),
            epochs: self.epochs.or(other.epochs),
            init: self.init.or(other.init),
            alpha: self.alpha.or(other.alpha),
            gamma: self.gamma.or(other.gamma),
            negative_sample_rate: self.negative_sample_rate.or(other.negative_sample_rate),
            seed: self.seed.or(other.seed),
            write_x: self.write_x.or(other.write_x),
            overwrite: self.overwrite || other.overwrite,
            block_rows: self.block_rows.or(other.block_rows),
        }
    }

    /// The parameters, with the defaults where nothing is given.
    pub fn to_params(&self) -> RunParams {
        let d = RunParams::default();
        let mut hvg = d.hvg;
        let given = [self.min_mean, self.max_mean, self.min_disp, self.max_disp];
        if given.iter().any(Option::is_some) {
            if let Selection::Cutoffs {
                min_mean,
                max_mean,
                min_disp,
                max_disp,
            } = Selection::default_cutoffs()
            {
                hvg.selection = Selection::Cutoffs {
                    min_mean: self.min_mean.unwrap_or(min_mean),
                    max_mean: self.max_mean.unwrap_or(max_mean),
                    min_disp: self.min_disp.unwrap_or(min_disp),
                    max_disp: self.max_disp.unwrap_or(max_disp),
                };
            }
        } else if let Some(n) = self.n_top_genes {
            hvg.selection = Selection::Top(n);
        }
        hvg.flavor = self.flavor.unwrap_or(hvg.flavor);
        hvg.n_bins = self.n_bins.unwrap_or(hvg.n_bins);
        hvg.span = self.span.unwrap_or(hvg.span);
        hvg.theta = self.theta.unwrap_or(hvg.theta);
        hvg.filter_unexpressed = self.filter_unexpressed_genes;
        RunParams {
            matrix: self.matrix.clone(),
            fractional: self.fractional,
            gene_symbols: self.gene_symbols.clone(),
            filters: Filters {
                cells: self.cells.clone(),
                min_genes: self.min_genes,
                max_genes: self.max_genes,
                min_counts: self.min_counts,
                max_counts: self.max_counts,
                max_mt: self.max_mt,
                min_cells: self.min_cells,
            },
            target_sum: self.target_sum.unwrap_or(d.target_sum),
            log_base: self.log_base,
            hvg,
            hvg_exclude: self.hvg_exclude.clone(),
            batch_key: self.batch_key.clone(),
            n_comps: self.n_comps,
            n_neighbors: self.n_neighbors.unwrap_or(d.n_neighbors),
            n_pcs: self.n_pcs,
            metric: self.metric.unwrap_or(d.metric),
            resolutions: if self.resolution.is_empty() {
                d.resolutions
            } else {
                self.resolution.clone()
            },
            n_iterations: self.n_iterations.unwrap_or(d.n_iterations),
            min_dist: self.min_dist.unwrap_or(d.min_dist),
            spread: self.spread.unwrap_or(d.spread),
            curve: self.a.zip(self.b),
            epochs: self.epochs,
            init: self.init.unwrap_or(d.init),
            alpha: self.alpha.unwrap_or(d.alpha),
            gamma: self.gamma.unwrap_or(d.gamma),
            negative_sample_rate: self.negative_sample_rate.unwrap_or(d.negative_sample_rate),
            seed: self.seed.unwrap_or(d.seed),
            write_x: self.write_x.unwrap_or(d.write_x),
            overwrite: self.overwrite,
            block_rows: self.block_rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_the_default() {
        assert_eq!(RunArgs::default().to_params(), RunParams::default());
    }

    #[test]
    fn a_toml_file_has_the_same_names() {
        let args: RunArgs =
            toml::from_str("target-sum = \"median\"\nresolution = [0.5, 1.0]\nmin-disp = 0.2\n")
                .unwrap();
        let params = args.to_params();
        assert_eq!(params.target_sum, TargetSum::Median);
        assert_eq!(params.resolutions, [0.5, 1.0]);
        assert!(
            matches!(params.hvg.selection, Selection::Cutoffs { min_disp, .. } if min_disp == 0.2)
        );
        assert!(toml::from_str::<RunArgs>("n-top-gene = 3").is_err());
    }

    #[test]
    fn the_command_line_wins() {
        let file: RunArgs = toml::from_str("n-neighbors = 30\nmin-mean = 0.1\nseed = 7").unwrap();
        let line = RunArgs {
            n_neighbors: Some(10),
            n_top_genes: Some(50),
            ..RunArgs::default()
        };
        let params = line.or(file).to_params();
        assert_eq!(params.n_neighbors, 10);
        assert_eq!(params.seed, 7);
        assert_eq!(params.hvg.selection, Selection::Top(50));
    }
}
