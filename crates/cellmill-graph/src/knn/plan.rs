//! Who is compared with whom: the order of the points, and the cells.

use super::prepare::Prepared;
use super::tree::{Leaves, Tree, mix};
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
/// The same when the leaders have moved, at most: lists of them take memory.
const MOST_AMONG: usize = 1536;
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

/// Orders the points by a random-projection tree, and puts each into the cells of its twelve
/// nearest leaders, which are means of 128 or more consecutive points after one step of Lloyd's.
/// Up to 4,000 points are one cell.
///
/// Returns the plan, and the points in its order.
pub(super) fn plan(
    ctx: &Context,
    isa: Isa,
    points: Prepared,
    seed: u64,
) -> Result<(Plan, Prepared)> {
    let n = points.n;
    let mut entries: Vec<u64> = (0..n as u64).collect();
    let tree = Tree {
        ctx,
        isa,
        points: &points,
        cut: Leaves::Of(PANEL),
    };
    tree.grow(&mut entries, n.div_ceil(PANEL), mix(seed))?;
    let order: Vec<u32> = entries.iter().map(|&entry| entry as u32).collect();
    drop(entries);
    let points = points.reordered(ctx, &order)?;
    let mut plan = Plan {
        order,
        starts: vec![0],
        members: Vec::new(),
    };
    let cells = if n <= SMALL {
        vec![(0..n as u32).collect()]
    } else {
        cells(ctx, isa, &points, mix(seed ^ 1))?
    };
    for members in cells {
        // A cell of one compares nothing.
        if members.len() > 1 {
            plan.members.extend(members);
            plan.starts.push(plan.members.len() as u64);
        }
    }
    Ok((plan, points))
}

/// The places of the points of each cell.
fn cells(ctx: &Context, isa: Isa, points: &Prepared, seed: u64) -> Result<Vec<Vec<u32>>> {
    let tree = Tree {
        ctx,
        isa,
        points,
        cut: Leaves::Even,
    };
    let places: Vec<u64> = (0..points.n as u64).collect();
    let groups: Vec<&[u64]> = places.chunks(points_a_leader(points.n)).collect();
    let count = groups.len();
    let leaders = Leaders::new(isa, points, &groups);
    let near = leaders.near_chunks(ctx, isa, points, FIRST_AMONG)?;
    let nearest = leaders.join(ctx, isa, points, &near)?;
    let groups = gather(nearest.iter().map(|joined| &joined[..1]), count);
    drop((near, nearest));
    let groups: Vec<&[u64]> = groups.iter().map(|group| &group[..]).collect();
    let leaders = Leaders::new(isa, points, &groups);
    // In many dimensions a point is far from the mean of its chunk, and the leaders nearest to
    // the one are not those nearest to the other; the more leaders, the more so.
    let among = (12 * count.isqrt()).clamp(FIRST_AMONG, MOST_AMONG);
    let near = leaders.near_chunks(ctx, isa, points, among)?;
    let nearest = leaders.join(ctx, isa, points, &near)?;
    let groups = gather(nearest.iter().map(|joined| &joined[..]), count);
    drop((near, nearest));

    let largest = LARGEST * JOINED * points_a_leader(points.n);
    let split = groups
        .into_par_iter()
        .enumerate()
        .map(|(leader, mut group)| {
            let parts = group.len().div_ceil(largest).max(1);
            let sizes = tree.grow(&mut group, parts, mix(seed ^ leader as u64))?;
            let mut members = group.into_iter().map(|entry| entry as u32);
            Ok(sizes
                .into_iter()
                .map(|size| members.by_ref().take(size).collect())
                .collect())
        })
        .collect::<Result<Vec<Vec<Vec<u32>>>>>()?;
    Ok(split.into_iter().flatten().collect())
}

/// The points that joined each leader, increasing.
fn gather<'a>(joined: impl Iterator<Item = &'a [u64]>, leaders: usize) -> Vec<Vec<u64>> {
    let mut groups = vec![Vec::new(); leaders];
    for (point, joined) in joined.enumerate() {
        for &key in joined {
            // Beyond the last leader lies an empty slot.
            if let Some(group) = groups.get_mut((key & 0xFFFF_FFFF) as usize) {
                group.push(point as u64);
            }
        }
    }
    groups
}

/// Points that others gather around.
struct Leaders {
    data: Vec<Lanes>,
    norms: Vec<f32>,
}

impl Leaders {
    /// The means of groups of points, given by the lower halves of entries.
    fn new(isa: Isa, points: &Prepared, groups: &[&[u64]]) -> Self {
        let stride = points.stride;
        let data: Vec<Lanes> = groups
            .par_iter()
            .flat_map_iter(|group| {
                let mut sums = vec![[0f64; 16]; stride];
                for &entry in *group {
                    let row = &points.data[(entry & 0xFFFF_FFFF) as usize * stride..][..stride];
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

    /// The leaders nearest to the mean of each chunk of points, nearest first.
    fn near_chunks(
        &self,
        ctx: &Context,
        isa: Isa,
        points: &Prepared,
        among: usize,
    ) -> Result<Vec<Vec<u32>>> {
        let chunk = chunk(points.n);
        let among = among.min(self.norms.len());
        let chunks: Vec<usize> = (0..points.n.div_ceil(chunk)).collect();
        let blocks = chunks
            .par_chunks(PANEL)
            .map(|chunks| {
                ctx.cancel().check()?;
                let ids: Vec<Vec<u64>> = chunks
                    .iter()
                    .map(|c| ((c * chunk) as u64..((c + 1) * chunk).min(points.n) as u64).collect())
                    .collect();
                let means = Leaders::new(
                    isa,
                    points,
                    &ids.iter().map(|ids| &ids[..]).collect::<Vec<_>>(),
                );
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
                let near = (0..chunks.len()).map(|column| {
                    let mut keys: Vec<u64> = squares
                        .iter()
                        .enumerate()
                        // A leader that lost its points has no place.
                        .filter(|&(leader, _)| !self.norms[leader].is_nan())
                        .map(|(leader, squares)| crate::kernel::key(squares[column], leader as u32))
                        .collect();
                    if among < keys.len() {
                        keys.select_nth_unstable(among);
                        keys.truncate(among);
                    }
                    keys.sort_unstable();
                    keys.into_iter().map(|key| key as u32).collect()
                });
                Ok(near.collect::<Vec<_>>())
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(blocks.into_iter().flatten().collect())
    }

    /// The nearest leaders of every point, as keys.
    fn join(
        &self,
        ctx: &Context,
        isa: Isa,
        points: &Prepared,
        near: &[Vec<u32>],
    ) -> Result<Vec<[u64; JOINED]>> {
        let chunk = chunk(points.n);
        let mut nearest = vec![[0u64; JOINED]; points.n];
        nearest
            .par_chunks_mut(chunk)
            .zip(near)
            .enumerate()
            .try_for_each_init(Vec::new, |found, (c, (nearest, near))| {
                ctx.cancel().check()?;
                let ids = c * chunk..c * chunk + nearest.len();
                let panels =
                    Panels::gather(&points.data, points.stride, &points.norms, points.d, ids);
                nearest_leaders(
                    isa,
                    &panels,
                    &self.data,
                    points.stride,
                    &self.norms,
                    near,
                    found,
                );
                nearest.copy_from_slice(found);
                Ok(())
            })?;
        Ok(nearest)
    }
}

/// Points for one leader, whole chunks of the order. With cells of one size, recall falls as the
/// data grows: the same neighbours are then spread over more cells.
fn points_a_leader(n: usize) -> usize {
    match n {
        0..250_000 => 4 * PANEL,
        250_000..800_000 => 6 * PANEL,
        _ => 8 * PANEL,
    }
}

/// Points that look for leaders together.
fn chunk(n: usize) -> usize {
    if n >= MANY { 2 * PANEL } else { PANEL }
}
