//! A + Aᵀ − A∘Aᵀ by counting, without a sort of all edges.

use super::ROWS;
use super::bandwidth::Memberships;
use super::reverse::{reversed, reversed_bytes};
use crate::WeightedGraph;
use cellmill_engine::{Context, Result};
use rayon::prelude::*;
use std::cmp::Ordering::{Equal, Greater, Less};

/// Joins the directed edges with their reverses. Edges of weight zero are not stored.
pub(super) fn union(ctx: &Context, forward: Memberships) -> Result<WeightedGraph> {
    let (n, k) = (forward.n, forward.k);
    let bytes = reversed_bytes(n as u64, forward.edges.len() as u64);
    let _reverse_memory = ctx
        .budget()
        .reserve(bytes, "the reversed neighbour graph")?;
    let (starts, reverse) = reversed(ctx, &forward)?;

    let rows = |i: usize| {
        let reverse = &reverse[starts[i] as usize..starts[i + 1] as usize];
        Merged {
            forward: &forward.edges[i * k..(i + 1) * k],
            reverse,
        }
        .filter(|&(_, weight)| weight > 0.0)
    };
    let mut indptr = vec![0u64; n + 1];
    indptr[1..]
        .par_chunks_mut(ROWS)
        .enumerate()
        .try_for_each(|(task, lengths)| {
            ctx.cancel().check()?;
            for (offset, length) in lengths.iter_mut().enumerate() {
                *length = rows(task * ROWS + offset).count() as u64;
            }
            Ok::<_, cellmill_engine::Error>(())
        })?;
    for i in 0..n {
        indptr[i + 1] += indptr[i];
    }

    let nnz = indptr[n] as usize;
    let _result_memory = ctx.budget().reserve(
        WeightedGraph::bytes(n as u64, nnz as u64),
        "the graph's connectivities",
    )?;
    let mut indices = vec![0u32; nnz];
    let mut weights = vec![0f32; nnz];
    let mut tasks = Vec::with_capacity(n.div_ceil(ROWS));
    let (mut indices_left, mut weights_left) = (&mut indices[..], &mut weights[..]);
    for first in (0..n).step_by(ROWS) {
        let last = (first + ROWS).min(n);
        let length = (indptr[last] - indptr[first]) as usize;
        let (indices_here, weights_here);
        (indices_here, indices_left) = indices_left.split_at_mut(length);
        (weights_here, weights_left) = weights_left.split_at_mut(length);
        tasks.push((first..last, indices_here, weights_here));
    }
    tasks
        .into_par_iter()
        .try_for_each(|(points, indices, weights)| {
            ctx.cancel().check()?;
            let slots = indices.iter_mut().zip(weights);
            for ((index, weight), entry) in slots.zip(points.flat_map(rows)) {
                (*index, *weight) = entry;
            }
            Ok::<_, cellmill_engine::Error>(())
        })?;
    Ok(WeightedGraph {
        indptr,
        indices,
        weights,
    })
}

/// Two rows sorted by neighbour, walked together.
struct Merged<'a> {
    forward: &'a [u64],
    reverse: &'a [u64],
}

impl Iterator for Merged<'_> {
    type Item = (u32, f32);

    fn next(&mut self) -> Option<(u32, f32)> {
        let weight = |edge: u64| f32::from_bits(edge as u32);
        let neighbour = |edge: u64| (edge >> 32) as u32;
        let (a, b) = match (self.forward.first(), self.reverse.first()) {
            (None, None) => return None,
            (Some(&a), None) => (Some(a), None),
            (None, Some(&b)) => (None, Some(b)),
            (Some(&a), Some(&b)) => match neighbour(a).cmp(&neighbour(b)) {
                Less => (Some(a), None),
                Greater => (None, Some(b)),
                Equal => (Some(a), Some(b)),
            },
        };
        if a.is_some() {
            self.forward = &self.forward[1..];
        }
        if b.is_some() {
            self.reverse = &self.reverse[1..];
        }
        match (a, b) {
            (Some(a), Some(b)) => {
                let (x, y) = (weight(a), weight(b));
                Some((neighbour(a), (x + y) - x * y))
            }
            (Some(one), None) | (None, Some(one)) => Some((neighbour(one), weight(one))),
            (None, None) => None,
        }
    }
}
