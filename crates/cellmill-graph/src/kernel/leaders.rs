//! Points against leaders, in tiles.

use super::rows::{empty, key};
use super::{Kernel, Lanes, PANEL, TILE_ROWS, Tile, TileColumns, TileRows, dispatched};

/// Points in panels of 32, each panel coordinate by coordinate: `d` times two Lanes.
#[derive(Debug, Clone)]
pub(crate) struct Panels {
    d: usize,
    m: usize,
    data: Vec<Lanes>,
    /// Squared lengths; NaN beyond the last point, so that nothing is near the padding.
    norms: Vec<[f32; PANEL]>,
}

impl Panels {
    /// Gathers the points `ids` out of rows of `stride` Lanes.
    pub(crate) fn gather(
        points: &[Lanes],
        stride: usize,
        norms: &[f32],
        d: usize,
        ids: impl ExactSizeIterator<Item = usize>,
    ) -> Self {
        let m = ids.len();
        let panels = m.div_ceil(PANEL);
        let mut data = vec![Lanes::ZERO; panels * 2 * d];
        let mut packed_norms = vec![[f32::NAN; PANEL]; panels];
        for (at, id) in ids.enumerate() {
            let (panel, column) = (at / PANEL, at % PANEL);
            packed_norms[panel][column] = norms[id];
            let row = points[id * stride..][..stride].as_flattened_lanes();
            let panel = &mut data[panel * 2 * d..][..2 * d];
            for (coordinate, &x) in panel.chunks_exact_mut(2).zip(row) {
                coordinate[column / 16].0[column % 16] = x;
            }
        }
        Self {
            d,
            m,
            data,
            norms: packed_norms,
        }
    }

    fn panel(&self, p: usize) -> &[Lanes] {
        &self.data[p * 2 * self.d..][..2 * self.d]
    }
}

/// Lanes seen as the floats they hold.
trait AsFlattenedLanes {
    fn as_flattened_lanes(&self) -> &[f32];
}

impl AsFlattenedLanes for [Lanes] {
    fn as_flattened_lanes(&self) -> &[f32] {
        // SAFETY: a Lanes is sixteen floats without padding.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), self.len() * 16) }
    }
}

/// Eight rows of row-major points.
#[inline(always)]
fn leader_rows(leaders: &[Lanes], stride: usize, norms: &[f32], group: &[u32]) -> TileRows {
    let row = |r: usize| {
        leaders[group[r.min(group.len() - 1)] as usize * stride..][..stride].as_flattened_lanes()
    };
    TileRows {
        first: std::array::from_fn(|r| row(r).as_ptr()),
        norms: std::array::from_fn(|r| group.get(r).map_or(f32::NAN, |&id| norms[id as usize])),
    }
}

dispatched! {
    /// Squared distances from the (at most 32) points of the only panel to all leaders, into
    /// `out`, 32 for each leader. Leaders are rows of `stride` Lanes.
    pub(crate) fn tile_distances(
        panel: &Panels, leaders: &[Lanes], stride: usize, norms: &[f32], out: &mut Vec<[f32; PANEL]>,
    ) = tile_distances_body
}

#[inline(always)]
fn tile_distances_body<K: Kernel>(
    panel: &Panels,
    leaders: &[Lanes],
    stride: usize,
    norms: &[f32],
    out: &mut Vec<[f32; PANEL]>,
) {
    assert!(panel.norms.len() == 1 && stride * 16 >= panel.d);
    let all: Vec<u32> = (0..norms.len() as u32).collect();
    let mut tile: Tile = [[0.0; PANEL]; TILE_ROWS];
    out.clear();
    for group in all.chunks(TILE_ROWS) {
        let rows = leader_rows(leaders, stride, norms, group);
        let columns = TileColumns {
            panel: panel.panel(0),
            norms: &panel.norms[0],
            limits: &[0.0; PANEL],
        };
        // SAFETY: this body is inlined into functions that have the instruction set; a leader
        // has at least d floats.
        unsafe { K::tile(&rows, columns, &mut tile) };
        out.extend_from_slice(&tile[..group.len()]);
    }
}

/// Leaders that a point joins.
pub(crate) const JOINED: usize = 16;

dispatched! {
    /// The nearest sixteen of the leaders `among` for every point of the panels, nearest first,
    /// as keys. Fewer than sixteen leaders leave the rest infinitely far.
    pub(crate) fn nearest_leaders(
        panels: &Panels, leaders: &[Lanes], stride: usize, norms: &[f32], among: &[u32], out: &mut Vec<[u64; JOINED]>,
    ) = nearest_leaders_body
}

#[inline(always)]
fn nearest_leaders_body<K: Kernel>(
    panels: &Panels,
    leaders: &[Lanes],
    stride: usize,
    norms: &[f32],
    among: &[u32],
    out: &mut Vec<[u64; JOINED]>,
) {
    assert!(stride * 16 >= panels.d);
    out.clear();
    let mut tile: Tile = [[0.0; PANEL]; TILE_ROWS];
    for (p, point_norms) in panels.norms.iter().enumerate() {
        let mut best = [std::array::from_fn::<u64, JOINED, _>(|slot| empty(JOINED - slot)); PANEL];
        let mut limits = [f32::INFINITY; PANEL];
        for group in among.chunks(TILE_ROWS) {
            let rows = leader_rows(leaders, stride, norms, group);
            let columns = TileColumns {
                panel: panels.panel(p),
                norms: point_norms,
                limits: &limits,
            };
            // SAFETY: this body is inlined into functions that have the instruction set; a
            // leader has at least d floats.
            let masks = unsafe { K::tile(&rows, columns, &mut tile) };
            for (r, mut mask) in masks.into_iter().enumerate() {
                while mask != 0 {
                    let c = mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    let mut key = key(tile[r][c], group[r]);
                    for slot in &mut best[c] {
                        if key < *slot {
                            std::mem::swap(slot, &mut key);
                        }
                    }
                    limits[c] = f32::from_bits((best[c][JOINED - 1] >> 32) as u32);
                }
            }
        }
        out.extend_from_slice(&best[..PANEL.min(panels.m - p * PANEL)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Isa;
    use crate::kernel::sequential_norms;
    use crate::knn::sample::Draw;

    fn rows(n: usize, stride: usize, seed: u64) -> Vec<Lanes> {
        let mut draw = Draw(seed);
        (0..n * stride)
            .map(|_| Lanes(std::array::from_fn(|_| draw.normal() as f32)))
            .collect()
    }

    fn norms(points: &[Lanes], stride: usize, d: usize) -> Vec<f32> {
        let mut norms = vec![0.0; points.len() / stride];
        sequential_norms(Isa::Portable, points, stride, d, &mut norms);
        norms
    }

    fn square(points: &[Lanes], stride: usize, d: usize, i: usize, j: usize) -> f64 {
        let row = |i: usize| &points[i * stride..][..stride].as_flattened_lanes()[..d];
        row(i)
            .iter()
            .zip(row(j))
            .map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2))
            .sum()
    }

    #[test]
    fn leaders_are_the_nearest_ones() {
        let (n, d, stride) = (45, 20, 2);
        let points = rows(n, stride, 1);
        let norms = norms(&points, stride, d);
        for count in [1u32, 2, 9, 16] {
            let among: Vec<u32> = (0..count).rev().collect();
            let run = |isa| {
                let panels = Panels::gather(&points, stride, &norms, d, 0..n);
                let mut best = Vec::new();
                nearest_leaders(isa, &panels, &points, stride, &norms, &among, &mut best);
                best
            };
            let best = run(Isa::Portable);
            assert_eq!(best.len(), n);
            for (i, best) in best.iter().enumerate() {
                let mut all: Vec<f64> = among
                    .iter()
                    .map(|&j| square(&points, stride, d, i, j as usize))
                    .collect();
                all.sort_by(f64::total_cmp);
                for (expected, key) in all.iter().zip(best) {
                    assert!(
                        (f64::from(f32::from_bits((key >> 32) as u32)) - expected).abs() < 1e-3
                    );
                }
                assert_eq!(
                    best.iter().filter(|&&key| (key as u32) < count).count(),
                    JOINED.min(count as usize)
                );
            }
            for isa in Isa::available() {
                assert_eq!(run(isa), best, "{isa:?}");
            }
        }
    }
}
