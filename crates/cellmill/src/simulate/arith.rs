//! Logarithm and exponential in plain arithmetic: the same bits on any machine, where the
//! system's own differ in the last place.

use std::f64::consts::{LN_2, LOG2_E, SQRT_2};

/// Natural logarithm of a positive, normal number; within 2 ulp or so.
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | (1023 << 52));
    if mantissa > SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln(1 + f) = 2 artanh(s), s = f / (2 + f), |s| < 0.172.
    let f = mantissa - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let tail = 1.0 / 3.0
        + z * (1.0 / 5.0
            + z * (1.0 / 7.0
                + z * (1.0 / 9.0
                    + z * (1.0 / 11.0 + z * (1.0 / 13.0 + z * (1.0 / 15.0 + z * (1.0 / 17.0)))))));
    exponent as f64 * LN_2 + 2.0 * s * (1.0 + z * tail)
}

/// `ln(1 + y) / y` for y >= 0, and its limit 1 at 0.
pub(crate) fn ln_1p_over(y: f64) -> f64 {
    if y < 1e-3 {
        // The next term is y^4 / 5, below 1e-12.
        1.0 - y * (0.5 - y * (1.0 / 3.0 - y * 0.25))
    } else {
        ln(1.0 + y) / y
    }
}

/// Exponential; 0 below -700 and the value at 700 above it.
pub(crate) fn exp(x: f64) -> f64 {
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    if x < -700.0 {
        return 0.0;
    }
    let x = x.min(700.0);
    // Nearest whole number: the cast cuts towards zero.
    let k = (x * LOG2_E + if x < 0.0 { -0.5 } else { 0.5 }) as i64;
    let r = (x - k as f64 * LN_2_HIGH) - k as f64 * LN_2_LOW;
    // Taylor to r^13; |r| < 0.347.
    let mut sum = TAYLOR[13];
    for term in TAYLOR[..13].iter().rev() {
        sum = sum * r + term;
    }
    sum * f64::from_bits(((k + 1023) as u64) << 52)
}

/// 1/n! for n from 0 to 13.
const TAYLOR: [f64; 14] = {
    let mut terms = [1.0; 14];
    let mut n = 1;
    while n < 14 {
        terms[n] = terms[n - 1] / n as f64;
        n += 1;
    }
    terms
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agree_with_the_system() {
        for i in -4000..4000 {
            let x = f64::from(i) * 0.01;
            let (ours, theirs) = (exp(x), x.exp());
            assert!(
                (ours - theirs).abs() <= 4e-16 * theirs * (1.0 + x.abs()),
                "exp({x}): {ours} {theirs}"
            );
            let back = ln(theirs);
            assert!(
                (back - x).abs() <= 1e-15 * (1.0 + x.abs()),
                "ln({theirs}): {back}, not {x}"
            );
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-1e4), 0.0);
    }

    #[test]
    fn the_ratio_is_smooth_where_its_form_changes() {
        for y in [0.0, 1e-12, 1e-6, 0.999e-3, 1.001e-3, 0.5, 40.0] {
            let expected = if y == 0.0 { 1.0 } else { f64::ln_1p(y) / y };
            assert!((ln_1p_over(y) - expected).abs() < 2e-12, "at {y}");
        }
    }
}
