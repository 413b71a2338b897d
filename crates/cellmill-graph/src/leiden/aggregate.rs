//! The graph between communities.

use super::communities::Members;
use super::level::{Adjacency, Aggregate, PIECE, Rows};
use super::tally::Tally;
use cellmill_engine::{Context, Error, Result};
use rayon::prelude::*;

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
    let made: Vec<(Rows, Vec<i64>)> = (0..count.div_ceil(PIECE))
        .into_par_iter()
        .map_init(Tally::new, |tally, piece| {
            ctx.cancel().check()?;
            let (mut rows, mut totals) = (Rows::default(), Vec::new());
            let mut at = members.starts[piece * PIECE] as usize;
            for c in piece * PIECE..((piece + 1) * PIECE).min(count) {
                tally.clear();
                let mut total = 0;
                for &v in members.of(c) {
                    adjacency.expect_along(|k| members.members.get(at + k).copied(), of);
                    at += 1;
                    total += node_weight[v as usize];
                    let row = adjacency.row(v as usize);
                    let row = row.map(|(u, w)| (of[u as usize], w));
                    tally.add_all(row.filter(|&(other, _)| other as usize != c));
                }
                totals.push(total);
                for (other, w) in tally.iter() {
                    rows.indices.push(other);
                    rows.weights.push(w);
                }
                rows.ends.push(end_of(&rows.indices)?);
            }
            rows.indices.shrink_to_fit();
            rows.weights.shrink_to_fit();
            Ok((rows, totals))
        })
        .collect::<Result<_>>()?;

    let mut graph = Aggregate {
        pieces: Vec::with_capacity(made.len()),
    };
    let mut totals = Vec::with_capacity(count);
    for (rows, of_piece) in made {
        totals.extend(of_piece);
        graph.pieces.push(rows);
    }
    Ok((graph, totals))
}

/// Where a row of a piece ends.
fn end_of(indices: &[u32]) -> Result<u32> {
    u32::try_from(indices.len()).map_err(|_| {
        Error::Data(format!(
            "{PIECE} communities of the graph have more than 2^32 edges to others"
        ))
    })
}
