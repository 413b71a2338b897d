//! Counts by inversion: negative binomials, and the sizes of their bursts.

use super::arith::{exp, ln_1p_over};
use super::random::Stream;

/// A negative binomial of this mean by inversion; `y` is mean times dispersion, above 0.
pub(super) fn negative_binomial(mean: f64, y: f64, random: &mut Stream) -> u32 {
    // The sum of k negative binomials of size r/k each is one of size r: pieces whose chance of a
    // zero is no tiny number.
    let bursts = mean * ln_1p_over(y);
    let pieces = (bursts / 24.0).ceil().max(1.0);
    let zero = exp(-bursts / pieces);
    let size = mean / y / pieces;
    let p = y / (1.0 + y);
    let mut sum = 0u32;
    for _ in 0..pieces as u32 {
        let mut u = random.unit();
        let mut probability = zero;
        let mut k = 0u32;
        while u >= probability && k < 10_000_000 {
            u -= probability;
            probability *= p * (size + f64::from(k)) * reciprocal(k + 1);
            k += 1;
            if probability < 1e-300 {
                break;
            }
        }
        sum += k;
    }
    sum
}

/// 1/n, from a table where n is small: these divisions would be the loops' longest step.
fn reciprocal(n: u32) -> f64 {
    const TABLE: [f64; 128] = {
        let mut table = [0.0; 128];
        let mut n = 1;
        while n < 128 {
            table[n] = 1.0 / n as f64;
            n += 1;
        }
        table
    };
    TABLE
        .get(n as usize)
        .copied()
        .unwrap_or_else(|| 1.0 / f64::from(n))
}

/// A size of a burst, by inversion: logarithmic with p = y/(1 + y); `thin` is ln(1 + y)/y.
pub(super) fn burst(mut u: f64, y: f64, thin: f64) -> u32 {
    let p = y / (1.0 + y);
    let mut probability = 1.0 / ((1.0 + y) * thin);
    let mut size = 1u32;
    // The bound is never met but where rounding has left a u that no size is large enough for.
    while u >= probability && size < 1_000_000 {
        u -= probability;
        probability *= p * f64::from(size) * reciprocal(size + 1);
        size += 1;
    }
    size
}

#[cfg(test)]
mod tests {
    use super::super::random::Purpose;
    use super::*;

    #[test]
    fn inversion_is_negative_binomial() {
        let mut random = Stream::new(4, Purpose::Counts, 1);
        for (mean, phi) in [(0.8, 2.0), (5.0, 0.05), (300.0, 0.01), (40.0, 1.5)] {
            let n = 30_000;
            let (mut sum, mut square) = (0.0, 0.0);
            for _ in 0..n {
                let x = f64::from(negative_binomial(mean, mean * phi, &mut random));
                sum += x - mean;
                square += (x - mean) * (x - mean);
            }
            let n = f64::from(n);
            let var: f64 = mean + phi * mean * mean;
            assert!(
                (sum / n).abs() < 5.0 * (var / n).sqrt(),
                "mean {mean}, φ {phi}: off by {}",
                sum / n
            );
            let fourth = 2.0 + 6.0 * phi + 1.0 / var;
            assert!(
                (square / n / var - 1.0).abs() < 5.0 * (fourth / n).sqrt(),
                "mean {mean}, φ {phi}: {}",
                square / n / var
            );
        }
    }

    #[test]
    fn bursts_are_logarithmic() {
        for y in [1e-6, 0.3, 4.0, 60.0] {
            let (p, log) = (y / (1.0 + y), f64::ln_1p(y));
            let thin = ln_1p_over(y);
            let n = 40_000;
            let sizes: Vec<f64> = (0..n)
                .map(|i| f64::from(burst((f64::from(i) + 0.5) / f64::from(n), y, thin)))
                .collect();
            let mean = sizes.iter().sum::<f64>() / f64::from(n);
            let square = sizes.iter().map(|s| s * s).sum::<f64>() / f64::from(n);
            let (want, want_square) = (y / log, p / (log * (1.0 - p) * (1.0 - p)));
            assert!(
                (mean / want - 1.0).abs() < 0.003,
                "y {y}: mean {mean}, law {want}"
            );
            assert!(
                (square / want_square - 1.0).abs() < 0.02,
                "y {y}: square {square}, law {want_square}"
            );
        }
    }
}
