//! `exp(x) - 1` without branches, so that it vectorises. The same bits on any instruction set.

const INV_LN2: f64 = std::f64::consts::LOG2_E;
const LN2_HI: f64 = 6.931_471_803_691_238e-1;
const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
/// 1.5 * 2^52: adding and subtracting it rounds to an integer.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// 1/14!, 1/13!, …, 1/3!.
const TAYLOR: [f64; 12] = [
    1.0 / 87_178_291_200.0,
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
];

/// `exp(x) - 1`, within 2 units in the last place; infinite above 709.78.
///
/// x = k ln 2 + r with |r| <= ln(2)/2; exp(r) - 1 by its Taylor series to the 14th power, whose
/// remainder is below 1e-17 of it.
///
/// ```
/// use cellmill_engine::op::{exp_m1, ln_1p};
/// assert_eq!(exp_m1(0.0), 0.0);
/// assert!((exp_m1(ln_1p(41.0)) - 41.0).abs() < 1e-13);
/// ```
#[inline(always)]
pub fn exp_m1(x: f64) -> f64 {
    let x = if x < -50.0 { -50.0 } else { x };
    let x = if x > 710.0 { 710.0 } else { x };
    let k = (x * INV_LN2 + ROUND) - ROUND;
    let hi = x - k * LN2_HI;
    let lo = k * LN2_LO;
    let r = hi - lo;
    // What the subtraction lost, to first order.
    let lost = (hi - r) - lo;
    let mut tail = TAYLOR[0];
    for coefficient in &TAYLOR[1..] {
        tail = tail * r + coefficient;
    }
    let square = r * r;
    let p = r + (0.5 * square + (square * (r * tail) + lost));
    // Half of 2^k, so that k = 1024 is still a number.
    let half = f64::from_bits(((k + 1022.0 + 4_503_599_627_370_496.0).to_bits()) << 52);
    (half * p + (half - 0.5)) * 2.0
}

struct Kernel<'a>(&'a mut [f64]);

impl pulp::WithSimd for Kernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        for x in self.0 {
            *x = exp_m1(*x);
        }
    }
}

/// [`exp_m1`] of every value, with the widest lanes that the machine has; the bits do not depend
/// on them.
pub fn exp_m1_in_place(values: &mut [f64]) {
    pulp::Arch::new().dispatch(Kernel(values));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_within_two_units_of_std_in_any_lanes() {
        let mut xs = vec![0.0, 1e-300, -1e-9, 1e-9, 709.7, -40.0, -1000.0];
        for i in 0..100_000 {
            xs.push((f64::from(i) - 30_000.0) * 1e-2 * 0.987);
            xs.push((f64::from(i) - 50_000.0) * 3e-5);
        }
        xs.retain(|x| *x < 709.7);
        let mut lanes = xs.clone();
        exp_m1_in_place(&mut lanes);
        for (&x, &y) in xs.iter().zip(&lanes) {
            assert_eq!(exp_m1(x).to_bits(), y.to_bits());
            let ulps = y.to_bits().abs_diff(x.exp_m1().to_bits());
            assert!(ulps <= 2, "{ulps} units at {x:e}");
        }
        assert_eq!(exp_m1(720.0), f64::INFINITY);
    }
}
