//! Points for tests.

/// Numbers that look random: splitmix64 of a counter.
pub(crate) struct Draw(pub u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// `n` points in `d` dimensions around `types` centres, the coordinates' spread decaying as in
/// a PCA; point `i` is of type `i % types`.
pub(crate) fn mixture(n: usize, d: usize, types: usize, seed: u64) -> Vec<f32> {
    let mut draw = Draw(seed);
    let spread: Vec<f64> = (0..d).map(|axis| 1.0 / (1.0 + axis as f64 / 4.0)).collect();
    let centres: Vec<f64> = (0..types * d)
        .map(|i| 4.0 * spread[i % d] * draw.normal())
        .collect();
    (0..n * d)
        .map(|at| {
            let (i, axis) = (at / d, at % d);
            (centres[(i % types) * d + axis] + spread[axis].sqrt() * draw.normal()) as f32
        })
        .collect()
}
