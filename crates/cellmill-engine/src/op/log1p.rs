//! `ln(1 + x)` without branches, so that it vectorises.
//!
//! The reduction and the minimax coefficients are those of FreeBSD's and fdlibm's `log1p`
//! (Copyright (C) 1993 by Sun Microsystems, Inc.; permission to use, copy, modify and distribute
//! is freely granted, provided that this notice is preserved); the branches are selects here and
//! the two divisions are one. Plain multiplications and additions only: the same bits on any
//! instruction set.

const LN2_HI: f64 = 6.931_471_803_691_238e-1;
const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
const LG1: f64 = 6.666_666_666_666_735e-1;
const LG2: f64 = 3.999_999_999_940_942e-1;
const LG3: f64 = 2.857_142_874_366_239e-1;
const LG4: f64 = 2.222_219_843_214_978_4e-1;
const LG5: f64 = 1.818_357_216_161_805e-1;
const LG6: f64 = 1.531_383_769_920_937_3e-1;
const LG7: f64 = 1.479_819_860_511_658_6e-1;

/// Bits of sqrt(1/2), the lower end of the reduced range.
const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
const ONE: u64 = 0x3ff0_0000_0000_0000;
const MANTISSA: u64 = 0x000f_ffff_ffff_ffff;
/// 2^52, whose bits take an integer below 2^52 in place.
const TWO52: f64 = 4_503_599_627_370_496.0;

/// `ln(1 + x)` for finite `x > -1`, within 2 units in the last place (below 1 in nearly all
/// cases); without meaning elsewhere.
///
/// ```
/// use cellmill_engine::op::ln_1p;
/// assert_eq!(ln_1p(0.0), 0.0);
/// assert!((ln_1p(1.0) - 2f64.ln()).abs() < 2e-16);
/// ```
#[inline(always)]
pub fn ln_1p(x: f64) -> f64 {
    // u = 1 + x rounded, u = 2^k m with m in [sqrt(1/2), sqrt(2)).
    let u = 1.0 + x;
    let bits = u.to_bits().wrapping_add(ONE - SQRT_HALF);
    let exponent = bits >> 52;
    let m = f64::from_bits((bits & MANTISSA).wrapping_add(SQRT_HALF));
    let k = f64::from_bits(exponent | TWO52.to_bits()) - (TWO52 + 1023.0);
    // What rounding 1 + x lost. Where k is 0, x itself is the reduced argument and nothing is.
    let lost = if x > 1.0 {
        1.0 - (u - x)
    } else {
        x - (u - 1.0)
    };
    let near = exponent == 1023;
    let f = if near { x } else { m - 1.0 };
    let lost = if near { 0.0 } else { lost };
    let halved = f64::from_bits(((2046 - exponent as i64).max(0) as u64) << 52);

    // One division for both f / (2 + f) and lost / u.
    let two_f = 2.0 + f;
    let r = 1.0 / (two_f * m);
    let s = f * (m * r);
    let c = lost * (two_f * r) * halved;

    let half_square = 0.5 * f * f;
    let z = s * s;
    let w = z * z;
    let even = w * (LG2 + w * (LG4 + w * LG6));
    let odd = z * (LG1 + w * (LG3 + w * (LG5 + w * LG7)));
    s * (half_square + (even + odd)) + (k * LN2_LO + c) - half_square + f + k * LN2_HI
}

struct Kernel<'a>(&'a mut [f64]);

impl pulp::WithSimd for Kernel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        for x in self.0 {
            *x = ln_1p(*x);
        }
    }
}

/// [`ln_1p`] of every value, with the widest lanes that the machine has; the bits do not depend
/// on them.
pub fn ln_1p_in_place(values: &mut [f64]) {
    pulp::Arch::new().dispatch(Kernel(values));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(a: f64, b: f64) -> u64 {
        a.to_bits().abs_diff(b.to_bits())
    }

    fn sample() -> Vec<f64> {
        let mut xs = vec![
            0.0,
            1e-300,
            1e-17,
            1e-9,
            0.5,
            1.0,
            2.0,
            1e15,
            1e16,
            1e300,
            f64::MAX,
            f64::MIN_POSITIVE,
        ];
        let mut state = 1u64;
        for i in 0..200_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let unit = (state >> 11) as f64 / (1u64 << 53) as f64;
            xs.push(match i % 5 {
                0 => unit,
                1 => unit * 1e4,
                2 => (unit * 80.0 - 40.0).exp2(),
                3 => -unit * 0.999,
                _ => (unit * 600.0 - 300.0).exp2(),
            });
        }
        xs
    }

    #[test]
    fn is_within_two_units_of_std() {
        let worst = sample()
            .into_iter()
            .map(|x| (ulps(ln_1p(x), x.ln_1p()), x))
            .max_by_key(|p| p.0)
            .unwrap();
        assert!(worst.0 <= 2, "{} units at {:e}", worst.0, worst.1);
    }

    #[test]
    fn lanes_do_not_change_bits() {
        let xs = sample();
        let mut lanes = xs.clone();
        ln_1p_in_place(&mut lanes);
        for (x, y) in xs.iter().zip(&lanes) {
            assert_eq!(ln_1p(*x).to_bits(), y.to_bits(), "{x:e}");
        }
    }
}
