//! The part of the plane that is shown.

use super::points::View;

/// The view, and what it leaves out.
pub(super) struct Extent {
    pub(super) view: View,
    /// Points with a coordinate that is not finite.
    pub(super) without: u64,
    /// Points outside the view.
    pub(super) outside: u64,
}

impl Extent {
    /// Memory that [`Extent::new`] takes for `n` points.
    pub(super) fn bytes(n: usize) -> u64 {
        8 * n as u64
    }

    /// The view of n x 2 coordinates on a square of `side` pixels.
    ///
    /// It holds all points with finite coordinates, unless at most one in 2,000 at each end would
    /// press the others into a quarter of the width or height: those are left out.
    pub(super) fn new(xy: &[f32], side: u32) -> Self {
        let mut columns = [Vec::new(), Vec::new()];
        for point in xy.chunks_exact(2) {
            if point[0].is_finite() && point[1].is_finite() {
                columns[0].push(point[0]);
                columns[1].push(point[1]);
            }
        }
        let with = columns[0].len();
        let [(left, right), (bottom, top)] = columns.map(|mut c| span(&mut c));
        let view = View {
            left,
            right,
            bottom,
            top,
            width: side,
            height: side,
        };
        let inside = xy
            .chunks_exact(2)
            .filter(|p| view.place(p[0], p[1]).is_some())
            .count();
        Self {
            view,
            without: (xy.len() / 2 - with) as u64,
            outside: (with - inside) as u64,
        }
    }
}

/// The least and the greatest of the values between two bounds.
fn ends(values: &[f32], from: f64, to: f64) -> Option<(f64, f64)> {
    values
        .iter()
        .map(|&v| f64::from(v))
        .filter(|v| (from..=to).contains(v))
        .fold(None, |ends, v| match ends {
            None => Some((v, v)),
            Some((low, high)) => Some((v.min(low), v.max(high))),
        })
}

/// The range to show of one coordinate, with a margin. The values change their order.
fn span(values: &mut [f32]) -> (f64, f64) {
    let (mut low, mut high) = ends(values, f64::MIN, f64::MAX).unwrap_or((0.0, 1.0));
    if values.len() >= 20 {
        let spare = (values.len() / 2000).max(1);
        let end = values.len() - 1 - spare;
        let inner_low = f64::from(*values.select_nth_unstable_by(spare, f32::total_cmp).1);
        let inner_high = f64::from(*values.select_nth_unstable_by(end, f32::total_cmp).1);
        let inner = inner_high - inner_low;
        if inner > 0.0 && high - low > 4.0 * inner {
            let near = ends(values, inner_low - 0.5 * inner, inner_high + 0.5 * inner);
            (low, high) = near.unwrap_or((low, high));
        }
    }
    let margin = if high > low {
        0.045 * (high - low)
    } else {
        0.5 * low.abs().max(1.0)
    };
    (low - margin, high + margin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square of 400 points from 0 to 1.
    fn square() -> Vec<f32> {
        (0..400)
            .flat_map(|i| [(i % 20) as f32 / 19.0, (i / 20) as f32 / 19.0])
            .collect()
    }

    #[test]
    fn all_points_are_shown() {
        let extent = Extent::new(&square(), 100);
        assert_eq!((extent.without, extent.outside), (0, 0));
        assert!(extent.view.left < 0.0 && extent.view.right > 1.0);
    }

    #[test]
    fn one_far_point_does_not_press_the_others() {
        let mut xy = square();
        xy[0] = 1e30;
        let extent = Extent::new(&xy, 100);
        assert_eq!((extent.without, extent.outside), (0, 1));
        assert!(extent.view.right < 1.2, "{}", extent.view.right);
        // A small group that is not a handful stays.
        let mut xy = square();
        xy[..20].iter_mut().for_each(|v| *v += 50.0);
        assert_eq!(Extent::new(&xy, 100).outside, 0);
    }

    #[test]
    fn points_without_a_place_are_counted() {
        let extent = Extent::new(&[f32::NAN, 0.0, 1.0, f32::INFINITY, 2.0, 2.0], 100);
        assert_eq!((extent.without, extent.outside), (2, 0));
        let none = Extent::new(&[], 100);
        assert!(none.view.right > none.view.left);
        let same = Extent::new(&[3.0e38, -3.0e38], 100);
        assert!(same.view.place(3.0e38, -3.0e38).is_some());
    }
}
