//! The layout event by event, vertex by vertex, as umap-learn's.

use super::{STAGE, UmapParams, largest, random};
use crate::Handed;
use crate::graph::Part;
use crate::kernel::layout::pow;
use cellmill_engine::{Context, Event, Result};

/// Events between two looks at the cancel flag.
const EVENTS: usize = 1 << 17;

/// One directed edge and the epochs at which it fires next.
struct Edge {
    head: u32,
    tail: u32,
    period: f64,
    next: f64,
    next_negative: f64,
}

/// Bytes of `edges` edges of `n` vertices, and of their counters.
pub(super) fn bytes(n: u64, edges: u64) -> u64 {
    edges * size_of::<Edge>() as u64 + 8 * n
}

/// umap-learn's `optimize_layout_euclidean`, with one counter of negative samples a vertex. The graph
/// is dropped as soon as its edges are built.
pub(super) fn layout(
    ctx: &Context,
    graph: Handed<'_>,
    mut positions: Vec<f32>,
    parameters: &UmapParams,
    n_epochs: usize,
) -> Result<Vec<f32>> {
    let (n, d) = (graph.n(), parameters.n_components);
    let entries = graph.nnz();
    let bytes = bytes(n as u64, entries);
    let _reserved = ctx.budget().reserve(bytes, "the layout's edges")?;

    let rate = parameters.negative_sample_rate as f64;
    let max = f64::from(largest(&graph));
    let mut edges = Vec::with_capacity(entries as usize);
    for i in 0..n {
        for (j, weight) in Part::whole(&graph).edges(i) {
            let period = max / f64::from(weight);
            edges.push(Edge {
                head: i as u32,
                tail: j as u32,
                period,
                next: period,
                next_negative: period / rate,
            });
        }
    }
    drop(graph);

    let mut drawn = vec![0u64; n];
    let (a, b, gamma) = (
        parameters.a as f32,
        parameters.b as f32,
        parameters.gamma as f32,
    );
    for epoch in 0..n_epochs {
        let alpha = learning_rate(parameters.alpha, epoch, n_epochs);
        let now = epoch as f64;
        for part in edges.chunks_mut(EVENTS) {
            ctx.cancel().check()?;
            for edge in part {
                if edge.next > now {
                    continue;
                }
                let (head, tail) = (edge.head as usize, edge.tail as usize);
                let square = square_distance(&positions, d, head, tail);
                if square > 0.0 {
                    let power = pow(square, b);
                    let coefficient = -2.0 * a * b * power / (square * (a * power + 1.0));
                    for k in 0..d {
                        let difference = positions[head * d + k] - positions[tail * d + k];
                        let change = (coefficient * difference).clamp(-4.0, 4.0) * alpha;
                        positions[head * d + k] += change;
                        positions[tail * d + k] -= change;
                    }
                }
                edge.next += edge.period;

                let negative_period = edge.period / rate;
                let negatives = ((now - edge.next_negative) / negative_period) as u32;
                for _ in 0..negatives {
                    let word = random::word(parameters.seed, head as u64 + 1, drawn[head]);
                    drawn[head] += 1;
                    let other = random::below(word, n);
                    let square = square_distance(&positions, d, head, other);
                    if other == head || square <= 0.0 {
                        continue;
                    }
                    let power = pow(square, b);
                    let coefficient = 2.0 * gamma * b / ((0.001 + square) * (a * power + 1.0));
                    for k in 0..d {
                        let difference = positions[head * d + k] - positions[other * d + k];
                        positions[head * d + k] +=
                            (coefficient * difference).clamp(-4.0, 4.0) * alpha;
                    }
                }
                edge.next_negative += f64::from(negatives) * negative_period;
            }
        }
        ctx.emit(Event::Progress {
            stage: STAGE.to_owned(),
            done: epoch as u64 + 1,
            bytes_read: 0,
        });
    }
    Ok(positions)
}

/// umap-learn lowers the rate after an epoch, to what the epoch's own number gives: the first
/// two epochs have the full rate.
pub(super) fn learning_rate(alpha: f64, epoch: usize, n_epochs: usize) -> f32 {
    (alpha * (1.0 - epoch.saturating_sub(1) as f64 / n_epochs as f64)) as f32
}

fn square_distance(positions: &[f32], d: usize, i: usize, j: usize) -> f32 {
    let (i, j) = (
        &positions[i * d..(i + 1) * d],
        &positions[j * d..(j + 1) * d],
    );
    i.iter().zip(j).map(|(x, y)| (x - y) * (x - y)).sum()
}
