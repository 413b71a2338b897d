//! The same graph with its vertices in another order.

use crate::WeightedGraph;
use crate::graph::AHEAD;
use cellmill_engine::{Context, Result};
use rayon::prelude::*;

/// Rows that one task takes.
const CHUNK: usize = 4096;

/// The same graph with vertex `order[i]` called `i`. Columns keep the order of the old row.
///
/// # Errors
/// When the run is cancelled.
pub(crate) fn relabelled(
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
    ctx.pool().install(|| {
        parts
            .into_par_iter()
            .try_for_each(|(chunk, columns, values)| {
                ctx.cancel().check()?;
                let mut at = 0;
                for (i, &v) in chunk.iter().enumerate() {
                    if let Some(&later) = chunk.get(i + AHEAD) {
                        graph.expect(later as usize);
                    }
                    let row = graph.row(v as usize);
                    let end = at + row.len();
                    values[at..end].copy_from_slice(&graph.weights[row.clone()]);
                    for (column, &u) in columns[at..end].iter_mut().zip(&graph.indices[row]) {
                        *column = place[u as usize];
                    }
                    at = end;
                }
                Ok::<_, cellmill_engine::Error>(())
            })
    })?;
    Ok(WeightedGraph {
        indptr,
        indices,
        weights,
    })
}
