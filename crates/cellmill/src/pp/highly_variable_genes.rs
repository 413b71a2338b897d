//! Highly variable genes (`sc.pp.highly_variable_genes`).
//!
//! The flavours `seurat` and `cell_ranger` need moments of the genes: one read. The flavours of
//! counts need a second read, for sums that depend on what the first one found.

mod batches;
mod bins;
mod dispersion;
mod labels;
mod moments;
mod of_matrix;
mod pearson_residuals;
mod ranks;
mod seurat_v3;

pub use labels::Labels;
pub use moments::MomentsPlan;
pub(crate) use of_matrix::sums_of_matrix;
pub use of_matrix::{FirstRead, SecondRead, finish, first_read, of_matrix, second_read};

use crate::slot::{Patch, Slot, dict, text};
use crate::{Error, Result, keys};
use cellmill_engine::reduce::Moments;
use cellmill_io::{ArrayData, Column};
use serde::{Deserialize, Serialize};

/// The method by which genes are compared, by scanpy's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flavor {
    /// Dispersion against genes of like mean, of the values before the logarithm.
    Seurat,
    /// Dispersion against genes of like mean, of the logarithmised values.
    CellRanger,
    /// Variance of counts against a loess fit; of several batches the median rank comes first.
    SeuratV3,
    /// The same; of several batches the number that agree comes first.
    SeuratV3Paper,
    /// Variance of Pearson residuals of counts.
    PearsonResiduals,
}

impl Flavor {
    /// Every flavour.
    pub const ALL: [Self; 5] = [
        Self::Seurat,
        Self::CellRanger,
        Self::SeuratV3,
        Self::SeuratV3Paper,
        Self::PearsonResiduals,
    ];

    /// scanpy's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seurat => "seurat",
            Self::CellRanger => "cell_ranger",
            Self::SeuratV3 => "seurat_v3",
            Self::SeuratV3Paper => "seurat_v3_paper",
            Self::PearsonResiduals => "pearson_residuals",
        }
    }

    /// The flavour of this name.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the names that there are.
    pub fn parse(name: &str) -> Result<Self> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|f| f.name() == name);
        found.ok_or_else(|| {
            Error::Parameter(format!(
                "flavor is {name:?}, and must be one of {}",
                known()
            ))
        })
    }

    /// Whether it looks at counts, and reads them twice.
    pub fn of_counts(self) -> bool {
        !matches!(self, Self::Seurat | Self::CellRanger)
    }
}

/// How genes are chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Selection {
    /// The `n` genes of highest normalised dispersion or variance (of dispersions more, where
    /// genes tie at the cut).
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

/// Parameters of [`of_matrix`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HvgParams {
    /// How genes are compared.
    pub flavor: Flavor,
    /// How genes are chosen; flavours of counts know [`Selection::Top`] only.
    pub selection: Selection,
    /// `seurat`: number of bins of equal width over the means.
    pub n_bins: usize,
    /// `seurat_v3`: share of the genes that a point of the loess fit looks at.
    pub span: f64,
    /// `pearson_residuals`: overdispersion.
    pub theta: f64,
    /// `pearson_residuals`: bound of the residuals; `None`: the root of the number of cells (of the
    /// first batch, as scanpy has it).
    pub clip: Option<f64>,
    /// `seurat` and `cell_ranger`: leaves genes out that no cell has; with batches always so.
    pub filter_unexpressed: bool,
    /// Flavours of counts: warns where a value is no count.
    pub check_values: bool,
}

impl Default for HvgParams {
    fn default() -> Self {
        Self {
            flavor: Flavor::Seurat,
            selection: Selection::Top(2000),
            n_bins: 20,
            span: 0.3,
            theta: 100.0,
            clip: None,
            filter_unexpressed: false,
            check_values: true,
        }
    }
}

impl HvgParams {
    /// Refuses what cannot work.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the parameter, its value and its range.
    pub fn validate(&self) -> Result<()> {
        let refuse = |sentence: String| Err(Error::Parameter(sentence));
        if self.selection == Selection::Top(0) {
            return refuse("n_top_genes is 0, and must be at least 1".to_owned());
        }
        if self.n_bins == 0 {
            return refuse("n_bins is 0, and must be at least 1".to_owned());
        }
        if !(self.span > 0.0 && self.span <= 1.0) {
            return refuse(format!(
                "span is {}, and must be above 0 and at most 1",
                self.span
            ));
        }
        if self.theta.is_nan() || self.theta <= 0.0 {
            return refuse(format!("theta is {}, and must be above 0", self.theta));
        }
        if self.clip.is_some_and(|clip| clip.is_nan() || clip < 0.0) {
            return refuse("clip is below 0, and must be at least 0".to_owned());
        }
        if self.flavor.of_counts() {
            self.n_top()?;
        }
        Ok(())
    }

    /// The number of genes that a flavour of counts selects.
    fn n_top(&self) -> Result<u64> {
        match self.selection {
            Selection::Top(n) => Ok(n),
            Selection::Cutoffs { .. } => Err(Error::Parameter(format!(
                "cut-offs of means and dispersions have no meaning for flavor {}; give n_top_genes",
                self.flavor.name()
            ))),
        }
    }
}

/// What `highly_variable_genes` finds.
#[derive(Debug, Clone, PartialEq)]
pub struct HighlyVariable {
    /// The flavour that found it.
    pub flavor: Flavor,
    /// Columns of var by scanpy's names, an entry for each gene, without `highly_variable`. Floats
    /// are f64, ranks f32.
    pub columns: Vec<(&'static str, ArrayData)>,
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

    /// The slots that scanpy writes: var `highly_variable` and the columns of the flavour
    /// (`dispersions_norm` as f32), uns `hvg`.
    pub fn patch(&self) -> Patch {
        let chosen = ArrayData::Bool(self.highly_variable.clone());
        let mut patch = Patch::new().var(keys::HIGHLY_VARIABLE, Column::Plain(chosen));
        for (name, data) in &self.columns {
            let data = match data {
                ArrayData::F64(v) if *name == keys::DISPERSIONS_NORM => {
                    ArrayData::F32(v.iter().map(|&x| x as f32).collect())
                }
                other => other.clone(),
            };
            patch = patch.var(name, Column::Plain(data));
        }
        let uns = dict(vec![("flavor", text(self.flavor.name()))]);
        patch.elem(Slot::Uns(keys::HVG.to_owned()), uns)
    }
}

/// Finds highly variable genes by dispersion (`seurat`, `cell_ranger`), from moments.
///
/// There is an entry of `moments` for each batch, or one. For `seurat` they are those of count /
/// total x target sum, before any logarithm: the flavour undoes the log, so the log is never
/// needed. For `cell_ranger` they are those of the logarithmised values.
///
/// Matches `sc.pp.highly_variable_genes` of scanpy 1.12.
///
/// # Errors
/// [`Error::Parameter`] for a selection of no gene or fewer than one bin; [`Error::Data`] where
/// no gene has a dispersion, bins of `cell_ranger` fall together, or no gene is left.
///
/// ```
/// use cellmill::pp::highly_variable_genes::{HvgParams, Labels, Selection, by_dispersion};
/// use cellmill_engine::reduce::Moments;
/// let params = HvgParams { selection: Selection::Top(1), n_bins: 1, ..HvgParams::default() };
/// let mean = vec![1.0, 1.1, 1.2];
/// let moments = Moments { n: 9, mean, variance: vec![0.5, 9.0, 0.6], n_nonzero: vec![5; 3] };
/// let hvg = by_dispersion(&[moments], &Labels::default(), &params)?;
/// assert_eq!(hvg.selected(), [1]);
/// # Ok::<(), cellmill::Error>(())
/// ```
pub fn by_dispersion(
    moments: &[Moments],
    labels: &Labels,
    params: &HvgParams,
) -> Result<HighlyVariable> {
    params.validate()?;
    let found = match &labels.batches {
        None => dispersion::single(moments.first(), labels, params)?,
        Some(names) => batches::combined(moments, names, labels, params)?,
    };
    if !found.highly_variable.contains(&true) {
        return Err(Error::Data(
            "no gene lies inside the cut-offs of highly_variable_genes; widen --min-mean, \
             --max-mean, --min-disp and --max-disp, or give --n-top-genes"
                .to_owned(),
        ));
    }
    Ok(found)
}
