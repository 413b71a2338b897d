//! Sums of edge weights by community, for one vertex at a time.

const EMPTY: u32 = u32::MAX;
const SMALL: usize = 256;
/// A community is summed on its own as long as it has one in so many of the edges that are left.
const WORTH: usize = 4;

/// Sums by community, in the order of first sight, so that what is read out depends on the order
/// of the edges alone.
///
/// Most vertices have neighbours in one to three communities, which are summed one after the
/// other without a branch that depends on the edges; the rest go through a small hash table that
/// stays in the first cache for a vertex of an ordinary degree and grows for a hub.
pub(super) struct Tally {
    /// The communities seen and their sums.
    found: Vec<(u32, i64)>,
    /// What each is worth, once it was asked for.
    worths: Vec<f64>,
    /// Edges that are not summed yet.
    edges: Vec<(u32, i64)>,
    keys: Vec<u32>,
    /// For each used slot, its place in `found`.
    places: Vec<u32>,
    slots: Vec<u32>,
    mask: usize,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            found: Vec::with_capacity(SMALL),
            worths: Vec::with_capacity(SMALL),
            edges: Vec::with_capacity(SMALL),
            keys: vec![EMPTY; SMALL],
            places: vec![0; SMALL],
            slots: Vec::with_capacity(SMALL),
            mask: SMALL - 1,
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.empty_table();
        self.found.clear();
    }

    fn empty_table(&mut self) {
        for &slot in &self.slots {
            self.keys[slot as usize] = EMPTY;
        }
        self.slots.clear();
        self.mask = SMALL - 1;
    }

    /// Forgets what was there and sums `edges`; `u32::MAX` is not a community.
    ///
    /// The edges are read out first: their labels come from all over the memory and are waited
    /// for together.
    #[inline]
    pub(super) fn sum(&mut self, edges: impl Iterator<Item = (u32, i64)>) {
        self.clear();
        self.edges.clear();
        self.edges.extend(edges);
        let mut rest = &mut self.edges[..];
        while let Some(&(key, _)) = rest.first() {
            let mut sum = 0;
            let mut kept = 0;
            for i in 0..rest.len() {
                let edge = rest[i];
                let same = edge.0 == key;
                sum += if same { edge.1 } else { 0 };
                rest[kept] = edge;
                kept += usize::from(!same);
            }
            self.found.push((key, sum));
            let many = (rest.len() - kept) * WORTH < rest.len();
            rest = &mut rest[..kept];
            if many {
                break;
            }
        }
        let rest = rest.len();
        for i in 0..rest {
            let (key, weight) = self.edges[i];
            self.add(key, weight);
        }
    }

    /// Adds `edges`, which are read out first, as by [`Tally::sum`].
    #[inline]
    pub(super) fn add_all(&mut self, edges: impl Iterator<Item = (u32, i64)>) {
        self.edges.clear();
        self.edges.extend(edges);
        for i in 0..self.edges.len() {
            let (key, weight) = self.edges[i];
            self.add(key, weight);
        }
    }

    fn home(key: u32) -> usize {
        let hash = key.wrapping_mul(0x9E37_79B1);
        (hash ^ (hash >> 15)) as usize
    }

    /// Adds `weight` to the sum of `key`; `u32::MAX` is not a key.
    #[inline]
    fn add(&mut self, key: u32, weight: i64) {
        let mut slot = Self::home(key) & self.mask;
        loop {
            let found = self.keys[slot];
            if found == key {
                self.found[self.places[slot] as usize].1 += weight;
                return;
            }
            if found == EMPTY {
                self.take(slot, key, self.found.len());
                self.found.push((key, weight));
                if self.slots.len() * 2 > self.mask {
                    self.grow();
                }
                return;
            }
            slot = (slot + 1) & self.mask;
        }
    }

    fn take(&mut self, slot: usize, key: u32, place: usize) {
        self.keys[slot] = key;
        self.places[slot] = place as u32;
        self.slots.push(slot as u32);
    }

    #[cold]
    fn grow(&mut self) {
        let used = self.slots.len();
        let size = (self.mask + 1) * 4;
        self.empty_table();
        self.mask = size - 1;
        if self.keys.len() < size {
            self.keys.resize(size, EMPTY);
            self.places.resize(size, 0);
        }
        for place in self.found.len() - used..self.found.len() {
            let key = self.found[place].0;
            let mut slot = Self::home(key) & self.mask;
            while self.keys[slot] != EMPTY {
                slot = (slot + 1) & self.mask;
            }
            self.take(slot, key, place);
        }
    }

    /// The communities seen and their sums, in the order of first sight.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        self.found.iter().copied()
    }

    /// The communities seen, their sums and what they are worth. As the labels of the edges, what
    /// `worth` looks up is waited for together.
    #[inline]
    pub(super) fn weighed(
        &mut self,
        worth: impl Fn(u32, i64) -> f64,
    ) -> impl Iterator<Item = (u32, i64, f64)> + '_ {
        self.worths.clear();
        self.worths
            .extend(self.found.iter().map(|&(key, sum)| worth(key, sum)));
        let found = self.found.iter().zip(&self.worths);
        found.map(|(&(key, sum), &worth)| (key, sum, worth))
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn keeps_the_order_of_first_sight_through_growth() {
        let mut tally = Tally::new();
        for round in 0..3 {
            tally.clear();
            let keys: Vec<u32> = (0..500u32).map(|i| (i * 7919 + round) % 100_003).collect();
            for &key in keys.iter().chain(&keys) {
                tally.add(key, i64::from(key) + 1);
            }
            let expected: Vec<(u32, i64)> =
                keys.iter().map(|&k| (k, 2 * (i64::from(k) + 1))).collect();
            assert_eq!(tally.iter().collect::<Vec<_>>(), expected);
            assert_eq!(tally.iter().count(), 500);
            let heavy = [(7, 1), (9, 2), (7, 3), (7, 4), (9, 5)];
            let edges = keys.iter().map(|&k| (k + 10, i64::from(k) + 1));
            tally.sum(heavy.into_iter().chain(edges.clone()).chain(edges));
            let expected = expected.iter().map(|&(k, w)| (k + 10, w));
            let all: Vec<(u32, i64)> = [(7, 8), (9, 7)].into_iter().chain(expected).collect();
            assert_eq!(tally.iter().collect::<Vec<_>>(), all);
        }
        tally.clear();
        tally.add(3, 4);
        assert_eq!(tally.iter().collect::<Vec<_>>(), [(3, 4)]);
        tally.sum([(5, 1), (6, 2), (5, 3)].into_iter());
        assert_eq!(tally.iter().collect::<Vec<_>>(), [(5, 4), (6, 2)]);
        tally.sum([].into_iter());
        assert_eq!(tally.iter().count(), 0);
    }
}
