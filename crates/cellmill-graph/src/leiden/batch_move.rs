//! Local moving on all threads, with the same answer from any number of them.
//!
//! The vertices of a round are dealt into random groups. Those of a group wish on the same
//! snapshot; a wish gives way when a neighbour of higher priority leaves the community that it
//! wants or enters the one that it leaves, so edges can only turn out better than they were seen;
//! and each move is checked once more against the totals as they are when it is made. Every move
//! that is made therefore gains, exactly as one at a time. A few last vertices go to the queue.
//!
//! A vertex looks again when the moves of its neighbours can have used up the slack it had: what
//! its community was worth to it more than the next best.

use super::communities::Communities;
use super::level::{Adjacency, Rule};
use super::local_move::{Queue, Wish, best_move};
use super::rng::{Rng, derive, mix};
use super::tally::Tally;
use cellmill_engine::{Context, Result};
use rayon::prelude::*;
use std::sync::atomic::{AtomicI64, Ordering};

/// Levels with fewer vertices are moved one at a time.
pub(super) const LEAST: usize = 16_384;
/// Groups in a round, at most. More see each other's moves sooner; fewer read the graph in longer
/// stretches.
const GROUPS: usize = 24;
/// Vertices in a group, at least (unless there are fewer).
const GROUP: usize = 1024;
/// Vertices that one task of a group takes.
const CHUNK: usize = 256;

/// A group is joined to the next ones while fewer than one in so many vertices wish.
const FEW: usize = 64;
/// Groups that are joined, at most.
const JOINED: usize = 16;
/// The share of the slack that a vertex uses up without another look. The rest is for the totals
/// of the communities, which move unseen.
const PATIENCE: f64 = 0.5;

/// No wish.
const NONE: u32 = u32::MAX;
/// A wish to be alone.
const ALONE: u32 = u32::MAX - 1;

/// The state of a level's moves.
pub(super) struct Batches<'a, A> {
    pub(super) ctx: &'a Context,
    pub(super) adjacency: &'a A,
    pub(super) node_weight: &'a [i64],
    pub(super) rule: &'a Rule,
    pub(super) key: u64,
}

impl<A: Adjacency> Batches<'_, A> {
    /// Moves vertices until none that looks gains, and returns whether any moved.
    ///
    /// # Errors
    /// When the run is cancelled.
    pub(super) fn run(&self, communities: &mut Communities) -> Result<bool> {
        let n = self.node_weight.len();
        let slack: Vec<AtomicI64> = (0..n).map(|_| AtomicI64::new(-1)).collect();
        let mut wanted = vec![NONE; n];
        let mut moved = false;
        for round in 0.. {
            let key = derive(self.key, round);
            let mut waiting: Vec<u32> = (0..n as u32)
                .filter(|&v| slack[v as usize].load(Ordering::Relaxed) < 0)
                .collect();
            if waiting.len() <= LEAST / 4 {
                Rng::new(key).shuffle(&mut waiting);
                let mut queue = Queue::new(n, waiting);
                moved |= queue.drain(
                    self.ctx,
                    self.adjacency,
                    self.node_weight,
                    self.rule,
                    communities,
                )?;
                break;
            }
            let count = (waiting.len() / GROUP).clamp(1, GROUPS);
            let mut groups: Vec<Vec<u32>> =
                vec![Vec::with_capacity(waiting.len() / count * 9 / 8); count];
            for v in waiting {
                let group = (u128::from(derive(key, u64::from(v))) * count as u128) >> 64;
                groups[group as usize].push(v);
            }
            let mut next = 0;
            let mut joined = 1;
            while next < groups.len() {
                self.ctx.cancel().check()?;
                let end = (next + joined).min(groups.len());
                let mut group = groups[next..end].concat();
                // Neighbours in memory together.
                group.sort();
                next = end;
                let (wishes, moves) = self.group(&group, key, communities, &slack, &mut wanted);
                moved |= moves > 0;
                joined = if wishes * FEW < group.len() {
                    (joined * 2).min(JOINED)
                } else {
                    (joined / 2).max(1)
                };
            }
        }
        Ok(moved)
    }

    /// Moves one group and returns the numbers of wishes and of moves. A vertex whose `slack` is
    /// below zero must look again. `wanted` is all `NONE` before and after.
    fn group(
        &self,
        group: &[u32],
        key: u64,
        communities: &mut Communities,
        slack: &[AtomicI64],
        wanted: &mut [u32],
    ) -> (usize, usize) {
        let snapshot = &*communities;
        let wishes: Vec<Wish> = group
            .par_chunks(CHUNK)
            .map_init(Tally::new, |tally, vertices| {
                let wish = |(i, &v): (usize, &u32)| {
                    let ahead = |k: usize| vertices.get(i + k).copied();
                    self.adjacency.expect_along(ahead, &snapshot.of);
                    let weight = self.node_weight[v as usize];
                    let wish = best_move(self.adjacency, self.rule, snapshot, v, weight, tally);
                    if let Err(margin) = wish {
                        slack[v as usize].store(patience(margin), Ordering::Relaxed);
                    }
                    wish.ok()
                };
                let vertices = vertices.iter().enumerate();
                vertices.filter_map(wish).collect::<Vec<_>>()
            })
            .flatten_iter()
            .collect();
        for wish in &wishes {
            wanted[wish.vertex as usize] = wish.to.unwrap_or(ALONE);
        }
        let seen = &*wanted;
        let stands: Vec<bool> = wishes
            .par_iter()
            .with_min_len(CHUNK)
            .map(|wish| {
                let from = snapshot.of[wish.vertex as usize];
                let priority = mix(key ^ u64::from(wish.vertex));
                self.adjacency.row(wish.vertex as usize).all(|(u, _)| {
                    let theirs = seen[u as usize];
                    let harms = theirs != NONE
                        && (theirs == from || wish.to == Some(snapshot.of[u as usize]));
                    !harms || mix(key ^ u64::from(u)) < priority
                })
            })
            .collect();
        let mut made: Vec<Move> = Vec::with_capacity(wishes.len());
        for (wish, stands) in wishes.iter().zip(stands) {
            let vertex = wish.vertex;
            wanted[vertex as usize] = NONE;
            let weight = self.node_weight[vertex as usize];
            let to = wish.to.or_else(|| communities.vacant());
            let left = match to
                .filter(|_| stands && wish.gain(self.rule, communities, weight) > self.rule.least)
            {
                Some(to) => {
                    let from = communities.of[vertex as usize];
                    communities.relocate(vertex, weight, to);
                    made.push(Move { vertex, from, to });
                    patience(wish.margin)
                }
                None => -1,
            };
            slack[vertex as usize].store(left, Ordering::Relaxed);
        }
        let communities = &*communities;
        made.par_iter().with_min_len(CHUNK).for_each(|made| {
            for (u, w) in self.adjacency.row(made.vertex as usize) {
                let of = communities.of[u as usize];
                let slack = &slack[u as usize];
                // It only falls here, so its sign in the end does not depend on the order.
                if of != made.to && slack.load(Ordering::Relaxed) >= 0 {
                    let lost = if of == made.from { 2 * w } else { w };
                    slack.fetch_sub(lost, Ordering::Relaxed);
                }
            }
        });
        (wishes.len(), made.len())
    }
}

/// A move that was made.
struct Move {
    vertex: u32,
    from: u32,
    to: u32,
}

/// What the edges of a vertex may change before it looks again, in units. A vertex that has just
/// looked is content, even when it would gain what counts as rounding: else it looked for ever.
fn patience(margin: f64) -> i64 {
    (margin * PATIENCE).max(0.0) as i64
}

#[cfg(test)]
mod tests {
    use super::patience;

    #[test]
    fn who_has_looked_does_not_wait_to_look_again() {
        assert_eq!([-1e5, -0.1, 0.0, 10.0].map(patience), [0, 0, 0, 5]);
    }
}
