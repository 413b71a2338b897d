//! What is no graph to cluster.

use super::SWEEP;
use super::rng::{derive, mix};
use crate::WeightedGraph;
use cellmill_engine::{Context, Error, Result};
use rayon::prelude::*;

/// Checks the graph and returns the sum of its weights.
pub(super) fn check(ctx: &Context, graph: &WeightedGraph) -> Result<f64> {
    let entries = graph.indices.len();
    let last = graph.indptr.last().copied();
    if last != Some(entries as u64) || graph.weights.len() != entries {
        return Err(Error::Data(format!(
            "the graph's row starts end at {last:?}, with {entries} column indices and {} weights; all three must agree",
            graph.weights.len()
        )));
    }
    if graph.indptr.windows(2).any(|w| w[0] > w[1]) {
        return Err(Error::Data(
            "the graph's row starts decrease; they must not".to_owned(),
        ));
    }
    let n = graph.n();
    if n >= u32::MAX as usize {
        return Err(Error::Data(format!(
            "the graph has {n} vertices; leiden takes fewer than 2^32 - 1"
        )));
    }
    let sums: Vec<(f64, u64)> = (0..n.div_ceil(SWEEP))
        .into_par_iter()
        .map(|chunk| {
            ctx.cancel().check()?;
            let (mut total, mut balance) = (0.0, 0u64);
            for v in chunk * SWEEP..((chunk + 1) * SWEEP).min(n) {
                for e in graph.row(v) {
                    let (u, w) = (graph.indices[e], graph.weights[e]);
                    if u as usize >= n {
                        return Err(Error::Data(format!(
                            "row {v} of the graph has column {u}, and there are {n} vertices"
                        )));
                    }
                    if !(w.is_finite() && w >= 0.0) {
                        return Err(Error::Data(format!(
                            "the edge from {v} to {u} has weight {w}; leiden needs finite weights that are not negative"
                        )));
                    }
                    total += f64::from(w);
                    // An edge adds from one side what it takes from the other.
                    let (a, b) = (v.min(u as usize) as u64, v.max(u as usize) as u64);
                    let hash = derive(mix((a << 32) | b), u64::from(w.to_bits()));
                    if (u as usize) > v {
                        balance = balance.wrapping_add(hash);
                    } else if (u as usize) < v {
                        balance = balance.wrapping_sub(hash);
                    }
                }
            }
            Ok((total, balance))
        })
        .collect::<Result<_>>()?;
    if sums
        .iter()
        .fold(0u64, |balance, s| balance.wrapping_add(s.1))
        != 0
    {
        return Err(Error::Data(
            "the graph is not symmetric: some edge is missing or has another weight in the other vertex's row; \
             add the transpose before clustering"
                .to_owned(),
        ));
    }
    Ok(sums.iter().map(|s| s.0).sum())
}
