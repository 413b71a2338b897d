//! Points as the kernels want them: centred, scaled, padded, in the caller's order or the plan's.

use super::Metric;
use crate::Points;
use crate::kernel::{CellPanels, Digits, Isa, Lanes, gather_cell, sequential_norms};
use cellmill_engine::{Context, Reservation, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Points that one task takes.
const ROWS: usize = 4096;

/// Rows of whole Lanes. Distances between them are the caller's times [`Prepared::scale`].
#[derive(Serialize, Deserialize)]
pub(super) struct Prepared {
    pub n: usize,
    /// Coordinates in use; one more than the caller's where cosine meets points of zeros.
    pub d: usize,
    /// Lanes of a row.
    pub stride: usize,
    pub data: Vec<Lanes>,
    /// Squared lengths.
    pub norms: Vec<f32>,
    /// How they become whole numbers.
    pub digits: Digits,
    /// A power of two, so that scaling rounds nothing.
    pub scale: f64,
    /// None where it came from another machine, whose worker counts the memory by itself.
    #[serde(skip)]
    _memory: Option<Reservation>,
}

/// How points are made ready, the same for each of them.
pub(super) struct Recipe {
    metric: Metric,
    d: usize,
    centre: Vec<f64>,
    scale: f64,
}

impl Recipe {
    /// Centres the points and scales the largest coordinate to about 1. For cosine they are
    /// first divided by their lengths; a point of zeros becomes a unit vector of its own
    /// dimension, so that it is at a right angle to every other, as its distance of 1 says.
    pub(super) fn new(ctx: &Context, points: Points, metric: Metric) -> Result<Self> {
        let zeros = metric == Metric::Cosine
            && (0..points.n()).any(|i| points.row(i).iter().all(|&x| x == 0.0));
        let (centre, scale) = match metric {
            Metric::Euclidean => {
                let centre = centre(ctx, points)?;
                let scale = scale(points, &centre);
                (centre, scale)
            }
            // Unit vectors are well scaled as they are.
            Metric::Cosine => (vec![0.0; points.d()], 1.0),
        };
        Ok(Self {
            metric,
            d: points.d() + usize::from(zeros),
            centre,
            scale,
        })
    }

    /// The points in the caller's order, or the one at `order[i]` at place `i`.
    pub(super) fn prepare(
        &self,
        ctx: &Context,
        isa: Isa,
        points: Points,
        order: Option<&[u32]>,
    ) -> Result<Prepared> {
        let (n, d) = (points.n(), self.d);
        let stride = d.div_ceil(16).max(1);
        let memory = ctx.budget().reserve(
            n as u64 * point_bytes(d as u64),
            "the points of the neighbour search",
        )?;
        let mut data = vec![Lanes::ZERO; n * stride];
        data.par_chunks_mut(ROWS * stride)
            .enumerate()
            .try_for_each(|(task, rows)| {
                ctx.cancel().check()?;
                for (offset, row) in rows.chunks_exact_mut(stride).enumerate() {
                    let place = task * ROWS + offset;
                    let point = points.row(order.map_or(place, |order| order[place] as usize));
                    let length = match self.metric {
                        Metric::Euclidean => 1.0,
                        Metric::Cosine => length(point),
                    };
                    let factor = if length > 0.0 {
                        self.scale / length
                    } else {
                        0.0
                    };
                    for (at, (&x, c)) in point.iter().zip(&self.centre).enumerate() {
                        row[at / 16].0[at % 16] = ((f64::from(x) - c) * factor) as f32;
                    }
                    if length == 0.0 {
                        row[(d - 1) / 16].0[(d - 1) % 16] = 1.0;
                    }
                }
                Ok::<_, cellmill_engine::Error>(())
            })?;
        let norms = norms(ctx, isa, &data, n, stride, d)?;
        let digits = Digits::new(&norms, d);
        Ok(Prepared {
            n,
            d,
            stride,
            data,
            norms,
            digits,
            scale: self.scale,
            _memory: Some(memory),
        })
    }
}

/// Bytes of a point of `d` coordinates.
pub(super) fn point_bytes(d: u64) -> u64 {
    d.div_ceil(16).max(1) * 64 + 4
}

impl Prepared {
    /// The points at these places in whole numbers.
    pub(super) fn panels(&self, isa: Isa, places: &[u32]) -> CellPanels {
        let (data, norms) = (&self.data, &self.norms);
        gather_cell(isa, data, self.stride, norms, self.digits, self.d, places)
    }

    /// Whether lengths fit each other, which another machine's need not.
    pub(super) fn is_whole(&self) -> bool {
        self.stride == self.d.div_ceil(16).max(1)
            && self.n.checked_mul(self.stride) == Some(self.data.len())
            && self.norms.len() == self.n
    }
}

fn length(point: &[f32]) -> f64 {
    point
        .iter()
        .map(|&x| f64::from(x) * f64::from(x))
        .sum::<f64>()
        .sqrt()
}

/// Means over all points, added per block of points in order.
fn centre(ctx: &Context, points: Points) -> Result<Vec<f64>> {
    let d = points.d();
    let blocks = points
        .data()
        .par_chunks((ROWS * d).max(1))
        .map(|rows| {
            ctx.cancel().check()?;
            let mut sums = vec![0f64; d];
            for row in rows.chunks_exact(d) {
                for (sum, &x) in sums.iter_mut().zip(row) {
                    *sum += f64::from(x);
                }
            }
            Ok(sums)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut centre = vec![0f64; d];
    for block in blocks {
        for (sum, x) in centre.iter_mut().zip(block) {
            *sum += x / points.n() as f64;
        }
    }
    Ok(centre)
}

/// The power of two that brings the largest centred coordinate to [0.5, 1).
fn scale(points: Points, centre: &[f64]) -> f64 {
    let largest = points
        .data()
        .par_chunks(points.d().max(1))
        .map(|row| {
            row.iter().zip(centre).fold(0f64, |largest, (&x, c)| {
                largest.max((f64::from(x) - c).abs())
            })
        })
        .reduce(|| 0.0, f64::max);
    if largest > 0.0 {
        2f64.powi(-(largest.log2().floor() as i32) - 1)
    } else {
        1.0
    }
}

fn norms(
    ctx: &Context,
    isa: Isa,
    data: &[Lanes],
    n: usize,
    stride: usize,
    d: usize,
) -> Result<Vec<f32>> {
    let mut norms = vec![0f32; n];
    norms
        .par_chunks_mut(ROWS)
        .zip(data.par_chunks(ROWS * stride))
        .try_for_each(|(norms, rows)| {
            ctx.cancel().check()?;
            sequential_norms(isa, rows, stride, d, norms);
            Ok::<_, cellmill_engine::Error>(())
        })?;
    Ok(norms)
}
