//! The order of the vertices in memory: neighbours in the graph are neighbours in memory.

use crate::WeightedGraph;
use crate::graph::Part;
use crate::spectral::{Hierarchy, coarsen};
use cellmill_engine::{Context, Result};

/// Coarsening ends at this many vertices that have entries.
const COARSEST: usize = 64;

/// The vertices in an order that follows the graph alone: it is coarsened by aggregation, the
/// coarsest vertices are visited breadth first, strongest edge first, and every aggregate is
/// replaced by its members. Vertices that are connected follow each other without others between
/// them. Entries below `least` are not there.
///
/// It depends neither on communities nor on the initial layout. What the aggregates are in that order
/// comes with it.
pub(crate) fn order(
    ctx: &Context,
    graph: &WeightedGraph,
    mut least: f32,
) -> Result<(Vec<u32>, Hierarchy)> {
    let mut levels = Vec::new();
    let mut coarsest: Option<WeightedGraph> = None;
    loop {
        let current = Part::whole(coarsest.as_ref().unwrap_or(graph));
        // Vertices of their own, and parts that are down to one, stay as they are: they would hide how
        // the others shrink.
        let joined = |&v: &usize| current.edges(v).any(|(_, w)| w >= least);
        let joined = (0..current.n()).filter(joined).count();
        if joined <= COARSEST {
            break;
        }
        let aggregates = coarsen::aggregate(ctx, current, least)?;
        let left = (aggregates.count() + joined).saturating_sub(current.n());
        if left as f64 > 0.9 * joined as f64 {
            break;
        }
        let next = coarsen::contract(ctx, current, &aggregates, least)?.graph;
        levels.push((aggregates.starts, aggregates.members));
        coarsest = Some(next);
        // What is in a coarser graph counts.
        least = 0.0;
    }
    let mut order = breadth_first(coarsest.as_ref().unwrap_or(graph), least);
    let mut finest_last = Vec::with_capacity(levels.len());
    for (starts, members) in levels.into_iter().rev() {
        let mut finer = Vec::with_capacity(members.len());
        let mut begins = Vec::with_capacity(starts.len());
        begins.push(0);
        for c in order {
            let of_c = starts[c as usize] as usize..starts[c as usize + 1] as usize;
            finer.extend_from_slice(&members[of_c]);
            begins.push(finer.len() as u32);
        }
        order = finer;
        finest_last.push(begins);
    }
    finest_last.reverse();
    Ok((order, Hierarchy::new(finest_last)))
}

fn breadth_first(graph: &WeightedGraph, least: f32) -> Vec<u32> {
    let n = graph.n();
    let mut seen = vec![false; n];
    let mut order = Vec::with_capacity(n);
    let mut row = Vec::new();
    for start in 0..n {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut next = order.len();
        order.push(start as u32);
        while next < order.len() {
            let edges = Part::whole(graph).edges(order[next] as usize);
            next += 1;
            row.clear();
            row.extend(edges.filter(|&(_, w)| w >= least));
            row.sort_by(|x, y| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0)));
            for &(neighbour, _) in &row {
                if !seen[neighbour] {
                    seen[neighbour] = true;
                    order.push(neighbour as u32);
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral::tests::ring;

    #[test]
    fn is_a_permutation_that_keeps_neighbours_close() {
        let n = 3000;
        // A ring whose vertices are numbered in a scattered order.
        let graph = ring(n, 1201);
        let ctx = Context::quiet(1).unwrap();
        let (order, _) = order(&ctx, &graph, 0.0).unwrap();
        let mut rank = vec![usize::MAX; n];
        for (place, &v) in order.iter().enumerate() {
            assert_eq!(rank[v as usize], usize::MAX);
            rank[v as usize] = place;
        }
        let far = (0..n)
            .flat_map(|i| graph.row(i).map(move |e| (i, e)))
            .filter(|&(i, e)| rank[i].abs_diff(rank[graph.indices[e] as usize]) > 64)
            .count();
        assert!(
            far < graph.indices.len() / 10,
            "{far} of {}",
            graph.indices.len()
        );
    }

    #[test]
    fn connected_vertices_follow_each_other() {
        // Five rings of 40 to 400 vertices, dealt over the numbers like cards, joined by edges that
        // are too light to count, and some vertices of their own.
        let n = 1200;
        let of = |v: usize| (v * 7919 % n) % 5;
        let mut edges = Vec::new();
        for c in 0..5 {
            let ring: Vec<usize> = (0..n).filter(|&v| of(v) == c).take(40 + 90 * c).collect();
            edges.extend((0..ring.len()).map(|i| (ring[i], ring[(i + 1) % ring.len()], 1.0)));
        }
        edges.extend((0..n - 1).map(|v| (v, v + 1, 0.01)));
        let graph = crate::spectral::tests::symmetric(n, edges);
        let ctx = Context::quiet(2).unwrap();
        let (order, _) = order(&ctx, &graph, 0.1).unwrap();
        let mut component = vec![usize::MAX; n];
        for start in 0..n {
            let mut stack = vec![start];
            while let Some(v) = stack.pop() {
                if component[v] == usize::MAX {
                    component[v] = start;
                    let edges = Part::whole(&graph).edges(v);
                    stack.extend(edges.filter(|&(_, w)| w >= 0.1).map(|(u, _)| u));
                }
            }
        }
        let runs = order.chunk_by(|&a, &b| component[a as usize] == component[b as usize]);
        let distinct: std::collections::BTreeSet<_> = component.iter().collect();
        assert_eq!(runs.count(), distinct.len());
        assert!(distinct.len() > 5);
    }
}
