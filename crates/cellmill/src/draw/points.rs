//! Millions of points to one layer of pixels.
//!
//! The layer is cut into bands of rows. Points are sorted into the bands that they touch, chunk
//! by chunk, and each band is drawn by one thread from its points in the order of the chunks: so
//! the pixels do not depend on the number of threads. Dots of two pixels and more are painted one
//! over the other ([`painter`]); smaller ones are counted, and the counts become colours
//! ([`density`]).

mod density;
mod painter;

use super::Rgb;
use super::picture::Image;
use cellmill_engine::{Context, Error, Result};
use rayon::prelude::*;

/// Rows of a band.
const BAND: usize = 32;
/// Points of a chunk.
const CHUNK: usize = 1 << 16;
/// A dot is not wider than this, in pixels.
const MOST: f32 = 16_384.0;

/// How points are coloured.
#[derive(Debug, Clone, Copy)]
pub enum Ink<'a> {
    /// All the same; dots below two pixels are darker where there are more of them.
    One(Rgb),
    /// A colour for each code.
    Codes {
        /// One code a point: an index into `colours`; negative codes are missing.
        codes: &'a [i32],
        /// One colour a category.
        colours: &'a [Rgb],
    },
    /// A colour for each value.
    Values {
        /// One value a point; NaN is missing, values outside `low` and `high` have the colours of
        /// the ends.
        values: &'a [f32],
        /// What has the first colour.
        low: f32,
        /// What has the last colour.
        high: f32,
        /// The colours from low to high.
        map: &'a [Rgb; 256],
    },
}

/// Which dot lies over which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Missing values beneath; high values over low ones; categories mixed, the rare ones on top.
    /// Dots below two pixels have no order: what a pixel holds is added up.
    #[default]
    Sorted,
    /// Later rows over earlier ones, whatever their colour and size.
    Rows,
}

/// From data to pixels of the layer.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The data's x at the left edge of the layer.
    pub left: f64,
    /// The data's x at the right edge, above `left`.
    pub right: f64,
    /// The data's y at the lower edge.
    pub bottom: f64,
    /// The data's y at the upper edge, above `bottom`.
    pub top: f64,
    /// The layer's width in pixels.
    pub width: u32,
    /// The layer's height in pixels.
    pub height: u32,
}

impl View {
    /// Where a point is on the layer; `None` outside it, or where a coordinate is not finite.
    pub(super) fn place(&self, x: f32, y: f32) -> Option<(f32, f32)> {
        let (x, y) = (f64::from(x), f64::from(y));
        let inside = x >= self.left && x <= self.right && y >= self.bottom && y <= self.top;
        inside.then(|| {
            (
                ((x - self.left) / (self.right - self.left) * f64::from(self.width)) as f32,
                ((self.top - y) / (self.top - self.bottom) * f64::from(self.height)) as f32,
            )
        })
    }
}

/// Points to be drawn.
#[derive(Debug, Clone, Copy)]
pub struct Cloud<'a> {
    /// n x 2, row by row; points outside the view, or that are not finite, are not drawn.
    pub xy: &'a [f32],
    /// What part of the plane the layer shows.
    pub view: View,
    /// Of a dot, in pixels.
    pub diameter: f32,
    /// Opacity of the dots, above 0 up to 1.
    pub alpha: f32,
    /// The colours.
    pub ink: Ink<'a>,
    /// The colour of missing values.
    pub missing: Rgb,
    /// Which dot lies over which.
    pub order: Order,
}

impl Cloud<'_> {
    fn place(&self, i: u32) -> Option<(f32, f32)> {
        let i = i as usize;
        self.view.place(self.xy[2 * i], self.xy[2 * i + 1])
    }
}

/// The points of one chunk, sorted by band; a point is in every band that it touches.
struct Chunk {
    /// Where each band begins in `points`, and the end.
    begins: Vec<u32>,
    points: Vec<u32>,
}

/// Rows of the layer while they are drawn: red, green, blue, alpha, premultiplied.
struct Band {
    first_row: usize,
    rows: usize,
    width: usize,
    pixels: Vec<[f32; 4]>,
}

/// Points on a transparent layer of `view.width` x `view.height` pixels: red, green, blue and
/// straight alpha, four bytes a pixel, row by row from the top. The bytes are the same for any
/// number of threads.
///
/// ```
/// use cellmill::draw::{Cloud, Ink, MISSING, Order, Rgb, View, raster_points};
/// let ctx = cellmill_engine::Context::quiet(1)?;
/// let view = View { left: 0.0, right: 9.0, bottom: 0.0, top: 9.0, width: 9, height: 9 };
/// let ink = Ink::Codes { codes: &[0], colours: &[Rgb([10, 20, 30])] };
/// let order = Order::Sorted;
/// let xy = &[4.5, 4.5];
/// let cloud = Cloud { xy, view, diameter: 5.0, alpha: 1.0, ink, missing: MISSING, order };
/// let rgba = raster_points(&ctx, &cloud)?;
/// assert_eq!(rgba[4 * (4 * 9 + 4)..][..4], [10, 20, 30, 255]);
/// assert_eq!(rgba[..4], [0; 4]);
/// # Ok::<(), cellmill_engine::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`] when lengths disagree, a code is no index into the colours, a number is
/// out of its range, or there are 2^32 points and more; [`Error::Budget`]; [`Error::Cancelled`].
pub fn raster_points(ctx: &Context, cloud: &Cloud) -> Result<Vec<u8>> {
    Ok(render(ctx, cloud)?.rgba)
}

/// As [`raster_points`], for a page.
pub(super) fn render(ctx: &Context, cloud: &Cloud) -> Result<Image> {
    let n = check(cloud)?;
    let counts = match cloud.ink {
        Ink::Codes { codes, colours } => count(codes, colours.len())?.0,
        _ => Vec::new(),
    };
    let (width, height) = (cloud.view.width as usize, cloud.view.height as usize);
    let bands = height.div_ceil(BAND);
    let reach = 0.5 * cloud.diameter + 1.0;
    // A dot touches this many bands at most; a band while drawn holds its pixels, the counts of
    // its points and their order.
    let touched = (2.0 * reach / BAND as f32).ceil() as u64 + 1;
    let lists = 4 * n as u64 * if reach < 2.0 { 2 } else { touched };
    let drawing = ctx.threads() as u64 * (BAND * width * 48) as u64 + 16 * n as u64;
    let layer = 4 * (width * height) as u64;
    let _reserved = ctx
        .budget()
        .reserve(lists + drawing + layer, "drawing the points")?;

    let mut rgba = vec![0_u8; 4 * width * height];
    ctx.pool().install(|| -> Result<()> {
        let chunks: Vec<Chunk> = (0..n.div_ceil(CHUNK))
            .into_par_iter()
            .map(|c| {
                ctx.cancel().check()?;
                Ok(sort_chunk(
                    cloud,
                    c * CHUNK..n.min((c + 1) * CHUNK),
                    bands,
                    reach,
                ))
            })
            .collect::<Result<_>>()?;
        rgba.par_chunks_mut(4 * width * BAND)
            .enumerate()
            .try_for_each(|(b, out)| {
                ctx.cancel().check()?;
                let mut points: Vec<u32> = Vec::new();
                for chunk in &chunks {
                    points.extend(
                        &chunk.points[chunk.begins[b] as usize..chunk.begins[b + 1] as usize],
                    );
                }
                let rows = out.len() / (4 * width);
                let mut band = Band {
                    first_row: b * BAND,
                    rows,
                    width,
                    pixels: vec![[0.0; 4]; rows * width],
                };
                if cloud.diameter < 2.0 && cloud.order == Order::Sorted {
                    density::draw(ctx, cloud, &counts, points, &mut band)?;
                } else {
                    painter::draw(ctx, cloud, &counts, points, &mut band)?;
                }
                for (to, from) in out.chunks_exact_mut(4).zip(&band.pixels) {
                    let alpha = from[3];
                    if alpha > 0.0 {
                        for c in 0..3 {
                            to[c] = (from[c] / alpha * 255.0).round().clamp(0.0, 255.0) as u8;
                        }
                        to[3] = (alpha * 255.0).round().clamp(0.0, 255.0) as u8;
                    }
                }
                Ok(())
            })
    })?;
    Ok(Image {
        width: cloud.view.width,
        height: cloud.view.height,
        rgba,
    })
}

/// Checks lengths and ranges; the number of points.
fn check(cloud: &Cloud) -> Result<usize> {
    let n = cloud.xy.len() / 2;
    let wrong = |text: String| Err(Error::Parameter(text));
    if u32::try_from(n).is_err() {
        return wrong(format!(
            "{n} points were given; a picture takes at most {}",
            u32::MAX
        ));
    }
    let coloured = match cloud.ink {
        Ink::One(_) => n,
        Ink::Codes { codes, .. } => codes.len(),
        Ink::Values { values, .. } => values.len(),
    };
    if !cloud.xy.len().is_multiple_of(2) || coloured != n {
        return wrong(format!(
            "{} coordinates and {coloured} colours were given; expected two coordinates and a \
             colour for each point",
            cloud.xy.len()
        ));
    }
    let View {
        left,
        right,
        bottom,
        top,
        width,
        height,
    } = cloud.view;
    let extends = |from: f64, to: f64| from < to && (to - from).is_finite();
    if !extends(left, right) || !extends(bottom, top) || width == 0 || height == 0 {
        return wrong(format!(
            "the view is {left} to {right} by {bottom} to {top} on {width} x {height} pixels; \
             expected finite increasing limits and at least one pixel"
        ));
    }
    if !(cloud.diameter > 0.0 && cloud.diameter <= MOST) {
        return wrong(format!(
            "dots are {} pixels wide; expected more than 0 and at most {MOST}",
            cloud.diameter
        ));
    }
    if !(cloud.alpha > 0.0 && cloud.alpha <= 1.0) {
        return wrong(format!(
            "alpha is {}; expected more than 0 and at most 1",
            cloud.alpha
        ));
    }
    Ok(n)
}

/// How many points each of `n` codes has, and how many have none.
///
/// # Errors
/// [`Error::Parameter`] when a code is no index.
pub(super) fn count(codes: &[i32], n: usize) -> Result<(Vec<u64>, u64)> {
    let mut counts = vec![0; n];
    let mut missing = 0;
    for &code in codes {
        match usize::try_from(code) {
            Ok(code) if code < n => counts[code] += 1,
            Ok(code) => {
                return Err(Error::Parameter(format!(
                    "a point has code {code}, and there are {n} categories"
                )));
            }
            Err(_) => missing += 1,
        }
    }
    Ok((counts, missing))
}

fn sort_chunk(cloud: &Cloud, range: std::ops::Range<usize>, bands: usize, reach: f32) -> Chunk {
    let touches = |i: usize| -> Option<std::ops::RangeInclusive<usize>> {
        let (_, y) = cloud.place(i as u32)?;
        let first = ((y - reach).max(0.0) as usize) / BAND;
        let last = ((y + reach).max(0.0) as usize) / BAND;
        Some(first..=last.min(bands - 1))
    };
    let mut begins = vec![0_u32; bands + 1];
    for i in range.clone() {
        for b in touches(i).into_iter().flatten() {
            begins[b + 1] += 1;
        }
    }
    for b in 0..bands {
        begins[b + 1] += begins[b];
    }
    let mut next = begins.clone();
    let mut points = vec![0_u32; begins[bands] as usize];
    for i in range {
        for b in touches(i).into_iter().flatten() {
            points[next[b] as usize] = i as u32;
            next[b] += 1;
        }
    }
    Chunk { begins, points }
}

/// Which of 256 colours a value has.
fn level(value: f32, low: f32, high: f32) -> usize {
    let share = if high > low {
        (f64::from(value) - f64::from(low)) / (f64::from(high) - f64::from(low))
    } else {
        0.5
    };
    // matplotlib's rule: 256 equal steps, the upper end in the last.
    ((share * 256.0).clamp(0.0, 255.0)) as usize
}

#[cfg(test)]
mod tests;
