//! Points against leaders, in the tiles and the whole numbers of a cell.

use super::cell::{CellPanels, CellTile};
use super::rows::{empty, insert, worst};
use super::{Kernel, PANEL, TILE_ROWS, dispatched};

/// Leaders that a point joins.
pub(crate) const JOINED: usize = 16;
/// A row of a tile that has no limit of its own.
const NO_LIMITS: [i32; PANEL] = [i32::MIN; PANEL];
/// One panel in so many says with its first tile how far the near points are.
const SAMPLED: usize = 4;
/// Points for one of that sample.
const SHARE: usize = SAMPLED * PANEL / TILE_ROWS;

dispatched! {
    /// The `among` points nearest to each point of panel `p`, which is one of them, as keys, nearest
    /// first; all of them if there are fewer. Of points as near as each other those of lower index.
    pub(crate) fn near_panel(panels: &CellPanels, p: usize, among: usize) -> Vec<Vec<u64>> = near_panel_body
}

#[inline(always)]
fn near_panel_body<K: Kernel>(panels: &CellPanels, p: usize, among: usize) -> Vec<Vec<u64>> {
    let columns = panels.points_of(p);
    let mut near: Vec<Vec<u64>> = vec![Vec::new(); columns];
    let wanted = among.min(panels.len());
    // Most points are too far: a sample says what is far.
    let rank = among / SHARE * 5 / 4 + TILE_ROWS;
    let mut limits = [i32::MAX; PANEL];
    if rank < panels.len() / SHARE {
        within::<K>(panels, p, &limits, (SAMPLED, 1), &mut near);
        for (limit, keys) in limits.iter_mut().zip(&mut near) {
            *limit = (*keys.select_nth_unstable(rank).1 >> 32) as i32;
        }
    }
    within::<K>(panels, p, &limits, (1, PANEL), &mut near);
    if near.iter().any(|keys| keys.len() < wanted) {
        for (limit, keys) in limits.iter_mut().zip(&near) {
            if keys.len() < wanted {
                *limit = i32::MAX;
            }
        }
        within::<K>(panels, p, &limits, (1, PANEL), &mut near);
    }
    for keys in &mut near {
        if among < keys.len() {
            keys.select_nth_unstable(among);
            keys.truncate(among);
        }
        keys.sort_unstable();
    }
    near
}

/// The points within the limit of each point of panel `p`, as keys, of those in every `step`th panel's
/// first `tiles` tiles.
#[inline(always)]
fn within<K: Kernel>(
    panels: &CellPanels,
    p: usize,
    limits: &[i32; PANEL],
    (step, tiles): (usize, usize),
    near: &mut [Vec<u64>],
) {
    near.iter_mut().for_each(Vec::clear);
    let mut limits = *limits;
    for q in (0..panels.count()).step_by(step) {
        for r0 in (0..panels.points_of(q)).step_by(TILE_ROWS).take(tiles) {
            each_within::<K>(
                (panels, q, r0),
                (panels, p),
                &mut limits,
                |i, c, square, _| {
                    near[c].push(whole_key(square, i as u32));
                },
            );
        }
    }
}

/// Calls `visit` for every pair of the tile of rows from `r0` on of panel `q`, and columns of panel `p`,
/// that was within the column's limit: with the row's point, the column, the squared distance, and
/// the limit, to be changed.
#[inline(always)]
fn each_within<K: Kernel>(
    (rows, q, r0): (&CellPanels, usize, usize),
    (columns, p): (&CellPanels, usize),
    limits: &mut [i32; PANEL],
    mut visit: impl FnMut(usize, usize, i32, &mut i32),
) {
    assert!(rows.steps() == columns.steps() && r0 % TILE_ROWS == 0 && r0 < PANEL);
    let mut tile: CellTile = [[0; PANEL]; TILE_ROWS];
    // SAFETY: this body is inlined into functions that have the instruction set; the rest is
    // asserted above.
    let masks = unsafe {
        let side = columns.side(p, limits);
        K::cell_tile(rows.side(q, &NO_LIMITS), r0, side, &mut tile)
    };
    let present = columns.present(p);
    for (r, mask) in masks.into_iter().enumerate().take(rows.points_of(q) - r0) {
        let mut mask = mask & present;
        while mask != 0 {
            let c = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            visit(q * PANEL + r0 + r, c, tile[r][c], &mut limits[c]);
        }
    }
}

dispatched! {
    /// The nearest sixteen of the leaders for every point, nearest first, as keys of their `ids`.
    /// Fewer than sixteen leaders leave the rest infinitely far. Near leaders first is fastest.
    pub(crate) fn nearest_leaders(
        points: &CellPanels, leaders: &CellPanels, ids: &[u32],
    ) -> Vec<[u64; JOINED]> = nearest_leaders_body
}

#[inline(always)]
fn nearest_leaders_body<K: Kernel>(
    points: &CellPanels,
    leaders: &CellPanels,
    ids: &[u32],
) -> Vec<[u64; JOINED]> {
    assert!(ids.len() == leaders.len());
    let nobody: [u64; JOINED] = std::array::from_fn(empty);
    let mut nearest = vec![nobody; points.len()];
    let mut farthest = vec![worst(&nobody); points.len()];
    let mut limits = vec![[i32::MAX; PANEL]; points.count()];
    for q in 0..leaders.count() {
        for r0 in (0..leaders.points_of(q)).step_by(TILE_ROWS) {
            for (p, limits) in limits.iter_mut().enumerate() {
                each_within::<K>(
                    (leaders, q, r0),
                    (points, p),
                    limits,
                    |i, c, square, limit| {
                        let point = p * PANEL + c;
                        let key = whole_key(square, ids[i]);
                        farthest[point] = insert(&mut nearest[point], farthest[point], key);
                        *limit = (farthest[point] >> 32) as i32;
                    },
                );
            }
        }
    }
    nearest.iter_mut().for_each(|keys| keys.sort_unstable());
    nearest
}

/// The key of point `id` at a squared distance in whole numbers.
#[inline(always)]
fn whole_key(square: i32, id: u32) -> u64 {
    u64::from(square as u32) << 32 | u64::from(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Digits, Isa, Lanes, gather_cell, sequential_norms};
    use crate::knn::sample::Draw;

    /// Panels of `n` points of `d` normal coordinates, and their distances in whole numbers.
    fn panels(
        isa: Isa,
        n: usize,
        d: usize,
        ids: &[u32],
    ) -> (CellPanels, impl Fn(usize, usize) -> f64) {
        let stride = d.div_ceil(16);
        let mut draw = Draw(1);
        let mut points = vec![Lanes::ZERO; n * stride];
        for row in points.chunks_exact_mut(stride) {
            for at in 0..d {
                row[at / 16].0[at % 16] = draw.normal() as f32;
            }
        }
        let mut norms = vec![0.0; n];
        sequential_norms(Isa::Portable, &points, stride, d, &mut norms);
        let digits = Digits::new(&norms, d);
        let panels = gather_cell(isa, &points, stride, &norms, digits, d, ids);
        let whole = move |x: f32| f64::from((x * digits.factor()).round_ties_even());
        let square = move |i: usize, j: usize| {
            let row = |i: usize| {
                points[i * stride..][..stride]
                    .iter()
                    .flat_map(|lanes| lanes.0)
            };
            row(i)
                .zip(row(j))
                .map(|(x, y)| (whole(x) - whole(y)).powi(2))
                .sum()
        };
        (panels, square)
    }

    #[test]
    fn leaders_are_the_nearest_ones() {
        let (n, d) = (77, 21);
        let all: Vec<u32> = (0..n as u32).collect();
        for count in [1u32, 2, 9, 16, 33, 77] {
            let among: Vec<u32> = (0..count).rev().collect();
            let run = |isa| {
                let leaders = panels(isa, n, d, &among).0;
                nearest_leaders(isa, &panels(isa, n, d, &all).0, &leaders, &among)
            };
            let best = run(Isa::Portable);
            let square = panels(Isa::Portable, n, d, &all).1;
            assert_eq!(best.len(), n);
            for (i, best) in best.iter().enumerate() {
                let mut expected: Vec<u64> = among
                    .iter()
                    .map(|&j| whole_key(square(i, j as usize) as i32, j))
                    .collect();
                expected.sort_unstable();
                expected.truncate(JOINED);
                assert_eq!(
                    best[..expected.len()],
                    expected,
                    "{count} leaders, point {i}"
                );
                assert!(
                    best[expected.len()..]
                        .iter()
                        .all(|&key| key as u32 >= count)
                );
            }
            for isa in Isa::available() {
                assert_eq!(run(isa), best, "{isa:?}");
            }
        }
    }

    #[test]
    fn near_points_are_the_nearest_ones() {
        // The first with a sample too small to say what is far, the second with one that does.
        for (n, among) in [(77, 20), (77, 100), (2_000, 40), (2_000, 333)] {
            let all: Vec<u32> = (0..n as u32).collect();
            let (points, square) = panels(Isa::Portable, n, 7, &all);
            for p in [0, n / 64, points.count() - 1] {
                let near = near_panel(Isa::Portable, &points, p, among);
                assert_eq!(near.len(), PANEL.min(n - p * PANEL));
                for (c, near) in near.iter().enumerate() {
                    let i = p * PANEL + c;
                    let mut expected: Vec<u64> = (0..n)
                        .map(|j| whole_key(square(i, j) as i32, j as u32))
                        .collect();
                    expected.sort_unstable();
                    expected.truncate(among);
                    assert_eq!(*near, expected, "{among} of {n}, point {i}");
                }
                for isa in Isa::available() {
                    assert_eq!(near_panel(isa, &points, p, among), near, "{isa:?}");
                }
            }
        }
    }

    #[test]
    fn a_sample_that_misleads_is_made_good() {
        let n = 2_000;
        let all: Vec<u32> = (0..n as u32).collect();
        let square = panels(Isa::Portable, n, 7, &all).1;
        // The points nearest to the first are those that the sample takes.
        let mut nearest_first = all.clone();
        nearest_first.sort_by(|&i, &j| square(0, i as usize).total_cmp(&square(0, j as usize)));
        let sampled = |at: &usize| (at / PANEL).is_multiple_of(SAMPLED) && at % PANEL < TILE_ROWS;
        let (taken, left): (Vec<usize>, Vec<usize>) = (0..n).partition(sampled);
        let mut ids = vec![0; n];
        for (at, id) in taken.into_iter().chain(left).zip(nearest_first) {
            ids[at] = id;
        }
        let (points, among) = (panels(Isa::Portable, n, 7, &ids).0, 40);
        let near = &near_panel(Isa::Portable, &points, 0, among)[0];
        let mut expected: Vec<u64> = (0..n)
            .map(|at| whole_key(square(0, ids[at] as usize) as i32, at as u32))
            .collect();
        expected.sort_unstable();
        assert_eq!(near[..], expected[..among]);
    }
}
