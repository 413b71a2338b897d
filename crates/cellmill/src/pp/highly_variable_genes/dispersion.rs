//! Dispersions against those of genes of like mean: the flavours `seurat` and `cell_ranger`.

use super::bins::{
    PERCENTILE_BINS, cut, cut_percentiles, mean_and_deviation, median_and_deviation,
};
use super::{Flavor, HighlyVariable, HvgParams, Labels, Selection};
use crate::{Error, Result, keys};
use cellmill_engine::reduce::Moments;
use cellmill_io::ArrayData;

/// Means and dispersions of one set of cells, an entry for each gene.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dispersions {
    /// As the flavour has it: `seurat` its log1p.
    pub means: Vec<f64>,
    /// As the flavour has it: `seurat` its logarithm, NaN where the variance is 0.
    pub raw: Vec<f64>,
    /// Against mean and deviation of the bin.
    pub norm: Vec<f64>,
    /// The genes that were looked at.
    pub used: Vec<bool>,
}

/// scanpy's `_highly_variable_genes_single_batch`, up to the selection. Genes that are left out are
/// 0 everywhere.
pub(super) fn dispersions(
    moments: &Moments,
    filter_unexpressed: bool,
    params: &HvgParams,
    of: &str,
) -> Result<Dispersions> {
    let n_genes = moments.mean.len();
    let used: Vec<bool> = moments
        .n_nonzero
        .iter()
        .map(|&n| n > 0 || !filter_unexpressed)
        .collect();
    let (mut means, mut raw) = (Vec::with_capacity(n_genes), Vec::with_capacity(n_genes));
    let seurat = params.flavor == Flavor::Seurat;
    for gene in (0..n_genes).filter(|&gene| used[gene]) {
        let (mean, variance) = (moments.mean[gene], moments.variance[gene]);
        let mean = if mean == 0.0 { 1e-12 } else { mean };
        let dispersion = variance / mean;
        if !seurat {
            means.push(mean);
            raw.push(dispersion);
            continue;
        }
        means.push(mean.ln_1p());
        raw.push(if dispersion == 0.0 {
            f64::NAN
        } else {
            dispersion.ln()
        });
    }
    let (bins, stats) = if seurat {
        let bins = cut(&means, params.n_bins);
        let stats = mean_and_deviation(&bins, &raw, params.n_bins);
        (bins, stats)
    } else {
        let bins = cut_percentiles(&means, of)?;
        let stats = median_and_deviation(&bins, &raw, PERCENTILE_BINS);
        (bins, stats)
    };
    let norm: Vec<f64> = bins
        .iter()
        .zip(&raw)
        .map(|(&bin, &d)| (d - stats[bin].average) / stats[bin].deviation)
        .collect();
    let spread = |values: Vec<f64>| {
        let mut values = values.into_iter();
        let value = |&used: &bool| if used { values.next() } else { None };
        used.iter().map(value).map(|v| v.unwrap_or(0.0)).collect()
    };
    Ok(Dispersions {
        means: spread(means),
        raw: spread(raw),
        norm: spread(norm),
        used,
    })
}

impl Dispersions {
    /// scanpy's `_subset_genes`: the genes selected, and whether there were fewer than asked for.
    /// `None` where a number of genes is asked for and none has a normalised dispersion.
    pub(super) fn select(
        &self,
        selection: &Selection,
        labels: &Labels,
    ) -> Option<(Vec<bool>, usize)> {
        let may = |gene: usize| self.used[gene] && !labels.is_excluded(gene);
        let genes = 0..self.norm.len();
        match *selection {
            Selection::Top(n) => {
                let mut sorted: Vec<f64> = genes
                    .clone()
                    .filter(|&g| may(g) && !self.norm[g].is_nan())
                    .map(|g| self.norm[g])
                    .collect();
                sorted.sort_unstable_by(|a, b| b.total_cmp(a));
                let last = usize::try_from(n).unwrap_or(usize::MAX).min(sorted.len());
                let cut = *sorted.get(last.checked_sub(1)?)?;
                let chosen = genes.map(|g| may(g) && self.norm[g] >= cut).collect();
                Some((chosen, sorted.len()))
            }
            Selection::Cutoffs { .. } => {
                let within = |g: usize| {
                    // nan_to_num
                    let d = self.norm[g];
                    let d = if d.is_nan() {
                        0.0
                    } else {
                        d.clamp(f64::MIN, f64::MAX)
                    };
                    may(g) && selection.holds(self.means[g], d)
                };
                Some((genes.map(within).collect(), self.norm.len()))
            }
        }
    }
}

impl Selection {
    /// Whether mean and normalised dispersion lie strictly inside the cut-offs.
    pub(super) fn holds(&self, mean: f64, dispersion: f64) -> bool {
        match *self {
            Self::Top(_) => false,
            Self::Cutoffs {
                min_mean,
                max_mean,
                min_disp,
                max_disp,
            } => {
                mean > min_mean && mean < max_mean && dispersion > min_disp && dispersion < max_disp
            }
        }
    }
}

/// The genes of cells without batches.
pub(super) fn single(
    moments: Option<&Moments>,
    labels: &Labels,
    params: &HvgParams,
) -> Result<HighlyVariable> {
    let none = || {
        Error::Data(
            "no gene has a normalised dispersion (every gene is constant, or alone in its bin); \
             highly variable genes cannot be found in this matrix"
                .to_owned(),
        )
    };
    let moments = moments.ok_or_else(none)?;
    let of = labels.batch(0);
    let found = dispersions(moments, params.filter_unexpressed, params, &of)?;
    let (highly_variable, known) = found.select(&params.selection, labels).ok_or_else(none)?;
    let mut warnings = Vec::new();
    if let Selection::Top(n) = params.selection
        && n > known as u64
    {
        warnings.push(format!(
            "n_top_genes ({n}) is more than the {known} genes with a normalised dispersion; all of \
             those are selected"
        ));
    }
    Ok(HighlyVariable {
        flavor: params.flavor,
        columns: vec![
            (keys::MEANS, ArrayData::F64(found.means)),
            (keys::DISPERSIONS, ArrayData::F64(found.raw)),
            (keys::DISPERSIONS_NORM, ArrayData::F64(found.norm)),
        ],
        highly_variable,
        warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(means: &[f64], variances: &[f64], params: &HvgParams) -> Dispersions {
        let moments = Moments {
            n: 10,
            mean: means.to_vec(),
            variance: variances.to_vec(),
            n_nonzero: means.iter().map(|&m| u64::from(m != 0.0)).collect(),
        };
        dispersions(&moments, params.filter_unexpressed, params, "x").unwrap()
    }

    fn top(n: u64, n_bins: usize) -> HvgParams {
        HvgParams {
            selection: Selection::Top(n),
            n_bins,
            ..HvgParams::default()
        }
    }

    #[test]
    fn a_gene_alone_in_its_bin_is_normalised_to_one() {
        let found = found(&[1.0, 1.1, 50.0], &[2.0, 3.0, 400.0], &top(1, 2));
        assert_eq!(found.norm[2], 1.0);
    }

    #[test]
    fn constant_and_silent_genes_have_no_dispersion() {
        let params = top(1, 1);
        let found = found(&[0.0, 2.0, 1.0, 1.5], &[0.0, 0.0, 3.0, 1.0], &params);
        assert!(found.raw[0].is_nan() && found.raw[1].is_nan());
        let chosen = found.select(&params.selection, &Labels::default());
        assert_eq!(chosen.unwrap(), (vec![false, false, true, false], 2));
        assert_eq!(found.means[0], 1e-12_f64.ln_1p());
    }

    #[test]
    fn genes_that_are_left_out_are_zero() {
        let params = HvgParams {
            filter_unexpressed: true,
            ..top(5, 1)
        };
        let found = found(&[0.0, 2.0, 1.0, 1.5], &[0.0, 1.0, 3.0, 1.0], &params);
        assert_eq!(
            (found.means[0], found.raw[0], found.norm[0]),
            (0.0, 0.0, 0.0)
        );
        let chosen = found.select(&params.selection, &Labels::default());
        assert_eq!(chosen.unwrap(), (vec![false, true, true, true], 3));
    }

    #[test]
    fn ties_at_the_cut_are_all_taken_and_excluded_genes_never() {
        let params = top(1, 1);
        let found = found(&[1.0, 1.0, 1.0], &[4.0, 4.0, 1.0], &params);
        let chosen = |labels: &Labels| found.select(&params.selection, labels).unwrap().0;
        assert_eq!(chosen(&Labels::default()), [true, true, false]);
        let labels = Labels {
            excluded: vec![true, true, false],
            ..Labels::default()
        };
        assert_eq!(chosen(&labels), [false, false, true]);
    }

    #[test]
    fn cutoffs_are_strict() {
        let selection = Selection::Cutoffs {
            min_mean: 1.0,
            max_mean: 3.0,
            min_disp: 0.5,
            max_disp: f64::INFINITY,
        };
        let found = Dispersions {
            means: vec![1.0, 2.0, 2.0, 2.0, 3.0],
            raw: vec![0.0; 5],
            norm: vec![9.0, 0.5, 0.6, f64::NAN, 9.0],
            used: vec![true; 5],
        };
        let (mask, _) = found.select(&selection, &Labels::default()).unwrap();
        assert_eq!(mask, [false, false, true, false, false]);
    }
}
