//! The curve of the layout: a and b of 1 / (1 + a x^(2b)).

use cellmill_engine::{Error, Result};

/// The parameters (a, b) whose curve 1 / (1 + a x^(2b)) is nearest, by least squares on 300
/// points of [0, 3 `spread`], to 1 below `min_dist` and exp(-(x - min_dist) / spread) beyond.
///
/// umap-learn's `find_ab_params`; both agree to about 1e-6, which is where scipy's
/// `curve_fit` stops, while this fit runs to convergence.
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

    /// (spread, min_dist, a, b) of umap-learn 0.5.12 with scipy's curve_fit.
    const REFERENCE: [(f64, f64, f64, f64); 21] = [
        (0.5, 0.0, 5.782483389711332, 0.7904951070338445),
        (0.5, 0.1, 5.069309329123478, 1.0030054228261729),
        (0.5, 0.25, 3.70629020242107, 1.3341672468456258),
        (0.5, 0.5, 1.667716867141227, 1.9292404371994667),
        (0.5, 0.9, 0.21106884487815272, 3.3049531214501116),
        (0.5, 1.0, 0.09568352009591893, 3.891226531658596),
        (1.0, 0.0, 1.93280839734315, 0.7904949732233831),
        (1.0, 0.001, 1.929073395935085, 0.7915045334274393),
        (1.0, 0.1, 1.5769434602697652, 0.8950608778515733),
        (1.0, 0.25, 1.1214363422305684, 1.057499876683671),
        (1.0, 0.5, 0.5830300203414425, 1.3341669924314914),
        (1.0, 0.9, 0.1649038846434751, 1.8030384679210152),
        (1.0, 1.0, 0.11497568327441922, 1.929237144081752),
        (1.5, 0.1, 0.8423728042002129, 0.8596001787723824),
        (1.5, 0.5, 0.3593277609080304, 1.1488893648781289),
        (2.0, 0.0, 0.6460466719525826, 0.7904944906889044),
        (2.0, 0.5, 0.2588787412869628, 1.0574996994409025),
        (2.0, 1.0, 0.09171550990504855, 1.3341665599893004),
        (3.0, 0.1, 0.2956564616564453, 0.8246525378145635),
        (3.0, 0.5, 0.16279119271244585, 0.9668234938934895),
        (3.0, 1.0, 0.07307862412012055, 1.1488894370813194),
    ];

    #[test]
    fn agrees_with_scipy() {
        for (spread, min_dist, a, b) in REFERENCE {
            let (ours_a, ours_b) = find_ab_params(spread, min_dist).unwrap();
            // scipy stops at a relative change of 1e-8 in the squares: its own figures for
            // pairs of equal ratio, whose b are equal, differ by up to 4e-6.
            assert!(
                (ours_a - a).abs() < 4e-6 * a.max(1.0) && (ours_b - b).abs() < 4e-6 * b.max(1.0),
                "{spread} {min_dist}: {ours_a} {a}, {ours_b} {b}"
            );
        }
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
        for (spread, min_dist) in [(0.0, 0.1), (-1.0, 0.1), (f64::NAN, 0.1), (1.0, -0.1), (1.0, 3.0)] {
            assert!(find_ab_params(spread, min_dist).is_err(), "{spread} {min_dist}");
        }
    }
}
