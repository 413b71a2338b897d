//! Sums of edge weights by community, for one vertex at a time.

const EMPTY: u32 = u32::MAX;
const SMALL: usize = 64;

/// A small hash table from community to weight that remembers the order of first sight, so that
/// what is read out depends on the order of the edges alone. It stays in the first cache for a
/// vertex of an ordinary degree and grows for a hub.
pub(super) struct Tally {
    keys: Vec<u32>,
    sums: Vec<i64>,
    /// Used slots in the order of first sight.
    slots: Vec<u32>,
    mask: usize,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            keys: vec![EMPTY; SMALL],
            sums: vec![0; SMALL],
            slots: Vec::with_capacity(SMALL),
            mask: SMALL - 1,
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        for &slot in &self.slots {
            self.keys[slot as usize] = EMPTY;
        }
        self.slots.clear();
        self.mask = SMALL - 1;
    }

    fn home(key: u32) -> usize {
        let hash = key.wrapping_mul(0x9E37_79B1);
        (hash ^ (hash >> 15)) as usize
    }

    /// Adds `weight` to the sum of `key`; `u32::MAX` is not a key.
    #[inline]
    pub(super) fn add(&mut self, key: u32, weight: i64) {
        let mut slot = Self::home(key) & self.mask;
        loop {
            let found = self.keys[slot];
            if found == key {
                self.sums[slot] += weight;
                return;
            }
            if found == EMPTY {
                self.keys[slot] = key;
                self.sums[slot] = weight;
                self.slots.push(slot as u32);
                if self.slots.len() * 2 > self.mask {
                    self.grow();
                }
                return;
            }
            slot = (slot + 1) & self.mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let entries: Vec<(u32, i64)> = self.iter().collect();
        let size = (self.mask + 1) * 4;
        self.clear();
        self.mask = size - 1;
        if self.keys.len() < size {
            self.keys.resize(size, EMPTY);
            self.sums.resize(size, 0);
        }
        for (key, sum) in entries {
            self.add(key, sum);
        }
    }

    /// The communities seen and their sums, in the order of first sight.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        self.slots
            .iter()
            .map(|&slot| (self.keys[slot as usize], self.sums[slot as usize]))
    }

    /// The number of communities seen.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
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
            assert_eq!(tally.len(), 500);
        }
        tally.clear();
        tally.add(3, 4);
        assert_eq!(tally.iter().collect::<Vec<_>>(), [(3, 4)]);
    }
}
