//! A random-projection tree (Dasgupta and Freund 2008): points that are near end up in the same
//! leaf, mostly.

use super::prepare::Prepared;
use crate::kernel::{Isa, Lanes, projections};
use cellmill_engine::{Context, Result};
use rayon::prelude::*;

/// Nodes from this size on are projected and split in parallel.
const LARGE: usize = 8192;

/// How a node of `size` points is cut into `leaves` leaves.
#[derive(Clone, Copy)]
pub(super) enum Leaves {
    /// Every leaf but the last has exactly this many points.
    Of(usize),
    /// Leaves of about equal size.
    Even,
}

impl Leaves {
    /// (points, leaves) of the left half.
    fn left(self, size: usize, leaves: usize) -> (usize, usize) {
        let left = leaves / 2;
        match self {
            Leaves::Of(unit) => (left * unit, left),
            Leaves::Even => (size * left / leaves, left),
        }
    }
}

/// Points in leaves. An entry's lower half is the point's index, the rest is scratch.
pub(super) struct Tree<'a> {
    pub ctx: &'a Context,
    pub isa: Isa,
    pub points: &'a Prepared,
    pub cut: Leaves,
}

impl Tree<'_> {
    /// Orders `entries` so that the leaves follow each other, indices increasing within a leaf,
    /// and returns the leaves' sizes. Equal points are told apart by their indices, so that
    /// leaves are as small as asked for whatever the points are.
    pub(super) fn grow(&self, entries: &mut [u64], leaves: usize, seed: u64) -> Result<Vec<usize>> {
        if leaves <= 1 {
            for entry in entries.iter_mut() {
                *entry &= 0xFFFF_FFFF;
            }
            entries.sort_unstable();
            return Ok(vec![entries.len()]);
        }
        self.ctx.cancel().check()?;
        let direction = self.direction(entries, seed);
        let project = |entries: &mut [u64]| {
            projections(
                self.isa,
                &self.points.data,
                self.points.stride,
                &direction,
                entries,
            );
        };
        let large = entries.len() >= LARGE;
        if large {
            entries.par_chunks_mut(LARGE / 2).for_each(project);
        } else {
            project(entries);
        }
        let (middle, left_leaves) = self.cut.left(entries.len(), leaves);
        entries.select_nth_unstable(middle);
        let (left, right) = entries.split_at_mut(middle);
        let (left_seed, right_seed) = (mix(seed ^ 1), mix(seed ^ 2));
        let grow_left = |left| self.grow(left, left_leaves, left_seed);
        let grow_right = |right| self.grow(right, leaves - left_leaves, right_seed);
        let (left, right) = if large {
            rayon::join(|| grow_left(left), || grow_right(right))
        } else {
            (grow_left(left), grow_right(right))
        };
        let mut sizes = left?;
        sizes.extend(right?);
        Ok(sizes)
    }

    /// The difference of two points drawn from the node; of all zeros if draws keep meeting
    /// equal points.
    fn direction(&self, entries: &[u64], seed: u64) -> Vec<Lanes> {
        let stride = self.points.stride;
        let row =
            |entry: u64| &self.points.data[(entry & 0xFFFF_FFFF) as usize * stride..][..stride];
        let mut direction = vec![Lanes::ZERO; stride];
        for attempt in 0..4 {
            let first = draw(mix(seed.wrapping_add(2 * attempt)), entries.len());
            let second = draw(mix(seed.wrapping_add(2 * attempt + 1)), entries.len());
            for ((to, a), b) in direction
                .iter_mut()
                .zip(row(entries[first]))
                .zip(row(entries[second]))
            {
                to.0 = std::array::from_fn(|lane| a.0[lane] - b.0[lane]);
            }
            if direction
                .iter()
                .any(|lanes| lanes.0.iter().any(|&x| x != 0.0))
            {
                break;
            }
        }
        direction
    }
}

/// splitmix64's mixing of a counter.
pub(super) fn mix(x: u64) -> u64 {
    let z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number below `n` out of 64 random bits.
fn draw(bits: u64, n: usize) -> usize {
    ((u128::from(bits) * n as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Points;
    use crate::knn::Metric;
    use crate::knn::prepare::Recipe;
    use crate::knn::sample::mixture;

    #[test]
    fn leaves_hold_every_point_once() {
        let ctx = Context::quiet(2).unwrap();
        for constant in [false, true] {
            let (n, d) = (20_001, 5);
            let data = if constant {
                vec![3.0; n * d]
            } else {
                mixture(n, d, 6, 2)
            };
            let isa = crate::kernel::isa();
            let points = Points::new(&data, n, d).unwrap();
            let points = Recipe::new(&ctx, points, Metric::Euclidean)
                .unwrap()
                .prepare(&ctx, isa, points, None)
                .unwrap();
            for (cut, leaves, largest) in [
                (Leaves::Of(32), n.div_ceil(32), 32),
                (Leaves::Even, 77, 261),
            ] {
                let tree = Tree {
                    ctx: &ctx,
                    isa,
                    points: &points,
                    cut,
                };
                let mut entries: Vec<u64> = (0..n as u64).collect();
                let sizes = tree.grow(&mut entries, leaves, 9).unwrap();
                assert_eq!(sizes.len(), leaves);
                assert_eq!(sizes.iter().sum::<usize>(), n);
                assert!(
                    sizes.iter().all(|&size| size > 0 && size <= largest),
                    "{sizes:?}"
                );
                entries.sort_unstable();
                assert!(
                    entries
                        .iter()
                        .enumerate()
                        .all(|(at, &entry)| entry == at as u64)
                );
            }
        }
    }
}
