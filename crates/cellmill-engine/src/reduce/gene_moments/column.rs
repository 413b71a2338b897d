//! One column in one block.

/// The non-zeros of one column in one block, as distances from a pivot.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(32))]
pub(in crate::reduce) struct Column {
    /// Sum of the distances.
    distance: f64,
    /// Sum of their squares.
    squares: f64,
    /// Sum of the values as they are stored, where a walk takes it too.
    pub(in crate::reduce) stored: f64,
    /// What distances are taken from; NaN until there is a value.
    pivot: f32,
    /// Values that are not 0, and [`MARK`].
    n: u32,
}

/// Set where a walk should be told of the column's entries.
const MARK: u32 = 1 << 31;

/// More rows than a column can count.
pub(in crate::reduce) const TOO_MANY_ROWS: usize = MARK as usize;

impl Column {
    /// A column whose `n` non-zeros so far add up to `sum`, of a span that has `begun`.
    #[inline]
    pub(super) fn after(sum: f64, n: u64, begun: bool) -> Self {
        let mean = sum / n as f64;
        // Whole numbers stay whole numbers as distances from one, and so add up exactly. Counts that are
        // not 0 are at least 1; rounding a smaller mean would put the pivot on 0.
        let whole = sum.trunc() == sum && mean.abs() >= 0.5;
        let pivot = if n == 0 {
            // Zeros so far have 0 for their average; where nothing is known, the first value has to do.
            if begun { 0.0 } else { f32::NAN }
        } else if whole {
            near(mean.round())
        } else {
            near(mean)
        };
        Self {
            distance: 0.0,
            squares: 0.0,
            stored: 0.0,
            pivot,
            n: 0,
        }
    }

    /// Adds a value. An explicit zero is one of the zeros that are joined later.
    #[inline(always)]
    pub(in crate::reduce) fn add(&mut self, x: f64) {
        if x != 0.0 {
            self.add_nonzero(x);
        }
    }

    /// Adds a value that is not 0.
    #[inline(always)]
    fn add_nonzero(&mut self, x: f64) {
        if self.pivot.is_nan() {
            self.pivot = near(x);
        }
        self.add_known(x);
    }

    /// Adds a value that is not 0 to a column of a span that had begun.
    #[inline(always)]
    pub(in crate::reduce) fn add_known(&mut self, x: f64) {
        let distance = x - f64::from(self.pivot);
        self.distance += distance;
        self.squares += distance * distance;
        self.n += 1;
    }

    /// Marks the column.
    pub(in crate::reduce) fn mark(&mut self) {
        self.n |= MARK;
    }

    /// Whether it is marked.
    #[inline(always)]
    pub(in crate::reduce) fn is_marked(&self) -> bool {
        self.n & MARK != 0
    }

    /// Values that are not 0.
    #[inline(always)]
    pub(in crate::reduce) fn n(&self) -> u32 {
        self.n & !MARK
    }

    /// Sum of the values, and sum of their squared distances from their mean.
    #[inline]
    pub(super) fn moments(&self) -> (f64, f64) {
        let n = f64::from(self.n());
        let sum = n * f64::from(self.pivot) + self.distance;
        let m2 = self.squares - self.distance * (self.distance / n);
        let m2 = if self.squares.is_finite() {
            m2.max(0.0)
        } else {
            self.squares
        };
        (sum, m2)
    }
}

/// The f32 nearest to `x`, finite.
#[inline(always)]
fn near(x: f64) -> f32 {
    x.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(before: &[f64], block: &[f64]) -> (f64, f64) {
        let mut column =
            Column::after(before.iter().sum(), before.len() as u64, !before.is_empty());
        block.iter().for_each(|&x| column.add(x));
        column.moments()
    }

    #[test]
    fn counts_add_up_exactly_whatever_came_before() {
        let counts = [1.0, 2.0, 2_147_483_647.0, 3.0, 0.0, 7.0];
        for before in [&[][..], &[1.0], &[1.0, 2.0, 2.0], &[2_000_000_001.0]] {
            assert_eq!(of(before, &counts).0, 2_147_483_660.0, "{before:?}");
        }
    }

    #[test]
    fn a_far_pivot_costs_little_of_the_joined_variance() {
        let block: Vec<f64> = (0..1000).map(|i| 1e6 + f64::from(i % 10)).collect();
        for before in [&[][..], &[1e6 + 4.0], &[3.5, 4.25], &[-1e9, 1e9 + 0.5]] {
            let (sum, m2) = of(before, &block);
            assert!((sum - 1_000_004_500.0).abs() < 1e-5, "{before:?}: {sum}");
            // What came before is as far from the block as the pivot, and is in the variance too.
            let gap = |x: &f64| (x - (1e6 + 4.5)).powi(2);
            let joined = 8250.0 + before.iter().map(gap).sum::<f64>();
            assert!((m2 - 8250.0).abs() < 1e-11 * joined, "{before:?}: {m2}");
        }
    }

    #[test]
    fn what_overflows_is_infinite() {
        assert_eq!(of(&[], &[1e200, -1e200, 1e200]).1, f64::INFINITY);
        assert_eq!(of(&[], &[f64::MAX; 3]).0, f64::INFINITY);
    }

    #[test]
    fn a_constant_has_no_variance() {
        for constant in [0.1, 1e30, -7.0, 1e-300] {
            let (sum, m2) = of(&[], &[constant; 100]);
            assert!((sum / constant - 100.0).abs() < 1e-11, "{constant}");
            assert!(m2 <= 1e-13 * constant * constant, "{constant}: {m2}");
        }
    }
}
