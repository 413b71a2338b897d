//! An order of the vertices in which neighbours are close in memory.
//!
//! Cells come in the order of a file, so a vertex's neighbours are anywhere and every look at
//! their communities misses the caches. Small pieces of the graph, each grown breadth first and
//! each next to the one before, are laid out one after the other instead.

use crate::WeightedGraph;
use crate::kernel::{AHEAD, prefetch};
use cellmill_engine::{Context, Result};

/// Vertices in a piece.
const PIECE: usize = 512;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Unseen,
    /// May begin a piece.
    Seen,
    Placed,
}

/// The vertices in their new order.
///
/// # Errors
/// When the run is cancelled.
pub(super) fn order(ctx: &Context, graph: &WeightedGraph) -> Result<Vec<u32>> {
    let n = graph.n();
    let mut state = vec![State::Unseen; n];
    let mut order: Vec<u32> = Vec::with_capacity(n);
    // The last seen come first, so that a piece begins beside the one before.
    let mut seeds: Vec<u32> = Vec::new();
    let mut fresh = 0..n as u32;
    loop {
        let seed = std::iter::from_fn(|| seeds.pop()).find(|&v| state[v as usize] != State::Placed);
        let seed = seed.or_else(|| fresh.find(|&v| state[v as usize] != State::Placed));
        let Some(seed) = seed else { return Ok(order) };
        ctx.cancel().check()?;
        let first = order.len();
        state[seed as usize] = State::Placed;
        order.push(seed);
        let mut next = first;
        while next < order.len() {
            if let Some(&later) = order.get(next + AHEAD) {
                prefetch(&graph.indices[graph.row(later as usize)]);
            }
            for &u in &graph.indices[graph.row(order[next] as usize)] {
                let state = &mut state[u as usize];
                if *state != State::Placed && order.len() < first + PIECE {
                    *state = State::Placed;
                    order.push(u);
                } else if *state == State::Unseen {
                    *state = State::Seen;
                    seeds.push(u);
                }
            }
            next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relabel::relabelled;

    #[test]
    fn the_reordered_graph_is_the_same_graph() {
        // A ring of 10,000, numbered by steps of 3,001, with a weight for each edge, and a pair
        // that is not connected to it.
        let n = 10_000u64;
        let name = |i: u64| (i % n * 3001 % n) as u32;
        let mut rows: Vec<Vec<(u32, f32)>> = vec![vec![]; n as usize];
        for i in 0..n {
            let (a, b, w) = (name(i), name(i + 1), i as f32);
            rows[a as usize].push((b, w));
            rows[b as usize].push((a, w));
        }
        rows.extend([vec![(10_001, 0.5)], vec![(10_000, 0.5)]]);
        let mut graph = WeightedGraph {
            indptr: vec![0],
            indices: vec![],
            weights: vec![],
        };
        for row in &rows {
            graph.indices.extend(row.iter().map(|e| e.0));
            graph.weights.extend(row.iter().map(|e| e.1));
            graph.indptr.push(graph.indices.len() as u64);
        }
        let ctx = Context::quiet(2).unwrap();
        let order = order(&ctx, &graph).unwrap();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10_002).collect::<Vec<u32>>());
        let moved = relabelled(&ctx, &graph, &order).unwrap();
        let mut far = 0;
        for (i, &v) in order.iter().enumerate() {
            let back = |e: usize| (order[moved.indices[e] as usize], moved.weights[e]);
            assert_eq!(moved.row(i).map(back).collect::<Vec<_>>(), rows[v as usize]);
            far += moved
                .row(i)
                .filter(|&e| (moved.indices[e] as usize).abs_diff(i) > PIECE)
                .count();
        }
        // Before, every neighbour is thousands of places away.
        assert!(far < 100, "{far}");
    }
}
