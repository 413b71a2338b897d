//! Spectral layout: the smallest non-trivial eigenvectors of the normalised Laplacian.

pub(crate) mod coarsen;
mod components;
mod solve;
mod walk;

use crate::relabel::relabelled;
use crate::umap::{check_graph, order, random};
use crate::{Handed, Points, Rows, WeightedGraph};
use cellmill_engine::{Context, Error, Result};
use components::Components;

/// Streams of random numbers.
const SCATTER: u64 = 11;
/// Above this many vertices the solver's vectors leave the caches, and a graph whose neighbours
/// are far apart in memory is relabelled first.
const RELABELLED: usize = 1 << 16;

/// The spectral layout of `graph` in `dim` dimensions, n x `dim`, row-major.
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
    layout(ctx, graph.into(), None, dim, seed)
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
    layout(ctx, graph.into(), Some(&points), dim, seed)
}

/// Vectors that travel together where `dim` are asked for.
fn width(dim: usize) -> usize {
    match dim {
        0..=4 => 8,
        5..=12 => 16,
        _ => 32,
    }
}

/// Bytes that a spectral layout of `n` vertices and `nnz` entries in `dim` dimensions reserves at
/// once, at most, the graph itself not counted where it is lent.
pub(crate) fn bytes(n: u64, nnz: u64, dim: usize) -> u64 {
    // The largest component while it is copied, or relabelled, or solved; or all of it as one.
    let copies = 2 * WeightedGraph::bytes(n, nnz);
    let solving = WeightedGraph::bytes(n, nnz) + solve_bytes(n, nnz, dim);
    PARTS_BYTES * n + copies.max(solving) + 8 * dim as u64 * n
}

/// Bytes of the components, a vertex.
const PARTS_BYTES: u64 = 12;

/// Two blocks of vectors, the degrees and the order, and half as much again on all coarser levels,
/// whose graphs are at most as large as this one.
fn solve_bytes(n: u64, nnz: u64, dim: usize) -> u64 {
    n * (12 * width(dim) as u64 + 28) + 8 * nnz
}

/// As [`spectral_layout`], of a graph that may be given away.
pub(crate) fn layout(
    ctx: &Context,
    graph: Handed<'_>,
    points: Option<&dyn Rows>,
    dim: usize,
    seed: u64,
) -> Result<Vec<f32>> {
    check_graph(&graph)?;
    if let Some(points) = points
        && points.n() != graph.n()
    {
        return Err(Error::Parameter(format!(
            "there are {} points for the {} vertices of the graph",
            points.n(),
            graph.n()
        )));
    }
    if dim == 0 || dim > 28 {
        return Err(Error::Parameter(format!(
            "a spectral layout in {dim} dimensions was asked for; from 1 to 28 are possible"
        )));
    }
    let n = graph.n();
    let _components = ctx
        .budget()
        .reserve(PARTS_BYTES * n as u64, "the parts of the graph")?;
    let components = Components::of(ctx, &graph)?;
    if components.count() <= 1 {
        if n <= dim + 1 {
            return Ok(scatter(n, dim, seed, 0, 1.0));
        }
        return Ok(connected(ctx, graph, dim, seed)?
            .into_iter()
            .map(|x| x as f32)
            .collect());
    }

    let places = components.places(points, dim, seed)?;
    let ranges = components::ranges(&places, dim);
    let mut layout = vec![0.0f32; n * dim];
    let _layout = ctx
        .budget()
        .reserve(8 * (n * dim) as u64, "the layout of the graph's parts")?;
    // The largest comes last: nothing but it is wanted of the graph then.
    let largest = (0..components.count()).max_by_key(|&c| components.members(c).len());
    let others = (0..components.count()).filter(|&c| Some(c) != largest);
    let mut whole = Some(graph);
    for c in others.chain(largest) {
        let members = components.members(c);
        let (place, range) = (&places[c * dim..(c + 1) * dim], ranges[c]);
        let inside: Vec<f64> = if members.len() < 2 * dim || members.len() <= dim + 1 {
            let around = scatter(members.len(), dim, seed, members[0] as u64, range as f32);
            around.into_iter().map(f64::from).collect()
        } else {
            let Some(graph) = whole.take() else {
                return Err(Error::Bug("the graph is gone before its parts".to_owned()));
            };
            let part = components.subgraph(ctx, &graph, c)?;
            if Some(c) == largest {
                drop(graph);
            } else {
                whole = Some(graph);
            }
            let mut inside = connected(ctx, part, dim, seed)?;
            let largest = inside.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            inside.iter_mut().for_each(|x| *x *= range / largest);
            inside
        };
        for (row, &v) in inside.chunks_exact(dim).zip(members) {
            for (k, x) in row.iter().enumerate() {
                layout[v as usize * dim + k] = (place[k] + x) as f32;
            }
        }
    }
    Ok(layout)
}

/// The eigenvectors of a connected graph.
fn connected(ctx: &Context, graph: Handed<'_>, dim: usize, seed: u64) -> Result<Vec<f64>> {
    let (n, nnz) = (graph.n() as u64, graph.nnz());
    let solve = |graph: &WeightedGraph| {
        let _solving = ctx
            .budget()
            .reserve(solve_bytes(n, nnz, dim), "the spectral layout")?;
        solved(ctx, graph, dim, seed)
    };
    if graph.n() <= RELABELLED {
        return solve(&graph);
    }
    let _relabelled = ctx.budget().reserve(
        WeightedGraph::bytes(n, nnz),
        "the spectral layout's relabelled graph",
    )?;
    let order = order::order(ctx, &graph)?;
    let relabelled = relabelled(ctx, &graph, &order)?;
    drop(graph);
    let vectors = solve(&relabelled)?;
    let mut layout = vec![0.0; vectors.len()];
    for (row, &v) in vectors.chunks_exact(dim).zip(&order) {
        layout[v as usize * dim..][..dim].copy_from_slice(row);
    }
    Ok(layout)
}

fn solved(ctx: &Context, graph: &WeightedGraph, dim: usize, seed: u64) -> Result<Vec<f64>> {
    match width(dim) {
        8 => solve::eigenvectors::<8>(ctx, graph, dim, seed),
        16 => solve::eigenvectors::<16>(ctx, graph, dim, seed),
        _ => solve::eigenvectors::<32>(ctx, graph, dim, seed),
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
