//! An order of the vertices in which neighbours are close in memory.
//!
//! Cells come in the order of a file, so a vertex's neighbours are anywhere and every look at
//! their communities misses the caches. Small pieces of the graph, each grown breadth first and
//! each next to the one before, are laid out one after the other instead.

use crate::WeightedGraph;
use crate::kernel::prefetch;
use cellmill_engine::{Context, Result};
use rayon::prelude::*;

/// Vertices in a piece.
const PIECE: usize = 512;
/// Rows that are asked for ahead of the one that is read.
const AHEAD: usize = 8;
/// Rows that one task of the copy takes.
const CHUNK: usize = 4096;

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

/// The same graph with vertex `order[i]` called `i`. Columns keep the order of the old row.
///
/// # Errors
/// When the run is cancelled.
pub(super) fn reorder(
    ctx: &Context,
    graph: &WeightedGraph,
    order: &[u32],
) -> Result<WeightedGraph> {
    let mut place = vec![0; order.len()];
    for (i, &v) in order.iter().enumerate() {
        place[v as usize] = i as u32;
    }
    let mut indptr = Vec::with_capacity(order.len() + 1);
    indptr.push(0);
    let mut end = 0;
    for &v in order {
        end += graph.row(v as usize).len() as u64;
        indptr.push(end);
    }
    let mut indices = vec![0; end as usize];
    let mut weights = vec![0.0; end as usize];
    let mut parts = Vec::with_capacity(order.len().div_ceil(CHUNK));
    let (mut columns, mut values) = (&mut indices[..], &mut weights[..]);
    for chunk in order.chunks(CHUNK) {
        let length = chunk
            .iter()
            .map(|&v| graph.row(v as usize).len())
            .sum::<usize>();
        let (head, tail) = columns.split_at_mut(length);
        let (value_head, value_tail) = values.split_at_mut(length);
        (columns, values) = (tail, value_tail);
        parts.push((chunk, head, value_head));
    }
    parts
        .into_par_iter()
        .try_for_each(|(chunk, columns, values)| {
            ctx.cancel().check()?;
            let mut at = 0;
            for (i, &v) in chunk.iter().enumerate() {
                if let Some(&later) = chunk.get(i + AHEAD) {
                    let row = graph.row(later as usize);
                    prefetch(&graph.indices[row.clone()]);
                    prefetch(&graph.weights[row]);
                }
                let row = graph.row(v as usize);
                let end = at + row.len();
                values[at..end].copy_from_slice(&graph.weights[row.clone()]);
                for (column, &u) in columns[at..end].iter_mut().zip(&graph.indices[row]) {
                    *column = place[u as usize];
                }
                at = end;
            }
            Ok(())
        })?;
    Ok(WeightedGraph {
        indptr,
        indices,
        weights,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let moved = reorder(&ctx, &graph, &order).unwrap();
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
