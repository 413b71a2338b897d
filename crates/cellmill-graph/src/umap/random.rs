//! Counter-based random numbers: a pure function of (seed, stream, counter).
//!
//! Only integer and exact floating-point operations are used, so that the numbers are the same
//! on every machine and whatever thread asks for them.

/// A random 64-bit word for `counter` in `stream` of `seed` (splitmix64's finaliser, twice).
pub(crate) fn word(seed: u64, stream: u64, counter: u64) -> u64 {
    finalise(finalise(seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03)).wrapping_add(counter))
}

fn finalise(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A number in [0, 1) from a word.
pub(crate) fn unit(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// An index below `n` from a word (multiply and shift; the bias is below n / 2^64).
pub(crate) fn below(word: u64, n: usize) -> usize {
    ((u128::from(word) * n as u128) >> 64) as usize
}

/// A nearly normal number: the sum of twelve uniform ones less their mean (Irwin–Hall), which
/// needs no logarithm and so has the same bits everywhere. Variance 1, tails cut at 6.
pub(crate) fn normal(seed: u64, stream: u64, counter: u64) -> f64 {
    let mut sum = 0u64;
    for part in 0..3 {
        let bits = word(seed, stream, counter.wrapping_mul(3).wrapping_add(part));
        sum += (0..4)
            .map(|limb| (bits >> (16 * limb)) & 0xFFFF)
            .sum::<u64>();
    }
    (sum as f64 + 6.0) / 65536.0 - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let n = 20_000;
        let values: Vec<f64> = (0..n).map(|i| normal(7, 1, i)).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn indices_stay_below_their_bound() {
        assert!((0..1000).all(|i| below(word(1, 2, i), 7) < 7));
        assert_eq!(below(u64::MAX, 5), 4);
        assert_eq!(below(0, 5), 0);
    }
}
