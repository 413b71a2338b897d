//! The edges of the layout, in parts that can move at the same time.

use super::random;
use crate::WeightedGraph;
use crate::graph::Part;
use crate::kernel::layout::EdgeList;
use cellmill_engine::{Context, Result};
use rayon::prelude::*;
use std::ops::Range;

/// No more parts than this: the most threads that can work at once.
const PARTS: usize = 16;
/// A part has at least about this many vertices.
const PART_VERTICES: usize = 4096;
/// Edges are shuffled within runs of about this many.
const RUN: usize = 16_384;

/// The vertices of an ordered graph, cut into parts, and their edges.
///
/// A part is a range of the vertices. Its own edges move no vertex outside of it, and the edges
/// between two parts move no vertex of a third: so all parts can work at once on their own
/// edges, and disjoint pairs of parts on theirs, on the live positions, without a race.
pub(super) struct Edges {
    /// The places of each part.
    pub(super) parts: Vec<Range<usize>>,
    /// The edges inside each part, cut into runs.
    pub(super) own: Vec<Runs>,
    /// For each round, the pairs of parts that meet.
    pub(super) rounds: Vec<Vec<Pair>>,
}

/// Edges in an order shuffled within runs, so that edges of one vertex are not consecutive:
/// in spatial order, stochastic descent tears clusters apart.
pub(super) struct Runs {
    pub(super) edges: EdgeList,
    pub(super) runs: Vec<Range<usize>>,
}

/// Two parts and the edges from each to the other.
pub(super) struct Pair {
    pub(super) parts: (usize, usize),
    pub(super) edges: [Runs; 2],
}

/// A directed edge, in places of its parts.
type Edge = (u32, u32, u32);

impl Edges {
    /// Bytes of the edges of a graph of `nnz` entries and `n` vertices, the building on `threads`
    /// threads included.
    pub(super) fn bytes(nnz: u64, n: usize, threads: usize) -> u64 {
        // Twelve bytes an entry for good, and as many again for the parts that are being built.
        let parts = count(n);
        let building = nnz.div_ceil(parts as u64) * threads.min(parts) as u64;
        12 * (nnz + building)
    }

    /// Cuts `graph`, whose weights are at most `max`.
    pub(super) fn build(ctx: &Context, graph: &WeightedGraph, max: f32) -> Result<Self> {
        let parts = cut(graph);
        let count = parts.len();
        let ends: Vec<usize> = parts.iter().map(|part| part.end).collect();
        let part_of = |vertex: usize| ends.iter().filter(|&&end| end <= vertex).count();
        let edges = |vertex: usize| {
            Part::whole(graph)
                .edges(vertex)
                .filter(move |&(u, _)| u != vertex)
        };

        let lists: Vec<Vec<Runs>> = ctx.pool().install(|| {
            parts
                .par_iter()
                .enumerate()
                .map(|(part, range)| {
                    // Counted first: growing vectors would take twice the memory.
                    let mut sizes = vec![0usize; count];
                    for vertex in range.clone() {
                        edges(vertex).for_each(|(to, _)| sizes[part_of(to)] += 1);
                    }
                    let mut to: Vec<Vec<Edge>> =
                        sizes.into_iter().map(Vec::with_capacity).collect();
                    for vertex in range.clone() {
                        ctx.cancel().check()?;
                        for (there, weight) in edges(vertex) {
                            let other = part_of(there);
                            let head = (vertex - range.start) as u32;
                            let tail = (there - parts[other].start) as u32;
                            to[other].push((head, tail, rate(weight, max)));
                        }
                    }
                    Ok(to
                        .into_iter()
                        .enumerate()
                        .map(|(other, edges)| {
                            let stream = (part * count + other) as u64;
                            Runs::new(edges, range.len(), parts[other].len(), stream)
                        })
                        .collect())
                })
                .collect::<Result<_>>()
        })?;

        let mut lists: Vec<Vec<Option<Runs>>> = lists
            .into_iter()
            .map(|row| row.into_iter().map(Some).collect())
            .collect();
        let own = (0..count)
            .filter_map(|part| lists[part][part].take())
            .collect();
        let rounds = tournament(count)
            .into_iter()
            .map(|round| {
                round
                    .into_iter()
                    .filter_map(|(p, q)| {
                        let edges = [lists[p][q].take()?, lists[q][p].take()?];
                        Some(Pair {
                            parts: (p, q),
                            edges,
                        })
                    })
                    .filter(|pair| pair.edges.iter().any(|runs| runs.edges.len() > 0))
                    .collect()
            })
            .collect();
        Ok(Self { parts, own, rounds })
    }
}

impl Runs {
    fn new(mut edges: Vec<Edge>, heads: usize, tails: usize, stream: u64) -> Self {
        let mut list = EdgeList::new(heads, tails, edges.len());
        let count = edges.len().div_ceil(RUN).max(1);
        let runs: Vec<_> = (0..count)
            .map(|r| r * edges.len() / count..(r + 1) * edges.len() / count)
            .collect();
        let mut drawn = 0;
        for run in &runs {
            let run = &mut edges[run.clone()];
            for i in (1..run.len()).rev() {
                run.swap(i, random::below(random::word(0, stream, drawn), i + 1));
                drawn += 1;
            }
        }
        for (head, tail, rate) in edges {
            list.push(head, tail, rate);
        }
        Self { edges: list, runs }
    }
}

/// The weight as a fraction of the largest, in units of 2^-32; at least one.
fn rate(weight: f32, max: f32) -> u32 {
    ((f64::from(weight) / f64::from(max) * 4_294_967_296.0) as u32).max(1)
}

/// The number of parts of `n` vertices.
fn count(n: usize) -> usize {
    (n / PART_VERTICES)
        .clamp(1, PARTS)
        .next_power_of_two()
        .min(PARTS)
}

/// Ranges of vertices with about equal numbers of entries; their number depends on n alone.
pub(super) fn cut(graph: &WeightedGraph) -> Vec<Range<usize>> {
    let n = graph.n();
    let count = count(n);
    let total = graph.nnz() + n as u64;
    let mut parts = Vec::with_capacity(count);
    let (mut start, mut load) = (0, 0u64);
    for vertex in 0..n {
        load += graph.row(vertex).len() as u64 + 1;
        let full = load * count as u64 >= total * (parts.len() as u64 + 1);
        if full && parts.len() + 1 < count {
            parts.push(start..vertex + 1);
            start = vertex + 1;
        }
    }
    parts.push(start..n);
    parts
}

/// Rounds in which every two of `count` parts meet once and no part meets two others at once.
fn tournament(count: usize) -> Vec<Vec<(usize, usize)>> {
    if count < 2 {
        return Vec::new();
    }
    // The circle method: one part stays, the others go round. An odd part out has a rest.
    let seats = count + count % 2;
    let turn = seats - 1;
    (0..turn)
        .map(|round| {
            (0..seats / 2)
                .map(|k| {
                    let first = if k == 0 { turn } else { (round + k) % turn };
                    let second = (round + turn - k) % turn;
                    (first.min(second), first.max(second))
                })
                .filter(|&(_, second)| second < count)
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_two_parts_meet_once_and_never_two_at_a_time() {
        for count in 1..=16 {
            let mut met = std::collections::BTreeSet::new();
            for round in tournament(count) {
                let mut busy = vec![false; count];
                for (p, q) in round {
                    assert!(p < q && !busy[p] && !busy[q]);
                    (busy[p], busy[q]) = (true, true);
                    assert!(met.insert((p, q)));
                }
            }
            assert_eq!(met.len(), count * (count - 1) / 2);
        }
    }

    #[test]
    fn the_largest_weight_fires_always_and_a_tiny_one_is_kept() {
        assert_eq!(rate(0.7, 0.7), u32::MAX);
        assert_eq!(rate(0.35, 0.7), 1 << 31);
        assert_eq!(rate(1e-20, 1.0), 1);
    }
}
