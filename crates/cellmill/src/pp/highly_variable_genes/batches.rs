//! Dispersions batch by batch, and what the batches agree on.

use super::dispersion::dispersions;
use super::{HighlyVariable, HvgParams, Labels, Selection};
use crate::{Result, keys};
use cellmill_engine::reduce::Moments;
use cellmill_io::ArrayData;

/// Sum and number of values that are not NaN.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    n: u64,
}

impl Mean {
    fn add(&mut self, x: f64) {
        if !x.is_nan() {
            self.sum += x;
            self.n += 1;
        }
    }

    fn get(self) -> f64 {
        self.sum / self.n as f64
    }
}

/// scanpy's `_highly_variable_genes_batched`: genes are selected in each batch, without those that
/// none of its cells has; those come back as zeros. Means over the batches leave NaN out.
pub(super) fn combined(
    moments: &[Moments],
    names: &[String],
    labels: &Labels,
    params: &HvgParams,
) -> Result<HighlyVariable> {
    let n_genes = moments.first().map_or(0, |m| m.mean.len());
    let mut sums = vec![[Mean::default(); 3]; n_genes];
    let mut n_batches = vec![0i64; n_genes];
    let (mut short, mut without) = (0, 0);
    for (group, moments) in moments.iter().enumerate() {
        let found = dispersions(moments, true, params, &labels.batch(group))?;
        for (gene, sums) in sums.iter_mut().enumerate() {
            for (sum, of) in sums.iter_mut().zip([&found.means, &found.raw, &found.norm]) {
                sum.add(of[gene]);
            }
        }
        let Some((chosen, known)) = found.select(&params.selection, labels) else {
            without += 1;
            continue;
        };
        short += u64::from(matches!(params.selection, Selection::Top(n) if n > known as u64));
        for (count, chosen) in n_batches.iter_mut().zip(chosen) {
            *count += i64::from(chosen);
        }
    }
    let column = |i: usize| sums.iter().map(|s| s[i].get()).collect::<Vec<f64>>();
    let (means, raw, mut norm) = (column(0), column(1), column(2));
    let may = |gene: usize| !labels.is_excluded(gene);
    let highly_variable = match params.selection {
        Selection::Top(n) => {
            let mut order = labels.tie_order(n_genes);
            order.retain(|&gene| may(gene));
            // NaN last.
            let key = |gene: usize| {
                let norm = if norm[gene].is_nan() {
                    f64::NEG_INFINITY
                } else {
                    norm[gene]
                };
                (n_batches[gene], norm)
            };
            order.sort_by(|&a, &b| {
                let (a, b) = (key(a), key(b));
                b.0.cmp(&a.0).then(b.1.total_cmp(&a.1))
            });
            let mut chosen = vec![false; n_genes];
            for &gene in order.iter().take(usize::try_from(n).unwrap_or(usize::MAX)) {
                chosen[gene] = true;
            }
            chosen
        }
        Selection::Cutoffs { .. } => {
            for d in norm.iter_mut().filter(|d| d.is_nan()) {
                *d = 0.0;
            }
            (0..n_genes)
                .map(|gene| may(gene) && params.selection.holds(means[gene], norm[gene]))
                .collect()
        }
    };
    let mut warnings = Vec::new();
    if short > 0 {
        warnings.push(format!(
            "in {short} of {} batches n_top_genes is more than the genes with a normalised \
             dispersion; all of those are selected there",
            names.len()
        ));
    }
    if without > 0 {
        warnings.push(format!(
            "in {without} of {} batches no gene has a normalised dispersion (as in a batch of one \
             cell); no gene is selected there",
            names.len()
        ));
    }
    let all = names.len() as i64;
    let everywhere = n_batches.iter().map(|&n| n == all).collect();
    Ok(HighlyVariable {
        flavor: params.flavor,
        columns: vec![
            (keys::MEANS, ArrayData::F64(means)),
            (keys::DISPERSIONS, ArrayData::F64(raw)),
            (keys::DISPERSIONS_NORM, ArrayData::F64(norm)),
            (keys::HIGHLY_VARIABLE_NBATCHES, ArrayData::I64(n_batches)),
            (
                keys::HIGHLY_VARIABLE_INTERSECTION,
                ArrayData::Bool(everywhere),
            ),
        ],
        highly_variable,
        warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(n: u64, mean: &[f64], variance: &[f64]) -> Moments {
        Moments {
            n,
            mean: mean.to_vec(),
            variance: variance.to_vec(),
            n_nonzero: mean.iter().map(|&m| u64::from(m > 0.0)).collect(),
        }
    }

    #[test]
    fn absent_genes_are_zeros_and_one_cell_selects_nothing() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let labels = Labels {
            batches: Some(names.to_vec()),
            genes: ["z", "y", "x"].map(str::to_owned).to_vec(),
            ..Labels::default()
        };
        let params = HvgParams {
            selection: Selection::Top(1),
            n_bins: 1,
            ..HvgParams::default()
        };
        let all = [
            moments(5, &[1.0, 2.0, 0.0], &[3.0, 1.0, 0.0]),
            moments(5, &[2.0, 1.0, 1.0], &[1.0, 2.0, 2.0]),
            moments(1, &[1.0, 0.0, 0.0], &[0.0, 0.0, 0.0]),
        ];
        let found = combined(&all, &names, &labels, &params).unwrap();
        let column = |name: &str| &found.columns.iter().find(|c| c.0 == name).unwrap().1;
        let ArrayData::F64(means) = column("means") else {
            panic!("means are f64")
        };
        assert!((means[2] - 2.0_f64.ln() / 3.0).abs() < 1e-15);
        // y and x tie in the second batch, and both are taken there; x comes first by name.
        assert_eq!(
            column("highly_variable_nbatches"),
            &ArrayData::I64(vec![1, 1, 1])
        );
        assert_eq!(found.highly_variable.iter().filter(|&&h| h).count(), 1);
        assert_eq!(found.warnings.len(), 1);
    }
}
