//! The graph between communities.

use super::communities::Members;
use super::level::{Adjacency, Aggregate};
use super::tally::Tally;
use cellmill_engine::{Context, Result};
use rayon::prelude::*;

/// Communities that one task takes.
const CHUNK: usize = 512;

#[derive(Default)]
struct Rows {
    lengths: Vec<u32>,
    indices: Vec<u32>,
    weights: Vec<i64>,
    node_weight: Vec<i64>,
}

/// Makes each of the `count` communities of `of` a vertex. Returns the graph and its node
/// weights; edges inside a community are left out, since no move can change them.
///
/// # Errors
/// When the run is cancelled.
pub(super) fn aggregate<A: Adjacency>(
    ctx: &Context,
    adjacency: &A,
    node_weight: &[i64],
    of: &[u32],
    count: usize,
) -> Result<(Aggregate, Vec<i64>)> {
    let members = Members::new(of, count);
    let chunks: Vec<Rows> = (0..count.div_ceil(CHUNK))
        .into_par_iter()
        .map_init(Tally::new, |tally, chunk| {
            ctx.cancel().check()?;
            let mut rows = Rows::default();
            for c in chunk * CHUNK..((chunk + 1) * CHUNK).min(count) {
                tally.clear();
                let mut total = 0;
                for &v in members.of(c) {
                    total += node_weight[v as usize];
                    for (u, w) in adjacency.row(v as usize) {
                        let other = of[u as usize];
                        if other as usize != c {
                            tally.add(other, w);
                        }
                    }
                }
                rows.node_weight.push(total);
                rows.lengths.push(tally.len() as u32);
                for (other, w) in tally.iter() {
                    rows.indices.push(other);
                    rows.weights.push(w);
                }
            }
            Ok(rows)
        })
        .collect::<Result<_>>()?;

    let entries = chunks.iter().map(|rows| rows.indices.len()).sum();
    let mut graph = Aggregate {
        indptr: Vec::with_capacity(count + 1),
        indices: Vec::with_capacity(entries),
        weights: Vec::with_capacity(entries),
    };
    let mut totals = Vec::with_capacity(count);
    graph.indptr.push(0);
    let mut end = 0u64;
    for rows in chunks {
        for length in rows.lengths {
            end += u64::from(length);
            graph.indptr.push(end);
        }
        graph.indices.extend(rows.indices);
        graph.weights.extend(rows.weights);
        totals.extend(rows.node_weight);
    }
    Ok((graph, totals))
}
