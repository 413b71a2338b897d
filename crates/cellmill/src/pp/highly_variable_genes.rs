//! Highly variable genes (`sc.pp.highly_variable_genes`).

mod moments;
mod seurat;

pub use moments::{MomentsPlan, of_matrix};

use crate::slot::{Patch, Slot, dict, text};
use crate::{Error, Result, keys};
use cellmill_io::{ArrayData, Column};
use serde::{Deserialize, Serialize};

/// How genes are chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Selection {
    /// The `n` genes of highest normalised dispersion (more where genes tie at the cut).
    Top(u64),
    /// Genes strictly inside these bounds.
    Cutoffs {
        /// Lower bound of the mean.
        min_mean: f64,
        /// Upper bound of the mean.
        max_mean: f64,
        /// Lower bound of the normalised dispersion.
        min_disp: f64,
        /// Upper bound of the normalised dispersion.
        max_disp: f64,
    },
}

impl Selection {
    /// scanpy's default cut-offs.
    pub fn default_cutoffs() -> Self {
        Self::Cutoffs {
            min_mean: 0.0125,
            max_mean: 3.0,
            min_disp: 0.5,
            max_disp: f64::INFINITY,
        }
    }
}

/// Parameters of [`highly_variable_genes`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HvgParams {
    /// How genes are chosen.
    pub selection: Selection,
    /// Number of bins of equal width over the means.
    pub n_bins: usize,
}

/// What `highly_variable_genes` finds, an entry for each gene.
#[derive(Debug, Clone, PartialEq)]
pub struct HighlyVariable {
    /// The flavour that found it.
    pub flavor: &'static str,
    /// log1p of the mean of the normalised counts.
    pub means: Vec<f64>,
    /// Log of variance over mean; NaN where the variance is 0.
    pub dispersions: Vec<f64>,
    /// Dispersion against mean and standard deviation of its bin.
    pub dispersions_norm: Vec<f64>,
    /// Whether the gene is selected.
    pub highly_variable: Vec<bool>,
    /// Something that the user should know, as scanpy would warn.
    pub warnings: Vec<String>,
}

impl HighlyVariable {
    /// The selected genes, increasing.
    pub fn selected(&self) -> Vec<u32> {
        (0u32..)
            .zip(&self.highly_variable)
            .filter(|&(_, &h)| h)
            .map(|(i, _)| i)
            .collect()
    }

    /// The slots that scanpy writes: var `highly_variable`, `means`, `dispersions` (f64),
    /// `dispersions_norm` (f32), uns `hvg`.
    pub fn patch(&self) -> Patch {
        let norm = self.dispersions_norm.iter().map(|&x| x as f32).collect();
        Patch::new()
            .var(
                keys::HIGHLY_VARIABLE,
                Column::Plain(ArrayData::Bool(self.highly_variable.clone())),
            )
            .var(
                keys::MEANS,
                Column::Plain(ArrayData::F64(self.means.clone())),
            )
            .var(
                keys::DISPERSIONS,
                Column::Plain(ArrayData::F64(self.dispersions.clone())),
            )
            .var(keys::DISPERSIONS_NORM, Column::Plain(ArrayData::F32(norm)))
            .elem(
                Slot::Uns(keys::HVG.to_owned()),
                dict(vec![("flavor", text(self.flavor))]),
            )
    }
}

/// Finds highly variable genes by flavour `seurat`, from moments of the normalised counts.
///
/// `means` and `variances` (ddof 1) are those of count / total x target sum, an entry for each
/// gene, before any logarithm: the flavour undoes the log, so the log is never needed.
///
/// Matches `sc.pp.highly_variable_genes(flavor="seurat")` of scanpy 1.12.
///
/// # Errors
/// [`Error::Parameter`] for a selection of no gene or fewer than one bin; [`Error::Data`] where
/// no gene has a dispersion, or no gene is left.
///
/// ```
/// use cellmill::pp::highly_variable_genes::{HvgParams, Selection, highly_variable_genes};
/// let params = HvgParams { selection: Selection::Top(1), n_bins: 1 };
/// let hvg = highly_variable_genes(&[1.0, 1.1, 1.2], &[0.5, 9.0, 0.6], &params)?;
/// assert_eq!(hvg.selected(), [1]);
/// # Ok::<(), cellmill::Error>(())
/// ```
pub fn highly_variable_genes(
    means: &[f64],
    variances: &[f64],
    params: &HvgParams,
) -> Result<HighlyVariable> {
    if params.n_bins == 0 {
        return Err(Error::Parameter(
            "n_bins is 0; at least one bin is needed".to_owned(),
        ));
    }
    if params.selection == Selection::Top(0) {
        return Err(Error::Parameter(
            "n_top_genes is 0; at least one gene must be selected".to_owned(),
        ));
    }
    if means.len() != variances.len() {
        return Err(Error::Parameter(format!(
            "{} means and {} variances were given; they must be of the same genes",
            means.len(),
            variances.len()
        )));
    }
    let found = seurat::seurat(means, variances, params)?;
    if !found.highly_variable.contains(&true) {
        return Err(Error::Data(
            "no gene lies inside the cut-offs of highly_variable_genes; widen --min-mean, \
             --max-mean, --min-disp and --max-disp, or give --n-top-genes"
                .to_owned(),
        ));
    }
    Ok(found)
}
