//! The data area: its frame, ticks and titles.

use super::axis::Ticks;
use super::font;
use super::name::{one_line, shorten};
use super::picture::{Anchor, Item, Picture, Text};
use super::style::Style;

/// The data area on the page, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

/// `text` shortened to `most` pixels.
pub(super) fn fitted(text: &str, size: f32, most: f32) -> String {
    shorten(&one_line(text), most, |t| font::width(t, size))
}

impl Frame {
    /// The line around the data.
    pub(super) fn outline(&self, page: &mut Picture, style: &Style) {
        page.push(Item::Rect {
            x: self.x,
            y: self.y,
            width: self.width,
            height: self.height,
            fill: None,
            line: Some((style.ink, style.line)),
        });
    }

    /// The title, centred above.
    pub(super) fn title(&self, page: &mut Picture, style: &Style, title: &str) {
        let text = fitted(title, style.title, self.width);
        let (x, y) = (self.x + 0.5 * self.width, self.y - 20.0 * style.unit);
        page.text(Text::new(
            text,
            x,
            y,
            style.title,
            Anchor::Middle,
            style.ink,
        ));
    }

    /// The title of the axis below, its capitals `gap` below the frame.
    pub(super) fn x_label(&self, page: &mut Picture, style: &Style, label: &str, gap: f32) {
        let text = fitted(label, style.label, self.width);
        let y = self.y + self.height + gap + font::CAP_HEIGHT * style.label;
        page.text(Text::new(
            text,
            self.x + 0.5 * self.width,
            y,
            style.label,
            Anchor::Middle,
            style.ink,
        ));
    }

    /// The title of the axis on the left, its baseline `gap` left of the frame.
    pub(super) fn y_label(&self, page: &mut Picture, style: &Style, label: &str, gap: f32) {
        let text = fitted(label, style.label, self.height);
        let (x, y) = (self.x - gap, self.y + 0.5 * self.height);
        let mut text = Text::new(text, x, y, style.label, Anchor::Middle, style.ink);
        text.turned = true;
        page.text(text);
    }

    /// Ticks below; `place` gives each its pixel.
    pub(super) fn x_ticks(
        &self,
        page: &mut Picture,
        style: &Style,
        ticks: &Ticks,
        place: impl Fn(f64) -> f32,
    ) {
        let bottom = self.y + self.height;
        let length = 9.0 * style.unit;
        for (at, text) in ticks {
            let x = place(*at);
            page.push(Item::Line {
                from: (x, bottom),
                to: (x, bottom + length),
                ink: style.ink,
                width: style.line,
            });
            let y = bottom + 1.7 * length + font::CAP_HEIGHT * style.tick;
            page.text(Text::new(text, x, y, style.tick, Anchor::Middle, style.ink));
        }
    }

    /// Ticks on the left; returns the width of the widest text with its tick.
    pub(super) fn y_ticks(
        &self,
        page: &mut Picture,
        style: &Style,
        ticks: &Ticks,
        place: impl Fn(f64) -> f32,
    ) {
        let length = 9.0 * style.unit;
        for (at, text) in ticks {
            let y = place(*at);
            page.push(Item::Line {
                from: (self.x - length, y),
                to: (self.x, y),
                ink: style.ink,
                width: style.line,
            });
            let base = y + 0.5 * font::CAP_HEIGHT * style.tick;
            page.text(Text::new(
                text,
                self.x - 1.7 * length,
                base,
                style.tick,
                Anchor::End,
                style.ink,
            ));
        }
    }
}

/// The pixels that [`Frame::x_ticks`] needs below the frame.
pub(super) fn x_tick_room(style: &Style) -> f32 {
    1.7 * 9.0 * style.unit + style.tick * font::CAP_HEIGHT
}

/// The pixels that [`Frame::y_ticks`] needs left of the frame.
pub(super) fn y_tick_room(style: &Style, ticks: &Ticks) -> f32 {
    let widest = ticks
        .iter()
        .map(|(_, t)| font::width(t, style.tick))
        .fold(0.0, f32::max);
    1.7 * 9.0 * style.unit + widest
}
