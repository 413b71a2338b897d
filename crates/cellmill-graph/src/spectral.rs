//! Spectral layout: the smallest non-trivial eigenvectors of the normalised Laplacian.

pub(crate) mod coarsen;
mod components;
mod hierarchy;
mod solve;
mod walk;

use crate::graph::Part;
use crate::umap::{Ordered, random};
use crate::{Points, Rows, WeightedGraph};
use cellmill_engine::{Context, Error, Result};
use components::Components;
pub(crate) use hierarchy::Hierarchy;
use std::ops::Range;

/// Streams of random numbers.
const SCATTER: u64 = 11;

/// The spectral layout of `graph`, which is symmetric, in `dim` dimensions, n x `dim`, row-major.
///
/// umap-learn's `spectral_layout`: the eigenvectors of 1 - D^-1/2 A D^-1/2 that follow the
/// trivial one, each of length 1. The components of a disconnected graph are laid out one by one
/// and placed at the corners of a cross, or, when there are more than 2 `dim` of them, at random
/// (as umap-learn does without data; [`spectral_layout_of_points`] places them by their centroids).
///
/// The solver is a multilevel Chebyshev-filtered subspace iteration with a capped number of
/// steps: it never stalls, and on a graph with very small gaps it ends with vectors that are
/// smooth but not exact. The bits do not depend on the number of threads.
///
/// # Errors
/// [`Error::Parameter`] when `dim` is 0 or above 28; [`Error::Data`] when the graph is not a CSR
/// matrix; [`Error::Budget`]; [`Error::Cancelled`].
///
/// ```
/// use cellmill_engine::Context;
/// use cellmill_graph::{WeightedGraph, spectral_layout};
/// // A path of four vertices: the first eigenvector orders them.
/// let path = WeightedGraph {
///     indptr: vec![0, 1, 3, 5, 6],
///     indices: vec![1, 0, 2, 1, 3, 2],
///     weights: vec![1.0; 6],
/// };
/// let x = spectral_layout(&Context::quiet(1)?, &path, 1, 0)?;
/// assert!((x[0] + x[3]).abs() < 1e-6 && x[0].abs() > x[1].abs());
/// # Ok::<(), cellmill_engine::Error>(())
/// ```
pub fn spectral_layout(
    ctx: &Context,
    graph: &WeightedGraph,
    dim: usize,
    seed: u64,
) -> Result<Vec<f32>> {
    in_order_and_back(ctx, graph, None, dim, seed)
}

/// As [`spectral_layout`], with the points of the graph's vertices: when there are more than
/// 2 `dim` components, a spectral embedding of their centroids places them.
///
/// # Errors
/// As [`spectral_layout`]; [`Error::Parameter`] when there are not as many points as vertices.
pub fn spectral_layout_of_points(
    ctx: &Context,
    graph: &WeightedGraph,
    points: Points<'_>,
    dim: usize,
    seed: u64,
) -> Result<Vec<f32>> {
    in_order_and_back(ctx, graph, Some(&points), dim, seed)
}

/// Vectors that travel together where `dim` are asked for.
fn width(dim: usize) -> usize {
    match dim {
        0..=4 => 8,
        5..=12 => 16,
        _ => 32,
    }
}

/// Bytes that [`layout`] of `n` vertices and `nnz` entries in `dim` dimensions reserves at once, at
/// most.
pub(crate) fn bytes(n: u64, nnz: u64, dim: usize) -> u64 {
    PARTS_BYTES * n + solve_bytes(n, nnz, dim) + LAYOUT_BYTES * dim as u64 * n
}

/// Bytes of a coordinate, and of the same in f64 as it comes from the solver.
const LAYOUT_BYTES: u64 = 12;

/// Bytes of the components, a vertex.
const PARTS_BYTES: u64 = 12;

/// Two blocks of vectors, the degrees and which aggregate each vertex is in, and half as much again on
/// all coarser levels, whose graphs are at most as large as this one.
fn solve_bytes(n: u64, nnz: u64, dim: usize) -> u64 {
    n * (12 * width(dim) as u64 + 28) + 8 * nnz
}

fn in_order_and_back(
    ctx: &Context,
    graph: &WeightedGraph,
    points: Option<&dyn Rows>,
    dim: usize,
    seed: u64,
) -> Result<Vec<f32>> {
    check(graph.n(), points, dim)?;
    let graph = Ordered::new(ctx, graph, |_| f32::MIN_POSITIVE)?;
    graph.spectral_layout(ctx, points, dim, seed)
}

/// Refuses what has no spectral layout.
pub(crate) fn check(n: usize, points: Option<&dyn Rows>, dim: usize) -> Result<()> {
    if let Some(points) = points
        && points.n() != n
    {
        return Err(Error::Parameter(format!(
            "there are {} points for the {n} vertices of the graph",
            points.n(),
        )));
    }
    if dim == 0 || dim > 28 {
        return Err(Error::Parameter(format!(
            "a spectral layout in {dim} dimensions was asked for; from 1 to 28 are possible"
        )));
    }
    Ok(())
}

/// As [`spectral_layout`], of a graph whose vertices come in `order` (that of [`Ordered`], with its
/// hierarchy) and whose weights are positive. The rows of the layout come in it too.
pub(crate) fn layout(
    ctx: &Context,
    graph: &WeightedGraph,
    (order, hierarchy): (&[u32], &Hierarchy),
    points: Option<&dyn Rows>,
    dim: usize,
    seed: u64,
) -> Result<Vec<f32>> {
    check(graph.n(), points, dim)?;
    let n = graph.n();
    let _components = ctx
        .budget()
        .reserve(PARTS_BYTES * n as u64, "the parts of the graph")?;
    let components = Components::of(ctx, graph)?;
    if components.count() <= 1 {
        if n <= dim + 1 {
            return Ok(scatter(n, dim, seed, 0, 1.0));
        }
        let whole = (graph, 0..n, hierarchy);
        return Ok(connected(ctx, whole, dim, seed)?
            .into_iter()
            .map(|x| x as f32)
            .collect());
    }

    let places = components.places(points, order, dim, seed)?;
    let ranges = components::ranges(&places, dim);
    let mut layout = vec![0.0f32; n * dim];
    let _layout = ctx.budget().reserve(
        LAYOUT_BYTES * (n * dim) as u64,
        "the layout of the graph's parts",
    )?;
    for c in 0..components.count() {
        let rows = components.range(c);
        let (place, range) = (&places[c * dim..(c + 1) * dim], ranges[c]);
        let (first, size) = (rows.start, rows.len());
        let inside: Vec<f64> = if size < 2 * dim || size <= dim + 1 {
            let around = scatter(size, dim, seed, first as u64, range as f32);
            around.into_iter().map(f64::from).collect()
        } else {
            let mut inside = connected(ctx, (graph, rows, hierarchy), dim, seed)?;
            let largest = inside.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            inside.iter_mut().for_each(|x| *x *= range / largest);
            inside
        };
        let there = layout[first * dim..].chunks_exact_mut(dim);
        for (row, there) in inside.chunks_exact(dim).zip(there) {
            for ((x, place), there) in row.iter().zip(place).zip(there) {
                *there = (place + x) as f32;
            }
        }
    }
    Ok(layout)
}

/// The eigenvectors of some rows of a graph, which are connected, for their share of the work.
fn connected(
    ctx: &Context,
    (graph, rows, hierarchy): (&WeightedGraph, Range<usize>, &Hierarchy),
    dim: usize,
    seed: u64,
) -> Result<Vec<f64>> {
    let part = Part::of(graph, rows.clone());
    let bytes = solve_bytes(part.n() as u64, part.nnz(), dim);
    let _solving = ctx.budget().reserve(bytes, "the spectral layout")?;
    let task = solve::Task {
        ctx,
        hierarchy,
        dim,
        seed,
        work: solve::WORK,
        share: part.nnz() as f64 / graph.nnz() as f64,
    };
    match width(dim) {
        8 => task.eigenvectors::<8>(part, rows),
        16 => task.eigenvectors::<16>(part, rows),
        _ => task.eigenvectors::<32>(part, rows),
    }
}

/// Uniform coordinates in [-range, range].
fn scatter(n: usize, dim: usize, seed: u64, first: u64, range: f32) -> Vec<f32> {
    (0..(n * dim) as u64)
        .map(|i| {
            let word = random::word(seed, SCATTER, first * dim as u64 + i);
            (2.0 * random::unit(word) as f32 - 1.0) * range
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
