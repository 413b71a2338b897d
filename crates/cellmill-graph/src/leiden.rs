//! Communities of a graph: the Leiden algorithm.
//!
//! Traag, Waltman and van Eck, "From Louvain to Leiden: guaranteeing well-connected communities"
//! (2019). scanpy's function is `tl.leiden` with `flavor='igraph'`. Every community of the
//! answer is connected.
//!
//! One run's quality has a heavy lower tail: a few early moves decide which sets can still merge.
//! Levels that are small enough to be cheap are therefore searched several times, from the
//! partition below and from single vertices, and the best is kept.
//!
//! The answer depends on the graph, the parameters and the seed, and not on threads: sums are
//! integers, and every random number is named by what it is for.

mod aggregate;
mod batch_move;
mod check;
mod communities;
mod level;
mod local_move;
mod modularity;
mod order;
mod refine;
mod rng;
mod tally;

pub use modularity::modularity;

use crate::relabel::{back_from, in_order, relabelled};
use crate::{Handed, WeightedGraph};
use batch_move::Batches;
use cellmill_engine::{Context, Error, Event, Result};
use check::check;
use communities::{Communities, Members, compact};
use level::{Adjacency, Rule, Unweighted, Weighted, in_units};
use local_move::Queue;
use rayon::prelude::*;
use refine::{Refined, Task};
use rng::{Rng, derive, mix};
use std::time::Instant;

const STAGE: &str = "leiden";
/// The randomness of the refinement, in edge weight. igraph's default of 0.01 is applied by
/// scanpy to a graph that holds every edge twice.
const THETA: f64 = 0.005;
/// Climbs from a small level, of which the best is kept.
const CLIMBS: u64 = 4;
/// Vertices that one task of a parallel sweep takes.
const SWEEP: usize = 4096;

/// What is maximised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// Modularity with a resolution (Reichardt and Bornholdt's configuration model).
    Modularity,
    /// The constant Potts model: the weight inside communities minus `resolution` times the
    /// number of pairs inside. Each undirected edge counts once; scanpy gives igraph every edge
    /// twice, so its resolution is twice the one here.
    Cpm,
}

/// Parameters of [`leiden`].
#[derive(Debug, Clone, PartialEq)]
pub struct LeidenParams {
    /// What is maximised.
    pub objective: Objective,
    /// Larger values give more and smaller communities; not negative.
    pub resolution: f64,
    /// Runs of the whole algorithm, each from the partition of the last one; a negative number
    /// runs until a run moves nothing.
    pub n_iterations: i32,
    /// scanpy's `random_state`.
    pub seed: u64,
    /// Whether the weights count, or only the edges.
    pub use_weights: bool,
}

impl Default for LeidenParams {
    /// Modularity, resolution 1, two iterations, seed 0, weighted: what scanpy recommends.
    fn default() -> Self {
        Self {
            objective: Objective::Modularity,
            resolution: 1.0,
            n_iterations: 2,
            seed: 0,
            use_weights: true,
        }
    }
}

/// Communities of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Leiden {
    /// The community of each vertex. Community 0 is the largest; equal sizes are in the order of
    /// their first vertices.
    pub labels: Vec<u32>,
    /// The number of communities.
    pub n_communities: usize,
    /// Modularity with the resolution that was asked for, whatever the objective: what scanpy
    /// stores in `uns['leiden']['modularity']` with `flavor='igraph'`. NaN without edges.
    pub modularity: f64,
    /// Runs that were made.
    pub iterations: u32,
}

/// Finds communities, starting with every vertex alone.
///
/// The graph must be symmetric, bit by bit; a self edge adds its weight to the strength. A large
/// graph that is given away is dropped as soon as its copy in another order is there.
///
/// ```
/// use cellmill_engine::Context;
/// use cellmill_graph::{WeightedGraph, leiden::{LeidenParams, leiden}};
///
/// // A triangle, and a pair.
/// let graph = WeightedGraph {
///     indptr: vec![0, 2, 4, 6, 7, 8],
///     indices: vec![1, 2, 0, 2, 0, 1, 4, 3],
///     weights: vec![1.0; 8],
/// };
/// let found = leiden(&Context::quiet(1)?, &graph, &LeidenParams::default())?;
/// assert_eq!(found.labels, [0, 0, 0, 1, 1]);
/// # Ok::<(), cellmill_engine::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`] for a resolution that is negative or not finite; [`Error::Data`] for a
/// graph that is not symmetric or has weights that are negative or not finite;
/// [`Error::Budget`]; [`Error::Cancelled`].
pub fn leiden<'a>(
    ctx: &Context,
    graph: impl Into<Handed<'a>>,
    params: &LeidenParams,
) -> Result<Leiden> {
    let graph = graph.into();
    let alone = (0..graph.n() as u32).collect();
    ctx.pool().install(|| run(ctx, graph, params, alone))
}

/// Finds communities, starting with the partition `initial` (any labels, one for each vertex).
///
/// # Errors
/// As [`leiden`], and [`Error::Parameter`] when `initial` has another length.
pub fn leiden_from(
    ctx: &Context,
    graph: &WeightedGraph,
    params: &LeidenParams,
    initial: &[u32],
) -> Result<Leiden> {
    if initial.len() != graph.n() {
        return Err(Error::Parameter(format!(
            "the initial membership has {} labels and the graph has {} vertices; give one label for each vertex",
            initial.len(),
            graph.n()
        )));
    }
    let mut order: Vec<u32> = initial.to_vec();
    order.sort_unstable();
    order.dedup();
    let dense = initial
        .iter()
        .map(|label| order.partition_point(|other| other < label) as u32)
        .collect();
    ctx.pool().install(|| run(ctx, graph.into(), params, dense))
}

fn run(
    ctx: &Context,
    graph: Handed<'_>,
    params: &LeidenParams,
    mut labels: Vec<u32>,
) -> Result<Leiden> {
    if !(params.resolution.is_finite() && params.resolution >= 0.0) {
        return Err(Error::Parameter(format!(
            "the resolution of leiden is {}; it must be a finite number that is not negative",
            params.resolution
        )));
    }
    let begun = Instant::now();
    let total = u64::try_from(params.n_iterations).unwrap_or(0);
    ctx.emit(Event::StageStarted {
        stage: STAGE.to_owned(),
        total,
        unit: "iterations".to_owned(),
    });
    let n = graph.n();
    let _vertices = ctx
        .budget()
        .reserve(BYTES_A_VERTEX * n as u64, "leiden's communities")?;
    let weight = check(ctx, &graph)?;
    let weight = if params.use_weights {
        weight
    } else {
        graph.nnz() as f64
    };

    let nearer = if weight > 0.0 {
        nearer(ctx, &graph)?
    } else {
        None
    };
    let (graph, order) = match nearer {
        None => (graph, None),
        Some((copy, order)) => {
            drop(graph);
            (copy, Some(order))
        }
    };
    let mut iterations = 0;
    if weight > 0.0 {
        // 2^60 units in all: sums stay below 2^63 and rounding below 1e-18 of the total.
        let scale = (60.0 - weight.log2().ceil()).clamp(-1000.0, 1000.0).exp2();
        if let Some(order) = &order {
            labels = in_order(order, &labels, 1);
        }
        while params.n_iterations < 0 || i64::from(iterations) < i64::from(params.n_iterations) {
            let key = derive(mix(params.seed), u64::from(iterations));
            let search = Search { ctx, params, key };
            let moved = if params.use_weights {
                search.iterate(
                    &graph,
                    Weighted {
                        graph: &graph,
                        scale,
                    },
                    scale,
                    &mut labels,
                )?
            } else {
                // A weight of one must be a whole number of units.
                let scale = scale.max(1.0);
                search.iterate(
                    &graph,
                    Unweighted {
                        graph: &graph,
                        scale,
                    },
                    scale,
                    &mut labels,
                )?
            };
            iterations += 1;
            ctx.emit(Event::Progress {
                stage: STAGE.to_owned(),
                done: u64::from(iterations),
                bytes_read: 0,
            });
            if !moved && params.n_iterations < 0 {
                break;
            }
        }
    } else {
        labels = (0..n as u32).collect();
    }
    if let Some(order) = &order {
        labels = back_from(order, &labels, 1);
    }
    let n_communities = by_size(&mut labels);
    let inside = order.map(|order| in_order(&order, &labels, 1));
    let inside = inside.as_deref().unwrap_or(&labels);
    let modularity = if params.use_weights {
        modularity(&graph, inside, params.resolution)
    } else {
        modularity::unweighted(&graph, inside, params.resolution)
    };
    ctx.emit(Event::StageFinished {
        stage: STAGE.to_owned(),
        seconds: begun.elapsed().as_secs_f64(),
        bytes_read: 0,
    });
    Ok(Leiden {
        labels,
        n_communities,
        modularity,
        iterations,
    })
}

/// Bytes that live beside the graph for each vertex of the input: communities, totals, strengths,
/// the queue, and the refinement's copies.
const BYTES_A_VERTEX: u64 = 96;

/// A copy of a graph that is too large for the caches, its vertices in an order of the graph's own,
/// and the vertex at each place; small ones stay as they are.
fn nearer(ctx: &Context, graph: &WeightedGraph) -> Result<Option<(Handed<'static>, Vec<u32>)>> {
    if graph.n() < batch_move::LEAST {
        return Ok(None);
    }
    let bytes = nearer_bytes(graph.n() as u64, graph.nnz());
    let reserved = ctx.budget().reserve(bytes, "leiden's copy of the graph")?;
    let order = order::order(ctx, graph)?;
    let copy = relabelled(ctx, graph, &order)?;
    Ok(Some((Handed::given(copy, Some(reserved)), order)))
}

/// Bytes of the copy of a graph, the order, and what finding it takes.
fn nearer_bytes(n: u64, nnz: u64) -> u64 {
    WeightedGraph::bytes(n, nnz) + 12 * n
}

/// Bytes that [`leiden`] reserves while it copies a graph of `n` vertices and `nnz` entries, the graph
/// itself not counted.
pub fn copy_bytes(n: u64, nnz: u64) -> u64 {
    BYTES_A_VERTEX * n + nearer_bytes(n, nnz)
}

/// Bytes that [`leiden`] reserves at once, at most, the graph itself not counted; one that is given
/// away is gone by then.
pub fn bytes(n: u64, nnz: u64) -> u64 {
    // Of the graphs of communities twelve bytes an entry, of which there are fewer than in the graph
    // as soon as vertices merge, and of their vertices 68 bytes, of at most a quarter as many; of
    // a graph that is small enough, each climb has its own.
    let levels = |n: u64, nnz: u64| 12 * nnz + 17 * n;
    let small = n.min(batch_move::LEAST as u64);
    let climb = BYTES_A_VERTEX * small + levels(4 * small, nnz / n.max(1) * small);
    copy_bytes(n, nnz) + levels(n, nnz) + CLIMBS * climb
}

/// One run of the algorithm.
struct Search<'a> {
    ctx: &'a Context,
    params: &'a LeidenParams,
    key: u64,
}

/// A level's outcome: the next level, and where each vertex went.
struct Coarser {
    refined: Refined,
    graph: level::Aggregate,
    node_weight: Vec<i64>,
}

impl Search<'_> {
    /// Improves `labels`, and returns whether anything moved.
    fn iterate<A: Adjacency>(
        &self,
        graph: &WeightedGraph,
        input: A,
        scale: f64,
        labels: &mut Vec<u32>,
    ) -> Result<bool> {
        let n = graph.n();
        let strengths = self.strengths(graph, &input, scale);
        let total: i64 = strengths.iter().sum();
        let (node_weight, rho) = match self.params.objective {
            Objective::Modularity => (strengths, self.params.resolution / total as f64),
            Objective::Cpm => (vec![1; n], self.params.resolution * scale),
        };
        let rule = Rule {
            rho,
            least: 1e-13 * total as f64,
            theta: THETA * scale,
        };

        let (found, moved) = self.climb(
            &input,
            &rule,
            node_weight,
            std::mem::take(labels),
            self.key,
            true,
        )?;
        *labels = found;
        Ok(moved)
    }

    /// Moves, refines and aggregates, level by level, from the partition `labels`. Returns the
    /// partition in which no level moves any more, and whether anything moved. With `several`, the
    /// levels that are small are searched several times.
    fn climb<A: Adjacency>(
        &self,
        adjacency: &A,
        rule: &Rule,
        node_weight: Vec<i64>,
        mut labels: Vec<u32>,
        key: u64,
        several: bool,
    ) -> Result<(Vec<u32>, bool)> {
        if several && labels.len() < batch_move::LEAST {
            return self.best(adjacency, rule, &node_weight, &labels, key);
        }
        let mut moved = false;
        let mut next = self.level(adjacency, rule, node_weight, &mut labels, key, &mut moved)?;
        // The vertex of the present level that holds each vertex of the first.
        let mut holder: Option<Vec<u32>> = None;
        for depth in 1.. {
            let Some(Coarser {
                refined,
                graph,
                node_weight,
            }) = next.take()
            else {
                break;
            };
            let bytes = graph.bytes() + 64 * node_weight.len() as u64;
            let _level = self
                .ctx
                .budget()
                .reserve(bytes, "leiden's graph of communities")?;
            match &mut holder {
                None => holder = Some(refined.of),
                Some(holder) => holder
                    .par_iter_mut()
                    .for_each(|h| *h = refined.of[*h as usize]),
            }
            labels = refined.parent;
            let key = derive(key, depth);
            if several && labels.len() < batch_move::LEAST {
                let better = self.best(&graph, rule, &node_weight, &labels, key)?;
                labels = better.0;
                moved |= better.1;
            } else {
                next = self.level(&graph, rule, node_weight, &mut labels, key, &mut moved)?;
            }
        }
        if let Some(mut holder) = holder {
            holder.par_iter_mut().for_each(|h| *h = labels[*h as usize]);
            labels = holder;
        }
        Ok((labels, moved))
    }

    /// The best of several climbs from the same small level. Which sets merge there is decided
    /// early and by chance, and a single climb can end far below the others.
    fn best<A: Adjacency>(
        &self,
        adjacency: &A,
        rule: &Rule,
        node_weight: &[i64],
        labels: &[u32],
        key: u64,
    ) -> Result<(Vec<u32>, bool)> {
        let bytes = CLIMBS * BYTES_A_VERTEX * labels.len() as u64;
        let _climbs = self.ctx.budget().reserve(bytes, "leiden's climbs")?;
        let found: Vec<(f64, Vec<u32>, bool)> = (0..CLIMBS)
            .into_par_iter()
            .map(|attempt| {
                let key = derive(key, u64::MAX - attempt);
                // Every other climb begins with every vertex alone: a partition that was made
                // among smaller sets may hold what no move of a larger set can undo.
                let start = if attempt % 2 == 0 {
                    labels.to_vec()
                } else {
                    (0..labels.len() as u32).collect()
                };
                let weights = node_weight.to_vec();
                let (found, moved) = self.climb(adjacency, rule, weights, start, key, false)?;
                let quality = communities::quality(adjacency, rule, node_weight, &found);
                Ok((quality, found, moved))
            })
            .collect::<Result<_>>()?;
        // The first of equals, so that threads do not matter.
        let (_, found, moved) = found
            .into_iter()
            .reduce(|best, other| if other.0 > best.0 { other } else { best })
            .unwrap_or_else(|| (0.0, labels.to_vec(), false));
        Ok((found, moved))
    }

    /// The sum of each vertex's weights in units, a self edge counted once.
    fn strengths<A: Adjacency>(&self, graph: &WeightedGraph, input: &A, scale: f64) -> Vec<i64> {
        (0..graph.n())
            .into_par_iter()
            .with_min_len(SWEEP)
            .map(|v| {
                let edges: i64 = input.row(v).map(|(_, w)| w).sum();
                let own = graph.row(v).filter(|&e| graph.indices[e] as usize == v);
                let own = own.map(|e| {
                    if self.params.use_weights {
                        graph.weights[e]
                    } else {
                        1.0
                    }
                });
                edges + own.map(|w| in_units(w, scale)).sum::<i64>()
            })
            .collect()
    }

    /// Moves, refines and aggregates one level. `labels` is its partition, before and after.
    fn level<A: Adjacency>(
        &self,
        adjacency: &A,
        rule: &Rule,
        node_weight: Vec<i64>,
        labels: &mut Vec<u32>,
        key: u64,
        moved: &mut bool,
    ) -> Result<Option<Coarser>> {
        let n = labels.len();
        let mut communities = Communities::new(std::mem::take(labels), &node_weight);
        *moved |= if n < batch_move::LEAST {
            let mut queue = Queue::shuffled(n, &mut Rng::new(derive(key, 0)));
            queue.drain(self.ctx, adjacency, &node_weight, rule, &mut communities)?
        } else {
            let key = derive(key, 0);
            Batches {
                ctx: self.ctx,
                adjacency,
                node_weight: &node_weight,
                rule,
                key,
            }
            .run(&mut communities)?
        };
        *labels = communities.of;
        let count = compact(labels);
        if count == n {
            return Ok(None);
        }
        let task = Task {
            ctx: self.ctx,
            adjacency,
            node_weight: &node_weight,
            rule,
            key: derive(key, 1),
        };
        let mut refined = task.refine(labels, count)?;
        if refined.parent.len() == n {
            // Nothing merged: go on with the communities themselves, each connected.
            refined = task.components(labels, count)?;
            if refined.parent.len() == n {
                *labels = refined.of;
                return Ok(None);
            }
        }
        let (graph, node_weight) = aggregate::aggregate(
            self.ctx,
            adjacency,
            &node_weight,
            &refined.of,
            refined.parent.len(),
        )?;
        Ok(Some(Coarser {
            refined,
            graph,
            node_weight,
        }))
    }
}

/// Renumbers communities by size descending, then by first vertex; returns their number.
fn by_size(labels: &mut [u32]) -> usize {
    let count = compact(labels);
    let starts = Members::new(labels, count).starts;
    let mut order: Vec<u32> = (0..count as u32).collect();
    // Stable, and numbers are in the order of first vertices.
    order.sort_by_key(|&c| std::cmp::Reverse(starts[c as usize + 1] - starts[c as usize]));
    let mut rank = vec![0; count];
    for (i, &c) in order.iter().enumerate() {
        rank[c as usize] = i as u32;
    }
    for label in labels {
        *label = rank[*label as usize];
    }
    count
}

#[cfg(test)]
mod tests;
