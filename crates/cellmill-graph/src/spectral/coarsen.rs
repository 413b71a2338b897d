//! Coarser graphs by aggregation.

use crate::WeightedGraph;
use crate::graph::Part;
use cellmill_engine::{Context, Result};
use rayon::prelude::*;

/// An entry is strong when it weighs at least this fraction of its row's largest.
const STRONG: f32 = 0.25;
/// Vertices between two looks at the cancel flag.
const VERTICES: usize = 1 << 14;
/// No aggregate yet.
const NONE: u32 = u32::MAX;

/// A partition of the vertices into connected groups.
#[derive(Debug)]
pub(crate) struct Aggregates {
    /// The aggregate of each vertex.
    pub(crate) of: Vec<u32>,
    /// Where the members of each aggregate begin, and the end.
    pub(crate) starts: Vec<u32>,
    /// The members of each aggregate, increasing in each.
    pub(crate) members: Vec<u32>,
}

impl Aggregates {
    /// The `count` aggregates that the vertices are in.
    fn new(of: Vec<u32>, count: usize) -> Self {
        let mut starts = vec![0u32; count + 1];
        for &c in &of {
            starts[c as usize + 1] += 1;
        }
        for c in 0..count {
            starts[c + 1] += starts[c];
        }
        let mut next = starts.clone();
        let mut members = vec![0u32; of.len()];
        for (vertex, &c) in of.iter().enumerate() {
            members[next[c as usize] as usize] = vertex as u32;
            next[c as usize] += 1;
        }
        Self {
            of,
            starts,
            members,
        }
    }

    /// The number of aggregates.
    pub(crate) fn count(&self) -> usize {
        self.starts.len() - 1
    }
}

/// Groups each vertex with its strong neighbours where none of them is in a group yet; what
/// remains joins the group of its heaviest neighbour. In the order of the vertices. Entries below
/// `least` are not there.
pub(crate) fn aggregate(ctx: &Context, graph: Part<'_>, least: f32) -> Result<Aggregates> {
    let n = graph.n();
    let mut of = vec![NONE; n];
    let mut count = 0u32;
    for v in 0..n {
        if v % VERTICES == 0 {
            ctx.cancel().check()?;
        }
        if of[v] != NONE {
            continue;
        }
        let edges = || graph.edges(v).filter(|&(_, w)| w >= least);
        let strong = STRONG * edges().fold(0.0, |most, (_, w)| w.max(most));
        let neighbours = || edges().filter(|&(_, w)| w >= strong).map(|(j, _)| j);
        if neighbours().all(|j| of[j] == NONE) {
            of[v] = count;
            neighbours().for_each(|j| of[j] = count);
            count += 1;
        }
    }
    for v in 0..n {
        if v % VERTICES == 0 {
            ctx.cancel().check()?;
        }
        if of[v] != NONE {
            continue;
        }
        let mut best = (0.0, NONE);
        for (j, w) in graph.edges(v).filter(|&(_, w)| w >= least) {
            let to = of[j];
            if to != NONE && w > best.0 {
                best = (w, to);
            }
        }
        if best.1 == NONE {
            best.1 = count;
            count += 1;
        }
        of[v] = best.1;
    }
    Ok(Aggregates::new(of, count as usize))
}

/// A graph whose vertices are aggregates.
#[derive(Debug)]
pub(crate) struct Contracted {
    /// Sums of the weights between aggregates.
    pub(crate) graph: WeightedGraph,
    /// Sums of the weights inside each aggregate (both directions).
    pub(crate) inside: Vec<f64>,
}

/// Sums the weights between and inside of the aggregates. Entries below `least` are not there.
pub(crate) fn contract(
    ctx: &Context,
    graph: Part<'_>,
    aggregates: &Aggregates,
    least: f32,
) -> Result<Contracted> {
    let Aggregates {
        of,
        starts,
        members,
    } = aggregates;
    let count = aggregates.count();
    // A task has about 64 aggregates at least; a dense row of sums is used again by the next.
    let block = count.div_ceil(256).max(64);
    let rows: Vec<Rows> = ctx.pool().install(|| {
        (0..count.div_ceil(block))
            .into_par_iter()
            .map_init(
                || vec![0.0f32; count],
                |sums, b| {
                    ctx.cancel().check()?;
                    let mut rows = Rows::default();
                    let mut touched = Vec::new();
                    for c in b * block..count.min((b + 1) * block) {
                        let mut inside = 0.0f64;
                        let of_c = starts[c] as usize..starts[c + 1] as usize;
                        for (at, &v) in of_c.clone().zip(&members[of_c]) {
                            graph.expect_along(|k| members.get(at + k).copied(), of);
                            let edges = graph.edges(v as usize);
                            for (j, weight) in edges.filter(|&(_, w)| w >= least) {
                                let to = of[j];
                                if to as usize == c {
                                    inside += f64::from(weight);
                                } else if weight > 0.0 {
                                    if sums[to as usize] == 0.0 {
                                        touched.push(to);
                                    }
                                    sums[to as usize] += weight;
                                }
                            }
                        }
                        touched.sort_unstable();
                        for &to in &touched {
                            rows.indices.push(to);
                            rows.weights.push(std::mem::take(&mut sums[to as usize]));
                        }
                        rows.lengths.push(touched.len() as u64);
                        rows.inside.push(inside);
                        touched.clear();
                    }
                    Ok(rows)
                },
            )
            .collect::<Result<_>>()
    })?;
    let entries = rows.iter().map(|rows| rows.indices.len()).sum();
    let mut contracted = Contracted {
        graph: WeightedGraph {
            indptr: Vec::with_capacity(count + 1),
            indices: Vec::with_capacity(entries),
            weights: Vec::with_capacity(entries),
        },
        inside: Vec::with_capacity(count),
    };
    contracted.graph.indptr.push(0);
    let mut end = 0;
    for part in rows {
        for length in part.lengths {
            end += length;
            contracted.graph.indptr.push(end);
        }
        contracted.graph.indices.extend_from_slice(&part.indices);
        contracted.graph.weights.extend_from_slice(&part.weights);
        contracted.inside.extend_from_slice(&part.inside);
    }
    Ok(contracted)
}

#[derive(Debug, Default)]
struct Rows {
    lengths: Vec<u64>,
    indices: Vec<u32>,
    weights: Vec<f32>,
    inside: Vec<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral::tests::ring;

    #[test]
    fn contraction_keeps_all_weight() {
        let graph = ring(1000, 7);
        let ctx = Context::quiet(2).unwrap();
        let aggregates = aggregate(&ctx, Part::whole(&graph), 0.0).unwrap();
        assert!(aggregates.count() < 500);
        let coarse = contract(&ctx, Part::whole(&graph), &aggregates, 0.0).unwrap();
        let before: f64 = graph.weights.iter().map(|&w| f64::from(w)).sum();
        let after: f64 = coarse
            .graph
            .weights
            .iter()
            .map(|&w| f64::from(w))
            .sum::<f64>()
            + coarse.inside.iter().sum::<f64>();
        assert!((before - after).abs() < 1e-6 * before);
        assert_eq!(coarse.graph.n(), aggregates.count());
        for c in 0..aggregates.count() {
            let row = &coarse.graph.indices[coarse.graph.row(c)];
            assert!(row.windows(2).all(|pair| pair[0] < pair[1]) && !row.contains(&(c as u32)));
        }
    }
}
