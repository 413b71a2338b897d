//! ρ and σ of every point (`smooth_knn_dist`), and the weights that follow from them
//! (`compute_membership_strengths`).

use super::ROWS;
use crate::KnnGraph;
use cellmill_engine::{Context, Reservation, Result};
use rayon::prelude::*;

/// Bisection steps at most.
const STEPS: usize = 64;
/// How near to log2(k) the sum of the weights has to come.
const SMOOTH_K_TOLERANCE: f64 = 1e-5;
/// σ is at least this share of the mean distance.
const MIN_K_DIST_SCALE: f64 = 1e-3;
/// Weights computed at once.
const LANES: usize = 8;

/// Directed edges: `k` a point, each (neighbour << 32 | bits of the weight), rows sorted.
pub(super) struct Memberships {
    pub n: usize,
    pub k: usize,
    pub edges: Vec<u64>,
    /// Held until the edges are dropped.
    pub _memory: Reservation,
}

/// Bytes of the directed edges.
pub(super) fn bytes(n: u64, k: u64) -> u64 {
    8 * n * k
}

/// The weight of the edge from each point to each of its neighbours.
pub(super) fn memberships(ctx: &Context, graph: &KnnGraph) -> Result<Memberships> {
    let (n, k) = (graph.n, graph.k);
    let memory = ctx
        .budget()
        .reserve(bytes(n as u64, k as u64), "the weights of the neighbours")?;
    let mut edges = vec![0u64; n * k];
    edges
        .par_chunks_mut(ROWS * k)
        .enumerate()
        .try_for_each(|(task, edges)| {
            ctx.cancel().check()?;
            let mut row = Row::new(k);
            for (offset, edges) in edges.chunks_mut(k).enumerate() {
                let at = (task * ROWS + offset) * k;
                row.set(&graph.distances[at..at + k]);
                let (rho, sigma) = row.smooth();
                for ((edge, &j), &distance) in edges
                    .iter_mut()
                    .zip(&graph.indices[at..])
                    .zip(&row.distances)
                {
                    let weight = strength(distance, rho, sigma);
                    *edge = u64::from(j) << 32 | u64::from(weight.to_bits());
                }
                edges.sort_unstable();
            }
            Ok(())
        })?;
    Ok(Memberships {
        n,
        k,
        edges,
        _memory: memory,
    })
}

/// The strength of membership at `distance`.
fn strength(distance: f32, rho: f32, sigma: f32) -> f32 {
    let beyond = distance - rho;
    if beyond <= 0.0 || sigma == 0.0 {
        1.0
    } else {
        exp(-(beyond / sigma))
    }
}

/// The distances of one point.
struct Row {
    distances: Vec<f32>,
    /// Distances beyond ρ, padded to whole lanes.
    beyond: Vec<[f32; LANES]>,
    /// How many of the last lanes are padding.
    padding: usize,
}

impl Row {
    fn new(k: usize) -> Self {
        let blocks = k.div_ceil(LANES);
        Self {
            distances: vec![0.0; k],
            beyond: vec![[0.0; LANES]; blocks],
            padding: blocks * LANES - k,
        }
    }

    fn set(&mut self, distances: &[f64]) {
        for (to, &from) in self.distances.iter_mut().zip(distances) {
            *to = from as f32;
        }
    }

    /// (ρ, σ): the first distance that is not zero, and the bandwidth at which the weights sum
    /// to log2(k), k counting the point itself.
    fn smooth(&mut self) -> (f32, f32) {
        let Some(&rho) = self.distances.iter().find(|&&x| x > 0.0) else {
            // All neighbours are at distance zero: every weight is 1 whatever σ is.
            return (0.0, 0.0);
        };
        for (at, &distance) in self.distances.iter().enumerate() {
            self.beyond[at / LANES][at % LANES] = (distance - rho).max(0.0);
        }
        let including_self = (self.distances.len() + 1) as f64;
        let target = including_self.log2();
        let (mut lo, mut hi, mut mid) = (0f32, f32::MAX, 1f32);
        for _ in 0..STEPS {
            let sum = f64::from(self.sum(mid));
            if (sum - target).abs() < SMOOTH_K_TOLERANCE {
                break;
            }
            if sum > target {
                hi = mid;
                mid = (lo + hi) / 2.0;
            } else {
                lo = mid;
                mid = if hi >= f32::MAX {
                    mid * 2.0
                } else {
                    (lo + hi) / 2.0
                };
            }
        }
        let mean = self.distances.iter().map(|&x| f64::from(x)).sum::<f64>() / including_self;
        (rho, mid.max((MIN_K_DIST_SCALE * mean) as f32))
    }

    /// The sum of the weights at bandwidth `sigma`, in lanes that are added in a fixed order.
    fn sum(&self, sigma: f32) -> f32 {
        let mut sums = [0f32; LANES];
        for block in &self.beyond {
            for lane in 0..LANES {
                sums[lane] += exp_fast(-(block[lane] / sigma));
            }
        }
        let all = ((sums[0] + sums[4]) + (sums[2] + sums[6]))
            + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
        // A padding lane lies at distance zero and weighs exactly 1.
        all - self.padding as f32
    }
}

/// e^x for x ≤ 0 to about 1 ulp, without branches; 1 at 0, and no smaller than e^-87.
#[inline(always)]
fn exp_fast(x: f32) -> f32 {
    // Adding 1.5 · 2^23 leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > -87.0 { x } else { -87.0 };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    let p = 1.987_569_2e-4_f32;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * (r * r) + r + 1.0;
    let exponent = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127);
    p * f32::from_bits(exponent << 23)
}

/// e^x for x ≤ 0, correctly rounded in all but rare cases, the same bits on every platform.
/// Subnormal results are kept, as numpy keeps them; below e^-104 the weight is zero.
fn exp(x: f32) -> f32 {
    if x < -104.0 {
        return 0.0;
    }
    let x = f64::from(x);
    let whole = (x * std::f64::consts::LOG2_E).round();
    let r = x - whole * std::f64::consts::LN_2;
    // Taylor terms up to r^11 / 11!, below 1e-13 for |r| ≤ ln 2 / 2.
    let series = (1..=11)
        .rev()
        .fold(1.0, |sum, term| 1.0 + sum * r / f64::from(term));
    (series * 2f64.powi(whole as i32)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_agree_with_the_library() {
        for step in 0..200_000 {
            let x = -(step as f32) * 5e-4;
            let expected = f64::from(x).exp();
            assert_eq!(exp(x), expected as f32, "exp({x})");
            if x > -87.0 {
                let error = (f64::from(exp_fast(x)) - expected).abs() / expected;
                assert!(error < 2e-7, "exp_fast({x}) is off by {error}");
            }
        }
        assert_eq!(exp_fast(0.0), 1.0);
        assert_eq!(exp(-1e9), 0.0);
        assert!(exp(-100.0) > 0.0);
    }

    #[test]
    fn the_weights_sum_to_the_logarithm() {
        let mut row = Row::new(4);
        row.set(&[1.0, 2.0, 3.0, 4.0]);
        let (rho, sigma) = row.smooth();
        assert_eq!(rho, 1.0);
        let sum: f32 = row.distances.iter().map(|&x| strength(x, rho, sigma)).sum();
        assert!((f64::from(sum) - 5f64.log2()).abs() < 2e-5);
    }

    #[test]
    fn ties_at_the_first_distance_keep_the_least_bandwidth() {
        let mut row = Row::new(3);
        row.set(&[2.0, 2.0, 2.0]);
        let (rho, sigma) = row.smooth();
        assert_eq!((rho, sigma), (2.0, (1e-3 * 1.5) as f32));
    }
}
