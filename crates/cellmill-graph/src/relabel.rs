//! The same graph with its vertices in another order, or some of them alone.

use crate::WeightedGraph;
use cellmill_engine::{Context, Result};
use rayon::prelude::*;

/// Rows that one task takes.
const CHUNK: usize = 4096;

/// The place of a vertex that is left out.
const NOWHERE: u32 = u32::MAX;

/// The same graph with vertex `order[i]` called `i`. Columns keep the order of the old row.
///
/// # Errors
/// When the run is cancelled.
pub(crate) fn relabelled(
    ctx: &Context,
    graph: &WeightedGraph,
    order: &[u32],
) -> Result<WeightedGraph> {
    let mut place = vec![NOWHERE; graph.n()];
    for (i, &v) in order.iter().enumerate() {
        place[v as usize] = i as u32;
    }
    part(ctx, graph, order, &place, |_| true)
}

/// The graph of `members` alone, member `i` called `i`: those vertices that `inside` says yes to,
/// whose places among the members are `place`. Columns keep the order of the old row.
///
/// # Errors
/// When the run is cancelled.
pub(crate) fn part(
    ctx: &Context,
    graph: &WeightedGraph,
    members: &[u32],
    place: &[u32],
    inside: impl Fn(u32) -> bool + Sync,
) -> Result<WeightedGraph> {
    let mut indptr = Vec::with_capacity(members.len() + 1);
    indptr.push(0);
    let mut end = 0;
    for &v in members {
        end += graph.row(v as usize).len() as u64;
        indptr.push(end);
    }
    let mut indices = vec![0; end as usize];
    let mut weights = vec![0.0; end as usize];
    let mut parts = Vec::with_capacity(members.len().div_ceil(CHUNK));
    let (mut columns, mut values) = (&mut indices[..], &mut weights[..]);
    for (chunk, starts) in members.chunks(CHUNK).zip(indptr.chunks(CHUNK)) {
        let last = chunk.last().map_or(0, |&v| graph.row(v as usize).len());
        let length = (starts[chunk.len() - 1] - starts[0]) as usize + last;
        let (head, tail) = columns.split_at_mut(length);
        let (value_head, value_tail) = values.split_at_mut(length);
        (columns, values) = (tail, value_tail);
        parts.push((chunk, head, value_head));
    }
    // The places of entries that lead out are left empty, and taken out afterwards.
    let led_out: Vec<bool> = ctx.pool().install(|| {
        parts
            .into_par_iter()
            .map(|(chunk, columns, values)| {
                ctx.cancel().check()?;
                let (mut at, mut out) = (0, false);
                for (i, &v) in chunk.iter().enumerate() {
                    graph.expect_along(|k| chunk.get(i + k).copied(), place);
                    let row = graph.row(v as usize);
                    let end = at + row.len();
                    values[at..end].copy_from_slice(&graph.weights[row.clone()]);
                    for (column, &u) in columns[at..end].iter_mut().zip(&graph.indices[row]) {
                        let there = inside(u);
                        out |= !there;
                        *column = if there { place[u as usize] } else { NOWHERE };
                    }
                    at = end;
                }
                Ok(out)
            })
            .collect::<Result<_>>()
    })?;
    let mut graph = WeightedGraph {
        indptr,
        indices,
        weights,
    };
    if led_out.contains(&true) {
        graph.keep(|entry, _| entry != NOWHERE);
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_keeps_what_stays_inside() {
        let ctx = Context::quiet(2).unwrap();
        // A chain of triples 3 t, 3 t + 1, 3 t + 2, linked by entries of weight 0; more than one
        // chunk of members.
        let n = 5 * CHUNK;
        let mut graph = WeightedGraph {
            indptr: vec![0],
            indices: Vec::new(),
            weights: Vec::new(),
        };
        for v in 0..n as u32 {
            let (t, at) = (v / 3, v % 3);
            let triple = (0..3).filter(|&k| k != at && 3 * t + k < n as u32);
            let mut row: Vec<(u32, f32)> = triple.map(|k| (3 * t + k, 1.0 + k as f32)).collect();
            if v >= 3 {
                row.insert(0, (v - 3, 0.0));
            }
            for (u, w) in row {
                graph.indices.push(u);
                graph.weights.push(w);
            }
            graph.indptr.push(graph.indices.len() as u64);
        }
        // The members of every other triple, and their places.
        let inside = |v: u32| (v / 3).is_multiple_of(2);
        let members: Vec<u32> = (0..n as u32).filter(|&v| inside(v)).collect();
        assert!(members.len() > 2 * CHUNK);
        let mut place = vec![7; n];
        for (i, &v) in members.iter().enumerate() {
            place[v as usize] = i as u32;
        }
        let of = part(&ctx, &graph, &members, &place, inside).unwrap();
        assert_eq!(of.n(), members.len());
        for (i, &v) in members.iter().enumerate() {
            let row = of.row(i).map(|e| (members[of.indices[e] as usize], of.weights[e]));
            let expected = graph
                .row(v as usize)
                .map(|e| (graph.indices[e], graph.weights[e]))
                .filter(|&(u, _)| inside(u));
            assert!(row.eq(expected), "{v}");
        }
        // All of them in another order, and back.
        let order: Vec<u32> = (0..n as u32).rev().collect();
        let there = relabelled(&ctx, &graph, &order).unwrap();
        assert_ne!(there, graph);
        assert_eq!(relabelled(&ctx, &there, &order).unwrap(), graph);
    }
}
