//! The fuzzy simplicial set: neighbour distances turned into weights (UMAP, McInnes et al. 2018,
//! algorithms 2 and 3), with the numbers of umap-learn 0.5.12's `fuzzy_simplicial_set`, which is
//! what `scanpy.pp.neighbors` stores as `connectivities`.

mod bandwidth;
mod reverse;
mod union;

use crate::{KnnGraph, WeightedGraph};
use cellmill_engine::{Context, Error, Event, Result};
use rayon::prelude::*;
use std::time::Instant;

/// Points that one task takes; small, so that cancelling is heard.
const ROWS: usize = 4096;

/// The fuzzy union of the local fuzzy sets of all points: symmetric, f32 weights in (0, 1],
/// columns increasing within a row.
///
/// Distances are taken in f32, as umap-learn does; weights equal its own to about 1e-5, the
/// tolerance that its bisection stops at. The result does not depend on the number of threads.
///
/// # Errors
/// [`Error::Data`] with the point when a neighbour is out of range, is the point itself, or a
/// distance is negative or not finite; [`Error::Budget`]; [`Error::Cancelled`].
pub fn fuzzy_simplicial_set(ctx: &Context, graph: &KnnGraph) -> Result<WeightedGraph> {
    let start = Instant::now();
    let stage = "connectivities".to_owned();
    ctx.emit(Event::StageStarted {
        stage: stage.clone(),
        total: graph.n as u64,
        unit: "points".to_owned(),
    });
    let result = ctx.pool().install(|| {
        check(graph)?;
        let edges = bandwidth::memberships(ctx, graph)?;
        ctx.emit(Event::Progress {
            stage: stage.clone(),
            done: graph.n as u64 / 2,
            bytes_read: 0,
        });
        union::union(ctx, edges)
    })?;
    ctx.emit(Event::StageFinished {
        stage,
        seconds: start.elapsed().as_secs_f64(),
        bytes_read: 0,
    });
    Ok(result)
}

/// Bytes that [`fuzzy_simplicial_set`] reserves at once for `n` points with `k` neighbours each, at
/// most: the directed edges, their reverses, and a result with twice as many entries, the most
/// there can be.
pub fn bytes(n: u64, k: u64) -> u64 {
    let edges = n * k;
    let result = WeightedGraph::bytes(n, 2 * edges);
    // What sorts edges is gone before the result is there.
    let working = result.max(reverse::sorting_bytes(n, edges));
    bandwidth::bytes(n, k) + reverse::reversed_bytes(n, edges) + working
}

/// Refuses a graph that a search of this crate could not have made.
fn check(graph: &KnnGraph) -> Result<()> {
    let entries = graph.n as u64 * graph.k as u64;
    if graph.k == 0
        || graph.indices.len() as u64 != entries
        || graph.distances.len() as u64 != entries
    {
        return Err(Error::Data(format!(
            "the neighbour graph says {} points with {} neighbours each but holds {} indices and {} distances",
            graph.n,
            graph.k,
            graph.indices.len(),
            graph.distances.len()
        )));
    }
    let tasks = graph
        .indices
        .par_chunks(ROWS * graph.k)
        .zip(graph.distances.par_chunks(ROWS * graph.k))
        .enumerate();
    // The error of the first point that has one, as if one thread had looked.
    let error = tasks.find_map_first(|(task, (indices, distances))| {
        indices
            .chunks(graph.k)
            .zip(distances.chunks(graph.k))
            .zip(task * ROWS..)
            .find_map(|((indices, distances), i)| fault(graph.n, i, indices, distances))
    });
    error.map_or(Ok(()), |reason| Err(Error::Data(reason)))
}

/// What is wrong with the neighbours of point `i`.
fn fault(n: usize, i: usize, indices: &[u32], distances: &[f64]) -> Option<String> {
    if let Some(&j) = indices
        .iter()
        .find(|&&j| j as usize >= n || j as usize == i)
    {
        return Some(format!(
            "point {i} of the neighbour graph has {j} as a neighbour; another point below {n} was expected"
        ));
    }
    let value = distances.iter().find(|x| !(x.is_finite() && **x >= 0.0))?;
    Some(format!(
        "point {i} of the neighbour graph has a neighbour at distance {value}; \
         a finite number that is not negative was expected"
    ))
}
