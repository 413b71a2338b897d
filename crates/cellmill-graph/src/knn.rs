//! The k nearest neighbours of every point (`scanpy.pp.neighbors`, its search).
//!
//! Small data is searched exactly, as scanpy does. Large data goes through overlapping cells, a
//! [`Search`]: a [`Plan`] orders the points and says who meets whom, a [`CellTask`] compares the
//! points of one cell with each other, merging joins what cells found in any order, every point
//! asks its neighbours for theirs, and at the end the points are put back in the caller's order.
//! Plan, tasks and answers are plain data that can be sent, so that cells can be tasks of a
//! cluster.

mod cell;
mod exact;
mod finish;
mod merge;
mod plan;
mod prepare;
mod pull;
#[cfg(test)]
pub(crate) mod sample;
mod search;
mod stages;
mod tree;

pub use cell::{CellLists, CellTask};
pub use plan::Plan;
pub use search::Search;
pub use stages::{SearchData, exact_rows, finish_search};

use crate::kernel::{self, Isa};
use crate::{KnnGraph, Points};
use cellmill_engine::{Context, Error, Event, Result};
use serde::{Deserialize, Serialize};

/// How far apart two points are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// The length of the difference.
    Euclidean,
    /// 1 − cos of the angle, in [0, 2]. A point of zeros is at distance 1 from every other
    /// point, as in scikit-learn's `cosine_distances`.
    Cosine,
}

/// Whether to look at all pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Exact where scanpy is exact: fewer than 8,192 points, or 4,096 for other metrics than
    /// euclidean. Approximate above.
    Auto,
    /// All pairs, in f64.
    Exact,
    /// Overlapping cells, in f32; around 97 % of the neighbours where the data has 30 local
    /// dimensions, more where it has fewer.
    Approximate,
}

/// What is asked of [`knn`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnnParams {
    /// scanpy's `n_neighbors`: the point itself counts, so `n_neighbors - 1` are found. More
    /// than there are points becomes `1 + n / 2`, with a warning.
    pub n_neighbors: usize,
    /// The distance.
    pub metric: Metric,
    /// Exact or approximate.
    pub method: Method,
    /// Seed of the approximate search (scanpy's `random_state`).
    pub seed: u64,
}

impl Default for KnnParams {
    /// scanpy's defaults: 15 neighbours, euclidean, seed 0.
    fn default() -> Self {
        Self {
            n_neighbors: 15,
            metric: Metric::Euclidean,
            method: Method::Auto,
            seed: 0,
        }
    }
}

/// Finds the nearest neighbours of every point, the point itself left out.
///
/// The result does not depend on the number of threads. Exact search orders neighbours by (f64
/// distance, index); where scikit-learn meets ties its order is arbitrary.
///
/// # Errors
/// [`Error::Parameter`] when fewer than one neighbour is left to find, [`Error::Budget`] when
/// the graph does not fit, [`Error::Cancelled`].
///
/// ```
/// use cellmill_engine::Context;
/// use cellmill_graph::{KnnParams, Points, knn};
///
/// let line = [0.0, 1.0, 3.0, 7.0];
/// let params = KnnParams { n_neighbors: 2, ..KnnParams::default() };
/// let graph = knn(&Context::quiet(1)?, Points::new(&line, 4, 1)?, &params)?;
/// assert_eq!(graph.indices, [1, 0, 1, 2]);
/// assert_eq!(graph.distances, [1.0, 1.0, 2.0, 4.0]);
/// # Ok::<(), cellmill_engine::Error>(())
/// ```
pub fn knn(ctx: &Context, points: Points, params: &KnnParams) -> Result<KnnGraph> {
    knn_on(ctx, points, params, kernel::isa())
}

/// [`knn`] on a given instruction set, which changes the time it takes and nothing else. One
/// that the machine lacks is replaced by the portable one.
///
/// # Errors
/// As [`knn`].
pub fn knn_on(ctx: &Context, points: Points, params: &KnnParams, isa: Isa) -> Result<KnnGraph> {
    let (k, exact) = decide(ctx, points.n(), params)?;
    if exact {
        exact::search(ctx, points, k, params.metric)
    } else {
        search::search(ctx, points, k, params.metric, params.seed, isa)
    }
}

/// Bytes that [`knn`] reserves at once at most for `n` points of `d` coordinates and `k` neighbours
/// of each, the point itself not counted.
pub fn bytes(n: u64, d: u64, k: u64, method: Method, metric: Metric) -> u64 {
    if is_exact(n as usize, method, metric) {
        exact::bytes(n, d, k)
    } else {
        // Points of zeros have a dimension of their own.
        search::bytes(n, d + u64::from(metric == Metric::Cosine), k)
    }
}

/// Whether a search of `n` points looks at all pairs.
pub fn is_exact(n: usize, method: Method, metric: Metric) -> bool {
    match method {
        Method::Auto => n < exact_below(metric),
        Method::Exact => true,
        Method::Approximate => false,
    }
}

/// What [`knn`] does with `n` points: the number of neighbours to find, the point itself not
/// counted, and whether all pairs are looked at.
///
/// # Errors
/// [`Error::Parameter`] when fewer than one neighbour is left to find.
pub fn decide(ctx: &Context, n: usize, params: &KnnParams) -> Result<(usize, bool)> {
    let k = neighbours_to_find(ctx, n, params.n_neighbors)?;
    Ok((k, is_exact(n, params.method, params.metric)))
}

/// Fewer points than this are searched exactly, as scanpy does.
fn exact_below(metric: Metric) -> usize {
    match metric {
        Metric::Euclidean => 8192,
        Metric::Cosine => 4096,
    }
}

/// scanpy's rule for `n_neighbors`, without the point itself.
fn neighbours_to_find(ctx: &Context, n: usize, n_neighbors: usize) -> Result<usize> {
    let mut wanted = n_neighbors;
    if wanted > n {
        wanted = 1 + n / 2;
        ctx.emit(Event::Warning {
            text: format!(
                "n_neighbors = {n_neighbors} is more than the {n} points there are; \
                 n_neighbors = {wanted} is used"
            ),
        });
    }
    if wanted < 2 {
        return Err(Error::Parameter(format!(
            "n_neighbors = {wanted} with {n} points leaves no neighbour to find, since \
             n_neighbors counts the point itself; at least 2 points and n_neighbors >= 2 are needed"
        )));
    }
    Ok(wanted - 1)
}
