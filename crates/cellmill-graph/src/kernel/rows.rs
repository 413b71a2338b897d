//! Lists of neighbours, and sums within one pair of points.
//!
//! A list holds keys: the bits of a squared distance, which is never negative, above the index
//! of the point. Keys order as (distance, index) does. A list is a set: it keeps the smallest
//! keys of all that were offered, in any order of slots.

use super::{AHEAD, Kernel, Lanes, dispatched, prefetch};

/// The key of point `id` at squared distance `square`.
#[inline(always)]
pub(crate) fn key(square: f32, id: u32) -> u64 {
    u64::from(square.to_bits()) << 32 | u64::from(id)
}

/// Slot `slot` of an empty list: infinitely far, and different from every other empty slot.
#[inline(always)]
pub(crate) fn empty(slot: usize) -> u64 {
    u64::from(f32::INFINITY.to_bits()) << 32 | (0xFFFF_FFFF - slot as u64)
}

/// The slots of a list that is to give `k` neighbours: some more, since cells compare
/// rounded coordinates, and a multiple of 16.
pub(crate) fn list_length(k: usize) -> usize {
    (k + 1).next_multiple_of(16)
}

/// The largest key of a list.
#[inline(always)]
pub(crate) fn worst(list: &[u64]) -> u64 {
    list.iter()
        .fold(0, |worst, &key| if key > worst { key } else { worst })
}

/// Puts `key` in the place of the largest key `worst` unless it is larger or already there.
/// Returns the largest key afterwards. The list's length is a multiple of 16.
#[inline(always)]
pub(super) fn insert(list: &mut [u64], worst: u64, key: u64) -> u64 {
    if key >= worst {
        return worst;
    }
    let (blocks, _) = list.as_chunks_mut::<16>();
    let mut seen = false;
    for block in blocks.iter() {
        for &slot in block {
            seen |= slot == key;
        }
    }
    if seen {
        return worst;
    }
    let mut largest = [0u64; 8];
    for block in blocks {
        for (at, slot) in block.iter_mut().enumerate() {
            *slot = if *slot == worst { key } else { *slot };
            largest[at % 8] = if *slot > largest[at % 8] {
                *slot
            } else {
                largest[at % 8]
            };
        }
    }
    self::worst(&largest)
}

dispatched! {
    /// Offers every key of `from` to the list beside it in `into`; both hold whole lists of
    /// `length` slots.
    pub(crate) fn merge_rows(into: &mut [u64], from: &[u64], length: usize) = merge_rows_body
}

#[inline(always)]
fn merge_rows_body<K: Kernel>(into: &mut [u64], from: &[u64], length: usize) {
    for (into, from) in into.chunks_exact_mut(length).zip(from.chunks_exact(length)) {
        let mut largest = worst(into);
        for &key in from {
            largest = insert(into, largest, key);
        }
    }
}

dispatched! {
    /// Squared distances from point `query` to the points `ids`; a point is `stride` Lanes.
    pub(crate) fn squared_distances(
        points: &[Lanes], stride: usize, query: usize, ids: &[u32], out: &mut Vec<f32>,
    ) = squared_distances_body
}

#[inline(always)]
fn squared_distances_body<K: Kernel>(
    points: &[Lanes],
    stride: usize,
    query: usize,
    ids: &[u32],
    out: &mut Vec<f32>,
) {
    let query = &points[query * stride..][..stride];
    out.clear();
    for (at, &id) in ids.iter().enumerate() {
        if let Some(&next) = ids.get(at + AHEAD) {
            prefetch(&points[next as usize * stride..][..stride]);
        }
        let other = &points[id as usize * stride..][..stride];
        // SAFETY: this body is inlined into functions that have the instruction set.
        out.push(unsafe { K::squared(query, other) });
    }
}

dispatched! {
    /// Replaces the upper half of each entry, whose lower half is a point's index, by the
    /// point's place along `direction`, so that entries order by (place, index).
    pub(crate) fn projections(
        points: &[Lanes], stride: usize, direction: &[Lanes], entries: &mut [u64],
    ) = projections_body
}

#[inline(always)]
fn projections_body<K: Kernel>(
    points: &[Lanes],
    stride: usize,
    direction: &[Lanes],
    entries: &mut [u64],
) {
    for entry in entries {
        let id = *entry & 0xFFFF_FFFF;
        let point = &points[id as usize * stride..][..stride];
        // SAFETY: this body is inlined into functions that have the instruction set.
        let place = unsafe { K::dot(point, direction) };
        // Adding zero turns −0 into +0; then bits order as numbers once the sign is dealt with.
        let bits = (place + 0.0).to_bits();
        let ordered = if bits >> 31 == 1 {
            !bits
        } else {
            bits | 1 << 31
        };
        *entry = u64::from(ordered) << 32 | id;
    }
}

dispatched! {
    /// The squared length of each point over its first `d` coordinates, in one chain of fused
    /// multiply-adds.
    pub(crate) fn sequential_norms(points: &[Lanes], stride: usize, d: usize, out: &mut [f32]) = sequential_norms_body
}

#[inline(always)]
fn sequential_norms_body<K: Kernel>(points: &[Lanes], stride: usize, d: usize, out: &mut [f32]) {
    for (point, out) in points.chunks_exact(stride).zip(out) {
        let coordinates = point.iter().flat_map(|lanes| lanes.0).take(d);
        *out = coordinates.fold(0.0, |sum, x| x.mul_add(x, sum));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Isa;
    use crate::knn::sample::Draw;

    #[test]
    fn a_list_keeps_the_smallest_in_any_order() {
        let mut draw = Draw(3);
        let keys: Vec<u64> = (0..200)
            .map(|id| key(draw.uniform() as f32, id % 150))
            .collect();
        let fill = |keys: &mut dyn Iterator<Item = &u64>| {
            let mut list: Vec<u64> = (0..32).map(empty).collect();
            let mut largest = worst(&list);
            for &key in keys {
                largest = insert(&mut list, largest, key);
                assert_eq!(largest, worst(&list));
            }
            list.sort_unstable();
            list
        };
        let mut expected = keys.clone();
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(fill(&mut keys.iter()), expected[..32]);
        assert_eq!(fill(&mut keys.iter().rev().chain(&keys)), expected[..32]);
    }

    #[test]
    fn every_instruction_set_gives_the_same_sums() {
        let mut draw = Draw(8);
        let points: Vec<Lanes> = (0..60)
            .map(|_| Lanes(std::array::from_fn(|_| draw.normal() as f32)))
            .collect();
        let ids: Vec<u32> = (0..20).collect();
        let run = |isa| {
            let mut squares = Vec::new();
            squared_distances(isa, &points, 3, 7, &ids, &mut squares);
            let mut entries: Vec<u64> = (0..20).collect();
            projections(isa, &points, 3, &points[..3], &mut entries);
            let mut norms = vec![0.0; 20];
            sequential_norms(isa, &points, 3, 41, &mut norms);
            (squares, entries, norms)
        };
        let expected = run(Isa::Portable);
        assert_eq!(expected.0[7], 0.0);
        for isa in Isa::available() {
            assert_eq!(run(isa), expected, "{isa:?}");
        }
    }
}
