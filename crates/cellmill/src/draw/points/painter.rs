//! Dots painted one over the other, each an anti-aliased disc.
//!
//! Order, from beneath: missing values; then categories in an order shuffled by a hash of the
//! row, so that no category buries another by coming later in the file; last the rare
//! categories, the rarest on top. Numbers are painted from low to high, as scanpy does. In the
//! order of rows, that is all there is to it.

use super::{Band, Cloud, Ink, Order, level};
use crate::draw::Rgb;
use cellmill_engine::{Context, Result};

/// A category is rare when it has fewer cells than this share of the mean category.
const RARE: f64 = 0.25;

/// Draws `points` into the band.
pub(super) fn draw(
    ctx: &Context,
    cloud: &Cloud,
    counts: &[u64],
    points: Vec<u32>,
    band: &mut Band,
) -> Result<()> {
    let mut order: Vec<(u64, u32)> = match cloud.ink {
        _ if cloud.order == Order::Rows => points.into_iter().map(|i| (0, i)).collect(),
        Ink::One(_) => points.into_iter().map(|i| (0, i)).collect(),
        Ink::Codes { codes, .. } => {
            let layers = layers(counts);
            points
                .into_iter()
                .map(|i| {
                    let layer = usize::try_from(codes[i as usize]).map_or(0, |code| layers[code]);
                    (u64::from(layer) << 32 | u64::from(shuffle(i)), i)
                })
                .collect()
        }
        Ink::Values { values, .. } => points
            .into_iter()
            .map(|i| (rank(values[i as usize]), i))
            .collect(),
    };
    order.sort_unstable();
    let missing = cloud.missing.unit();
    for some in order.chunks(4096) {
        ctx.cancel().check()?;
        for &(_, i) in some {
            let colour = match cloud.ink {
                Ink::One(rgb) => rgb.unit(),
                Ink::Codes { codes, colours } => usize::try_from(codes[i as usize])
                    .map_or_else(|_| missing, |code| colours[code].unit()),
                Ink::Values {
                    values,
                    low,
                    high,
                    map,
                } => {
                    let value = values[i as usize];
                    if value.is_nan() {
                        missing
                    } else {
                        Rgb::unit(map[level(value, low, high)])
                    }
                }
            };
            if let Some((x, y)) = cloud.place(i) {
                disc(band, x, y, 0.5 * cloud.diameter, colour, cloud.alpha);
            }
        }
    }
    Ok(())
}

/// The layer of each category: 1 for the common ones, then one each, the rarest last.
fn layers(counts: &[u64]) -> Vec<u32> {
    let present = counts.iter().filter(|&&c| c > 0).count().max(1);
    let limit = RARE * counts.iter().sum::<u64>() as f64 / present as f64;
    let mut rare: Vec<usize> = (0..counts.len())
        .filter(|&k| (counts[k] as f64) < limit)
        .collect();
    rare.sort_by_key(|&k| (std::cmp::Reverse(counts[k]), k));
    let mut layers = vec![1; counts.len()];
    for (at, &k) in rare.iter().enumerate() {
        layers[k] = at as u32 + 2;
    }
    layers
}

/// A bijection of 32 bits without visible pattern (Wellons, lowbias32).
fn shuffle(i: u32) -> u32 {
    let mut x = i;
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// Bits that sort as the values do, NaN first.
fn rank(value: f32) -> u64 {
    if value.is_nan() {
        return 0;
    }
    let bits = value.to_bits();
    u64::from(if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    })
}

/// One disc over what is there.
fn disc(band: &mut Band, x: f32, y: f32, radius: f32, colour: [f32; 3], alpha: f32) {
    let rows = span(y - band.first_row as f32, radius, band.rows);
    let columns = span(x, radius, band.width);
    for row in rows {
        let dy = (band.first_row + row) as f32 + 0.5 - y;
        for column in columns.clone() {
            let dx = column as f32 + 0.5 - x;
            let cover = (radius + 0.5 - (dx * dx + dy * dy).sqrt()).clamp(0.0, 1.0) * alpha;
            if cover > 0.0 {
                let pixel = &mut band.pixels[row * band.width + column];
                for c in 0..3 {
                    pixel[c] += (colour[c] - pixel[c]) * cover;
                }
                pixel[3] += (1.0 - pixel[3]) * cover;
            }
        }
    }
}

/// The pixels from 0 to `end` that a disc around `at` can touch.
fn span(at: f32, radius: f32, end: usize) -> std::ops::Range<usize> {
    let first = (at - radius - 1.0).max(0.0) as usize;
    let last = (at + radius + 1.0).max(0.0).ceil() as usize;
    first.min(end)..last.min(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_with_nan_first() {
        let mut values = [3.0, f32::NAN, -1.0, f32::INFINITY, 0.0, f32::NEG_INFINITY];
        values.sort_by_key(|&v| rank(v));
        assert!(values[0].is_nan());
        assert_eq!(
            values[1..],
            [f32::NEG_INFINITY, -1.0, 0.0, 3.0, f32::INFINITY]
        );
    }

    #[test]
    fn the_rarest_is_on_top() {
        assert_eq!(layers(&[1000, 5, 900, 10, 0]), [1, 3, 1, 2, 4]);
        assert_eq!(layers(&[10, 10, 10]), [1, 1, 1]);
        assert_eq!(layers(&[]), Vec::<u32>::new());
    }
}
