//! The parameters of a run: one definition of every default.

use crate::pp::filter::Filters;
use crate::pp::highly_variable_genes::{Flavor, HvgParams, Selection};
use crate::slot::{dict, float, integer, text};
use crate::{Error, Result};
use cellmill_io::{Array, ArrayData, Elem};
use serde::{Deserialize, Serialize};

/// What counts are scaled to (`sc.pp.normalize_total`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum TargetSum {
    /// Every cell to this total.
    Fixed(f64),
    /// Every cell to the median of the totals of cells with counts.
    Median,
}

/// Distance between cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Length of the difference.
    Euclidean,
    /// One minus the cosine of the angle.
    Cosine,
}

impl Metric {
    /// scanpy's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Euclidean => "euclidean",
            Self::Cosine => "cosine",
        }
    }
}

/// Where a layout begins (`init_pos` of `sc.tl.umap`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// Eigenvectors of the graph's Laplacian.
    Spectral,
    /// The first two principal components.
    Pca,
    /// Uniform in a square.
    Random,
}

impl Init {
    /// scanpy's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spectral => "spectral",
            Self::Pca => "pca",
            Self::Random => "random",
        }
    }
}

/// Which matrix the result holds as X.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteX {
    /// X log-normalised, and the counts as a layer.
    Lognorm,
    /// X is the counts.
    Counts,
    /// X log-normalised, selected genes only; var is cut to them.
    Hvg,
    /// No X and no layer: annotations only.
    None,
}

impl WriteX {
    /// The option's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lognorm => "lognorm",
            Self::Counts => "counts",
            Self::Hvg => "hvg",
            Self::None => "none",
        }
    }
}

/// Every option of `cellmill run` that can change a number or a slot of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct RunParams {
    /// The count matrix (`X`, `raw/X`, `layers/counts`); `None`: the one that holds raw counts.
    pub matrix: Option<String>,
    /// Takes counts with fractions (SoupX, RSEM) as counts.
    pub fractional: bool,
    /// The column of var that holds the genes' symbols; `None`: the first known one.
    pub gene_symbols: Option<String>,
    /// Which cells and genes stay.
    pub filters: Filters,
    /// What cells are scaled to.
    pub target_sum: TargetSum,
    /// Base of the logarithm; `None`: natural.
    pub log_base: Option<f64>,
    /// Which genes are selected.
    pub hvg: HvgParams,
    /// Genes that are never highly variable, and stay in totals: names, patterns, families, `@FILE`
    /// ([`crate::identity::Identity::named`]). Means, bins and normalised dispersions are those of
    /// all genes; the best of the others are selected.
    pub hvg_exclude: Vec<String>,
    /// The obs column of batches in which genes are selected one by one; `None`: in all cells.
    pub batch_key: Option<String>,
    /// Principal components; `None`: scanpy's rule (50).
    pub n_comps: Option<u32>,
    /// Neighbours a cell, itself counted.
    pub n_neighbors: usize,
    /// Components that the neighbours use; `None`: all.
    pub n_pcs: Option<usize>,
    /// Distance between cells.
    pub metric: Metric,
    /// Leiden resolutions, a column of clusters for each.
    pub resolutions: Vec<f64>,
    /// Leiden iterations, -1 until no gain.
    pub n_iterations: i32,
    /// UMAP: least distance of points in the layout.
    pub min_dist: f64,
    /// UMAP: scale of the layout.
    pub spread: f64,
    /// UMAP: the curve itself, in place of `min_dist` and `spread`.
    pub curve: Option<(f64, f64)>,
    /// UMAP epochs; `None`: 500 up to 10,000 cells, else 200.
    pub epochs: Option<u32>,
    /// UMAP: where the layout begins.
    pub init: Init,
    /// UMAP: initial learning rate.
    pub alpha: f64,
    /// UMAP: weight of repulsion.
    pub gamma: f64,
    /// UMAP: repelling samples for each attracting one.
    pub negative_sample_rate: u32,
    /// Seed of neighbours, clusters and layout (scanpy's `random_state`).
    pub seed: u64,
    /// Which matrix the result holds.
    pub write_x: WriteX,
    /// Replaces slots of the input that have the names of new ones.
    pub overwrite: bool,
    /// Blocks of this many rows in place of the grid's own (for tests).
    pub block_rows: Option<u64>,
}

impl Default for RunParams {
    fn default() -> Self {
        Self {
            matrix: None,
            fractional: false,
            gene_symbols: None,
            filters: Filters::default(),
            target_sum: TargetSum::Fixed(1e4),
            log_base: None,
            hvg: HvgParams::default(),
            hvg_exclude: Vec::new(),
            batch_key: None,
            n_comps: None,
            n_neighbors: 15,
            n_pcs: None,
            metric: Metric::Euclidean,
            resolutions: vec![1.0],
            n_iterations: 2,
            min_dist: 0.5,
            spread: 1.0,
            curve: None,
            epochs: None,
            init: Init::Spectral,
            alpha: 1.0,
            gamma: 1.0,
            negative_sample_rate: 5,
            seed: 0,
            write_x: WriteX::Lognorm,
            overwrite: false,
            block_rows: None,
        }
    }
}

impl RunParams {
    /// Refuses what cannot work, before any work starts.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the parameter, its value and its range.
    pub fn validate(&self) -> Result<()> {
        let positive = |name: &str, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(Error::Parameter(format!(
                    "{name} is {value}, and must be a number above 0"
                )))
            }
        };
        self.filters.validate()?;
        if let TargetSum::Fixed(target) = self.target_sum {
            positive("target_sum", target)?;
        }
        if let Some(base) = self.log_base {
            positive("log_base", base)?;
            if base == 1.0 {
                return Err(Error::Parameter(
                    "log_base is 1, which has no logarithm".to_owned(),
                ));
            }
        }
        self.hvg.validate()?;
        if self.n_comps == Some(0) {
            return Err(Error::Parameter(
                "n_comps is 0, and must be at least 1".to_owned(),
            ));
        }
        if self.n_neighbors < 2 {
            return Err(Error::Parameter(format!(
                "n_neighbors is {}, and must be at least 2 (it counts the cell itself)",
                self.n_neighbors
            )));
        }
        if self.n_pcs == Some(0) {
            return Err(Error::Parameter(
                "n_pcs is 0, and must be at least 1".to_owned(),
            ));
        }
        if self.resolutions.is_empty() {
            return Err(Error::Parameter(
                "no resolution was given for leiden".to_owned(),
            ));
        }
        for &resolution in &self.resolutions {
            if !(resolution.is_finite() && resolution >= 0.0) {
                return Err(Error::Parameter(format!(
                    "resolution is {resolution}, and must be a number of at least 0"
                )));
            }
        }
        if self.n_iterations == 0 || self.n_iterations < -1 {
            return Err(Error::Parameter(format!(
                "n_iterations is {}, and must be at least 1, or -1 for as long as it gains",
                self.n_iterations
            )));
        }
        positive("spread", self.spread)?;
        if !(self.min_dist.is_finite() && self.min_dist >= 0.0 && self.min_dist <= self.spread) {
            return Err(Error::Parameter(format!(
                "min_dist is {}, and must lie between 0 and spread ({})",
                self.min_dist, self.spread
            )));
        }
        if let Some((a, b)) = self.curve {
            positive("a", a)?;
            positive("b", b)?;
        }
        if self.epochs == Some(0) {
            return Err(Error::Parameter(
                "epochs is 0, and must be at least 1".to_owned(),
            ));
        }
        positive("alpha", self.alpha)?;
        if !(self.gamma.is_finite() && self.gamma >= 0.0) {
            return Err(Error::Parameter(format!(
                "gamma is {}, and must be a number of at least 0",
                self.gamma
            )));
        }
        if self.block_rows == Some(0) {
            return Err(Error::Parameter(
                "block_rows is 0, and must be at least 1".to_owned(),
            ));
        }
        Ok(())
    }

    /// The options that changed numbers, for `uns/cellmill`. `matrix` is the matrix that was used.
    pub fn to_uns(&self, matrix: &str) -> Elem {
        let mut entries = vec![
            ("version", text(env!("CARGO_PKG_VERSION"))),
            ("matrix", text(matrix)),
            (
                "target_sum",
                match self.target_sum {
                    TargetSum::Fixed(t) => float(t),
                    TargetSum::Median => text("median"),
                },
            ),
            ("flavor", text(self.hvg.flavor.name())),
        ];
        match self.hvg.flavor {
            Flavor::Seurat => entries.push(("n_bins", integer(self.hvg.n_bins as i64))),
            Flavor::CellRanger => {}
            Flavor::SeuratV3 | Flavor::SeuratV3Paper => {
                entries.push(("span", float(self.hvg.span)));
            }
            Flavor::PearsonResiduals => {
                entries.push(("theta", float(self.hvg.theta)));
                entries.extend(self.hvg.clip.map(|clip| ("clip", float(clip))));
            }
        }
        if self.hvg.filter_unexpressed {
            let yes = Elem::Scalar(cellmill_io::Scalar::Bool(true));
            entries.push(("filter_unexpressed_genes", yes));
        }
        if !self.hvg_exclude.is_empty() {
            let words = Array {
                shape: vec![self.hvg_exclude.len() as u64],
                data: ArrayData::Str(self.hvg_exclude.clone()),
            };
            entries.push(("hvg_exclude", Elem::Array(words)));
        }
        if let Some(key) = &self.batch_key {
            entries.push(("batch_key", text(key)));
        }
        match self.hvg.selection {
            Selection::Top(n) => entries.push(("n_top_genes", integer(n as i64))),
            Selection::Cutoffs {
                min_mean,
                max_mean,
                min_disp,
                max_disp,
            } => entries.extend([
                ("min_mean", float(min_mean)),
                ("max_mean", float(max_mean)),
                ("min_disp", float(min_disp)),
                ("max_disp", float(max_disp)),
            ]),
        }
        for (name, value) in self.filters.entries() {
            entries.push((name, float(value)));
        }
        let cells = self.filters.cells.as_ref().map(|p| p.display().to_string());
        if let Some(path) = &cells {
            entries.push(("cells", text(path)));
        }
        if let Some(name) = &self.gene_symbols {
            entries.push(("gene_symbols", text(name)));
        }
        if let Some(base) = self.log_base {
            entries.push(("log_base", float(base)));
        }
        if let Some(n) = self.n_comps {
            entries.push(("n_comps", integer(i64::from(n))));
        }
        if let Some(n) = self.n_pcs {
            entries.push(("n_pcs", integer(n as i64)));
        }
        let resolutions = Array {
            shape: vec![self.resolutions.len() as u64],
            data: ArrayData::F64(self.resolutions.clone()),
        };
        entries.extend([
            ("n_neighbors", integer(self.n_neighbors as i64)),
            ("metric", text(self.metric.name())),
            ("resolution", Elem::Array(resolutions)),
            ("n_iterations", integer(i64::from(self.n_iterations))),
            ("min_dist", float(self.min_dist)),
            ("spread", float(self.spread)),
            ("init", text(self.init.name())),
            ("alpha", float(self.alpha)),
            ("gamma", float(self.gamma)),
            (
                "negative_sample_rate",
                integer(i64::from(self.negative_sample_rate)),
            ),
            ("seed", integer(self.seed as i64)),
        ]);
        if let Some((a, b)) = self.curve {
            entries.extend([("a", float(a)), ("b", float(b))]);
        }
        if let Some(n) = self.epochs {
            entries.push(("epochs", integer(i64::from(n))));
        }
        if let Some(n) = self.block_rows {
            entries.push(("block_rows", integer(n as i64)));
        }
        dict(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        RunParams::default().validate().unwrap();
    }

    #[test]
    fn each_bad_value_is_named() {
        let bad = |change: fn(&mut RunParams), name: &str| {
            let mut params = RunParams::default();
            change(&mut params);
            let message = params.validate().unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        };
        bad(|p| p.target_sum = TargetSum::Fixed(-1.0), "target_sum");
        bad(|p| p.target_sum = TargetSum::Fixed(f64::NAN), "target_sum");
        bad(|p| p.log_base = Some(1.0), "log_base");
        bad(|p| p.hvg.selection = Selection::Top(0), "n_top_genes");
        bad(|p| p.n_neighbors = 1, "n_neighbors");
        bad(|p| p.resolutions = vec![-0.1], "resolution");
        bad(|p| p.n_iterations = 0, "n_iterations");
        bad(|p| p.min_dist = 2.0, "min_dist");
        bad(|p| p.epochs = Some(0), "epochs");
        bad(|p| p.block_rows = Some(0), "block_rows");
    }
}
