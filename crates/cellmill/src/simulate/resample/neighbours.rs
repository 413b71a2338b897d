//! Near neighbours of the real cells, good enough to mix with.

use super::super::random::{Purpose, Stream};
use super::parents::Parents;
use cellmill_engine::{Context, Event, Result};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Axes of the quick PCA.
const AXES: usize = 16;
/// Rounds of its subspace iteration: the axes need not be exact.
const ROUNDS: usize = 4;
/// Genes that it sees: those whose log-normalised values vary most.
const GENES: usize = 2000;
/// A cell is compared with at most this many others.
const CANDIDATES: usize = 2048;
/// Heap bytes that the search takes for each cell.
pub(super) const BYTES_PER_CELL: u64 = AXES as u64 * 4 + 16;

/// The `k` nearest of up to [`CANDIDATES`] cells of the same label (a cell alone is its own
/// neighbour), `k` numbers for each cell.
pub(super) fn find(
    ctx: &Context,
    parents: &Parents,
    labels: Option<&[i32]>,
    k: usize,
    seed: u64,
) -> Result<Vec<u32>> {
    let stage = "near neighbours of the real cells";
    let started = Instant::now();
    let n = parents.len();
    ctx.emit(Event::StageStarted {
        stage: stage.to_owned(),
        total: n as u64,
        unit: "cells".to_owned(),
    });
    let places = places(ctx, parents, seed)?;
    let mut groups: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for cell in 0..n {
        groups
            .entry(labels.map_or(0, |l| l[cell]))
            .or_default()
            .push(cell as u32);
    }
    let mut out = vec![0u32; n * k];
    let done = AtomicU64::new(0);
    for (g, group) in groups.values().enumerate() {
        let mut candidates = group.clone();
        if candidates.len() > CANDIDATES {
            Stream::new(seed, Purpose::Parents, g as u64).shuffle(&mut candidates);
            candidates.truncate(CANDIDATES);
            candidates.sort_unstable();
        }
        let found: Result<Vec<Vec<u32>>> = ctx.pool().install(|| {
            group
                .par_iter()
                .map(|&cell| {
                    ctx.cancel().check()?;
                    let here = &places[cell as usize];
                    let mut near: Vec<(f32, u32)> = candidates
                        .iter()
                        .filter(|&&c| c != cell)
                        .map(|&c| (distance(here, &places[c as usize]), c))
                        .collect();
                    let kept = k.min(near.len());
                    if kept > 0 {
                        near.select_nth_unstable_by(kept - 1, |a, b| {
                            a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
                        });
                        near[..kept]
                            .sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                    }
                    // Fewer than k others: they take turns; none: the cell itself.
                    let turn = |j: usize| if kept == 0 { cell } else { near[j % kept].1 };
                    let count = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if count.is_multiple_of(8192) {
                        ctx.emit(Event::Progress {
                            stage: stage.to_owned(),
                            done: count,
                            bytes_read: 0,
                        });
                    }
                    Ok((0..k).map(turn).collect())
                })
                .collect()
        });
        for (&cell, near) in group.iter().zip(found?) {
            out[cell as usize * k..][..k].copy_from_slice(&near);
        }
    }
    ctx.emit(Event::StageFinished {
        stage: stage.to_owned(),
        seconds: started.elapsed().as_secs_f64(),
        bytes_read: 0,
    });
    Ok(out)
}

fn distance(a: &[f32; AXES], b: &[f32; AXES]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The log-normalised values of a cell.
fn log_normalised(parents: &Parents, cell: usize) -> impl Iterator<Item = (u32, f64)> {
    let scale = 1e4 / parents.totals[cell].max(1) as f64;
    parents.row(cell).map(move |(gene, count)| {
        (
            gene,
            super::super::arith::ln(1.0 + scale * f64::from(count)),
        )
    })
}

fn check_now_and_then(ctx: &Context, cell: usize) -> Result<()> {
    if cell.is_multiple_of(256) {
        ctx.cancel().check()
    } else {
        Ok(())
    }
}

/// Each cell's place in a quick PCA of the most variable genes: subspace iteration from random
/// axes (Halko, Martinsson and Tropp 2011).
fn places(ctx: &Context, parents: &Parents, seed: u64) -> Result<Vec<[f32; AXES]>> {
    let n_genes = parents.n_genes as usize;
    // Means first, then squares about them; the zeros lie a mean away.
    let n = parents.len() as f64;
    let mut mean = vec![0.0f64; n_genes];
    let mut seen = vec![0u64; n_genes];
    let mut square = vec![0.0f64; n_genes];
    for cell in 0..parents.len() {
        check_now_and_then(ctx, cell)?;
        for (gene, v) in log_normalised(parents, cell) {
            mean[gene as usize] += v / n;
            seen[gene as usize] += 1;
        }
    }
    for cell in 0..parents.len() {
        check_now_and_then(ctx, cell)?;
        for (gene, v) in log_normalised(parents, cell) {
            square[gene as usize] += (v - mean[gene as usize]) * (v - mean[gene as usize]);
        }
    }
    let variance: Vec<f64> = (0..n_genes)
        .map(|g| square[g] + (n - seen[g] as f64) * mean[g] * mean[g])
        .collect();
    let mut order: Vec<usize> = (0..n_genes).collect();
    order.sort_by(|&a, &b| variance[b].total_cmp(&variance[a]).then(a.cmp(&b)));
    order.truncate(GENES);
    let mut place: Vec<Option<usize>> = vec![None; n_genes];
    order
        .iter()
        .enumerate()
        .for_each(|(at, &gene)| place[gene] = Some(at));
    let mean: Vec<f64> = order.iter().map(|&gene| mean[gene]).collect();

    let mut random = Stream::new(seed, Purpose::Parents, u64::MAX);
    let mut axes: Vec<[f64; AXES]> = (0..order.len())
        .map(|_| std::array::from_fn(|_| random.normal()))
        .collect();
    orthonormalise(&mut axes);
    for _ in 0..ROUNDS {
        let scores = scores(ctx, parents, &place, &mean, &axes)?;
        let mut next = vec![[0.0f64; AXES]; order.len()];
        let mut sum = [0.0f64; AXES];
        for (cell, score) in scores.iter().enumerate() {
            check_now_and_then(ctx, cell)?;
            for (gene, v) in log_normalised(parents, cell) {
                if let Some(at) = place[gene as usize] {
                    next[at]
                        .iter_mut()
                        .zip(score)
                        .for_each(|(n, &s)| *n += v * f64::from(s));
                }
            }
            sum.iter_mut()
                .zip(score)
                .for_each(|(sum, &s)| *sum += f64::from(s));
        }
        for (row, mean) in next.iter_mut().zip(&mean) {
            row.iter_mut().zip(&sum).for_each(|(n, s)| *n -= mean * s);
        }
        axes = next;
        orthonormalise(&mut axes);
    }
    scores(ctx, parents, &place, &mean, &axes)
}

/// Each cell's place along the axes, centred.
fn scores(
    ctx: &Context,
    parents: &Parents,
    place: &[Option<usize>],
    mean: &[f64],
    axes: &[[f64; AXES]],
) -> Result<Vec<[f32; AXES]>> {
    let mut origin = [0.0f64; AXES];
    for (mean, axis) in mean.iter().zip(axes) {
        origin
            .iter_mut()
            .zip(axis)
            .for_each(|(o, a)| *o += mean * a);
    }
    ctx.pool().install(|| {
        (0..parents.len())
            .into_par_iter()
            .map(|cell| {
                ctx.cancel().check()?;
                let mut sum = [0.0f64; AXES];
                for (gene, v) in log_normalised(parents, cell) {
                    if let Some(at) = place[gene as usize] {
                        sum.iter_mut().zip(&axes[at]).for_each(|(s, a)| *s += v * a);
                    }
                }
                Ok(std::array::from_fn(|d| (sum[d] - origin[d]) as f32))
            })
            .collect()
    })
}

/// Makes the columns orthonormal (Gram and Schmidt, twice over); a column of nothing stays zero.
fn orthonormalise(axes: &mut [[f64; AXES]]) {
    for d in 0..AXES {
        for _ in 0..2 {
            for before in 0..d {
                let dot: f64 = axes.iter().map(|row| row[d] * row[before]).sum();
                axes.iter_mut().for_each(|row| row[d] -= dot * row[before]);
            }
        }
        let norm = axes.iter().map(|row| row[d] * row[d]).sum::<f64>().sqrt();
        let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        axes.iter_mut().for_each(|row| row[d] *= scale);
    }
}
