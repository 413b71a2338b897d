//! Bins of genes by their mean, and the dispersions of each bin.

use crate::{Error, Result};

/// `pandas.cut(x, n)`: the bin of each value; bins of equal width, closed on the right, the
/// lowest edge lowered by 0.1 % of the range. All values are finite.
pub(super) fn cut(x: &[f64], n: usize) -> Vec<usize> {
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

/// Bins between the percentiles 10, 15, … 100 of the means, as Cell Ranger cuts them.
pub(super) const PERCENTILE_BINS: usize = 20;

/// The bin of each value: below the 10th percentile, then one for each further 5 %, closed on the
/// right.
///
/// # Errors
/// [`Error::Data`] when two percentiles are equal, where pandas refuses too.
pub(super) fn cut_percentiles(x: &[f64], of: &str) -> Result<Vec<usize>> {
    let mut sorted = x.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let edges: Vec<f64> = (10..=100)
        .step_by(5)
        .map(|q| percentile(&sorted, f64::from(q) / 100.0))
        .collect();
    if let Some(pair) = edges.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::Data(format!(
            "flavor cell_ranger cuts the means of genes at their percentiles 10, 15, … 100, and two \
             of those are equal in {of} (mean {}): too many genes have the same mean, as genes do \
             that no cell has; leave those out (filter_unexpressed_genes, --filter-unexpressed-genes), \
             join small batches, or use flavor seurat",
            pair[0]
        )));
    }
    Ok(x.iter()
        .map(|&v| edges.partition_point(|&e| e < v))
        .collect())
}

/// `numpy.percentile` of sorted values, linear between neighbours.
fn percentile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = last as f64 * q;
    let low = at.floor() as usize;
    let (a, b) = (sorted[low], sorted[(low + 1).min(last)]);
    let t = at - at.floor();
    if t < 0.5 {
        a + (b - a) * t
    } else {
        b - (b - a) * (1.0 - t)
    }
}

/// What the dispersions of a bin are normalised by.
#[derive(Debug, Clone, Copy)]
pub(super) struct BinStats {
    /// What is subtracted.
    pub average: f64,
    /// What is divided by.
    pub deviation: f64,
}

/// Mean and standard deviation (ddof 1) of the dispersions of each bin, NaN left out. A bin with
/// a single dispersion gets average 0 and that dispersion as deviation, so that the normalised
/// dispersion is 1.
///
/// Sums are compensated and deviations updated value by value, as pandas does, so that a bin of
/// equal dispersions has deviation 0 here too.
pub(super) fn mean_and_deviation(bins: &[usize], dispersions: &[f64], n: usize) -> Vec<BinStats> {
    let mut count = vec![0u64; n];
    let (mut sum, mut lost) = (vec![0.0; n], vec![0.0; n]);
    let (mut mean, mut squares) = (vec![0.0; n], vec![0.0; n]);
    for (&bin, &d) in bins.iter().zip(dispersions).filter(|(_, d)| !d.is_nan()) {
        count[bin] += 1;
        let y: f64 = d - lost[bin];
        let t: f64 = sum[bin] + y;
        lost[bin] = t - sum[bin] - y;
        sum[bin] = t;
        let before: f64 = mean[bin];
        mean[bin] += (d - before) / count[bin] as f64;
        squares[bin] += (d - mean[bin]) * (d - before);
    }
    let average: Vec<f64> = sum.iter().zip(&count).map(|(s, &c)| s / c as f64).collect();
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

/// The third quartile of the standard normal distribution, by which a median absolute deviation
/// is made a standard deviation (`statsmodels.robust.mad`).
const QUARTILE: f64 = 0.674_489_750_196_081_7;

/// Median and median absolute deviation of the dispersions of each bin, NaN left out.
pub(super) fn median_and_deviation(bins: &[usize], dispersions: &[f64], n: usize) -> Vec<BinStats> {
    let mut members = vec![Vec::new(); n];
    for (&bin, &d) in bins.iter().zip(dispersions).filter(|(_, d)| !d.is_nan()) {
        members[bin].push(d);
    }
    let stats = |members: Vec<f64>| {
        let average = crate::run::median(members.iter().copied());
        let from = members.iter().map(|d| (d - average).abs());
        BinStats {
            average,
            deviation: crate::run::median(from) / QUARTILE,
        }
    };
    members.into_iter().map(stats).collect()
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
    fn percentiles_are_numpys() {
        // np.percentile(np.arange(11) ** 2, [10, 15, 97])
        let x: Vec<f64> = (0..11).map(|i| f64::from(i * i)).collect();
        assert_eq!(percentile(&x, 0.1), 1.0);
        assert_eq!(percentile(&x, 0.15), 2.5);
        assert!((percentile(&x, 0.97) - 94.3).abs() < 1e-12);
        // pd.cut(x, np.r_[-np.inf, np.percentile(x, np.arange(10, 105, 5)), np.inf]).codes
        let bins = cut_percentiles(&x, "x").unwrap();
        assert_eq!(bins[..4], [0, 0, 2, 4]);
        assert_eq!(bins[10], 18);
        assert!(cut_percentiles(&[0.0; 9], "x").is_err());
    }

    #[test]
    fn deviations_are_statsmodels() {
        // statsmodels.robust.mad([1, 2, 4, 9]) = 2.2239…
        let stats = median_and_deviation(&[0; 5], &[1.0, f64::NAN, 2.0, 4.0, 9.0], 1);
        assert_eq!(stats[0].average, 3.0);
        assert!((stats[0].deviation - 1.5 / QUARTILE).abs() < 1e-15);
    }
}
