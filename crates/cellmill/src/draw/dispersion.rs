//! Means and dispersions of genes, highly variable ones black.

use super::axis::{self, Ticks};
use super::frame::{self, Frame};
use super::name::thousands;
use super::picture::{Anchor, Item, Picture, Text};
use super::points::{self, Cloud, Ink, Order, View};
use super::style::Style;
use super::{MISSING, Rgb, font};
use cellmill_engine::{Context, Error, Event, Result};

/// A mean-dispersion plot to be drawn; [`HvgPlot::new`] has the defaults.
#[derive(Debug, Clone, Copy)]
pub struct HvgPlot<'a> {
    /// `var/means`, one a gene.
    pub means: &'a [f64],
    /// `var/dispersions` (or `variances` of the flavour `seurat_v3`), one a gene.
    pub dispersions: &'a [f64],
    /// `var/dispersions_norm` (or `variances_norm`), one a gene.
    pub dispersions_norm: &'a [f64],
    /// `var/highly_variable`, one a gene.
    pub highly_variable: &'a [bool],
    /// What is on the y axes: `dispersions`, or `variances`.
    pub measure: &'a str,
    /// Logarithmic axes. Genes with a value of zero or below are left out of a panel.
    pub log: bool,
    /// The side of each data area in pixels, 64 to 8192.
    pub size: u32,
    /// The page's colour; `None` is transparent.
    pub background: Option<Rgb>,
}

impl<'a> HvgPlot<'a> {
    /// Dispersions on linear axes, two panels of 900 pixels.
    pub fn new(
        means: &'a [f64],
        dispersions: &'a [f64],
        dispersions_norm: &'a [f64],
        highly_variable: &'a [bool],
    ) -> Self {
        Self {
            means,
            dispersions,
            dispersions_norm,
            highly_variable,
            measure: "dispersions",
            log: false,
            size: 900,
            background: Some(Rgb::WHITE),
        }
    }
}

/// Black for highly variable genes, grey for the others, as scanpy draws them.
const HIGHLY_VARIABLE: Rgb = Rgb::BLACK;
const OTHER: Rgb = Rgb::hex(0xa0a0a0);

/// Draws dispersions against means: normalised on the left, as they are on the right
/// (`scanpy.pl.highly_variable_genes`). Genes whose dispersion is NaN are left out.
///
/// # Errors
/// [`Error::Parameter`] when lengths disagree or the size is out of its range;
/// [`Error::Budget`]; [`Error::Cancelled`].
pub fn hvg_dispersion(ctx: &Context, plot: &HvgPlot) -> Result<Picture> {
    let style = Style::new(plot.size, plot.background)?;
    let n = plot.means.len();
    for (name, length) in [
        ("dispersions", plot.dispersions.len()),
        ("dispersions_norm", plot.dispersions_norm.len()),
        ("highly_variable", plot.highly_variable.len()),
    ] {
        if length != n {
            return Err(Error::Parameter(format!(
                "there are {length} {name} for {n} means"
            )));
        }
    }
    let u = style.unit;
    let side = plot.size as f32;
    let panels = [
        Panel::new(
            plot,
            plot.dispersions_norm,
            format!("{} of genes (normalized)", plot.measure),
        ),
        Panel::new(
            plot,
            plot.dispersions,
            format!("{} of genes (not normalized)", plot.measure),
        ),
    ];
    let x_room = frame::x_tick_room(&style) + 18.0 * u;
    let top = (40.0 * u).round();
    let height = top + side + x_room + style.label * (font::CAP_HEIGHT + font::DESCENT) + 22.0 * u;
    let mut page = Picture::new(1.0, height, plot.background, "highly variable genes");
    let mut x = 24.0 * u;
    for (i, panel) in panels.iter().enumerate() {
        let tick_room = frame::y_tick_room(&style, &panel.y.ticks);
        let frame = Frame {
            x: (x + style.label + 14.0 * u + tick_room).round(),
            y: top,
            width: side,
            height: side,
        };
        panel.draw(ctx, &mut page, &style, &frame, plot)?;
        frame.x_ticks(&mut page, &style, &panel.x.ticks, |at| {
            frame.x + panel.x.share(at) * side
        });
        frame.y_ticks(&mut page, &style, &panel.y.ticks, |at| {
            frame.y + (1.0 - panel.y.share(at)) * side
        });
        frame.outline(&mut page, &style);
        frame.x_label(&mut page, &style, "mean expressions of genes", x_room);
        frame.y_label(&mut page, &style, &panel.label, tick_room + 16.0 * u);
        if i == 0 {
            key(&mut page, &style, &frame, plot, panel);
        }
        x = frame.x + side + 44.0 * u;
        if panel.without > 0 {
            let text = format!(
                "{} of {} genes have no {} that this axis can show and are not drawn",
                thousands(panel.without),
                thousands(n as u64),
                panel.label
            );
            ctx.emit(Event::Note { text: text.clone() });
            page.notes.push(text);
        }
    }
    page.width = x.ceil() as u32;
    Ok(page)
}

/// One axis: where values lie, and its ticks.
struct Scale {
    low: f64,
    high: f64,
    log: bool,
    ticks: Ticks,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64>, log: bool) -> Self {
        let transform = |v: f64| if log { v.log10() } else { v };
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for v in values {
            (low, high) = (low.min(transform(v)), high.max(transform(v)));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let margin = if high > low {
            0.045 * (high - low)
        } else {
            0.5
        };
        (low, high) = (low - margin, high + margin);
        let ticks = if log {
            axis::logarithmic(10_f64.powf(low), 10_f64.powf(high), 6)
        } else {
            axis::linear(low, high, 6)
        };
        Self {
            low,
            high,
            log,
            ticks,
        }
    }

    /// From 0 at the low end to 1 at the high end.
    fn share(&self, value: f64) -> f32 {
        let value = if self.log { value.log10() } else { value };
        ((value - self.low) / (self.high - self.low)) as f32
    }
}

struct Panel<'a> {
    dispersions: &'a [f64],
    label: String,
    x: Scale,
    y: Scale,
    without: u64,
}

impl<'a> Panel<'a> {
    fn new(plot: &HvgPlot, dispersions: &'a [f64], label: String) -> Self {
        let shown =
            |i: &usize| drawable(plot.means[*i], plot.log) && drawable(dispersions[*i], plot.log);
        let n = plot.means.len();
        let x = Scale::new((0..n).filter(shown).map(|i| plot.means[i]), plot.log);
        let y = Scale::new((0..n).filter(shown).map(|i| dispersions[i]), plot.log);
        let without = (n - (0..n).filter(shown).count()) as u64;
        Self {
            dispersions,
            label,
            x,
            y,
            without,
        }
    }

    /// Where the genes are that are drawn, from 0 to 1 on both axes.
    fn places(&self, plot: &HvgPlot) -> impl Iterator<Item = [f32; 2]> {
        plot.means
            .iter()
            .zip(self.dispersions)
            .filter(|(m, d)| drawable(**m, plot.log) && drawable(**d, plot.log))
            .map(|(m, d)| [self.x.share(*m), self.y.share(*d)])
    }

    fn draw(
        &self,
        ctx: &Context,
        page: &mut Picture,
        style: &Style,
        frame: &Frame,
        plot: &HvgPlot,
    ) -> Result<()> {
        for (chosen, rgb) in [(false, OTHER), (true, ink(style))] {
            let mut xy = Vec::new();
            for i in 0..plot.means.len() {
                let (mean, dispersion) = (plot.means[i], self.dispersions[i]);
                if plot.highly_variable[i] == chosen
                    && drawable(mean, plot.log)
                    && drawable(dispersion, plot.log)
                {
                    xy.extend([self.x.share(mean), self.y.share(dispersion)]);
                }
            }
            let view = View {
                left: 0.0,
                right: 1.0,
                bottom: 0.0,
                top: 1.0,
                width: plot.size,
                height: plot.size,
            };
            let diameter = (5.0 * style.unit).max(2.0);
            let cloud = Cloud {
                xy: &xy,
                view,
                diameter,
                alpha: 0.85,
                ink: Ink::One(rgb),
                missing: MISSING,
                order: Order::Sorted,
            };
            let image = points::render(ctx, &cloud)?;
            page.push(Item::Image {
                x: frame.x as u32,
                y: frame.y as u32,
                image,
            });
        }
        Ok(())
    }
}

fn drawable(value: f64, log: bool) -> bool {
    value.is_finite() && (!log || value > 0.0)
}

/// Black, or white on a dark page.
fn ink(style: &Style) -> Rgb {
    if style.ink == Rgb::BLACK {
        HIGHLY_VARIABLE
    } else {
        style.ink
    }
}

/// The two kinds of genes with their numbers, in the corner of the first panel where they cover
/// the fewest genes.
fn key(page: &mut Picture, style: &Style, frame: &Frame, plot: &HvgPlot, panel: &Panel) {
    let chosen = plot.highly_variable.iter().filter(|&&h| h).count();
    let rows = [
        (
            ink(style),
            format!("highly variable genes ({})", thousands(chosen as u64)),
        ),
        (
            OTHER,
            format!(
                "other genes ({})",
                thousands((plot.means.len() - chosen) as u64)
            ),
        ),
    ];
    let size = style.tick;
    let widest = rows
        .iter()
        .map(|(_, t)| font::width(t, size))
        .fold(0.0, f32::max);
    let (pad, leading) = (0.55 * size, 1.45 * size);
    let width = widest + 1.1 * size + 2.0 * pad;
    let height = leading * rows.len() as f32 + pad;
    let (wide, high) = (
        (width + 2.0 * pad) / frame.width,
        (height + 2.0 * pad) / frame.height,
    );
    let mut covered = [0_u32; 4];
    for [x, y] in panel.places(plot) {
        // Corners in the order in which they are preferred: right before left, top before bottom.
        let (right, left) = (x > 1.0 - wide, x < wide);
        let (top, bottom) = (y > 1.0 - high, y < high);
        let inside = [right && top, right && bottom, left && top, left && bottom];
        for (count, inside) in covered.iter_mut().zip(inside) {
            *count += u32::from(inside);
        }
    }
    let best = (0..4).min_by_key(|&corner| covered[corner]).unwrap_or(0);
    let x = if best < 2 {
        frame.x + frame.width - width - pad
    } else {
        frame.x + pad
    };
    let y = if best % 2 == 0 {
        frame.y + pad
    } else {
        frame.y + frame.height - height - pad
    };
    page.push(Item::Rect {
        x,
        y,
        width,
        height,
        fill: Some(style.paper),
        line: Some((style.faint.mix(style.paper, 0.5), 0.75 * style.line)),
    });
    for (i, (fill, text)) in rows.into_iter().enumerate() {
        let middle = y + 0.5 * pad + (i as f32 + 0.5) * leading;
        page.push(Item::Circle {
            x: x + pad + 0.3 * size,
            y: middle,
            radius: 0.28 * size,
            fill,
        });
        let base = middle + 0.5 * font::CAP_HEIGHT * size;
        page.text(Text::new(
            text,
            x + pad + 1.1 * size,
            base,
            size,
            Anchor::Start,
            style.ink,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genes_without_a_dispersion_are_counted() {
        let ctx = Context::quiet(2).unwrap();
        let plot = HvgPlot {
            size: 200,
            ..HvgPlot::new(
                &[0.1, 1.0, 2.0],
                &[f64::NAN, 1.0, 2.0],
                &[f64::NAN, -0.5, 3.0],
                &[false, false, true],
            )
        };
        let picture = hvg_dispersion(&ctx, &plot).unwrap();
        assert_eq!(picture.notes().len(), 2);
        assert!(picture.notes()[0].starts_with("1 of 3 genes"));
        let svg = picture.to_svg().unwrap();
        assert!(svg.contains("highly variable genes (1)") && svg.contains("(not normalized)"));
        assert_eq!(
            hvg_dispersion(&ctx, &HvgPlot { log: true, ..plot })
                .unwrap()
                .notes()
                .len(),
            2
        );
    }

    #[test]
    fn nothing_and_wrong_lengths() {
        let ctx = Context::quiet(1).unwrap();
        hvg_dispersion(&ctx, &HvgPlot::new(&[], &[], &[], &[]))
            .unwrap()
            .to_png()
            .unwrap();
        assert!(hvg_dispersion(&ctx, &HvgPlot::new(&[1.0], &[], &[1.0], &[true])).is_err());
    }
}
