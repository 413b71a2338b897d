//! Back to the caller's order, units and indices.

use super::Metric;
use crate::{KnnGraph, Points};
use cellmill_engine::{Context, Result};
use rayon::prelude::*;

/// Points that one task takes.
const ROWS: usize = 4096;

/// The graph out of `k` keys a place. `order[place]` is the caller's index of a point, distances
/// are `scale` times the caller's.
pub(super) fn finish(
    ctx: &Context,
    points: Points,
    metric: Metric,
    order: &[u32],
    nearest: &[u64],
    k: usize,
    scale: f64,
) -> Result<KnnGraph> {
    let n = order.len();
    let mut places = vec![0u32; n];
    for (place, &point) in order.iter().enumerate() {
        places[point as usize] = place as u32;
    }
    let zero = |i: usize| points.row(i).iter().all(|&x| x == 0.0);
    let mut indices = vec![0u32; n * k];
    let mut distances = vec![0f64; n * k];
    indices
        .par_chunks_mut(ROWS * k)
        .zip(distances.par_chunks_mut(ROWS * k))
        .enumerate()
        .try_for_each(|(task, (indices, distances))| {
            ctx.cancel().check()?;
            let mut row = Vec::with_capacity(k);
            for (offset, (indices, distances)) in indices
                .chunks_mut(k)
                .zip(distances.chunks_mut(k))
                .enumerate()
            {
                let point = task * ROWS + offset;
                let place = places[point] as usize;
                row.clear();
                row.extend(nearest[place * k..(place + 1) * k].iter().map(|&key| {
                    (key & !0xFFFF_FFFF) | u64::from(order[(key & 0xFFFF_FFFF) as usize])
                }));
                row.sort_unstable();
                for ((&key, index), distance) in row.iter().zip(indices).zip(distances) {
                    let square = f64::from(f32::from_bits((key >> 32) as u32));
                    *index = key as u32;
                    *distance = match metric {
                        Metric::Euclidean => square.sqrt() / scale,
                        // Equal unit vectors stand for two points of zeros.
                        Metric::Cosine if square == 0.0 && zero(point) => 1.0,
                        Metric::Cosine => (square / 2.0).min(2.0),
                    };
                }
            }
            Ok::<_, cellmill_engine::Error>(())
        })?;
    Ok(KnnGraph {
        n,
        k,
        indices,
        distances,
        exact: false,
    })
}
