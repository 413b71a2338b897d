//! Refinement: inside each community, single vertices merge into well connected sets.
//!
//! Traag, Waltman and van Eck (2019), algorithm A.2, `RefinePartition` and `MergeNodesSubset`.
//! Communities do not see each other here, so each is refined on its own, with a random stream
//! named by the community.

use super::communities::Members;
use super::level::{Adjacency, Rule};
use super::rng::{Rng, derive};
use super::tally::Tally;
use cellmill_engine::{Context, Result};
use rayon::prelude::*;

/// A refinement of a partition.
pub(super) struct Refined {
    /// The refined community of each vertex, numbered community by community.
    pub(super) of: Vec<u32>,
    /// The coarse community of each refined one.
    pub(super) parent: Vec<u32>,
}

/// What refinement reads.
pub(super) struct Task<'a, A> {
    pub(super) ctx: &'a Context,
    pub(super) adjacency: &'a A,
    pub(super) node_weight: &'a [i64],
    pub(super) rule: &'a Rule,
    pub(super) key: u64,
}

impl<A: Adjacency> Task<'_, A> {
    /// Refines the partition `of` into `count` communities.
    ///
    /// # Errors
    /// When the run is cancelled.
    pub(super) fn refine(&self, of: &[u32], count: usize) -> Result<Refined> {
        self.split(of, count, |c, members, position, tally| {
            self.merge_singles(c, members, position, tally)
        })
    }

    /// Splits every community of `of` into its connected components.
    ///
    /// # Errors
    /// When the run is cancelled.
    pub(super) fn components(&self, of: &[u32], count: usize) -> Result<Refined> {
        self.split(of, count, |c, members, position, _| {
            Ok(self.reach(c, members, position))
        })
    }

    /// Applies `inner` to each community; it returns a label below the community's size for each
    /// member.
    fn split(
        &self,
        of: &[u32],
        count: usize,
        inner: impl Fn(usize, &Members, &[u32], &mut Tally) -> Result<Vec<u32>> + Sync,
    ) -> Result<Refined> {
        let members = Members::new(of, count);
        let mut position = vec![0; of.len()];
        for (i, &v) in members.members.iter().enumerate() {
            position[v as usize] = i as u32;
        }
        let parts: Vec<(Vec<u32>, usize)> = (0..count)
            .into_par_iter()
            // A few large communities are a task each.
            .with_max_len((count / 1024).clamp(1, 64))
            .map_init(Tally::new, |tally, c| {
                if members.of(c).len() == 1 {
                    return Ok((vec![0], 1));
                }
                let mut labels = inner(c, &members, &position, tally)?;
                let parts = super::communities::compact(&mut labels);
                Ok((labels, parts))
            })
            .collect::<Result<_>>()?;
        let mut refined = vec![0; of.len()];
        let mut parent = Vec::new();
        for (c, (labels, parts)) in parts.into_iter().enumerate() {
            let base = parent.len() as u32;
            for (&v, label) in members.of(c).iter().zip(labels) {
                refined[v as usize] = base + label;
            }
            parent.resize(parent.len() + parts, c as u32);
        }
        Ok(Refined {
            of: refined,
            parent,
        })
    }

    fn merge_singles(
        &self,
        community: usize,
        members: &Members,
        position: &[u32],
        tally: &mut Tally,
    ) -> Result<Vec<u32>> {
        let start = members.starts[community];
        let members = members.of(community);
        let n = members.len();
        let inside = |u: u32| {
            let place = position[u as usize].wrapping_sub(start);
            ((place as usize) < n).then_some(place)
        };
        // A set is well connected when its edges to the rest of the community are worth at least
        // what a random graph would have there.
        let mut weight: Vec<i64> = members
            .iter()
            .map(|&v| self.node_weight[v as usize])
            .collect();
        let whole: i64 = weight.iter().sum();
        let well_connected =
            |edges: i64, part: i64| self.rule.gain(edges, part, whole - part) >= 0.0;
        let mut outward = Vec::with_capacity(n);
        for (i, &v) in members.iter().enumerate() {
            if i % 4096 == 0 {
                self.ctx.cancel().check()?;
            }
            let row = self.adjacency.row(v as usize);
            outward.push(
                row.filter(|&(u, _)| inside(u).is_some())
                    .map(|(_, w)| w)
                    .sum::<i64>(),
            );
        }
        let mut rng = Rng::new(derive(self.key, community as u64));
        let mut order: Vec<u32> = (0..n as u32)
            .filter(|&i| well_connected(outward[i as usize], weight[i as usize]))
            .collect();
        rng.shuffle(&mut order);

        let mut label: Vec<u32> = (0..n as u32).collect();
        let mut alone = vec![true; n];
        let mut choices = Vec::new();
        for (step, &i) in order.iter().enumerate() {
            if step % 4096 == 0 {
                self.ctx.cancel().check()?;
            }
            let i = i as usize;
            if !alone[i] {
                continue;
            }
            let ahead = |k: usize| order.get(step + k).map(|&i| members[i as usize]);
            self.adjacency.expect_along(ahead, position);
            let row = self.adjacency.row(members[i] as usize);
            tally.sum(row.filter_map(|(u, w)| Some((label[inside(u)? as usize], w))));
            // Staying alone is a choice that gains nothing.
            choices.clear();
            choices.push(Choice {
                gain: 0.0,
                to: i as u32,
                edges: 0,
            });
            let own = weight[i];
            for (c, edges) in tally.iter() {
                let gain = self.rule.gain(edges, own, weight[c as usize]);
                if edges > 0
                    && gain >= 0.0
                    && well_connected(outward[c as usize], weight[c as usize])
                {
                    choices.push(Choice { gain, to: c, edges });
                }
            }
            let Choice { to, edges, .. } = draw(&mut choices, self.rule.theta, &mut rng);
            if to as usize != i {
                label[i] = to;
                alone[i] = false;
                alone[to as usize] = false;
                weight[to as usize] += own;
                outward[to as usize] += outward[i] - 2 * edges;
            }
        }
        Ok(label)
    }

    fn reach(&self, community: usize, members: &Members, position: &[u32]) -> Vec<u32> {
        let start = members.starts[community];
        let members = members.of(community);
        let mut label = vec![u32::MAX; members.len()];
        let mut stack = Vec::new();
        for first in 0..members.len() {
            if label[first] != u32::MAX {
                continue;
            }
            label[first] = first as u32;
            stack.push(first);
            while let Some(i) = stack.pop() {
                for (u, w) in self.adjacency.row(members[i] as usize) {
                    let place = position[u as usize].wrapping_sub(start) as usize;
                    if w > 0 && place < members.len() && label[place] == u32::MAX {
                        label[place] = first as u32;
                        stack.push(place);
                    }
                }
            }
        }
        label
    }
}

/// A cluster that a vertex may join.
#[derive(Clone, Copy)]
struct Choice {
    /// The gain, and after [`draw`] the share of the lottery.
    gain: f64,
    to: u32,
    edges: i64,
}

/// Draws a choice with probability proportional to exp(gain / theta); there is at least one.
fn draw(choices: &mut [Choice], theta: f64, rng: &mut Rng) -> Choice {
    let best = choices.iter().map(|c| c.gain).fold(0.0, f64::max);
    let mut total = 0.0;
    for choice in choices.iter_mut() {
        // Relative to the best, so that the largest share is one and nothing overflows.
        choice.gain = ((choice.gain - best) / theta).exp();
        total += choice.gain;
    }
    let ticket = rng.unit() * total;
    let mut sum = 0.0;
    let mut drawn = choices[0];
    for choice in choices.iter().filter(|c| c.gain > 0.0) {
        drawn = *choice;
        sum += choice.gain;
        if sum > ticket {
            break;
        }
    }
    drawn
}
