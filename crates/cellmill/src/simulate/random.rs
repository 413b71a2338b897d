//! Random streams keyed by what they are for: no stream depends on what another one has drawn.

use super::arith::ln;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// What a stream is for. The numbers are part of what a seed means: never renumber them.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(crate) enum Purpose {
    Genes = 1,
    Types = 2,
    Programs = 3,
    Samples = 4,
    Batch = 5,
    Cell = 6,
    Counts = 7,
    Pilot = 8,
    Parents = 9,
}

/// A stream of random numbers: xoshiro256++ (Blackman and Vigna), seeded from a key by splitmix64.
pub(crate) struct Stream(Xoshiro256PlusPlus);

/// The finaliser of splitmix64: a bijection that spreads every bit.
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Stream {
    /// The stream number `index` for `purpose` under `seed`.
    pub(crate) fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let key = mix(mix(mix(seed) ^ purpose as u64) ^ index);
        Self(Xoshiro256PlusPlus::seed_from_u64(key))
    }

    /// Uniform in (0, 1), neither end included.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..n` (n > 0); the bias of the multiplication is below n / 2^64.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// Exponential with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -ln(self.unit())
    }

    /// Standard normal (Marsaglia's polar method, one of its two values).
    pub(crate) fn normal(&mut self) -> f64 {
        loop {
            let (u, v) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let s = u * u + v * v;
            if s < 1.0 {
                return u * (-2.0 * ln(s) / s).sqrt();
            }
        }
    }

    /// Standard normal, drawn again until it lies within `limit`.
    pub(crate) fn normal_within(&mut self, limit: f64) -> f64 {
        loop {
            let x = self.normal();
            if x.abs() <= limit {
                return x;
            }
        }
    }

    /// Shuffles in place (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let mut s = Stream::new(3, Purpose::Cell, 0);
        let n = 200_000;
        let (mut m, mut v, mut e) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let x = s.normal();
            m += x;
            v += x * x;
            e += s.exponential();
        }
        let n = f64::from(n);
        assert!((m / n).abs() < 0.01 && (v / n - 1.0).abs() < 0.02 && (e / n - 1.0).abs() < 0.01);
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_index() {
        let first = |seed, purpose, index| Stream::new(seed, purpose, index).unit();
        let base = first(1, Purpose::Cell, 7);
        assert_eq!(base, first(1, Purpose::Cell, 7));
        assert_ne!(base, first(2, Purpose::Cell, 7));
        assert_ne!(base, first(1, Purpose::Counts, 7));
        assert_ne!(base, first(1, Purpose::Cell, 8));
    }
}
