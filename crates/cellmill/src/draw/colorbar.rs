//! The bar that explains a colour map.

use super::axis;
use super::colormap::Colormap;
use super::font;
use super::picture::{Anchor, Image, Item, Picture, Text};
use super::style::Style;

/// Width of the bar for a side of 1,200 pixels.
const WIDTH: f32 = 40.0;

/// A bar from `low` to `high`.
pub(super) struct Bar {
    low: f64,
    high: f64,
    map: Colormap,
    ticks: axis::Ticks,
}

impl Bar {
    pub(super) fn new(low: f32, high: f32, map: Colormap) -> Self {
        let (low, high) = (f64::from(low), f64::from(high));
        Self {
            low,
            high,
            map,
            ticks: axis::linear(low, high, 6),
        }
    }

    /// The width with ticks and numbers, in pixels.
    pub(super) fn width(&self, style: &Style) -> f32 {
        let widest = self
            .ticks
            .iter()
            .map(|(_, t)| font::width(t, style.tick))
            .fold(0.0, f32::max);
        (WIDTH + 16.0) * style.unit + widest
    }

    /// Draws it with its top left corner at (x, y).
    pub(super) fn draw(&self, page: &mut Picture, style: &Style, x: f32, y: f32, height: f32) {
        // Whole pixels, so that frame and colours agree.
        let (x, y) = (x.round(), y.round());
        let (w, h) = (
            (WIDTH * style.unit).round().max(2.0) as u32,
            height.round().max(2.0) as u32,
        );
        let colours = self.map.colours();
        let mut rgba = Vec::with_capacity(4 * (w * h) as usize);
        for row in 0..h {
            let level = (h - 1 - row) as usize * 256 / h as usize;
            let [r, g, b] = colours[level.min(255)].0;
            for _ in 0..w {
                rgba.extend([r, g, b, 255]);
            }
        }
        page.push(Item::Image {
            x: x as u32,
            y: y as u32,
            image: Image {
                width: w,
                height: h,
                rgba,
            },
        });
        let (wide, high) = (w as f32, h as f32);
        page.push(Item::Rect {
            x,
            y,
            width: wide,
            height: high,
            fill: None,
            line: Some((style.ink, style.line)),
        });
        for (at, text) in &self.ticks {
            let share = (at - self.low) / (self.high - self.low);
            let tick = y + high - (share as f32) * high;
            let right = x + wide;
            page.push(Item::Line {
                from: (right, tick),
                to: (right + 8.0 * style.unit, tick),
                ink: style.ink,
                width: style.line,
            });
            let base = tick + 0.5 * font::CAP_HEIGHT * style.tick;
            page.text(Text::new(
                text,
                right + 16.0 * style.unit,
                base,
                style.tick,
                Anchor::Start,
                style.ink,
            ));
        }
    }
}
