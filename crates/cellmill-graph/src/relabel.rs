//! Vertices in another order: the same graph, and rows of numbers there and back.

use crate::WeightedGraph;
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
                    graph.expect_along(|k| chunk.get(i + k).copied(), place.as_ptr());
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

/// Rows of `width` numbers, those of the vertices given, in the order of the places.
pub(crate) fn in_order<T: Copy>(order: &[u32], rows: &[T], width: usize) -> Vec<T> {
    let mut there = Vec::with_capacity(order.len() * width);
    for &v in order {
        there.extend_from_slice(&rows[v as usize * width..][..width]);
    }
    there
}

/// Rows of `width` numbers, those at the places of an order given, as the vertices come.
pub(crate) fn back_from<T: Copy + Default>(order: &[u32], rows: &[T], width: usize) -> Vec<T> {
    let mut there = vec![T::default(); rows.len()];
    for (&v, row) in order.iter().zip(rows.chunks_exact(width.max(1))) {
        there[v as usize * width..][..width].copy_from_slice(row);
    }
    there
}
