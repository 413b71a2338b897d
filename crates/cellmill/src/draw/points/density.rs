//! Dots smaller than two pixels: what each pixel holds is added up, then turned into a colour.
//!
//! A dot is a square of the disc's area, so that it adds the same to the layer wherever it lies
//! between pixels. In a pixel that several categories share, each counts by the square of its
//! amount over the number of its cells: the strongest wins without a muddy mean, and a type of
//! 0.1 % is not buried under one of 30 %. Numbers are averaged; where there is one colour only, it
//! darkens with density. The amount becomes opacity so
//! that a single dot can be seen and a dense region is solid; missing values lie beneath.

use super::{Band, Cloud, Ink, level};
use cellmill_engine::{Context, Result};

/// Draws `points` into the band.
pub(super) fn draw(
    ctx: &Context,
    cloud: &Cloud,
    counts: &[u64],
    points: Vec<u32>,
    band: &mut Band,
) -> Result<()> {
    let side = (std::f32::consts::FRAC_PI_4).sqrt() * cloud.diameter;
    let opacity = Opacity::new(side * side, cloud.alpha);
    let size = band.rows * band.width;
    let mut amount = vec![0.0_f32; size];
    let mut beneath = vec![0.0_f32; size];
    // Colours times weight, and the weight; all categories together.
    let mut mixed = vec![[0.0_f32; 4]; size];
    let mut total = vec![0.0_f32; size];

    match cloud.ink {
        Ink::One(rgb) => {
            splat(ctx, cloud, &points, side, band, |_| 1.0, &mut total)?;
            // Without categories the shade shows density: darker by doublings of the points in a
            // pixel, a quarter of the light left at 255.
            let (light, area) = (rgb.unit(), side * side);
            for (mixed, &total) in mixed.iter_mut().zip(&total) {
                let doublings = (1.0 + total / area).log2();
                let left = 1.0 - 0.75 * (doublings / 8.0).min(1.0);
                *mixed = [light[0] * left, light[1] * left, light[2] * left, 1.0];
            }
        }
        Ink::Values {
            values,
            low,
            high,
            map,
        } => {
            let (known, unknown): (Vec<u32>, Vec<u32>) = points
                .into_iter()
                .partition(|&i| !values[i as usize].is_nan());
            splat(ctx, cloud, &unknown, side, band, |_| 1.0, &mut beneath)?;
            splat(ctx, cloud, &known, side, band, |_| 1.0, &mut total)?;
            // Clamped, so that an infinite value is an end of the scale and not of the mean.
            let clamped = |i: u32| values[i as usize].clamp(low, high);
            splat(ctx, cloud, &known, side, band, clamped, &mut amount)?;
            for ((mixed, &total), &sum) in mixed.iter_mut().zip(&total).zip(&amount) {
                if total > 0.0 {
                    let [r, g, b] = map[level(sum / total, low, high)].unit();
                    *mixed = [r, g, b, 1.0];
                }
            }
        }
        Ink::Codes { codes, colours } => {
            for (code, some) in by_code(points, codes, colours.len()) {
                let Some(code) = code else {
                    splat(ctx, cloud, &some, side, band, |_| 1.0, &mut beneath)?;
                    continue;
                };
                let touched = splat(ctx, cloud, &some, side, band, |_| 1.0, &mut amount)?;
                let weight = 1.0 / (counts[code].max(1) as f32);
                let [r, g, b] = colours[code].unit();
                for row in 0..band.rows {
                    for at in row * band.width + touched.start..row * band.width + touched.end {
                        let here = std::mem::take(&mut amount[at]);
                        if here > 0.0 {
                            let share = here * here * weight;
                            let pixel = &mut mixed[at];
                            pixel[0] += share * r;
                            pixel[1] += share * g;
                            pixel[2] += share * b;
                            pixel[3] += share;
                            total[at] += here;
                        }
                    }
                }
            }
        }
    }

    let grey = cloud.missing.unit();
    for (at, pixel) in band.pixels.iter_mut().enumerate() {
        let (over, under) = (opacity.of(total[at]), opacity.of(beneath[at]));
        let [r, g, b, weight] = mixed[at];
        let colour = if weight > 0.0 {
            [r / weight, g / weight, b / weight]
        } else {
            [0.0; 3]
        };
        let rest = under * (1.0 - over);
        *pixel = [
            colour[0] * over + grey[0] * rest,
            colour[1] * over + grey[1] * rest,
            colour[2] * over + grey[2] * rest,
            over + rest,
        ];
    }
    Ok(())
}

/// Opacity from the amount in a pixel.
struct Opacity {
    rate: f32,
    alpha: f32,
}

impl Opacity {
    /// A pixel that holds a whole dot of `area` gets the opacity area^0.55: a dot of a third of a
    /// pixel is seen, and what is added later saturates as glass over glass does.
    fn new(area: f32, alpha: f32) -> Self {
        let one = area.min(1.0).powf(0.55).min(0.98);
        Self {
            rate: -(1.0 - one).ln() / area.clamp(f32::MIN_POSITIVE, 1.0),
            alpha,
        }
    }

    fn of(&self, amount: f32) -> f32 {
        if amount > 0.0 {
            self.alpha * (1.0 - (-self.rate * amount).exp())
        } else {
            0.0
        }
    }
}

/// The points of each code that occurs, codes ascending, points in their order; missing first.
fn by_code(points: Vec<u32>, codes: &[i32], n: usize) -> Vec<(Option<usize>, Vec<u32>)> {
    let place = |i: u32| usize::try_from(codes[i as usize]).map_or(0, |code| code + 1);
    let mut counts = vec![0_usize; n + 1];
    for &i in &points {
        counts[place(i)] += 1;
    }
    let mut lists: Vec<Vec<u32>> = counts.iter().map(|&c| Vec::with_capacity(c)).collect();
    for i in points {
        lists[place(i)].push(i);
    }
    lists
        .into_iter()
        .enumerate()
        .filter(|(_, list)| !list.is_empty())
        .map(|(at, list)| (at.checked_sub(1), list))
        .collect()
}

/// Adds `value` times the covered share of each pixel for each point; the columns that were
/// touched.
fn splat(
    ctx: &Context,
    cloud: &Cloud,
    points: &[u32],
    side: f32,
    band: &Band,
    value: impl Fn(u32) -> f32,
    sum: &mut [f32],
) -> Result<std::ops::Range<usize>> {
    let (mut least, mut most) = (band.width, 0);
    for some in points.chunks(CHECK) {
        ctx.cancel().check()?;
        for &i in some {
            let Some((x, y)) = cloud.place(i) else {
                continue;
            };
            let (first_column, columns) = overlap(x - 0.5 * side, side, 0, band.width);
            let (first_row, rows) = overlap(y - 0.5 * side, side, band.first_row, band.rows);
            let value = value(i);
            for (r, &high) in rows.iter().enumerate() {
                for (c, &wide) in columns.iter().enumerate() {
                    let add = high * wide;
                    if add > 0.0 {
                        sum[(first_row + r) * band.width + first_column + c] += add * value;
                    }
                }
            }
            least = least.min(first_column);
            most = most.max((first_column + 3).min(band.width));
        }
    }
    Ok(least.min(most)..most)
}

/// Points between two looks at the cancel flag.
const CHECK: usize = 1 << 16;

/// The first of three pixels in a row that an interval can touch, counted from `origin`, and how
/// much of each it covers; pixels before `origin` and from `origin + n` on get nothing.
fn overlap(begin: f32, length: f32, origin: usize, n: usize) -> (usize, [f32; 3]) {
    let begin = begin - origin as f32;
    let first = begin.floor();
    let mut cover = [0.0; 3];
    for (k, cover) in cover.iter_mut().enumerate() {
        let left = first + k as f32;
        *cover = ((begin + length).min(left + 1.0) - begin.max(left)).max(0.0);
    }
    // Shift what lies before the first pixel out of the three.
    let mut at = first as i64;
    while at < 0 {
        cover = [cover[1], cover[2], 0.0];
        at += 1;
        if cover == [0.0; 3] {
            return (0, cover);
        }
    }
    let at = at as usize;
    for (k, cover) in cover.iter_mut().enumerate() {
        if at + k >= n {
            *cover = 0.0;
        }
    }
    (at.min(n), cover)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_shared_among_pixels() {
        assert_eq!(overlap(2.25, 0.5, 0, 10), (2, [0.5, 0.0, 0.0]));
        assert_eq!(overlap(2.75, 1.5, 0, 10), (2, [0.25, 1.0, 0.25]));
        assert_eq!(overlap(-0.25, 0.5, 0, 10), (0, [0.25, 0.0, 0.0]));
        assert_eq!(overlap(-5.0, 0.5, 0, 10), (0, [0.0; 3]));
        assert_eq!(overlap(9.75, 0.5, 0, 10), (9, [0.25, 0.0, 0.0]));
        assert_eq!(overlap(33.75, 0.5, 32, 2), (1, [0.25, 0.0, 0.0]));
        assert_eq!(overlap(31.75, 0.5, 32, 2), (0, [0.25, 0.0, 0.0]));
    }

    #[test]
    fn opacity_grows_to_alpha() {
        let opacity = Opacity::new(0.3, 0.8);
        assert_eq!(opacity.of(0.0), 0.0);
        assert!(opacity.of(0.3) > 0.3 && opacity.of(0.3) < opacity.of(0.6));
        assert!((opacity.of(1e6) - 0.8).abs() < 1e-6);
    }
}
