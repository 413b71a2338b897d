//! What a user can choose about a synthetic atlas.

use cellmill_engine::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the counts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// As CELLxGENE's files: counts in `raw/X` with `raw/var`; `X` absent, or log-normalised with
    /// [`SimulateParams::with_x`].
    #[default]
    Cellxgene,
    /// Counts in `X`, no `raw`.
    Plain,
}

/// The parameters of a synthetic atlas. Equal parameters give equal bits.
///
/// ```
/// use cellmill::simulate::SimulateParams;
/// let params = SimulateParams { n_cells: 3000, n_genes: 10_000, ..SimulateParams::default() };
/// assert!(params.check().is_ok());
/// let wrong = SimulateParams { entries_per_cell: 9000.0, ..params };
/// assert!(wrong.check().unwrap_err().to_string().contains("at most 3000"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimulateParams {
    /// The number of cells.
    pub n_cells: u64,
    /// The number of genes; 27,714 in the tutorial's atlas.
    pub n_genes: u32,
    /// The number of cell types (leaves of the tree). Without it 30 for large atlases, fewer for
    /// small ones.
    pub n_types: Option<u32>,
    /// The number of batches; each has two samples where there are cells enough.
    pub n_batches: u32,
    /// Stored entries (genes with a count) that a cell has on average, at most 0.3 of the genes.
    pub entries_per_cell: f64,
    /// The seed of everything.
    pub seed: u64,
    /// The share of the rarest type; frequencies rise from it geometrically.
    pub rare_fraction: f64,
    /// The share of each cell's molecules that come from the ambient profile.
    pub ambient_fraction: f64,
    /// Standard deviation of a batch's effect on the logarithm of a gene's share.
    pub batch_effect: f64,
    /// Where the counts go in a file.
    pub layout: Layout,
    /// Whether the CELLxGENE layout gets a log-normalised `X` as well (to 10,000 a cell).
    pub with_x: bool,
    /// Level of gzip, 1 to 9; 0 stores without compression.
    pub compression: u8,
}

impl Default for SimulateParams {
    fn default() -> Self {
        Self {
            n_cells: 20_000,
            n_genes: 27_714,
            n_types: None,
            n_batches: 8,
            entries_per_cell: 1000.0,
            seed: 0,
            rare_fraction: 0.001,
            ambient_fraction: 0.03,
            batch_effect: 0.1,
            layout: Layout::default(),
            with_x: false,
            compression: 4,
        }
    }
}

impl SimulateParams {
    /// The number of cell types: as asked for, else by the number of cells.
    pub fn types(&self) -> u32 {
        self.n_types
            .unwrap_or_else(|| ((self.n_cells as f64).powf(0.31).floor() as u32).clamp(1, 30))
    }

    /// Refuses what cannot be simulated.
    ///
    /// # Errors
    /// [`Error::Parameter`], a sentence that names the parameter, its value and its range.
    pub fn check(&self) -> Result<()> {
        let refuse = |text: String| Err(Error::Parameter(text));
        if self.n_cells == 0 {
            return refuse("n_cells is 0; an atlas needs at least 1 cell".to_owned());
        }
        if self.n_cells > 1 << 32 {
            return refuse(format!(
                "n_cells is {}; the most is 4,294,967,296",
                self.n_cells
            ));
        }
        if self.n_genes < 10 || self.n_genes > 1 << 24 {
            return refuse(format!(
                "n_genes is {}; expected 10 to 16,777,216",
                self.n_genes
            ));
        }
        let most = 0.3 * f64::from(self.n_genes);
        if !(self.entries_per_cell > 0.0 && self.entries_per_cell <= most) {
            return refuse(format!(
                "entries_per_cell is {}; expected above 0 and at most {most} (0.3 of {} genes; \
                 most genes are nearly silent, as in real cells): give fewer entries or more genes",
                self.entries_per_cell, self.n_genes
            ));
        }
        let types = self.types();
        if types == 0 || types > 1000 {
            return refuse(format!("n_types is {types}; expected 1 to 1000"));
        }
        if !(self.rare_fraction > 0.0 && self.rare_fraction <= 1.0 / f64::from(types)) {
            return refuse(format!(
                "rare_fraction is {}; expected above 0 and at most 1/{types}, the share of each \
                 of {types} equal types",
                self.rare_fraction
            ));
        }
        if self.n_batches == 0 || self.n_batches > 1000 {
            return refuse(format!(
                "n_batches is {}; expected 1 to 1000",
                self.n_batches
            ));
        }
        if !(0.0..=0.5).contains(&self.ambient_fraction) {
            return refuse(format!(
                "ambient_fraction is {}; expected 0 to 0.5",
                self.ambient_fraction
            ));
        }
        if !(0.0..=0.5).contains(&self.batch_effect) {
            return refuse(format!(
                "batch_effect is {}; expected 0 to 0.5",
                self.batch_effect
            ));
        }
        if self.compression > 9 {
            return refuse(format!(
                "compression is {}; expected 0 (none) to 9",
                self.compression
            ));
        }
        if self.with_x && self.layout == Layout::Plain {
            return refuse(
                "with_x asks for a log-normalised X, and the plain layout puts the counts there; \
                 choose the cellxgene layout"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// Real cells to draw from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulateFrom {
    /// The h5ad file.
    pub path: PathBuf,
    /// The element with raw counts (`X`, `raw/X`, `layers/counts`); without it the file's own.
    pub matrix: Option<String>,
    /// The obs column whose values a cell and its neighbour share.
    pub label: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut SimulateParams)) -> String {
        let mut params = SimulateParams::default();
        change(&mut params);
        params.check().expect_err("out of range").to_string()
    }

    #[test]
    fn errors_name_the_parameter_and_its_range() {
        assert!(refused(|p| p.n_cells = 0).contains("n_cells is 0"));
        assert!(refused(|p| p.n_genes = 3).contains("n_genes is 3; expected 10"));
        assert!(refused(|p| p.n_genes = 50).contains("at most 15"));
        assert!(refused(|p| p.entries_per_cell = f64::NAN).contains("entries_per_cell is NaN"));
        assert!(refused(|p| p.n_types = Some(0)).contains("n_types is 0"));
        assert!(refused(|p| p.rare_fraction = 0.2).contains("rare_fraction is 0.2"));
        assert!(refused(|p| p.n_batches = 0).contains("n_batches is 0"));
        assert!(refused(|p| p.ambient_fraction = -0.1).contains("ambient_fraction"));
        assert!(refused(|p| p.batch_effect = 7.0).contains("batch_effect is 7"));
        assert!(refused(|p| p.compression = 10).contains("compression is 10"));
        assert!(refused(|p| (p.with_x, p.layout) = (true, Layout::Plain)).contains("with_x"));
        assert!(SimulateParams::default().check().is_ok());
    }

    #[test]
    fn small_atlases_have_few_types() {
        let types = |n_cells| {
            SimulateParams {
                n_cells,
                ..SimulateParams::default()
            }
            .types()
        };
        assert_eq!(types(1), 1);
        assert_eq!(types(2700), 11);
        assert_eq!(types(1_462_702), 30);
    }

    #[test]
    fn a_serialised_form_may_leave_things_out() {
        let params: SimulateParams =
            serde_json::from_str(r#"{"n_cells": 7, "layout": "plain"}"#).expect("json");
        assert_eq!(
            (params.n_cells, params.layout, params.n_genes),
            (7, Layout::Plain, 27_714)
        );
        assert!(serde_json::from_str::<SimulateParams>(r#"{"cells": 7}"#).is_err());
    }
}
