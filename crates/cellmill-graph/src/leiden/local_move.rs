//! Local moving with a queue, one vertex at a time.

use super::communities::Communities;
use super::level::{Adjacency, Rule};
use super::rng::Rng;
use super::tally::Tally;
use cellmill_engine::Context;
use std::collections::VecDeque;

/// Where a vertex would rather be.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub(super) vertex: u32,
    /// The community, or `None` for one of its own.
    pub(super) to: Option<u32>,
    /// Weight of edges to that community.
    pub(super) edges_to: i64,
    /// Weight of edges to the rest of the present community.
    pub(super) edges_from: i64,
    /// What the new community is worth more than the next best.
    pub(super) margin: f64,
}

impl Wish {
    /// The gain in units with the totals as they are now.
    pub(super) fn gain(&self, rule: &Rule, communities: &Communities, weight: i64) -> f64 {
        let from = communities.of[self.vertex as usize] as usize;
        let stay = rule.gain(self.edges_from, weight, communities.total[from] - weight);
        let go = self.to.map_or(0.0, |c| {
            rule.gain(self.edges_to, weight, communities.total[c as usize])
        });
        go - stay
    }
}

/// The best move of `vertex`, if one gains anything; else by how much its community is worth more
/// than the next best.
#[inline]
pub(super) fn best_move<A: Adjacency>(
    adjacency: &A,
    rule: &Rule,
    communities: &Communities,
    vertex: u32,
    weight: i64,
    tally: &mut Tally,
) -> Result<Wish, f64> {
    let row = adjacency.row(vertex as usize);
    tally.sum(row.map(|(u, w)| (communities.of[u as usize], w)));
    let own = communities.of[vertex as usize];
    let mut edges_from = 0;
    // Alone: no edges inside and nothing to pay.
    let mut best = (0.0, None, 0);
    let mut second = 0.0;
    let worth = |c: u32, edges| rule.gain(edges, weight, communities.total[c as usize]);
    for (c, edges, gain) in tally.weighed(worth) {
        if c == own {
            edges_from = edges;
        } else if gain > best.0 || (gain == best.0 && best.1.is_none()) {
            second = best.0;
            best = (gain, Some(c), edges);
        } else if gain > second {
            second = gain;
        }
    }
    let stay = rule.gain(edges_from, weight, communities.total[own as usize] - weight);
    let (gain, to, edges_to) = best;
    let alone = communities.size[own as usize] == 1;
    if gain - stay > rule.least && !(to.is_none() && alone) {
        Ok(Wish {
            vertex,
            to,
            edges_to,
            edges_from,
            margin: gain - second.max(stay),
        })
    } else {
        Err(stay - gain)
    }
}

/// The queue of vertices whose surroundings changed.
pub(super) struct Queue {
    waiting: VecDeque<u32>,
    queued: Vec<bool>,
}

impl Queue {
    /// A queue of `vertices` out of `n`.
    pub(super) fn new(n: usize, vertices: Vec<u32>) -> Self {
        let mut queued = vec![false; n];
        for &v in &vertices {
            queued[v as usize] = true;
        }
        Self {
            waiting: vertices.into(),
            queued,
        }
    }

    /// All `n` vertices in random order.
    pub(super) fn shuffled(n: usize, rng: &mut Rng) -> Self {
        let mut order: Vec<u32> = (0..n as u32).collect();
        rng.shuffle(&mut order);
        Self {
            waiting: order.into(),
            queued: vec![true; n],
        }
    }

    /// Moves vertices until nothing gains, and returns whether any moved.
    ///
    /// # Errors
    /// When the run is cancelled.
    pub(super) fn drain<A: Adjacency>(
        &mut self,
        ctx: &Context,
        adjacency: &A,
        node_weight: &[i64],
        rule: &Rule,
        communities: &mut Communities,
    ) -> cellmill_engine::Result<bool> {
        let mut tally = Tally::new();
        let mut moved = false;
        let mut steps = 0u64;
        while let Some(vertex) = self.waiting.pop_front() {
            steps += 1;
            if steps.is_multiple_of(1024) {
                ctx.cancel().check()?;
            }
            self.queued[vertex as usize] = false;
            let weight = node_weight[vertex as usize];
            let Ok(wish) = best_move(adjacency, rule, communities, vertex, weight, &mut tally)
            else {
                continue;
            };
            let Some(to) = wish.to.or_else(|| communities.vacant()) else {
                continue;
            };
            communities.relocate(vertex, weight, to);
            moved = true;
            for (u, _) in adjacency.row(vertex as usize) {
                if communities.of[u as usize] != to && !self.queued[u as usize] {
                    self.queued[u as usize] = true;
                    self.waiting.push_back(u);
                }
            }
        }
        Ok(moved)
    }
}
