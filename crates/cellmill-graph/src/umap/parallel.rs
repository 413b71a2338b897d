//! The layout of a large graph: all threads, 32 lanes each, the same bits whatever their number.

use super::edges::{Edges, Runs};
use super::sequential::learning_rate;
use super::{STAGE, UmapParams, largest, random};
use crate::Handed;
use crate::kernel::layout::{POOL, Pool, Step, Tails, step};
use crate::kernel::{self, Isa};
use cellmill_engine::{Context, Event, Result};
use rayon::prelude::*;

/// Rounds in an epoch. Negative samples are drawn anew in each, from the live positions.
const ROUNDS: usize = 4;

/// Lays out `graph` from `begin` (n x D), on this machine's widest instruction set. The graph is dropped
/// as soon as its edges are built.
pub(super) fn layout<const D: usize>(
    ctx: &Context,
    graph: Handed<'_>,
    begin: &[f32],
    parameters: &UmapParams,
    n_epochs: usize,
) -> Result<Vec<f32>> {
    layout_on::<D>(kernel::isa(), ctx, graph, begin, parameters, n_epochs)
}

/// As [`layout`], on a given instruction set.
pub(super) fn layout_on<const D: usize>(
    isa: Isa,
    ctx: &Context,
    graph: Handed<'_>,
    begin: &[f32],
    parameters: &UmapParams,
    n_epochs: usize,
) -> Result<Vec<f32>> {
    let n = graph.n();
    let bytes = Edges::bytes(graph.nnz(), n, ctx.threads());
    let _reserved = ctx.budget().reserve(bytes, "the layout's edges")?;
    let edges = Edges::build(ctx, &graph, largest(&graph))?;
    drop(graph);
    let mut positions: Vec<[f32; D]> = begin.as_chunks().0.to_vec();
    let mut pool = Pool::new();
    for epoch in 0..n_epochs {
        for round in 0..ROUNDS {
            ctx.cancel().check()?;
            let time = (epoch * ROUNDS + round) as u64;
            for i in 0..POOL {
                let word = random::word(parameters.seed, time, i as u64);
                pool.set(i, &positions[random::below(word, n)]);
            }
            let stride = Stride {
                isa,
                round,
                time,
                pool: &pool,
                seed: parameters.seed,
                step: Step {
                    a: parameters.a as f32,
                    b: parameters.b as f32,
                    gamma: parameters.gamma as f32,
                    alpha: learning_rate(parameters.alpha, epoch, n_epochs),
                    negatives: parameters.negative_sample_rate as u32,
                    epoch: epoch as u32,
                    seed: 0,
                },
            };
            ctx.pool()
                .install(|| stride.take(ctx, &edges, &mut positions));
        }
        ctx.cancel().check()?;
        ctx.emit(Event::Progress {
            stage: STAGE.to_owned(),
            done: epoch as u64 + 1,
            bytes_read: 0,
        });
    }

    Ok(positions.into_flattened())
}

/// One round of an epoch: a quarter of every part's own runs, and a quarter of the meetings.
struct Stride<'a, const D: usize> {
    isa: Isa,
    round: usize,
    time: u64,
    pool: &'a Pool<D>,
    seed: u64,
    step: Step,
}

impl<const D: usize> Stride<'_, D> {
    fn take(&self, ctx: &Context, edges: &Edges, positions: &mut [[f32; D]]) {
        let mut parts = Vec::with_capacity(edges.parts.len());
        let mut rest = positions;
        for part in &edges.parts {
            let (points, others) = rest.split_at_mut(part.len());
            parts.push(points);
            rest = others;
        }
        let count = parts.len();

        parts
            .par_iter_mut()
            .zip(&edges.own)
            .enumerate()
            .for_each(|(p, (points, runs))| {
                for r in (self.round..runs.runs.len()).step_by(ROUNDS) {
                    self.run(ctx, runs, r, points, None, (p * count + p) as u64);
                }
            });

        for meeting in edges.rounds.iter().skip(self.round).step_by(ROUNDS) {
            let mut free: Vec<Option<&mut [[f32; D]]>> =
                parts.iter_mut().map(|points| Some(&mut **points)).collect();
            let mut pairs = Vec::with_capacity(meeting.len());
            for pair in meeting {
                let (p, q) = pair.parts;
                if let (Some(first), Some(second)) = (free[p].take(), free[q].take()) {
                    pairs.push((pair, first, second));
                }
            }
            pairs.par_iter_mut().for_each(|(pair, first, second)| {
                let (p, q) = pair.parts;
                for r in 0..pair.edges[0].runs.len() {
                    self.run(
                        ctx,
                        &pair.edges[0],
                        r,
                        first,
                        Some(second),
                        (p * count + q) as u64,
                    );
                }
                for r in 0..pair.edges[1].runs.len() {
                    self.run(
                        ctx,
                        &pair.edges[1],
                        r,
                        second,
                        Some(first),
                        (q * count + p) as u64,
                    );
                }
            });
        }
    }

    /// Lets run `r` of `runs` fire; after a cancellation, nothing.
    fn run(
        &self,
        ctx: &Context,
        runs: &Runs,
        r: usize,
        heads: &mut [[f32; D]],
        tails: Option<&mut [[f32; D]]>,
        stream: u64,
    ) {
        if ctx.cancel().is_cancelled() {
            return;
        }
        let seed = random::word(self.seed ^ self.time, stream, r as u64);
        let tails = tails.map_or(Tails::Same, Tails::Other);
        let parameters = Step { seed, ..self.step };
        step(
            self.isa,
            &runs.edges,
            runs.runs[r].clone(),
            heads,
            tails,
            self.pool,
            &parameters,
        );
    }
}
