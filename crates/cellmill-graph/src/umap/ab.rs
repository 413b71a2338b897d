//! The curve of the layout: a and b of 1 / (1 + a x^(2b)).

use cellmill_engine::{Error, Result};

/// The parameters (a, b) whose curve 1 / (1 + a x^(2b)) is nearest, by least squares on 300
/// points of [0, 3 `spread`], to 1 below `min_dist` and exp(-(x - min_dist) / spread) beyond.
///
/// umap-learn's `find_ab_params`. This fit runs to convergence; scipy's `curve_fit` stops
/// earlier, within 4e-7 of it for the default pair and within 2e-5 everywhere.
///
/// # Errors
/// [`Error::Parameter`] when `spread` is not positive and finite, when `min_dist` is negative or
/// not below 3 `spread`, or when no curve of the family fits.
///
/// ```
/// let (a, b) = cellmill_graph::find_ab_params(1.0, 0.5)?;
/// assert!((a - 0.58303).abs() < 1e-5 && (b - 1.33417).abs() < 1e-5);
/// # Ok::<(), cellmill_engine::Error>(())
/// ```
pub fn find_ab_params(spread: f64, min_dist: f64) -> Result<(f64, f64)> {
    if !(spread > 0.0 && spread.is_finite()) {
        return Err(Error::Parameter(format!(
            "spread is {spread}; it must be a positive number"
        )));
    }
    if !(min_dist >= 0.0 && min_dist < 3.0 * spread) {
        return Err(Error::Parameter(format!(
            "min_dist is {min_dist}; it must lie in [0, 3 * spread = {})",
            3.0 * spread
        )));
    }
    let points: Vec<(f64, f64)> = (0..300)
        .map(|i| {
            let x = 3.0 * spread * f64::from(i) / 299.0;
            let y = if x < min_dist {
                1.0
            } else {
                (-(x - min_dist) / spread).exp()
            };
            (x, y)
        })
        .collect();

    // Levenberg–Marquardt from (1, 1), as scipy starts.
    let (mut a, mut b) = (1.0, 1.0);
    let mut damping = 1e-3;
    let mut fit = Normal::at(&points, a, b);
    for _ in 0..500 {
        let (da, db) = fit.step(damping);
        let (next_a, next_b) = (a + da, b + db);
        let next = Normal::at(&points, next_a, next_b);
        if next_a > 0.0 && next.squares.is_finite() && next.squares <= fit.squares {
            let moved = (da / a).abs().max((db / b).abs());
            (a, b, fit) = (next_a, next_b, next);
            damping = (damping * 0.2).max(1e-15);
            if moved < 1e-13 {
                break;
            }
        } else {
            damping *= 8.0;
            if damping > 1e18 {
                break;
            }
        }
    }
    // Near the minimum the squares are flat to the last bit; plain Gauss–Newton steps, judged by
    // their length, go on to where the gradient vanishes.
    let mut length = f64::MAX;
    for _ in 0..100 {
        let (da, db) = Normal::at(&points, a, b).step(0.0);
        let next = (da / a).abs().max((db / b).abs());
        if next.is_nan() || next >= length || next > 1e-3 {
            break;
        }
        (a, b, length) = (a + da, b + db, next);
    }
    if a.is_finite() && b.is_finite() && a > 0.0 && b > 0.0 {
        Ok((a, b))
    } else {
        Err(Error::Parameter(format!(
            "no curve 1 / (1 + a x^(2b)) fits spread {spread} and min_dist {min_dist}; \
             choose another pair, or give a and b"
        )))
    }
}

/// The normal equations of the fit at one (a, b).
struct Normal {
    squares: f64,
    aa: f64,
    ab: f64,
    bb: f64,
    ga: f64,
    gb: f64,
}

impl Normal {
    fn at(points: &[(f64, f64)], a: f64, b: f64) -> Self {
        let mut sums = Self {
            squares: 0.0,
            aa: 0.0,
            ab: 0.0,
            bb: 0.0,
            ga: 0.0,
            gb: 0.0,
        };
        for &(x, y) in points {
            // At x = 0 the curve is 1 whatever a and b are.
            let (power, log) = if x > 0.0 {
                (x.powf(2.0 * b), x.ln())
            } else {
                (0.0, 0.0)
            };
            let value = 1.0 / (1.0 + a * power);
            let residual = y - value;
            let by_a = -value * value * power;
            let by_b = by_a * a * 2.0 * log;
            sums.squares += residual * residual;
            sums.aa += by_a * by_a;
            sums.ab += by_a * by_b;
            sums.bb += by_b * by_b;
            sums.ga += by_a * residual;
            sums.gb += by_b * residual;
        }
        sums
    }

    fn step(&self, damping: f64) -> (f64, f64) {
        let (aa, bb) = (self.aa * (1.0 + damping), self.bb * (1.0 + damping));
        let determinant = aa * bb - self.ab * self.ab;
        (
            (self.ga * bb - self.gb * self.ab) / determinant,
            (aa * self.gb - self.ab * self.ga) / determinant,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (spread, min_dist, a, b) of scipy's curve_fit with ftol, xtol and gtol of 1e-15.
    const REFERENCE: [(f64, f64, f64, f64); 21] = [
        (0.5, 0.0, 5.78248039, 0.790494662),
        (0.5, 0.1, 5.06930939, 1.00300543),
        (0.5, 0.25, 3.70629138, 1.33416738),
        (0.5, 0.5, 1.66771782, 1.92923533),
        (0.5, 0.9, 0.211067205, 3.30496843),
        (0.5, 1.0, 0.0956843893, 3.89121087),
        (1.0, 0.0, 1.93280909, 0.790494661),
        (1.0, 0.001, 1.92907406, 0.791504234),
        (1.0, 0.1, 1.57694361, 0.895060719),
        (1.0, 0.25, 1.12143644, 1.05749956),
        (1.0, 0.5, 0.583029806, 1.33416738),
        (1.0, 0.9, 0.164904217, 1.80303703),
        (1.0, 1.0, 0.114975991, 1.92923534),
        (1.5, 0.1, 0.842372831, 0.859600191),
        (1.5, 0.5, 0.359327835, 1.14888922),
        (2.0, 0.0, 0.64604646, 0.79049466),
        (2.0, 0.5, 0.258878802, 1.05749956),
        (2.0, 1.0, 0.0917153338, 1.33416739),
        (3.0, 0.1, 0.295656697, 0.824652366),
        (3.0, 0.5, 0.162791233, 0.96682337),
        (3.0, 1.0, 0.0730786685, 1.14888922),
    ];

    #[test]
    fn agrees_with_scipy() {
        for (spread, min_dist, a, b) in REFERENCE {
            let (ours_a, ours_b) = find_ab_params(spread, min_dist).unwrap();
            assert!(
                (ours_a - a).abs() < 1e-6 * a.max(1.0) && (ours_b - b).abs() < 1e-6 * b.max(1.0),
                "{spread} {min_dist}: {ours_a} {a}, {ours_b} {b}"
            );
        }
        // umap-learn's own figures, where curve_fit stops by default.
        let (a, b) = find_ab_params(1.0, 0.5).unwrap();
        assert!((a - 0.5830300203414425).abs() < 1e-6 && (b - 1.3341669924314914).abs() < 1e-6);
    }

    #[test]
    fn pairs_of_equal_ratio_have_equal_b() {
        let (_, b) = find_ab_params(1.0, 0.25).unwrap();
        let (_, other) = find_ab_params(2.0, 0.5).unwrap();
        assert!((b - other).abs() < 1e-10);
    }

    #[test]
    fn refuses_what_has_no_curve() {
        for (spread, min_dist) in [
            (0.0, 0.1),
            (-1.0, 0.1),
            (f64::NAN, 0.1),
            (1.0, -0.1),
            (1.0, 3.0),
        ] {
            assert!(
                find_ab_params(spread, min_dist).is_err(),
                "{spread} {min_dist}"
            );
        }
    }
}
