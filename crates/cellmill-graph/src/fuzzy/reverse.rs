//! The edges by their end, sorted in two steps that each stay within a cache: by blocks of ends, and
//! then by ends within a block.

use super::bandwidth::Memberships;
use cellmill_engine::{Context, Result};
use rayon::prelude::*;

/// Most points whose edges one task takes up; a number below it is so many bits of an edge.
const STARTS: usize = 1 << STARTS_BITS;
const STARTS_BITS: u32 = 16;
/// Points that make a block of ends: so few that the edges that end there fit the cache of a core.
const ENDS: usize = 1 << 14;

/// Bytes of the reversed edges of `n` points.
pub(super) fn reversed_bytes(n: u64, edges: u64) -> u64 {
    8 * edges + 8 * n
}

/// Bytes of the edges by blocks of ends, which [`reversed`] holds too while it works.
pub(super) fn sorting_bytes(n: u64, edges: u64) -> u64 {
    let tasks = n.div_ceil(starts_of_a_task(n as usize) as u64);
    8 * edges + 24 * tasks * n.div_ceil(ENDS as u64)
}

/// Points whose edges one task of `n` points takes up: few where all are few, so that every core has
/// some.
fn starts_of_a_task(n: usize) -> usize {
    n.div_ceil(64).next_power_of_two().clamp(1 << 12, STARTS)
}

/// The edges by their end: row starts, and (start << 32 | bits of the weight), which increase within
/// each row.
pub(super) fn reversed(ctx: &Context, forward: &Memberships) -> Result<(Vec<u64>, Vec<u64>)> {
    in_tasks_of(ctx, forward, starts_of_a_task(forward.n))
}

/// [`reversed`], by tasks of so many points, at most [`STARTS`].
fn in_tasks_of(
    ctx: &Context,
    forward: &Memberships,
    starts: usize,
) -> Result<(Vec<u64>, Vec<u64>)> {
    let (n, k, edges) = (forward.n, forward.k, forward.edges.len());
    let bytes = sorting_bytes(n as u64, edges as u64);
    let _memory = ctx
        .budget()
        .reserve(bytes, "the neighbour graph by blocks of ends")?;
    let end_of = |edge: u64| (edge >> 32) as usize;

    // How many edges go from each task's points to each block.
    let blocks = n.div_ceil(ENDS);
    let tasks = || forward.edges.par_chunks(starts * k);
    let counts = tasks().map(|edges| {
        ctx.cancel().check()?;
        let mut counts = vec![0u64; blocks];
        for &edge in edges {
            counts[end_of(edge) / ENDS] += 1;
        }
        Ok(counts)
    });
    let counts: Vec<Vec<u64>> = counts.collect::<Result<_>>()?;

    // Block by block, and within a block task by task: edges stay in the order of their starts.
    let mut sorted = vec![0u64; edges];
    let mut places: Vec<Vec<&mut [u64]>> =
        (counts.iter().map(|_| Vec::with_capacity(blocks))).collect();
    let mut left = &mut sorted[..];
    for block in 0..blocks {
        for (places, counts) in places.iter_mut().zip(&counts) {
            let here;
            (here, left) = left.split_at_mut(counts[block] as usize);
            places.push(here);
        }
    }
    tasks().zip(places).try_for_each(|(edges, places)| {
        ctx.cancel().check()?;
        let mut places: Vec<_> = places.into_iter().map(|here| here.iter_mut()).collect();
        for (start, edges) in (0u64..).zip(edges.chunks_exact(k)) {
            for &edge in edges {
                let end = end_of(edge);
                let packed = ((end % ENDS) as u64) << STARTS_BITS | start;
                // There is one: the same edges were counted.
                if let Some(place) = places[end / ENDS].next() {
                    *place = packed << 32 | edge & 0xFFFF_FFFF;
                }
            }
        }
        Ok::<_, cellmill_engine::Error>(())
    })?;

    let mut row_starts = vec![0u64; n + 1];
    let mut reversed = vec![0u64; edges];
    let (mut from_left, mut to_left) = (&sorted[..], &mut reversed[..]);
    let mut of_blocks = Vec::with_capacity(blocks);
    let mut first = 0u64;
    for (block, row_starts) in row_starts[..n].chunks_mut(ENDS).enumerate() {
        let length: u64 = counts.iter().map(|counts| counts[block]).sum();
        let (from, to);
        (from, from_left) = from_left.split_at(length as usize);
        (to, to_left) = to_left.split_at_mut(length as usize);
        of_blocks.push((block, first, row_starts, from, to));
        first += length;
    }
    of_blocks
        .into_par_iter()
        .try_for_each(|(block, first, row_starts, from, to)| {
            ctx.cancel().check()?;
            let end_of = |edge: u64| (edge >> (32 + STARTS_BITS)) as usize;
            let mut next = vec![0u64; row_starts.len() + 1];
            for &edge in from {
                next[end_of(edge) + 1] += 1;
            }
            for i in 0..row_starts.len() {
                next[i + 1] += next[i];
                row_starts[i] = first + next[i];
            }
            let mut left = from;
            for (task, counts) in counts.iter().enumerate() {
                let here;
                (here, left) = left.split_at(counts[block] as usize);
                let base = (task * starts) as u64;
                for &edge in here {
                    let start = base + (edge >> 32) % STARTS as u64;
                    let next = &mut next[end_of(edge)];
                    to[*next as usize] = start << 32 | edge & 0xFFFF_FFFF;
                    *next += 1;
                }
            }
            Ok::<_, cellmill_engine::Error>(())
        })?;
    row_starts[n] = first;
    Ok((row_starts, reversed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_of_many_tasks_and_blocks_come_by_their_ends() {
        let (n, k) = (STARTS + ENDS + 3, 3);
        // Ends far and near, in the last block too, and one point where very many edges end.
        let ends = |i: usize| {
            [
                (i * 7919 + 1) % n,
                (i + 1) % n,
                if i == 5 { n - 1 } else { 5 },
            ]
        };
        let weight = |i: usize, nth: usize| (i * k + nth) as f32;
        let edge = |to: usize, weight: f32| (to as u64) << 32 | u64::from(weight.to_bits());
        let mut edges = Vec::new();
        let mut expected: Vec<(usize, u64)> = Vec::new();
        for i in 0..n {
            for (nth, end) in ends(i).into_iter().enumerate() {
                edges.push(edge(end, weight(i, nth)));
                expected.push((end, edge(i, weight(i, nth))));
            }
        }
        expected.sort_by_key(|&(end, edge)| (end, edge >> 32));
        // The tasks that so many points have, and the largest.
        for (threads, starts_of_task) in [
            (1, starts_of_a_task(n)),
            (3, starts_of_a_task(n)),
            (3, STARTS),
        ] {
            let ctx = Context::quiet(threads).unwrap();
            let forward = Memberships {
                n,
                k,
                edges: edges.clone(),
                _memory: ctx.budget().reserve(0, "").unwrap(),
            };
            let (starts, found) = (ctx.pool())
                .install(|| in_tasks_of(&ctx, &forward, starts_of_task))
                .unwrap();
            let rows = (0..n).flat_map(|end| {
                let row = starts[end] as usize..starts[end + 1] as usize;
                found[row].iter().map(move |&edge| (end, edge))
            });
            assert!(
                rows.eq(expected.iter().copied()),
                "{threads} threads, tasks of {starts_of_task}"
            );
            assert_eq!(starts[n] as usize, n * k);
        }
    }
}
