//! The graph between communities.

use super::communities::Members;
use super::level::{Adjacency, Aggregate};
use super::tally::Tally;
use cellmill_engine::{Context, Result};
use rayon::prelude::*;

/// Communities that one task takes.
const CHUNK: usize = 512;
/// Rows that are asked for ahead of the one that is read.
const AHEAD: usize = 8;

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
            let mut at = members.starts[chunk * CHUNK] as usize;
            for c in chunk * CHUNK..((chunk + 1) * CHUNK).min(count) {
                tally.clear();
                let mut total = 0;
                for &v in members.of(c) {
                    if let Some(&later) = members.members.get(at + AHEAD) {
                        adjacency.expect(later as usize);
                    }
                    at += 1;
                    total += node_weight[v as usize];
                    let row = adjacency.row(v as usize);
                    let row = row.map(|(u, w)| (of[u as usize], w));
                    tally.add_all(row.filter(|&(other, _)| other as usize != c));
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
        indices: vec![0; entries],
        weights: vec![0; entries],
    };
    let mut totals = Vec::with_capacity(count);
    graph.indptr.push(0);
    let mut end = 0u64;
    let mut parts = Vec::with_capacity(chunks.len());
    let (mut indices, mut weights) = (&mut graph.indices[..], &mut graph.weights[..]);
    for rows in chunks {
        for &length in &rows.lengths {
            end += u64::from(length);
            graph.indptr.push(end);
        }
        totals.extend_from_slice(&rows.node_weight);
        let (head, tail) = indices.split_at_mut(rows.indices.len());
        let (weight_head, weight_tail) = weights.split_at_mut(rows.weights.len());
        (indices, weights) = (tail, weight_tail);
        parts.push((rows, head, weight_head));
    }
    parts.into_par_iter().for_each(|(rows, indices, weights)| {
        indices.copy_from_slice(&rows.indices);
        weights.copy_from_slice(&rows.weights);
    });
    Ok((graph, totals))
}
