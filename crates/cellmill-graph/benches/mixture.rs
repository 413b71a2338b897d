//! Points and graphs for benchmarks: groups of points, as cells in their principal components are.

// Each benchmark uses a part of this.
#![allow(dead_code)]

use cellmill_engine::{Context, Result};
use cellmill_graph::{KnnParams, Method, Points, WeightedGraph, fuzzy_simplicial_set, knn};

const GROUPS: usize = 20;
/// Coordinates of the points of a graph: few, since valgrind takes long to make fused multiply-adds.
const DIMENSIONS: usize = 4;

/// `n` points of `d` coordinates in 20 groups, always the same; later coordinates vary less, as
/// later components do.
pub fn points(n: usize, d: usize) -> Vec<f32> {
    let mut state = 88_172_645_463_325_252u64;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    // A sum of uniform numbers is normal enough.
    let mut normal = move || (0..6).map(|_| uniform()).sum::<f32>() - 3.0;
    let centres: Vec<f32> = (0..GROUPS * d).map(|_| 3.0 * normal()).collect();
    (0..n * d)
        .map(|at| {
            let (point, axis) = (at / d, at % d);
            let centre = centres[point % GROUPS * d + axis];
            (centre + normal()) / (1.0 + axis as f32).sqrt()
        })
        .collect()
}

/// The fuzzy set of the 15 neighbours of `n` such points.
pub fn graph(ctx: &Context, n: usize) -> Result<WeightedGraph> {
    let data = points(n, DIMENSIONS);
    let params = KnnParams {
        method: Method::Approximate,
        ..KnnParams::default()
    };
    let nearest = knn(ctx, Points::new(&data, n, DIMENSIONS)?, &params)?;
    fuzzy_simplicial_set(ctx, &nearest)
}
