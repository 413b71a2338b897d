//! Local moving on all threads, with the same answer from any number of them.
//!
//! The vertices of a round are dealt into random groups. Those of a group wish on the same
//! snapshot; a wish gives way when a neighbour of higher priority leaves the community that it
//! wants or enters the one that it leaves, so edges can only turn out better than they were seen;
//! and each move is checked once more against the totals as they are when it is made. Every move
//! that is made therefore gains, exactly as one at a time. A few last vertices go to the queue.

use super::communities::Communities;
use super::level::{Adjacency, Rule};
use super::local_move::{Queue, Wish, best_move};
use super::rng::{Rng, derive, mix};
use super::tally::Tally;
use cellmill_engine::{Context, Result};
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// Levels with fewer vertices are moved one at a time.
pub(super) const LEAST: usize = 16_384;
/// Groups in a round, at most.
const GROUPS: usize = 64;
/// Vertices in a group, at least (unless there are fewer).
const GROUP: usize = 1024;
/// Vertices that one task of a group takes.
const CHUNK: usize = 256;

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
    /// Moves vertices until nothing gains, and returns whether any moved.
    ///
    /// # Errors
    /// When the run is cancelled.
    pub(super) fn run(&self, communities: &mut Communities) -> Result<bool> {
        let n = self.node_weight.len();
        let active: Vec<AtomicBool> = (0..n).map(|_| AtomicBool::new(true)).collect();
        let mut wanted = vec![NONE; n];
        let mut moved = false;
        for round in 0.. {
            let key = derive(self.key, round);
            let mut waiting: Vec<u32> = (0..n as u32)
                .filter(|&v| active[v as usize].load(Ordering::Relaxed))
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
            for group in groups {
                self.ctx.cancel().check()?;
                moved |= self.group(&group, key, communities, &active, &mut wanted);
            }
        }
        Ok(moved)
    }

    /// Moves one group; who must look again is marked in `active`. `wanted` is all `NONE` before
    /// and after.
    fn group(
        &self,
        group: &[u32],
        key: u64,
        communities: &mut Communities,
        active: &[AtomicBool],
        wanted: &mut [u32],
    ) -> bool {
        let snapshot = &*communities;
        let wishes: Vec<Wish> = group
            .par_chunks(CHUNK)
            .map_init(Tally::new, |tally, vertices| {
                let wish = |&v: &u32| {
                    active[v as usize].store(false, Ordering::Relaxed);
                    let weight = self.node_weight[v as usize];
                    best_move(self.adjacency, self.rule, snapshot, v, weight, tally)
                };
                vertices.iter().filter_map(wish).collect::<Vec<_>>()
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
        let mut made: Vec<(u32, u32)> = Vec::with_capacity(wishes.len());
        for (wish, stands) in wishes.iter().zip(stands) {
            let v = wish.vertex;
            wanted[v as usize] = NONE;
            let weight = self.node_weight[v as usize];
            let to = wish.to.or_else(|| communities.vacant());
            match to
                .filter(|_| stands && wish.gain(self.rule, communities, weight) > self.rule.least)
            {
                Some(to) => {
                    communities.relocate(v, weight, to);
                    made.push((v, to));
                }
                None => active[v as usize].store(true, Ordering::Relaxed),
            }
        }
        let communities = &*communities;
        made.par_iter().with_min_len(CHUNK).for_each(|&(v, to)| {
            for (u, _) in self.adjacency.row(v as usize) {
                if communities.of[u as usize] != to {
                    active[u as usize].store(true, Ordering::Relaxed);
                }
            }
        });
        !made.is_empty()
    }
}
