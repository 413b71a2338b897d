//! The flavour `seurat`: dispersions against the mean and deviation of genes of like mean.

use super::{HighlyVariable, HvgParams, Selection};
use crate::{Error, Result};

/// scanpy's `_highly_variable_genes_single_batch` for `flavor="seurat"`.
pub(super) fn seurat(
    means: &[f64],
    variances: &[f64],
    params: &HvgParams,
) -> Result<HighlyVariable> {
    let mut log_means = Vec::with_capacity(means.len());
    let mut dispersions = Vec::with_capacity(means.len());
    for (&mean, &variance) in means.iter().zip(variances) {
        let mean = if mean == 0.0 { 1e-12 } else { mean };
        let dispersion = variance / mean;
        dispersions.push(if dispersion == 0.0 {
            f64::NAN
        } else {
            dispersion.ln()
        });
        log_means.push(mean.ln_1p());
    }
    let bins = cut(&log_means, params.n_bins);
    let stats = bin_stats(&bins, &dispersions, params.n_bins);
    let dispersions_norm: Vec<f64> = bins
        .iter()
        .zip(&dispersions)
        .map(|(&bin, &d)| (d - stats[bin].average) / stats[bin].deviation)
        .collect();
    let mut warnings = Vec::new();
    let highly_variable = select(
        &log_means,
        &dispersions_norm,
        &params.selection,
        &mut warnings,
    )?;
    Ok(HighlyVariable {
        flavor: "seurat",
        means: log_means,
        dispersions,
        dispersions_norm,
        highly_variable,
        warnings,
    })
}

/// `pandas.cut(x, n)`: the bin of each value; bins of equal width, closed on the right, the
/// lowest edge lowered by 0.1 % of the range. All values are finite.
fn cut(x: &[f64], n: usize) -> Vec<usize> {
    let mut low = x.iter().copied().fold(f64::INFINITY, f64::min);
    let mut high = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let constant = low == high;
    if constant {
        let by = if low == 0.0 { 0.001 } else { 0.001 * low.abs() };
        low -= by;
        high += by;
    }
    let step = (high - low) / n as f64;
    let mut edges: Vec<f64> = (0..n).map(|i| i as f64 * step + low).collect();
    edges.push(high);
    if !constant {
        edges[0] -= (high - low) * 0.001;
    }
    x.iter()
        .map(|&v| {
            edges
                .partition_point(|&e| e < v)
                .saturating_sub(1)
                .min(n - 1)
        })
        .collect()
}

struct BinStats {
    average: f64,
    deviation: f64,
}

/// Mean and standard deviation (ddof 1) of the dispersions of each bin, NaN left out. A bin with
/// a single dispersion gets average 0 and that dispersion as deviation, so that the normalised
/// dispersion is 1.
fn bin_stats(bins: &[usize], dispersions: &[f64], n: usize) -> Vec<BinStats> {
    let mut count = vec![0u64; n];
    let mut sum = vec![0.0; n];
    let present = || bins.iter().zip(dispersions).filter(|(_, d)| !d.is_nan());
    for (&bin, &d) in present() {
        count[bin] += 1;
        sum[bin] += d;
    }
    let average: Vec<f64> = sum.iter().zip(&count).map(|(s, &c)| s / c as f64).collect();
    let mut squares = vec![0.0; n];
    for (&bin, &d) in present() {
        squares[bin] += (d - average[bin]).powi(2);
    }
    (0..n)
        .map(|b| match count[b] {
            0 => BinStats {
                average: 0.0,
                deviation: f64::NAN,
            },
            1 => BinStats {
                average: 0.0,
                deviation: average[b],
            },
            c => BinStats {
                average: average[b],
                deviation: (squares[b] / (c - 1) as f64).sqrt(),
            },
        })
        .collect()
}

/// scanpy's `_subset_genes`.
fn select(
    means: &[f64],
    norm: &[f64],
    selection: &Selection,
    warnings: &mut Vec<String>,
) -> Result<Vec<bool>> {
    match *selection {
        Selection::Top(n) => {
            let mut sorted: Vec<f64> = norm.iter().copied().filter(|x| !x.is_nan()).collect();
            sorted.sort_unstable_by(|a, b| b.total_cmp(a));
            if sorted.is_empty() {
                return Err(Error::Data(
                    "no gene has a normalised dispersion (every gene is constant, or alone in \
                     its bin); highly variable genes cannot be found in this matrix"
                        .to_owned(),
                ));
            }
            if n > sorted.len() as u64 {
                warnings.push(format!(
                    "n_top_genes ({n}) is more than the {} genes with a normalised dispersion; \
                     all of those are selected",
                    sorted.len()
                ));
            }
            let last = usize::try_from(n).unwrap_or(usize::MAX).min(sorted.len()) - 1;
            let cut = sorted[last];
            Ok(norm.iter().map(|&x| x >= cut).collect())
        }
        Selection::Cutoffs {
            min_mean,
            max_mean,
            min_disp,
            max_disp,
        } => Ok(means
            .iter()
            .zip(norm)
            .map(|(&mean, &d)| {
                let d = if d.is_nan() {
                    0.0
                } else {
                    d.clamp(f64::MIN, f64::MAX)
                };
                mean > min_mean && mean < max_mean && d > min_disp && d < max_disp
            })
            .collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_is_pandas_cut() {
        // pd.cut([0, 1, 2, 3, 4], 2, labels=False), and values on an edge close on the right
        assert_eq!(cut(&[0.0, 1.0, 2.0, 3.0, 4.0], 2), [0, 0, 0, 1, 1]);
        assert_eq!(cut(&[5.0, 5.0], 4), [1, 1]);
        assert_eq!(cut(&[0.0, 0.0], 4), [1, 1]);
    }

    #[test]
    fn a_gene_alone_in_its_bin_is_normalised_to_one() {
        let params = HvgParams {
            selection: Selection::Top(1),
            n_bins: 2,
        };
        let found = seurat(&[1.0, 1.1, 50.0], &[2.0, 3.0, 400.0], &params).unwrap();
        assert_eq!(found.dispersions_norm[2], 1.0);
    }

    #[test]
    fn constant_and_silent_genes_have_no_dispersion() {
        let params = HvgParams {
            selection: Selection::Top(1),
            n_bins: 1,
        };
        let found = seurat(&[0.0, 2.0, 1.0, 1.5], &[0.0, 0.0, 3.0, 1.0], &params).unwrap();
        assert!(found.dispersions[0].is_nan() && found.dispersions[1].is_nan());
        assert_eq!(found.highly_variable, [false, false, true, false]);
        assert_eq!(found.means[0], 1e-12_f64.ln_1p());
    }

    #[test]
    fn ties_at_the_cut_are_all_taken() {
        let params = HvgParams {
            selection: Selection::Top(1),
            n_bins: 1,
        };
        let found = seurat(&[1.0, 1.0, 1.0], &[4.0, 4.0, 1.0], &params).unwrap();
        assert_eq!(found.highly_variable, [true, true, false]);
    }

    #[test]
    fn cutoffs_are_strict() {
        let selection = Selection::Cutoffs {
            min_mean: 1.0,
            max_mean: 3.0,
            min_disp: 0.5,
            max_disp: f64::INFINITY,
        };
        let mask = select(
            &[1.0, 2.0, 2.0, 2.0, 3.0],
            &[9.0, 0.5, 0.6, f64::NAN, 9.0],
            &selection,
            &mut Vec::new(),
        )
        .unwrap();
        assert_eq!(mask, [false, false, true, false, false]);
    }
}
