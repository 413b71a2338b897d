//! ρ and σ of every point (`smooth_knn_dist`), and the weights that follow from them
//! (`compute_membership_strengths`).

use super::ROWS;
use crate::KnnGraph;
use crate::kernel::{POINTS, isa, smooth};
use cellmill_engine::{Context, Reservation, Result};
use rayon::prelude::*;

/// Directed edges: `k` a point, each (neighbour << 32 | bits of the weight), rows sorted.
pub(super) struct Memberships {
    pub n: usize,
    pub k: usize,
    pub edges: Vec<u64>,
    /// Held until the edges are dropped.
    pub _memory: Reservation,
}

/// Bytes of the directed edges.
pub(super) fn bytes(n: u64, k: u64) -> u64 {
    8 * n * k
}

/// The weight of the edge from each point to each of its neighbours.
pub(super) fn memberships(ctx: &Context, graph: &KnnGraph) -> Result<Memberships> {
    let (n, k) = (graph.n, graph.k);
    let memory = ctx
        .budget()
        .reserve(bytes(n as u64, k as u64), "the weights of the neighbours")?;
    let mut edges = vec![0u64; n * k];
    let isa = isa();
    edges
        .par_chunks_mut(ROWS * k)
        .enumerate()
        .try_for_each(|(task, edges)| {
            ctx.cancel().check()?;
            let mut columns = vec![[0f32; POINTS]; k];
            for (offset, edges) in edges.chunks_mut(POINTS * k).enumerate() {
                let at = (task * ROWS + offset * POINTS) * k;
                let distances = graph.distances[at..][..edges.len()].chunks_exact(k);
                for (point, distances) in distances.enumerate() {
                    for (column, &distance) in columns.iter_mut().zip(distances) {
                        column[point] = distance as f32;
                    }
                }
                smooth(isa, &mut columns);
                let indices = graph.indices[at..].chunks_exact(k);
                for (point, (edges, indices)) in edges.chunks_exact_mut(k).zip(indices).enumerate()
                {
                    for ((edge, &j), column) in edges.iter_mut().zip(indices).zip(&columns) {
                        *edge = u64::from(j) << 32 | u64::from(column[point].to_bits());
                    }
                    edges.sort_unstable();
                }
            }
            Ok(())
        })?;
    Ok(Memberships {
        n,
        k,
        edges,
        _memory: memory,
    })
}
