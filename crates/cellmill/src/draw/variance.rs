//! The share of the variance that each principal component explains.

use super::axis;
use super::frame::{self, Frame};
use super::picture::{Item, Picture};
use super::style::Style;
use super::{DEFAULT_20, Rgb, font};
use cellmill_engine::{Error, Result};

/// A variance plot to be drawn; [`PcaVariance::new`] has the defaults.
#[derive(Debug, Clone, Copy)]
pub struct PcaVariance<'a> {
    /// `uns/pca/variance_ratio`: the share of each component, the first component first.
    pub ratio: &'a [f64],
    /// How many components to show, at most.
    pub n_pcs: usize,
    /// A logarithmic axis. Components without variance are left out of it, with a note.
    pub log: bool,
    /// Above the data; empty for none.
    pub title: &'a str,
    /// The width of the data area in pixels, 64 to 8192; it is three quarters as high.
    pub size: u32,
    /// The page's colour; `None` is transparent.
    pub background: Option<Rgb>,
}

impl<'a> PcaVariance<'a> {
    /// All components on a linear axis of 1,200 pixels.
    pub fn new(ratio: &'a [f64]) -> Self {
        Self {
            ratio,
            n_pcs: usize::MAX,
            log: false,
            title: "",
            size: 1200,
            background: Some(Rgb::WHITE),
        }
    }
}

/// Draws the variance ratio of each component (`scanpy.pl.pca_variance_ratio`, with an axis that
/// counts components instead of a name at each).
///
/// ```
/// use cellmill::draw::{pca_variance, PcaVariance};
/// let picture = pca_variance(&PcaVariance { log: true, ..PcaVariance::new(&[0.2, 0.1, 0.05]) })?;
/// assert!(picture.to_svg()?.contains("variance ratio"));
/// # Ok::<(), cellmill_engine::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`] when a ratio is negative or not finite, or the size is out of its range.
pub fn pca_variance(plot: &PcaVariance) -> Result<Picture> {
    let style = Style::new(plot.size, plot.background)?;
    if let Some(i) = plot
        .ratio
        .iter()
        .position(|r| !(r.is_finite() && *r >= 0.0))
    {
        return Err(Error::Parameter(format!(
            "the variance ratio of component {} is {}; expected a number from 0",
            i + 1,
            plot.ratio[i]
        )));
    }
    let ratio = &plot.ratio[..plot.ratio.len().min(plot.n_pcs)];
    let most = ratio.iter().copied().fold(0.0, f64::max);
    let least = ratio
        .iter()
        .copied()
        .filter(|r| *r > 0.0)
        .fold(f64::INFINITY, f64::min);
    let log = plot.log && most > 0.0;
    let (low, high) = match (log, most > 0.0) {
        (true, _) => (least.log10() - 0.08, most.log10() + 0.08),
        (false, true) => (0.0, most * 1.06),
        (false, false) => (0.0, 1.0),
    };
    // A flat logarithmic axis still has a height.
    let (low, high) = if log && high - low < 0.4 {
        (low - 0.2, high + 0.2)
    } else {
        (low, high)
    };
    let y_ticks = if log {
        axis::logarithmic(10_f64.powf(low), 10_f64.powf(high), 6)
    } else {
        axis::linear(low, high, 6)
    };

    let u = style.unit;
    let tick_room = frame::y_tick_room(&style, &y_ticks);
    let frame = Frame {
        x: (24.0 * u + style.label + 14.0 * u + tick_room).round(),
        y: (30.0 * u
            + if plot.title.is_empty() {
                0.0
            } else {
                style.title + 10.0 * u
            })
        .round(),
        width: plot.size as f32,
        height: (0.75 * plot.size as f32).round(),
    };
    let x_room = frame::x_tick_room(&style) + 18.0 * u;
    let height = frame.y
        + frame.height
        + x_room
        + style.label * (font::CAP_HEIGHT + font::DESCENT)
        + 20.0 * u;
    let mut page = Picture::new(
        frame.x + frame.width + 34.0 * u,
        height,
        plot.background,
        plot.title,
    );

    let last = ratio.len().max(1) as f64;
    let (left, right) = (1.0 - 0.03 * last - 0.3, last + 0.03 * last + 0.3);
    let place_x = |at: f64| frame.x + ((at - left) / (right - left)) as f32 * frame.width;
    let place_y = |at: f64| {
        let at = if log { at.log10() } else { at };
        frame.y + frame.height * (1.0 - ((at - low) / (high - low)) as f32)
    };
    // Whole components only, the first in place of 0.
    let mut numbers: Vec<f64> = axis::linear(0.0, last, 10)
        .into_iter()
        .map(|(at, _)| at.max(1.0))
        .filter(|at| at.fract() == 0.0 && *at <= last)
        .collect();
    numbers.dedup();
    let x_ticks: axis::Ticks = numbers
        .into_iter()
        .map(|at| (at, format!("{at:.0}")))
        .collect();
    frame.x_ticks(&mut page, &style, &x_ticks, place_x);
    frame.y_ticks(&mut page, &style, &y_ticks, place_y);

    let ink = DEFAULT_20[0];
    let points: Vec<(f32, f32)> = ratio
        .iter()
        .enumerate()
        .filter(|(_, r)| !log || **r > 0.0)
        .map(|(i, r)| (place_x(i as f64 + 1.0), place_y(*r)))
        .collect();
    if points.len() < ratio.len() {
        page.notes.push(format!(
            "{} of {} components have no variance and are not on the logarithmic axis",
            ratio.len() - points.len(),
            ratio.len()
        ));
    }
    if points.len() > 1 {
        page.push(Item::Path {
            points: points.clone(),
            ink: ink.mix(style.paper, 0.5),
            width: 1.5 * style.line,
        });
    }
    let apart = frame.width / last as f32;
    for (x, y) in points {
        page.push(Item::Circle {
            x,
            y,
            radius: (0.35 * apart).clamp(1.0, 8.0 * u),
            fill: ink,
        });
    }
    frame.outline(&mut page, &style);
    frame.title(&mut page, &style, plot.title);
    frame.x_label(&mut page, &style, "principal component", x_room);
    frame.y_label(&mut page, &style, "variance ratio", tick_room + 16.0 * u);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dots(picture: &Picture) -> usize {
        picture
            .items
            .iter()
            .filter(|i| matches!(i, Item::Circle { .. }))
            .count()
    }

    #[test]
    fn every_component_has_a_dot() {
        let ratio: Vec<f64> = (1..=50).map(|i| 0.1 / f64::from(i)).collect();
        for log in [false, true] {
            let plot = PcaVariance {
                log,
                ..PcaVariance::new(&ratio)
            };
            assert_eq!(dots(&pca_variance(&plot).unwrap()), 50);
            assert_eq!(
                dots(&pca_variance(&PcaVariance { n_pcs: 30, ..plot }).unwrap()),
                30
            );
        }
    }

    #[test]
    fn zeros_leave_the_logarithmic_axis() {
        let picture = pca_variance(&PcaVariance {
            log: true,
            ..PcaVariance::new(&[0.5, 0.0])
        })
        .unwrap();
        assert_eq!(dots(&picture), 1);
        assert_eq!(picture.notes().len(), 1);
    }

    #[test]
    fn odd_input_is_drawn_or_refused() {
        for ratio in [&[][..], &[0.0], &[0.0, 0.0], &[1.0]] {
            for log in [false, true] {
                pca_variance(&PcaVariance {
                    log,
                    ..PcaVariance::new(ratio)
                })
                .unwrap()
                .to_png()
                .unwrap();
            }
        }
        let error = pca_variance(&PcaVariance::new(&[0.1, f64::NAN])).unwrap_err();
        assert!(error.to_string().contains("component 2"), "{error}");
    }
}
