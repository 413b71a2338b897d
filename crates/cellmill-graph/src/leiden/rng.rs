//! Keyed pseudo-random numbers: every stream is named by what it is for, never by a thread.

/// The finaliser of splitmix64: a bijection that scatters its argument.
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A key made of another key and a number.
pub(super) fn derive(key: u64, part: u64) -> u64 {
    mix(key ^ mix(part.wrapping_add(0x9E37_79B9_7F4A_7C15)))
}

/// A splitmix64 stream.
pub(super) struct Rng(u64);

impl Rng {
    /// The stream named by `key`.
    pub(super) fn new(key: u64) -> Self {
        Self(mix(key))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number in `0..bound`.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A number in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Shuffles by Fisher and Yates.
    pub(super) fn shuffle(&mut self, items: &mut [u32]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
