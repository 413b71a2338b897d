//! Points for benchmarks: groups of 50 coordinates, as principal components of cells are.

// Each benchmark uses a part of this.
#![allow(dead_code)]

use cellmill_engine::{Context, Result};
use cellmill_graph::{KnnParams, Method, Points, WeightedGraph, fuzzy_simplicial_set, knn};

/// Coordinates of a point.
pub const DIMENSIONS: usize = 50;
const GROUPS: usize = 20;

/// `n` points in 20 groups, always the same; later coordinates vary less, as later components do.
pub fn points(n: usize) -> Vec<f32> {
    let mut state = 88_172_645_463_325_252u64;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    // A sum of uniform numbers is normal enough.
    let mut normal = move || (0..6).map(|_| uniform()).sum::<f32>() - 3.0;
    let centres: Vec<f32> = (0..GROUPS * DIMENSIONS).map(|_| 3.0 * normal()).collect();
    (0..n * DIMENSIONS)
        .map(|at| {
            let (point, axis) = (at / DIMENSIONS, at % DIMENSIONS);
            let centre = centres[point % GROUPS * DIMENSIONS + axis];
            (centre + normal()) / (1.0 + axis as f32).sqrt()
        })
        .collect()
}

/// The fuzzy set of the 15 neighbours of `n` such points.
pub fn graph(ctx: &Context, n: usize) -> Result<WeightedGraph> {
    let data = points(n);
    let params = KnnParams {
        method: Method::Approximate,
        ..KnnParams::default()
    };
    let nearest = knn(ctx, Points::new(&data, n, DIMENSIONS)?, &params)?;
    fuzzy_simplicial_set(ctx, &nearest)
}
