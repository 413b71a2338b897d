//! From the bytes of a chunk to numbers, without a bounds check in the loop.

use super::pipeline::Order;
use std::ops::Range;

/// Values of a chunk that are wanted: the chunk's bytes, and which values.
#[derive(Debug, Clone)]
pub(crate) struct Piece<'a> {
    /// The whole chunk where its bytes lie in planes, else at least the values of `range`.
    pub(crate) bytes: &'a [u8],
    pub(crate) order: Order,
    /// Which values of `bytes`.
    pub(crate) range: Range<usize>,
    /// Whether the first byte is the most significant one.
    pub(crate) big: bool,
}

impl Piece<'_> {
    /// The number of values.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }
}

/// An unsigned integer that holds the bits of a value of the file.
pub(crate) trait Bits: Copy {
    /// Appends `convert` of every value of a piece to `out`.
    fn extend<T>(piece: &Piece<'_>, out: &mut Vec<T>, convert: impl Fn(Self) -> T);
}

impl Bits for u8 {
    #[inline]
    fn extend<T>(piece: &Piece<'_>, out: &mut Vec<T>, convert: impl Fn(Self) -> T) {
        out.extend(piece.bytes[piece.range.clone()].iter().map(|&b| convert(b)));
    }
}

macro_rules! bits {
    ($t:ty, $n:literal, |$plane:ident| $joined:expr, |$nest:pat_param| $bytes:expr) => {
        impl Bits for $t {
            #[inline]
            fn extend<T>(piece: &Piece<'_>, out: &mut Vec<T>, convert: impl Fn(Self) -> T) {
                let wanted = piece.range.clone();
                match piece.order {
                    Order::Plain => {
                        let lanes = piece.bytes[wanted.start * $n..wanted.end * $n]
                            .as_chunks::<$n>()
                            .0;
                        if piece.big {
                            out.extend(lanes.iter().map(|&b| convert(<$t>::from_be_bytes(b))));
                        } else {
                            out.extend(lanes.iter().map(|&b| convert(<$t>::from_le_bytes(b))));
                        }
                    }
                    Order::Planes => {
                        let n = piece.bytes.len() / $n;
                        let $plane =
                            |k: usize| piece.bytes[k * n..(k + 1) * n][wanted.clone()].iter();
                        let lanes = $joined;
                        if piece.big {
                            out.extend(lanes.map(|$nest| convert(<$t>::from_be_bytes($bytes))));
                        } else {
                            out.extend(lanes.map(|$nest| convert(<$t>::from_le_bytes($bytes))));
                        }
                    }
                }
            }
        }
    };
}

bits!(u16, 2, |p| p(0).zip(p(1)), |(a, b)| [*a, *b]);
bits!(u32, 4, |p| p(0).zip(p(1)).zip(p(2)).zip(p(3)), |(
    ((a, b), c),
    d,
)| [
    *a, *b, *c, *d
]);
bits!(
    u64,
    8,
    |p| p(0)
        .zip(p(1))
        .zip(p(2))
        .zip(p(3))
        .zip(p(4))
        .zip(p(5))
        .zip(p(6))
        .zip(p(7)),
    |(((((((a, b), c), d), e), f), g), h)| [*a, *b, *c, *d, *e, *f, *g, *h]
);

/// A column number of the file as u32; what does not fit becomes `u32::MAX`, which is never a
/// column.
#[inline]
pub(crate) fn column(bits: u64) -> u32 {
    if bits >> 32 == 0 {
        bits as u32
    } else {
        u32::MAX
    }
}

/// Whether all values are finite.
pub(crate) fn all_finite_f32(values: &[f32]) -> bool {
    values.iter().fold(true, |ok, v| {
        ok & ((v.to_bits() & 0x7f80_0000) != 0x7f80_0000)
    })
}

/// Whether all values are finite.
pub(crate) fn all_finite_f64(values: &[f64]) -> bool {
    values.iter().fold(true, |ok, v| {
        ok & ((v.to_bits() & 0x7ff0_0000_0000_0000) != 0x7ff0_0000_0000_0000)
    })
}

/// Whether all values are below 2^24 in size, so that an f32 that was rounded from an integer is
/// that integer.
pub(crate) fn all_exact(values: &[f32]) -> bool {
    values
        .iter()
        .fold(true, |ok, v| ok & (v.abs() < 16_777_216.0))
}

/// The value of an IEEE half-precision float.
pub(crate) fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10 & 0x1f);
    let fraction = u32::from(bits & 0x3ff);
    match (exponent, fraction) {
        (0, _) => {
            let magnitude = fraction as f32 / 16_777_216.0;
            f32::from_bits(magnitude.to_bits() | sign)
        }
        (31, _) => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// The number of neighbours in `indices` that do not increase.
pub(crate) fn descents(indices: &[u32]) -> usize {
    let Some((_, after)) = indices.split_first() else {
        return 0;
    };
    // Counted in runs so that the counters stay narrow and the loop vectorises.
    indices
        .chunks(1 << 16)
        .zip(after.chunks(1 << 16))
        .map(|(a, b)| {
            a.iter()
                .zip(b)
                .fold(0u32, |n, (x, y)| n + u32::from(x >= y)) as usize
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<B: Bits>(bytes: &[u8], order: Order, range: Range<usize>, big: bool) -> Vec<B> {
        let mut out = Vec::new();
        B::extend(
            &Piece {
                bytes,
                order,
                range,
                big,
            },
            &mut out,
            |b| b,
        );
        out
    }

    #[test]
    fn plain_and_planes_agree() {
        let values = [1u32, 0x0203_0405, u32::MAX, 77];
        let plain: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let planes: Vec<u8> = (0..4)
            .flat_map(|k| values.iter().map(move |v| v.to_le_bytes()[k]))
            .collect();
        assert_eq!(all::<u32>(&plain, Order::Plain, 1..3, false), values[1..3]);
        assert_eq!(
            all::<u32>(&planes, Order::Planes, 1..3, false),
            values[1..3]
        );
        let big: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(all::<u32>(&big, Order::Plain, 0..4, true), values);
        let wide = [5u64, u64::MAX - 1];
        let planes: Vec<u8> = (0..8)
            .flat_map(|k| wide.iter().map(move |v| v.to_le_bytes()[k]))
            .collect();
        assert_eq!(all::<u64>(&planes, Order::Planes, 0..2, false), wide);
    }

    #[test]
    fn halves() {
        assert_eq!(half(0x3c00), 1.0);
        assert_eq!(half(0xc000), -2.0);
        assert_eq!(half(0x7bff), 65504.0);
        assert_eq!(half(0x0001), 5.960_464_5e-8);
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }

    #[test]
    fn descents_are_counted_across_the_runs() {
        let rising: Vec<u32> = (0..200_000).collect();
        assert_eq!(descents(&rising), 0);
        let mut broken = rising;
        broken[65_536] = 0;
        broken[100_000] = 99_999;
        assert_eq!(descents(&broken), 2);
        assert_eq!(descents(&[]), 0);
    }
}
