//! Millions of points to one layer of pixels.
//!
//! The layer is cut into bands of rows. Points are sorted into the bands that they touch, chunk
//! by chunk, and each band is drawn by one thread from its points in the order of the chunks: so
//! the pixels do not depend on the number of threads. Dots of two pixels and more are painted one
//! over the other ([`painter`]); smaller ones are counted, and the counts become colours
//! ([`density`]).

mod density;
mod painter;

use super::picture::Image;
use super::{MISSING, Rgb};
use cellmill_engine::{Context, Error, Result};
use rayon::prelude::*;

/// Rows of a band.
const BAND: usize = 32;
/// Points of a chunk.
const CHUNK: usize = 1 << 16;

/// How points are coloured.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ink<'a> {
    /// All the same.
    One(Rgb),
    /// A colour for each code; negative codes are missing.
    Codes {
        codes: &'a [i32],
        colours: &'a [Rgb],
        counts: &'a [u64],
    },
    /// A colour for each value between `low` and `high`; NaN is missing.
    Values {
        values: &'a [f32],
        low: f32,
        high: f32,
        map: &'a [Rgb; 256],
    },
}

/// From data to pixels of the layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// The data's left, right, bottom and top.
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
    pub(super) top: f64,
    /// The layer's size in pixels.
    pub(super) width: u32,
    pub(super) height: u32,
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
pub(super) struct Cloud<'a> {
    /// n x 2, row by row.
    pub(super) xy: &'a [f32],
    pub(super) view: View,
    /// Of a dot, in pixels.
    pub(super) diameter: f32,
    pub(super) alpha: f32,
    pub(super) ink: Ink<'a>,
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

/// Draws the points on a transparent layer.
///
/// # Errors
/// [`Error::Budget`], [`Error::Cancelled`], and [`Error::Parameter`] for more than 2^32 points.
pub(super) fn render(ctx: &Context, cloud: &Cloud) -> Result<Image> {
    let n = cloud.xy.len() / 2;
    if u32::try_from(n).is_err() {
        return Err(Error::Parameter(format!(
            "{n} points were given; a picture takes at most {}",
            u32::MAX
        )));
    }
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
                if cloud.diameter < 2.0 {
                    density::draw(ctx, cloud, points, &mut band)?;
                } else {
                    painter::draw(ctx, cloud, points, &mut band)?;
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

/// The colour of missing values.
fn missing() -> [f32; 3] {
    MISSING.unit()
}
