//! The order of the vertices in memory: neighbours in the graph are neighbours in memory.

use crate::WeightedGraph;
use crate::spectral::coarsen;
use cellmill_engine::{Context, Result};

/// Coarsening ends at this many vertices.
const COARSEST: usize = 64;

/// The vertices in an order that follows the graph alone: it is coarsened by aggregation, the
/// coarsest vertices are visited breadth first, strongest edge first, and every aggregate is
/// replaced by its members.
///
/// It depends neither on communities nor on the initial layout.
pub(crate) fn order(ctx: &Context, graph: &WeightedGraph) -> Result<Vec<u32>> {
    let mut levels = Vec::new();
    let mut coarsest = None;
    loop {
        let current = coarsest.as_ref().unwrap_or(graph);
        if current.n() <= COARSEST {
            break;
        }
        let aggregates = coarsen::aggregate(ctx, current)?;
        if aggregates.count as f64 > 0.9 * current.n() as f64 {
            break;
        }
        let next = coarsen::contract(ctx, current, &aggregates)?.graph;
        levels.push(aggregates);
        coarsest = Some(next);
    }
    let mut order = breadth_first(coarsest.as_ref().unwrap_or(graph));
    for aggregates in levels.iter().rev() {
        let (starts, members) = aggregates.members();
        order = order
            .iter()
            .flat_map(|&c| &members[starts[c as usize] as usize..starts[c as usize + 1] as usize])
            .copied()
            .collect();
    }
    Ok(order)
}

fn breadth_first(graph: &WeightedGraph) -> Vec<u32> {
    let n = graph.n();
    let mut seen = vec![false; n];
    let mut order = Vec::with_capacity(n);
    for start in 0..n {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut next = order.len();
        order.push(start as u32);
        while next < order.len() {
            let vertex = order[next] as usize;
            next += 1;
            let mut row: Vec<(f32, u32)> = graph
                .row(vertex)
                .map(|e| (graph.weights[e], graph.indices[e]))
                .collect();
            row.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
            for (_, neighbour) in row {
                if !seen[neighbour as usize] {
                    seen[neighbour as usize] = true;
                    order.push(neighbour);
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
        let order = order(&ctx, &graph).unwrap();
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
}
