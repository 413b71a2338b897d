//! Who is compared with whom: the order of the points, and the cells.

use super::Metric;
use super::prepare::{Prepared, Recipe};
use super::tree::{Leaves, Tree, mix};
use crate::Points;
use crate::kernel::{
    Isa, JOINED, Lanes, PANEL, Panels, nearest_leaders, sequential_norms, tile_distances,
};
use cellmill_engine::{Context, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Up to this many points are one cell.
const SMALL: usize = 4000;
/// Leaders near a chunk, among which its points choose before the leaders have moved.
const FIRST_AMONG: usize = 128;
/// The same when the leaders have moved, at most: each costs every point of the chunk a distance.
const MOST_AMONG: usize = 4096;
/// Points for one leader, whole chunks of the order.
const POINTS_A_LEADER: usize = 4 * PANEL;
/// One leader in so many says how far the near ones are.
const SAMPLED: usize = 8;
/// Cells of more than this many times the usual number of points are split.
const LARGEST: usize = 2;
/// From this many points on, leaders are looked for by groups of two panels.
const MANY: usize = 2_000_000;

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
    let count = groups.len();
    let leaders = Leaders::new(isa, points, &groups);
    let nearest = leaders.join(ctx, isa, points, FIRST_AMONG)?;
    let (starts, members) = gather(nearest.iter().map(|joined| &joined[..1]), count);
    drop((nearest, places, leaders));
    let groups: Vec<&[u32]> = starts
        .windows(2)
        .map(|ends| &members[ends[0] as usize..ends[1] as usize])
        .collect();
    let leaders = Leaders::new(isa, points, &groups);
    drop((starts, members));
    // In many dimensions a point is far from the mean of its chunk, and the leaders nearest to
    // the one are not those nearest to the other; the more leaders, the more so.
    let among = (24 * count.isqrt()).clamp(FIRST_AMONG, MOST_AMONG);
    let nearest = leaders.join(ctx, isa, points, among)?;
    let (starts, mut members) = gather(nearest.iter().map(|joined| &joined[..]), count);
    drop((nearest, leaders));

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
                let count = group.len().max(1) as f64;
                sums.into_iter()
                    .map(move |sum| Lanes(sum.map(|x| (x / count) as f32)))
            })
            .collect();
        let mut norms = vec![0.0; groups.len()];
        sequential_norms(isa, &data, stride, points.d, &mut norms);
        // The mean of nothing leads nobody.
        for (norm, group) in norms.iter_mut().zip(groups) {
            if group.is_empty() {
                *norm = f32::NAN;
            }
        }
        Self { data, norms }
    }

    /// The nearest leaders of every point, nearest first, looked for among the `among` nearest to
    /// the mean of its chunk; too few are followed by numbers that no leader has.
    fn join(
        &self,
        ctx: &Context,
        isa: Isa,
        points: &Prepared,
        among: usize,
    ) -> Result<Vec<[u32; JOINED]>> {
        let chunk = chunk(points.n);
        let mut nearest = vec![[0u32; JOINED]; points.n];
        // As many chunks at a time as a panel has columns, for their means.
        nearest
            .par_chunks_mut(chunk * PANEL)
            .enumerate()
            .try_for_each_init(Vec::new, |found, (block, nearest)| {
                ctx.cancel().check()?;
                let first = block * chunk * PANEL;
                let places: Vec<u32> = (first..first + nearest.len()).map(|i| i as u32).collect();
                let chunks: Vec<&[u32]> = places.chunks(chunk).collect();
                let near = self.near(isa, points, &chunks, among);
                let nearest = nearest.chunks_mut(chunk);
                for ((places, near), nearest) in chunks.into_iter().zip(near).zip(nearest) {
                    let panels = Panels::gather(
                        &points.data,
                        points.stride,
                        &points.norms,
                        points.d,
                        places.iter().map(|&place| place as usize),
                    );
                    nearest_leaders(
                        isa,
                        &panels,
                        &self.data,
                        points.stride,
                        &self.norms,
                        &near,
                        found,
                    );
                    for (to, keys) in nearest.iter_mut().zip(&*found) {
                        *to = keys.map(|key| key as u32);
                    }
                }
                Ok(())
            })?;
        Ok(nearest)
    }

    /// The leaders nearest to the mean of each of at most 32 chunks of points, nearest first.
    fn near(&self, isa: Isa, points: &Prepared, chunks: &[&[u32]], among: usize) -> Vec<Vec<u32>> {
        let means = Leaders::new(isa, points, chunks);
        let panel = Panels::gather(
            &means.data,
            points.stride,
            &means.norms,
            points.d,
            0..chunks.len(),
        );
        let mut squares = Vec::new();
        tile_distances(
            isa,
            &panel,
            &self.data,
            points.stride,
            &self.norms,
            &mut squares,
        );
        let mut columns: [Vec<f32>; PANEL] =
            std::array::from_fn(|_| Vec::with_capacity(squares.len()));
        for squares in &squares {
            for (column, &square) in columns.iter_mut().zip(squares) {
                column.push(square);
            }
        }
        columns[..chunks.len()]
            .iter()
            .map(|column| nearest(column, among))
            .collect()
    }
}

/// The `among` nearest of the leaders at these squared distances, nearest first.
fn nearest(squares: &[f32], among: usize) -> Vec<u32> {
    // A leader that lost its points is at NaN, which is within nothing.
    let within = |limit: f32| -> Vec<u64> {
        let found = squares.iter().enumerate();
        found
            .filter(|&(_, &square)| square <= limit)
            .map(|(leader, &square)| crate::kernel::key(square, leader as u32))
            .collect()
    };
    // Most leaders are too far: a sample says what is far.
    let mut sample: Vec<f32> = squares.iter().copied().step_by(SAMPLED).collect();
    let rank = among / SAMPLED * 5 / 4 + 8;
    let mut keys = Vec::new();
    if rank < sample.len() {
        let (_, limit, _) = sample.select_nth_unstable_by(rank, f32::total_cmp);
        keys = within(*limit);
    }
    if keys.len() < among {
        keys = within(f32::INFINITY);
    }
    if among < keys.len() {
        keys.select_nth_unstable(among);
        keys.truncate(among);
    }
    keys.sort_unstable();
    keys.into_iter().map(|key| key as u32).collect()
}

/// Points that look for leaders together.
fn chunk(n: usize) -> usize {
    if n >= MANY { 2 * PANEL } else { PANEL }
}
