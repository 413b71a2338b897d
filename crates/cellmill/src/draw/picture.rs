//! The display list: what is where on the page.

use super::{Rgb, raster, svg};
use cellmill_engine::Result;

/// Pixels with straight alpha, four bytes each, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) rgba: Vec<u8>,
}

/// Where a text's (x, y) is on its baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A line of text. `(x, y)` lies on the baseline.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) size: f32,
    pub(super) text: String,
    pub(super) anchor: Anchor,
    pub(super) ink: Rgb,
    /// Colour and width of an outline beneath the letters.
    pub(super) halo: Option<(Rgb, f32)>,
    /// Turned by 90 degrees, to be read from below.
    pub(super) turned: bool,
}

impl Text {
    /// Plain text.
    pub(super) fn new(
        text: impl Into<String>,
        x: f32,
        y: f32,
        size: f32,
        anchor: Anchor,
        ink: Rgb,
    ) -> Self {
        Self {
            x,
            y,
            size,
            text: text.into(),
            anchor,
            ink,
            halo: None,
            turned: false,
        }
    }
}

/// Something on the page; coordinates in pixels, y downwards.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// Pixels, their top left corner at (x, y).
    Image {
        x: u32,
        y: u32,
        image: Image,
    },
    Text(Text),
    Line {
        from: (f32, f32),
        to: (f32, f32),
        ink: Rgb,
        width: f32,
    },
    /// Points joined by lines.
    Path {
        points: Vec<(f32, f32)>,
        ink: Rgb,
        width: f32,
    },
    Rect {
        x: f32,
        y: f32,
        width: f32,
        height: f32,
        fill: Option<Rgb>,
        line: Option<(Rgb, f32)>,
    },
    Circle {
        x: f32,
        y: f32,
        radius: f32,
        fill: Rgb,
    },
}

/// A picture: laid out once, written as PNG or SVG.
#[derive(Debug, Clone)]
pub struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) background: Option<Rgb>,
    pub(super) title: String,
    pub(super) items: Vec<Item>,
    pub(super) notes: Vec<String>,
}

impl Picture {
    pub(super) fn new(width: f32, height: f32, background: Option<Rgb>, title: &str) -> Self {
        Self {
            width: width.ceil().max(1.0) as u32,
            height: height.ceil().max(1.0) as u32,
            background,
            title: super::name::one_line(title),
            items: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, item: Item) {
        self.items.push(item);
    }

    pub(super) fn text(&mut self, text: Text) {
        if !text.text.trim().is_empty() {
            self.items.push(Item::Text(text));
        }
    }

    /// The width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// The height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// What a reader of the picture should know and cannot see: points left out, a legend cut
    /// short. Sentences; the same went to the observer.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The picture as a PNG file, marked as 300 pixels an inch.
    ///
    /// # Errors
    /// [`cellmill_engine::Error::Data`] when the picture is too large to be held as pixels.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        raster::png(self)
    }

    /// The picture as an SVG file: layers of points as embedded PNG, all else as vectors.
    ///
    /// # Errors
    /// As [`Picture::to_png`].
    pub fn to_svg(&self) -> Result<String> {
        svg::svg(self)
    }
}
