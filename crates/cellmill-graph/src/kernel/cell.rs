//! All pairs of the points of a cell, in whole numbers.
//!
//! Sums of products of whole numbers are exact, so that every order of adding, and every
//! instruction set, gives the same bits; and two of them are multiplied in the time of one f32.
//! Coordinates are rounded to about one part in 20,000 of the largest length: what a cell finds
//! are candidates, whose distances are computed anew in f32 when neighbours are asked for theirs.

use super::rows::{insert, worst};
use super::{Kernel, Lanes, PANEL, TILE_ROWS, dispatched, prefetch};
use serde::{Deserialize, Serialize};

/// No point is longer than this, in whole numbers: four times its square stays below the bits of
/// an infinite f32, which is how far an empty slot is.
const LONGEST: f32 = 23_000.0;
const LONGEST_SQUARE: i32 = (LONGEST * LONGEST) as i32;
/// Points of more than this many times the median length are drawn in to it, so that a few far
/// points do not leave the others without digits.
const FAR: f32 = 64.0;

/// Two coordinates of each of sixteen points.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pairs(pub(super) [[i16; 2]; 16]);

impl Pairs {
    const ZERO: Self = Self([[0; 2]; 16]);
}

/// How points become whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Digits {
    factor: f32,
    /// The square of the length beyond which points are drawn in.
    far: f32,
}

impl Digits {
    /// For points of these squared lengths, of `d` coordinates.
    pub(crate) fn new(norms: &[f32], d: usize) -> Self {
        let mut sorted = norms.to_vec();
        let middle = sorted.len() / 2;
        let (median, longest) = match sorted.len() {
            0 => (0.0, 0.0),
            _ => (
                *sorted.select_nth_unstable_by(middle, f32::total_cmp).1,
                norms.iter().fold(0f32, |longest, &x| longest.max(x)),
            ),
        };
        let far = if median > 0.0 {
            longest.min(median * (FAR * FAR))
        } else {
            longest
        };
        // Rounding makes a point longer by at most half the diagonal of a unit.
        let room = LONGEST - (d as f32).sqrt();
        let factor = if far > 0.0 && room > 0.0 {
            room / far.sqrt()
        } else {
            0.0
        };
        Self { factor, far }
    }

    /// The factor of most points.
    #[cfg(test)]
    pub(super) fn factor(&self) -> f32 {
        self.factor
    }

    /// The factor of a point of this squared length.
    fn of(&self, norm: f32) -> f32 {
        if norm > self.far {
            self.factor * (self.far / norm).sqrt()
        } else {
            self.factor
        }
    }
}

/// Adding this to a number below 2^22 leaves the nearest whole number in the low bits, without a
/// call of the C library; its own low 16 bits are zero.
pub(super) const ROUND: f32 = 12_582_912.0;

/// Points whose coordinates are rounded at once: a panel takes two times as many.
pub(super) const GATHERED: usize = 16;

/// Sixteen coordinates of 32 points: eight times two of each.
pub(super) type Block = [[Pairs; 2]; 8];

/// The points of a cell in panels of 32: for each two coordinates the two of every point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CellPanels {
    /// Pairs of coordinates.
    steps: usize,
    m: usize,
    data: Vec<Pairs>,
    /// Squared lengths.
    norms: Vec<[i32; PANEL]>,
}

dispatched! {
    /// Gathers the points `ids` out of rows of `stride` Lanes, of which `d` floats count.
    pub(crate) fn gather_cell(
        points: &[Lanes], stride: usize, norms: &[f32], digits: Digits, d: usize, ids: &[u32],
    ) -> CellPanels = gather_cell_body
}

#[inline(always)]
fn gather_cell_body<K: Kernel>(
    points: &[Lanes],
    stride: usize,
    norms: &[f32],
    digits: Digits,
    d: usize,
    ids: &[u32],
) -> CellPanels {
    assert!(stride * 16 >= d);
    let (m, steps) = (ids.len(), d.div_ceil(2));
    let panels = m.div_ceil(PANEL);
    let mut data = Vec::with_capacity(panels * 2 * steps);
    let mut whole_norms = vec![[0; PANEL]; panels];
    let origin = vec![Lanes::ZERO; stride];
    let share = PANEL.div_ceil(stride.max(1));
    for (p, (of_panel, whole_norms)) in ids.chunks(PANEL).zip(&mut whole_norms).enumerate() {
        let mut rows = [&origin[..]; PANEL];
        let mut factors = [0f32; PANEL];
        for ((&id, row), factor) in of_panel.iter().zip(&mut rows).zip(&mut factors) {
            *row = &points[id as usize * stride..][..stride];
            *factor = digits.of(norms[id as usize]);
        }
        let next = ids.get((p + 1) * PANEL..).unwrap_or_default();
        let next = &next[..next.len().min(PANEL)];
        for at in 0..stride {
            // A share of the next panel's rows is asked for beside each part of the work.
            for &id in next.iter().skip(at * share).take(share) {
                prefetch(&points[id as usize * stride..][..stride]);
            }
            let mut block: Block = [[Pairs::ZERO; 2]; 8];
            for half in 0..2 {
                let (rows, _) = rows.as_chunks();
                let (factors, _) = factors.as_chunks();
                let (norms, _) = whole_norms.as_chunks_mut();
                // SAFETY: this body is inlined into functions that have the instruction set;
                // every row has `stride` Lanes, and half is 0 or 1.
                unsafe {
                    K::round(
                        &rows[half],
                        at,
                        &factors[half],
                        half,
                        &mut block,
                        &mut norms[half],
                    );
                }
            }
            let counted = steps.saturating_sub(8 * at).min(8);
            data.extend_from_slice(block[..counted].as_flattened());
        }
    }
    CellPanels {
        steps,
        m,
        data,
        norms: whole_norms,
    }
}

impl CellPanels {
    /// Whether these are the panels of `m` points, none of them longer than it may be, which
    /// another machine's need not be.
    pub(crate) fn are_whole(&self, m: usize) -> bool {
        let panels = m.div_ceil(PANEL);
        self.m == m
            && self.norms.len() == panels
            && self.steps.checked_mul(2 * panels) == Some(self.data.len())
            && self
                .norms
                .as_flattened()
                .iter()
                .all(|norm| (0..=LONGEST_SQUARE).contains(norm))
    }

    /// The number of points.
    pub(super) fn len(&self) -> usize {
        self.m
    }

    /// The number of panels.
    pub(super) fn count(&self) -> usize {
        self.norms.len()
    }

    /// Pairs of coordinates.
    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// The number of points of panel `p`.
    pub(super) fn points_of(&self, p: usize) -> usize {
        (self.m - p * PANEL).min(PANEL)
    }

    /// Panel `p` as a side of a tile.
    #[inline(always)]
    pub(super) fn side<'a>(&'a self, p: usize, limits: &'a [i32; PANEL]) -> Side<'a> {
        Side {
            panel: self.panel(p),
            norms: &self.norms[p],
            limits,
        }
    }

    #[inline(always)]
    fn panel(&self, p: usize) -> &[Pairs] {
        &self.data[p * 2 * self.steps..][..2 * self.steps]
    }

    /// The points that panel `p` has, as bits.
    #[inline(always)]
    pub(super) fn present(&self, p: usize) -> u32 {
        u32::MAX >> (PANEL - self.points_of(p))
    }
}

/// One side of a tile: 32 points, two coordinates at a time.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) panel: &'a [Pairs],
    pub(super) norms: &'a [i32; PANEL],
    pub(super) limits: &'a [i32; PANEL],
}

#[cfg(target_arch = "x86_64")]
impl Side<'_> {
    /// Where the pairs of coordinates of each point begin; the next two are 32 pairs further.
    #[inline(always)]
    pub(super) fn pairs(&self) -> *const [i16; 2] {
        self.panel.as_ptr().cast()
    }
}

/// Squared distances of a tile, row by row.
pub(super) type CellTile = [[i32; PANEL]; TILE_ROWS];

dispatched! {
    /// Offers every point of `panels` to the list of every other one. `ids` are their indices,
    /// `lists` their lists of `length` slots, which may already hold neighbours.
    pub(crate) fn search_pairs(
        panels: &CellPanels, ids: &[u32], lists: &mut [u64], length: usize,
    ) = search_pairs_body
}

#[inline(always)]
fn search_pairs_body<K: Kernel>(
    panels: &CellPanels,
    ids: &[u32],
    lists: &mut [u64],
    length: usize,
) {
    let (m, count) = (panels.m, panels.norms.len());
    assert!(panels.are_whole(m) && ids.len() == m && lists.len() == m * length);
    let mut largest: Vec<u64> = lists.chunks_exact(length).map(worst).collect();
    let mut limits = vec![[0; PANEL]; count];
    for (at, &key) in largest.iter().enumerate() {
        limits[at / PANEL][at % PANEL] = (key >> 32) as i32;
    }
    let mut tile: CellTile = [[0; PANEL]; TILE_ROWS];
    // Panels are in the order of the points, so near panels meet first and the limits fall fast.
    for apart in 0..count {
        for p in 0..count - apart {
            let q = p + apart;
            let present = panels.present(q);
            for r0 in (0..PANEL.min(m - p * PANEL)).step_by(TILE_ROWS) {
                let side = |p: usize| panels.side(p, &limits[p]);
                // SAFETY: this body is inlined into functions that have the instruction set;
                // both panels have as many pairs, and r0 is a multiple of eight below 32.
                let mut masks = unsafe { K::cell_tile(side(p), r0, side(q), &mut tile) };
                for (r, mask) in masks.iter_mut().enumerate() {
                    let i = r0 + r;
                    *mask &= match (panels.present(p) >> i) & 1 {
                        0 => 0,
                        // Each pair once, and no point with itself.
                        _ if apart == 0 => {
                            present & u32::MAX.checked_shl(i as u32 + 1).unwrap_or(0)
                        }
                        _ => present,
                    };
                }
                for (r, mut mask) in masks.into_iter().enumerate() {
                    let i = p * PANEL + r0 + r;
                    while mask != 0 {
                        let c = mask.trailing_zeros() as usize;
                        mask &= mask - 1;
                        let j = q * PANEL + c;
                        for (to, other) in [(i, j), (j, i)] {
                            let key = u64::from(tile[r][c] as u32) << 32 | u64::from(ids[other]);
                            if key < largest[to] {
                                let list = &mut lists[to * length..][..length];
                                largest[to] = insert(list, largest[to], key);
                                limits[to / PANEL][to % PANEL] = (largest[to] >> 32) as i32;
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Isa, empty, sequential_norms};
    use crate::knn::sample::Draw;

    /// `m` points of normal coordinates, all but the first `d` of them zero, and their norms.
    fn points(m: usize, d: usize, far: Option<f32>) -> (Vec<Lanes>, usize, Vec<f32>) {
        let stride = d.div_ceil(16);
        let mut draw = Draw(5);
        let mut points = vec![Lanes::ZERO; m * stride];
        for row in points.chunks_exact_mut(stride) {
            for at in 0..d {
                row[at / 16].0[at % 16] = draw.normal() as f32;
            }
        }
        if let (Some(far), Some(first)) = (far, points.first_mut()) {
            first.0[0] = far;
        }
        let mut norms = vec![0.0; m];
        sequential_norms(Isa::Portable, &points, stride, d, &mut norms);
        (points, stride, norms)
    }

    fn search(isa: Isa, m: usize, d: usize, far: Option<f32>) -> (Vec<u64>, f64) {
        let (points, stride, norms) = points(m, d, far);
        let digits = Digits::new(&norms, d);
        let places: Vec<u32> = (0..m as u32).collect();
        let panels = gather_cell(isa, &points, stride, &norms, digits, d, &places);
        let ids: Vec<u32> = (0..m as u32).map(|i| i + 1000).collect();
        let mut lists: Vec<u64> = (0..m * 16).map(|at| empty(at % 16)).collect();
        search_pairs(isa, &panels, &ids, &mut lists, 16);
        lists.chunks_mut(16).for_each(<[u64]>::sort_unstable);
        (lists, f64::from(digits.factor))
    }

    #[test]
    fn all_pairs_are_compared() {
        for (m, d) in [(1, 3), (20, 2), (32, 16), (33, 1), (101, 50), (70, 131)] {
            let (points, stride, _) = points(m, d, None);
            let row = |i: usize| points[i * stride..][..stride].iter().flat_map(|l| l.0);
            let square = |i: usize, j: usize| {
                row(i)
                    .zip(row(j))
                    .map(|(x, y)| (f64::from(x) - f64::from(y)).powi(2))
                    .sum::<f64>()
            };
            let (lists, factor) = search(Isa::Portable, m, d, None);
            for i in 0..m {
                let mut all: Vec<f64> = (0..m).filter(|&j| j != i).map(|j| square(i, j)).collect();
                all.sort_by(f64::total_cmp);
                for (slot, expected) in all.iter().take(16).enumerate() {
                    let key = lists[i * 16 + slot];
                    let found = (key >> 32) as f64 / (factor * factor);
                    // Half a unit a coordinate and point, twice the difference.
                    let rounding =
                        2.0 * (expected * d as f64).sqrt() / factor + d as f64 / factor.powi(2);
                    assert!(
                        (found - expected).abs() <= rounding,
                        "m={m} d={d} point {i}: {found} for {expected}"
                    );
                    let j = (key as u32 - 1000) as usize;
                    assert!((square(i, j) - found).abs() <= rounding + 1e-9);
                }
                assert_eq!(
                    lists[i * 16..][..16]
                        .iter()
                        .filter(|&&key| (key as u32) < 2000)
                        .count(),
                    all.len().min(16)
                );
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        for (m, d, far) in [
            (1, 3, None),
            (33, 1, None),
            (101, 50, None),
            (70, 131, Some(1e6)),
            (257, 7, Some(20.0)),
        ] {
            let lists = search(Isa::Portable, m, d, far);
            for isa in Isa::available() {
                assert_eq!(search(isa, m, d, far), lists, "{isa:?} m={m} d={d}");
            }
        }
    }

    #[test]
    fn every_instruction_set_gathers_the_same_panels() {
        for (m, d, far) in [
            (0, 5, None),
            (1, 3, None),
            (33, 1, None),
            (48, 16, None),
            (101, 50, None),
            (70, 131, Some(1e6)),
            (257, 7, Some(20.0)),
        ] {
            let (points, stride, norms) = points(m, d, far);
            let digits = Digits::new(&norms, d);
            // Some points, in an order of their own.
            let ids: Vec<u32> = (0..m as u32).rev().filter(|id| id % 5 != 3).collect();
            let gathered = |isa, digits| gather_cell(isa, &points, stride, &norms, digits, d, &ids);
            let expected = gathered(Isa::Portable, digits);
            assert!(expected.are_whole(ids.len()));
            for (at, &id) in ids.iter().enumerate() {
                let mut square = 0;
                for k in 0..d {
                    let x = points[id as usize * stride + k / 16].0[k % 16];
                    let whole = (x * digits.of(norms[id as usize])).round_ties_even() as i16;
                    let pairs = expected.panel(at / PANEL)[k / 2 * 2 + at % PANEL / 16];
                    assert_eq!(pairs.0[at % 16][k % 2], whole, "m={m} d={d} {at} {k}");
                    square += i32::from(whole).pow(2);
                }
                assert_eq!(expected.norms[at / PANEL][at % PANEL], square);
            }
            for isa in Isa::available() {
                assert_eq!(gathered(isa, digits), expected, "{isa:?} m={m} d={d}");
            }
        }
    }

    #[test]
    fn no_distance_overflows_and_a_far_point_costs_the_others_no_digits() {
        let d = 4;
        let mut points = vec![Lanes::ZERO; 4];
        points[0].0[0] = 1e9;
        points[1].0[0] = -1e9;
        points[2].0[1] = 1.0;
        points[3].0[1] = 1.25;
        let mut norms = vec![0.0; 4];
        sequential_norms(Isa::Portable, &points, 1, d, &mut norms);
        // The median of four is the third: an end.
        norms[0] = norms[1];
        for median_is_far in [true, false] {
            if !median_is_far {
                points.extend([points[2], points[3], points[2]]);
                norms.extend([norms[2], norms[3], norms[2]]);
            }
            let digits = Digits::new(&norms, d);
            let m = norms.len();
            let ids: Vec<u32> = (0..m as u32).collect();
            for isa in Isa::available() {
                let panels = gather_cell(isa, &points, 1, &norms, digits, d, &ids);
                let mut lists: Vec<u64> = (0..m * 16).map(|at| empty(at % 16)).collect();
                search_pairs(isa, &panels, &ids, &mut lists, 16);
                let apart = |i: usize, j: u32| {
                    lists[i * 16..][..16]
                        .iter()
                        .find(|&&key| key as u32 == j)
                        .map(|key| key >> 32)
                };
                let across = apart(0, 1).unwrap() as f64;
                assert!(across < f64::from(f32::INFINITY.to_bits()));
                assert!((across / (4.0 * f64::from(LONGEST).powi(2)) - 1.0).abs() < 1e-3);
                let near = apart(2, 3).unwrap();
                assert_eq!(near > 0, !median_is_far, "{near}");
            }
        }
    }
}
