//! Ranks of genes in each batch, and what the batches agree on: the flavours of counts.

use super::{Flavor, Labels};

/// What the ranks of all batches say, an entry for each gene.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ranked {
    /// Median of the ranks below `n_top` (0 is the most variable); NaN where there is none.
    pub rank: Vec<f32>,
    /// Batches in which the gene ranks below `n_top`.
    pub n_batches: Vec<i64>,
    /// Mean of the values over all batches.
    pub mean: Vec<f64>,
    /// Whether the gene is selected.
    pub highly_variable: Vec<bool>,
}

/// Ranks genes by `values` (one list for each batch, high is variable, NaN last), and takes the
/// `n_top` that most batches agree on (`seurat_v3`: those of the lowest median rank). Ties stay in
/// the order of the genes.
pub(super) fn ranked(values: &[Vec<f64>], n_top: u64, flavor: Flavor, labels: &Labels) -> Ranked {
    let n_genes = values.first().map_or(0, Vec::len);
    let mut tops: Vec<Vec<f32>> = vec![Vec::new(); n_genes];
    for values in values {
        for (rank, gene) in order(values, labels).into_iter().enumerate() {
            if (rank as u64) < n_top && !labels.is_excluded(gene) {
                tops[gene].push(rank as f32);
            }
        }
    }
    let n_batches: Vec<i64> = tops.iter().map(|ranks| ranks.len() as i64).collect();
    let rank: Vec<f32> = tops.into_iter().map(median).collect();
    let mut genes: Vec<usize> = (0..n_genes).filter(|&g| !labels.is_excluded(g)).collect();
    genes.sort_by(|&a, &b| {
        let by_rank = nan_last(rank[a]).total_cmp(&nan_last(rank[b]));
        let by_batches = n_batches[b].cmp(&n_batches[a]);
        if flavor == Flavor::SeuratV3 {
            by_rank.then(by_batches)
        } else {
            by_batches.then(by_rank)
        }
    });
    let mut highly_variable = vec![false; n_genes];
    for &gene in genes
        .iter()
        .take(usize::try_from(n_top).unwrap_or(usize::MAX))
    {
        highly_variable[gene] = true;
    }
    let mean = (0..n_genes)
        .map(|gene| values.iter().map(|v| v[gene]).sum::<f64>() / values.len() as f64)
        .collect();
    Ranked {
        rank,
        n_batches,
        mean,
        highly_variable,
    }
}

/// Genes from the highest value to the lowest, then those without a value, then excluded ones.
fn order(values: &[f64], labels: &Labels) -> Vec<usize> {
    let key = |gene: usize| {
        let value = values[gene];
        let value = if value.is_nan() {
            f64::NEG_INFINITY
        } else {
            value
        };
        (labels.is_excluded(gene), value)
    };
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(b.1.total_cmp(&a.1))
    });
    order
}

fn nan_last(x: f32) -> f32 {
    if x.is_nan() { f32::INFINITY } else { x }
}

fn median(mut ranks: Vec<f32>) -> f32 {
    ranks.sort_unstable_by(f32::total_cmp);
    let n = ranks.len();
    match n {
        0 => f32::NAN,
        _ if n % 2 == 1 => ranks[n / 2],
        _ => (ranks[n / 2 - 1] + ranks[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_orders_differ() {
        let values = [
            vec![9.0, 8.0, 1.0],
            vec![0.0, 8.0, 9.0],
            vec![0.0, 8.0, 9.0],
        ];
        let of = |flavor| ranked(&values, 2, flavor, &Labels::default());
        let v3 = of(Flavor::SeuratV3);
        assert_eq!(v3.n_batches, [1, 3, 2]);
        assert_eq!(v3.rank, [0.0, 1.0, 0.0]);
        assert_eq!(v3.highly_variable, [true, false, true]);
        assert_eq!(
            of(Flavor::SeuratV3Paper).highly_variable,
            [false, true, true]
        );
        assert_eq!(v3.mean, [3.0, 8.0, 19.0 / 3.0]);
    }

    #[test]
    fn genes_without_a_value_and_excluded_genes_come_last() {
        let labels = Labels {
            excluded: vec![true, false, false, false],
            ..Labels::default()
        };
        let values = [vec![9.0, f64::NAN, 1.0, 2.0]];
        let found = ranked(&values, 2, Flavor::SeuratV3, &labels);
        assert_eq!(found.highly_variable, [false, false, true, true]);
        assert!(found.rank[0].is_nan() && found.rank[1].is_nan());
        assert_eq!(found.rank[2..], [1.0, 0.0]);
    }
}
