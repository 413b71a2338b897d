//! The sum of a row, in fixed lanes.

use crate::Values;
use std::ops::Range;

const LANES: usize = 8;

/// The sum of some entries of a block in f64, in eight fixed lanes: the same bits on any
/// instruction set, and exact for counts.
pub fn row_sum(values: &Values, row: Range<usize>) -> f64 {
    match values {
        Values::F32(v) => row_sum_f32(&v[row]),
        Values::F64(v) => row_sum_f64(&v[row]),
    }
}

/// As [`row_sum`], of f32 values.
#[inline(always)]
pub fn row_sum_f32(values: &[f32]) -> f64 {
    lanes(values, f64::from)
}

/// As [`row_sum`], of f64 values.
pub fn row_sum_f64(values: &[f64]) -> f64 {
    lanes(values, |x| x)
}

/// As [`row_sum`], of values that do not lie side by side.
pub fn row_sum_of(values: impl Iterator<Item = f64>) -> f64 {
    let mut acc = [0.0f64; LANES];
    for (i, x) in values.enumerate() {
        acc[i % LANES] += x;
    }
    join(acc)
}

#[inline(always)]
fn lanes<T: Copy>(values: &[T], widen: impl Fn(T) -> f64) -> f64 {
    let mut acc = [0.0f64; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (a, &x) in acc.iter_mut().zip(chunk) {
            *a += widen(x);
        }
    }
    for (a, &x) in acc.iter_mut().zip(rest) {
        *a += widen(x);
    }
    join(acc)
}

#[inline(always)]
fn join(acc: [f64; LANES]) -> f64 {
    ((acc[0] + acc[4]) + (acc[1] + acc[5])) + ((acc[2] + acc[6]) + (acc[3] + acc[7]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_every_entry_once() {
        for n in 0..40 {
            let v: Vec<f64> = (0..n).map(|i| f64::from(1 << (i % 20))).collect();
            let w: Vec<f32> = v.iter().map(|&x| x as f32).collect();
            let expected: f64 = v.iter().sum();
            assert_eq!(row_sum_f64(&v), expected);
            assert_eq!(row_sum_f32(&w), expected);
            let uneven: Vec<f64> = v.iter().map(|x| x / 3.0).collect();
            assert_eq!(row_sum_of(uneven.iter().copied()), row_sum_f64(&uneven));
        }
    }
}
