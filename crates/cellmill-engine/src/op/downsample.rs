//! Fewer counts: a sample of the molecules of a row.

use crate::{Error, Result};
use rand_mt::Mt;

/// How molecules are drawn in [`Op::DownsampleCounts`](crate::Op::DownsampleCounts).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The seed, the same for every row.
    pub seed: u32,
    /// Whether a molecule may be drawn more than once.
    pub replace: bool,
}

/// Leaves `target` of the molecules that `counts` holds; a row that has no more is not changed.
///
/// The molecules are those that scanpy.pp.downsample_counts draws: `numpy.random.choice` after
/// `numpy.random.seed`, which is a Mersenne Twister whose words are masked until they fall below a
/// bound, and, without replacement, a shuffle from the end. `molecules` is memory that is used again,
/// four bytes for each molecule.
///
/// # Errors
/// [`Error::Data`] when the row has 2^32 molecules or more. Counts are whole numbers of at least 0.
pub fn downsample(
    counts: &mut [f64],
    target: u64,
    draw: Draw,
    molecules: &mut Vec<u32>,
) -> Result<()> {
    let total: f64 = counts.iter().sum();
    if total <= target as f64 {
        return Ok(());
    }
    if total > f64::from(u32::MAX) {
        return Err(Error::Data(format!(
            "downsample_counts takes rows of less than 2^32 counts, and one has {total}"
        )));
    }
    let (total, target) = (total as u32, target as usize);
    let mut random = Mt::new(draw.seed);
    molecules.clear();
    if draw.replace {
        molecules.extend((0..target).map(|_| below(&mut random, total)));
    } else {
        molecules.extend(0..total);
        for i in (1..total).rev() {
            let j = below(&mut random, i + 1);
            molecules.swap(i as usize, j as usize);
        }
        molecules.truncate(target);
    }
    molecules.sort_unstable();
    let (mut drawn, mut end) = (0, 0.0);
    for count in counts {
        end += *count;
        let from = drawn;
        drawn += molecules[from..]
            .iter()
            .take_while(|&&m| f64::from(m) < end)
            .count();
        *count = (drawn - from) as f64;
    }
    Ok(())
}

/// A whole number below `n`, which is at least 1.
fn below(random: &mut Mt, n: u32) -> u32 {
    if n == 1 {
        return 0;
    }
    let mask = u32::MAX >> (n - 1).leading_zeros();
    loop {
        let word = random.next_u32() & mask;
        if word < n {
            return word;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(counts: &[f64], target: u64, replace: bool) -> Vec<f64> {
        let mut counts = counts.to_vec();
        let draw = Draw { seed: 3, replace };
        downsample(&mut counts, target, draw, &mut Vec::new()).unwrap();
        counts
    }

    #[test]
    fn a_row_keeps_as_many_as_asked_for() {
        let counts = [5.0, 0.0, 40.0, 1.0, 900.0];
        for target in [0, 1, 17, 945] {
            for replace in [false, true] {
                let found = row(&counts, target, replace);
                assert_eq!(found.iter().sum::<f64>(), target as f64);
                assert_eq!(found[1], 0.0);
                assert!(replace || found.iter().zip(&counts).all(|(a, b)| a <= b));
            }
        }
        assert_eq!(row(&counts, 946, false), counts);
        assert_eq!(row(&[], 3, false), [0.0; 0]);
    }

    #[test]
    fn a_row_of_too_many_counts_is_refused() {
        let draw = Draw {
            seed: 0,
            replace: true,
        };
        let error = downsample(&mut [5e9], 3, draw, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("2^32"), "{error}");
    }
}
