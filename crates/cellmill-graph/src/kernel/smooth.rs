//! The weights of neighbours at the bandwidth of each point.
//!
//! A lane is a point, and sixteen points are bisected in lockstep, since the steps of one point
//! wait for each other. Multiplications and additions are never fused, divisions are true ones
//! and sums have a fixed order: the bits are the same on every instruction set.

use super::cell::ROUND;
use super::{Kernel, dispatched};

/// Points whose bandwidths are sought at once.
pub(crate) const POINTS: usize = 16;

/// Bisection steps at most.
const STEPS: usize = 64;
/// How near to log2(k) the sum of the weights has to come.
const SMOOTH_K_TOLERANCE: f64 = 1e-5;
/// σ is at least this share of the mean distance.
const MIN_K_DIST_SCALE: f64 = 1e-3;
/// Running sums of a point's weights.
const SUMS: usize = 8;

/// One number of each point.
type Points = [f32; POINTS];

dispatched! {
    /// Turns the distances of sixteen points' neighbours, nearest first, into weights. A point at
    /// distance zero from all of its neighbours gives each of them the weight 1.
    pub(crate) fn smooth(distances: &mut [[f32; POINTS]]) = smooth_body
}

#[inline(always)]
fn smooth_body<K: Kernel>(distances: &mut [Points]) {
    let (rho, sigma) = bandwidths(distances);
    for distance in distances {
        for at in 0..POINTS {
            distance[at] = strength(distance[at], rho[at], sigma[at]);
        }
    }
}

/// (ρ, σ): the first distance that is not zero, and the bandwidth at which the weights sum to
/// log2(k), k counting the point itself. Both are zero where all distances are.
#[inline(always)]
fn bandwidths(distances: &[Points]) -> (Points, Points) {
    let mut rho = [0f32; POINTS];
    let mut total = [0f64; POINTS];
    for distance in distances {
        for at in 0..POINTS {
            rho[at] = if rho[at] > 0.0 { rho[at] } else { distance[at] };
            total[at] += f64::from(distance[at]);
        }
    }
    let including_self = (distances.len() + 1) as f64;
    let target = including_self.log2();
    let (mut lo, mut hi, mut mid) = ([0f32; POINTS], [f32::MAX; POINTS], [1f32; POINTS]);
    let mut open = rho.map(|rho| rho > 0.0);
    for _ in 0..STEPS {
        let sums = sums(distances, &rho, &mid);
        let mut any = false;
        for at in 0..POINTS {
            let sum = f64::from(sums[at]);
            let near = (sum - target).abs() < SMOOTH_K_TOLERANCE;
            open[at] &= !near;
            any |= open[at];
            let above = sum > target;
            let (low, high) = if above {
                (lo[at], mid[at])
            } else {
                (mid[at], hi[at])
            };
            let next = if high >= f32::MAX {
                mid[at] * 2.0
            } else {
                (low + high) / 2.0
            };
            lo[at] = if open[at] { low } else { lo[at] };
            hi[at] = if open[at] { high } else { hi[at] };
            mid[at] = if open[at] { next } else { mid[at] };
        }
        if !any {
            break;
        }
    }
    let mut sigma = [0f32; POINTS];
    for at in 0..POINTS {
        let least = (MIN_K_DIST_SCALE * (total[at] / including_self)) as f32;
        sigma[at] = if rho[at] > 0.0 {
            mid[at].max(least)
        } else {
            0.0
        };
    }
    (rho, sigma)
}

/// The sums of the weights at bandwidths `sigma`: eight running sums of every eighth neighbour,
/// added in a fixed order.
#[inline(always)]
fn sums(distances: &[Points], rho: &Points, sigma: &Points) -> Points {
    let mut sums = [[0f32; POINTS]; SUMS];
    for (neighbour, distance) in distances.iter().enumerate() {
        let sums = &mut sums[neighbour % SUMS];
        for at in 0..POINTS {
            let beyond = (distance[at] - rho[at]).max(0.0);
            sums[at] += exp_fast(-(beyond / sigma[at]));
        }
    }
    // Whole eights are added up: neighbours that are missing weigh 1, which is taken off again.
    let missing = distances.len().next_multiple_of(SUMS) - distances.len();
    for sums in &mut sums[SUMS - missing..] {
        for sum in sums {
            *sum += 1.0;
        }
    }
    let mut all = [0f32; POINTS];
    for at in 0..POINTS {
        let s = |lane: usize| sums[lane][at];
        all[at] =
            (((s(0) + s(4)) + (s(2) + s(6))) + ((s(1) + s(5)) + (s(3) + s(7)))) - missing as f32;
    }
    all
}

/// The strength of membership at `distance`.
#[inline(always)]
fn strength(distance: f32, rho: f32, sigma: f32) -> f32 {
    let beyond = distance - rho;
    let within = (beyond <= 0.0) | (sigma == 0.0);
    let beyond = exp(-(beyond / sigma));
    if within { 1.0 } else { beyond }
}

/// e^x for x ≤ 0 to about 1 ulp, without branches; 1 at 0, and no smaller than e^-87.
#[inline(always)]
fn exp_fast(x: f32) -> f32 {
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
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5 · 2^52 leaves a whole number in the low bits.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    let vanishes = x < -104.0;
    let x = f64::from(if vanishes { -104.0 } else { x });
    let whole = (x * std::f64::consts::LOG2_E).round();
    let r = x - whole * std::f64::consts::LN_2;
    // Taylor terms up to r^11 / 11!, below 1e-13 for |r| ≤ ln 2 / 2.
    let series = (1..=11)
        .rev()
        .fold(1.0, |sum, term| 1.0 + sum * r / f64::from(term));
    let exponent = (whole + WHOLE).to_bits().wrapping_add(1023);
    let power = (series * f64::from_bits(exponent << 52)) as f32;
    if vanishes { 0.0 } else { power }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Isa;
    use crate::knn::sample::Draw;

    /// The same distances for every point.
    fn repeated(distances: &[f32]) -> Vec<Points> {
        distances.iter().map(|&x| [x; POINTS]).collect()
    }

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
        assert_eq!(exp_fast(-0.0), 1.0);
        assert_eq!(exp(-1e9), 0.0);
        assert!(exp(-100.0) > 0.0);
    }

    #[test]
    fn the_weights_sum_to_the_logarithm() {
        let mut weights = repeated(&[1.0, 2.0, 3.0, 4.0]);
        let (rho, _) = bandwidths(&weights);
        assert_eq!(rho, [1.0; POINTS]);
        smooth(Isa::Portable, &mut weights);
        for at in 0..POINTS {
            let sum: f64 = weights.iter().map(|weight| f64::from(weight[at])).sum();
            assert!((sum - 5f64.log2()).abs() < 2e-5);
        }
    }

    #[test]
    fn ties_at_the_first_distance_keep_the_least_bandwidth() {
        let (rho, sigma) = bandwidths(&repeated(&[2.0, 2.0, 2.0]));
        assert_eq!((rho[0], sigma[0]), (2.0, (1e-3 * 1.5) as f32));
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits_and_no_point_changes_another() {
        let mut draw = Draw(11);
        for k in [1, 2, 7, 8, 14, 15, 16, 29, 99] {
            let mut points = vec![[0f32; POINTS]; k];
            for at in 0..POINTS {
                let scale = 10f64.powi(at as i32 - 8);
                let mut row: Vec<f32> = (0..k)
                    .map(|_| (scale * draw.normal().abs()) as f32)
                    .collect();
                match at {
                    3 => row.fill(0.0),
                    5 => row.fill(0.25),
                    6 => row[0] = 0.0,
                    7 => row[k - 1] = 1e30,
                    9 => row[k - 1] = f32::INFINITY,
                    _ => (),
                }
                row.sort_by(f32::total_cmp);
                points.iter_mut().zip(row).for_each(|(to, x)| to[at] = x);
            }
            let run = |isa, mut points: Vec<Points>| {
                smooth(isa, &mut points);
                points
                    .iter()
                    .map(|x| x.map(f32::to_bits))
                    .collect::<Vec<_>>()
            };
            let expected = run(Isa::Portable, points.clone());
            assert!(expected.iter().all(|x| x[3] == 1f32.to_bits()));
            for isa in Isa::available() {
                assert_eq!(run(isa, points.clone()), expected, "{isa:?} k={k}");
                for at in 0..POINTS {
                    let row: Vec<f32> = points.iter().map(|x| x[at]).collect();
                    let alone = run(isa, repeated(&row));
                    assert!(
                        alone
                            .iter()
                            .zip(&expected)
                            .all(|(a, b)| *a == [b[at]; POINTS])
                    );
                }
            }
        }
    }
}
