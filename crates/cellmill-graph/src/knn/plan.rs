//! Who is compared with whom: the order of the points, and the cells.

use super::Metric;
use super::prepare::{Prepared, Recipe};
use super::tree::{Leaves, Tree, mix};
use crate::Points;
use crate::kernel::{
    CellPanels, Isa, JOINED, Lanes, PANEL, gather_cell, near_panel, nearest_leaders,
    sequential_norms,
};
use cellmill_engine::{Context, Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Up to this many points are one cell.
const SMALL: usize = 4000;
/// Leaders near another one, among which its points choose before the leaders have moved.
const FIRST_AMONG: usize = 256;
/// The same when the leaders have moved, at most: each costs every point a distance.
const MOST_AMONG: usize = 2560;
/// Points for one leader, whole leaves of the tree.
const POINTS_A_LEADER: usize = 4 * PANEL;
/// Points of a group that are compared with leaders at once: a group of equal points has no bound.
const AT_ONCE: usize = 8 * POINTS_A_LEADER;
/// Cells of more than this many times the usual number of points are split.
const LARGEST: usize = 2;

/// What the search will do.
///
/// Points are numbered by place: place `i` holds the caller's point `order[i]`, and near places
/// hold near points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The caller's index of the point at each place.
    pub order: Vec<u32>,
    /// Where each cell begins in `members`, and the end.
    pub starts: Vec<u64>,
    /// Places of the points of each cell, increasing within a cell. Cells overlap.
    pub members: Vec<u32>,
}

impl Plan {
    /// The number of cells.
    pub fn cells(&self) -> usize {
        self.starts.len() - 1
    }

    /// The places of the points in cell `cell`.
    pub fn cell(&self, cell: usize) -> &[u32] {
        &self.members[self.starts[cell] as usize..self.starts[cell + 1] as usize]
    }
}

/// Orders the points by a random-projection tree, and puts each into the cells of its sixteen
/// nearest leaders, which are means of 128 consecutive points after one step of Lloyd's.
/// Up to 4,000 points are one cell.
///
/// Returns the plan, and the points in its order.
pub(super) fn plan(
    ctx: &Context,
    isa: Isa,
    points: Points,
    metric: Metric,
    seed: u64,
) -> Result<(Plan, Prepared)> {
    let n = points.n();
    let recipe = Recipe::new(ctx, points, metric)?;
    let mut entries: Vec<u64> = (0..n as u64).collect();
    {
        // The points are prepared once more in their order, so that two copies of them are never
        // there at once.
        let prepared = recipe.prepare(ctx, isa, points, None)?;
        let tree = Tree {
            ctx,
            isa,
            points: &prepared,
            cut: Leaves::Of(PANEL),
        };
        tree.grow(&mut entries, n.div_ceil(PANEL), mix(seed))?;
    }
    let order: Vec<u32> = entries.iter().map(|&entry| entry as u32).collect();
    drop(entries);
    let points = recipe.prepare(ctx, isa, points, Some(&order))?;
    let (starts, members) = if n <= SMALL {
        (vec![0, n as u64], (0..n as u32).collect())
    } else {
        cells(ctx, isa, &points, mix(seed ^ 1))?
    };
    let plan = Plan {
        order,
        starts,
        members,
    };
    Ok((plan, points))
}

/// Where each cell begins, and the end; the places of the points of each cell.
fn cells(ctx: &Context, isa: Isa, points: &Prepared, seed: u64) -> Result<(Vec<u64>, Vec<u32>)> {
    let tree = Tree {
        ctx,
        isa,
        points,
        cut: Leaves::Even,
    };
    let places: Vec<u32> = (0..points.n as u32).collect();
    let groups: Vec<&[u32]> = places.chunks(POINTS_A_LEADER).collect();
    let nearest = join(ctx, isa, points, &groups, FIRST_AMONG)?;
    let (starts, members) = gather(nearest.iter().map(|joined| &joined[..1]), groups.len());
    drop((nearest, groups));
    drop(places);
    // A leader that lost its points leads nobody.
    let groups: Vec<&[u32]> = starts
        .windows(2)
        .map(|ends| &members[ends[0] as usize..ends[1] as usize])
        .filter(|group| !group.is_empty())
        .collect();
    let count = groups.len();
    // In many dimensions the leaders nearest to a point are not those nearest to its own leader;
    // the more leaders, the more so.
    let among = (24 * count.isqrt()).clamp(FIRST_AMONG, MOST_AMONG);
    let nearest = join(ctx, isa, points, &groups, among)?;
    drop(groups);
    let mut joined_at = vec![0u32; points.n];
    for (at, &place) in members.iter().enumerate() {
        joined_at[place as usize] = at as u32;
    }
    drop((starts, members));
    let of_place = joined_at.iter().map(|&at| &nearest[at as usize][..]);
    let (starts, mut members) = gather(of_place, count);
    drop((nearest, joined_at));

    let largest = LARGEST * JOINED * POINTS_A_LEADER;
    let mut rest = &mut members[..];
    let mut groups = Vec::with_capacity(count);
    for ends in starts.windows(2) {
        let (group, others) = rest.split_at_mut((ends[1] - ends[0]) as usize);
        groups.push(group);
        rest = others;
    }
    let sizes = groups
        .into_par_iter()
        .enumerate()
        .map(|(leader, group)| {
            let parts = group.len().div_ceil(largest);
            if parts <= 1 {
                return Ok(vec![group.len()]);
            }
            let mut entries: Vec<u64> = group.iter().map(|&place| u64::from(place)).collect();
            let sizes = tree.grow(&mut entries, parts, mix(seed ^ leader as u64))?;
            for (place, entry) in group.iter_mut().zip(entries) {
                *place = entry as u32;
            }
            Ok(sizes)
        })
        .collect::<Result<Vec<Vec<usize>>>>()?;
    let mut ends = vec![0];
    let mut end = 0;
    for size in sizes.into_iter().flatten().filter(|&size| size > 0) {
        end += size as u64;
        ends.push(end);
    }
    Ok((ends, members))
}

/// Where the points that joined each leader begin, and the end; these points, increasing.
fn gather<'a>(
    joined: impl Iterator<Item = &'a [u32]> + Clone,
    leaders: usize,
) -> (Vec<u64>, Vec<u32>) {
    // Beyond the last leader lies an empty slot.
    let of = |joined: &'a [u32]| {
        joined
            .iter()
            .map(|&leader| leader as usize)
            .filter(move |&leader| leader < leaders)
    };
    let mut starts = vec![0u64; leaders + 1];
    for leader in joined.clone().flat_map(of) {
        starts[leader + 1] += 1;
    }
    for leader in 0..leaders {
        starts[leader + 1] += starts[leader];
    }
    let mut next = starts.clone();
    let mut members = vec![0; starts[leaders] as usize];
    for (point, joined) in joined.enumerate() {
        for leader in of(joined) {
            members[next[leader] as usize] = point as u32;
            next[leader] += 1;
        }
    }
    (starts, members)
}

/// The nearest leaders of every point of the groups, in their order, nearest first, looked for among
/// the `among` nearest to the leader of its own group; too few are followed by numbers that no leader
/// has. Leaders are the means of the groups, none of which is empty.
fn join(
    ctx: &Context,
    isa: Isa,
    points: &Prepared,
    groups: &[&[u32]],
    among: usize,
) -> Result<Vec<[u32; JOINED]>> {
    let leaders = Leaders::new(isa, points, groups);
    let all: Vec<u32> = (0..groups.len() as u32).collect();
    let panels = leaders.panels(isa, points, &all);
    let mut nearest = vec![[0u32; JOINED]; groups.iter().map(|group| group.len()).sum()];
    let mut rest = &mut nearest[..];
    let mut blocks = Vec::with_capacity(groups.len().div_ceil(PANEL));
    for groups in groups.chunks(PANEL) {
        let (block, others) = rest.split_at_mut(groups.iter().map(|group| group.len()).sum());
        blocks.push((groups, block));
        rest = others;
    }
    blocks
        .into_par_iter()
        .enumerate()
        .try_for_each(|(block, (groups, mut nearest))| {
            ctx.cancel().check()?;
            for (group, near) in groups.iter().zip(near_panel(isa, &panels, block, among)) {
                let near: Vec<u32> = near.into_iter().map(|key| key as u32).collect();
                let near_panels = leaders.panels(isa, points, &near);
                let (of_group, others) = nearest.split_at_mut(group.len());
                nearest = others;
                group
                    .par_chunks(AT_ONCE)
                    .zip(of_group.par_chunks_mut(AT_ONCE))
                    .try_for_each(|(places, nearest)| {
                        ctx.cancel().check()?;
                        let found =
                            nearest_leaders(isa, &points.panels(isa, places), &near_panels, &near);
                        for (to, keys) in nearest.iter_mut().zip(found) {
                            *to = keys.map(|key| key as u32);
                        }
                        Ok::<_, Error>(())
                    })?;
            }
            Ok::<_, Error>(())
        })?;
    Ok(nearest)
}

/// Points that others gather around.
struct Leaders {
    data: Vec<Lanes>,
    norms: Vec<f32>,
}

impl Leaders {
    /// The means of groups of points.
    fn new(isa: Isa, points: &Prepared, groups: &[&[u32]]) -> Self {
        let stride = points.stride;
        let data: Vec<Lanes> = groups
            .par_iter()
            .flat_map_iter(|group| {
                let mut sums = vec![[0f64; 16]; stride];
                for &place in *group {
                    let row = &points.data[place as usize * stride..][..stride];
                    for (sum, lanes) in sums.iter_mut().zip(row) {
                        for (sum, &x) in sum.iter_mut().zip(&lanes.0) {
                            *sum += f64::from(x);
                        }
                    }
                }
                let count = group.len() as f64;
                sums.into_iter()
                    .map(move |sum| Lanes(sum.map(|x| (x / count) as f32)))
            })
            .collect();
        let mut norms = vec![0.0; groups.len()];
        sequential_norms(isa, &data, stride, points.d, &mut norms);
        Self { data, norms }
    }

    /// The leaders `ids` in whole numbers.
    fn panels(&self, isa: Isa, points: &Prepared, ids: &[u32]) -> CellPanels {
        let (stride, digits, d) = (points.stride, points.digits, points.d);
        gather_cell(isa, &self.data, stride, &self.norms, digits, d, ids)
    }
}
