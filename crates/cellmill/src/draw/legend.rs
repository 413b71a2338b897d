//! The legend of categories: a dot, a name and a count each, in as many columns as are needed.

use super::Rgb;
use super::font;
use super::frame::fitted;
use super::name::thousands;
use super::picture::{Anchor, Item, Picture, Text};
use super::style::Style;

/// A line of the legend.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    /// `None`: a remark without dot and count.
    pub(super) dot: Option<(Rgb, u64)>,
}

struct Line {
    name: String,
    name_width: f32,
    count: String,
    dot: Option<Rgb>,
}

struct Column {
    lines: Vec<Line>,
    names: f32,
    counts: f32,
}

/// A legend whose size is known.
pub(super) struct Block {
    columns: Vec<Column>,
    size: f32,
    rows: usize,
    gap: f32,
}

/// Distance of the rows, in em.
const LEADING: f32 = 1.42;
/// From the left of a line to its name, in em.
const INDENT: f32 = 1.05;
/// Between name and count, in em.
const BEFORE_COUNT: f32 = 0.7;

impl Block {
    /// Lays the entries out. Up to four columns they take at most `height` pixels: text gets
    /// smaller before there are more than two, down to two thirds, then columns are added. More
    /// entries than that make the legend both wider and higher.
    pub(super) fn new(style: &Style, entries: &[Entry], height: f32) -> Self {
        let rows_at = |size: f32| ((height / (size * LEADING)) as usize).max(1);
        let sizes = [28.0, 26.0, 24.0, 22.0, 20.0].map(|s| (s * style.unit).max(7.0));
        let fits = |size: &f32| {
            entries.len().div_ceil(rows_at(*size)) <= if *size > sizes[2] { 1 } else { 2 }
        };
        let size = sizes.into_iter().find(|s| fits(s)).unwrap_or(sizes[4]);
        let mut columns = entries.len().div_ceil(rows_at(size)).max(1);
        if columns > 4 {
            columns = (4.0 * columns as f32).sqrt().ceil() as usize;
        }
        let rows = entries.len().div_ceil(columns).max(1);
        let most = match columns {
            1 => 22.0,
            2 => 19.0,
            _ => 16.5,
        } * size;
        let columns = entries
            .chunks(rows)
            .map(|some| {
                let lines: Vec<Line> = some
                    .iter()
                    .map(|entry| {
                        // A remark is ours, and short.
                        let most = if entry.dot.is_some() {
                            most
                        } else {
                            f32::INFINITY
                        };
                        let name = fitted(&entry.name, size, most);
                        let count = entry.dot.map(|(_, n)| thousands(n)).unwrap_or_default();
                        Line {
                            name_width: font::width(&name, size),
                            name,
                            count,
                            dot: entry.dot.map(|d| d.0),
                        }
                    })
                    .collect();
                let names = lines.iter().map(|l| l.name_width).fold(0.0, f32::max);
                let counts = lines
                    .iter()
                    .map(|l| font::width(&l.count, 0.85 * size))
                    .fold(0.0, f32::max);
                Column {
                    lines,
                    names,
                    counts,
                }
            })
            .collect();
        Self {
            columns,
            size,
            rows,
            gap: 1.2 * size,
        }
    }

    fn column_width(&self, column: &Column) -> f32 {
        INDENT * self.size + column.names + BEFORE_COUNT * self.size + column.counts
    }

    /// The width in pixels.
    pub(super) fn width(&self) -> f32 {
        let gaps = self.gap * self.columns.len().saturating_sub(1) as f32;
        self.columns
            .iter()
            .map(|c| self.column_width(c))
            .sum::<f32>()
            + gaps
    }

    /// The height in pixels.
    pub(super) fn height(&self) -> f32 {
        self.rows as f32 * LEADING * self.size
    }

    /// Draws it with its top left corner at (x, y).
    pub(super) fn draw(&self, page: &mut Picture, style: &Style, x: f32, y: f32) {
        let mut left = x;
        for column in &self.columns {
            let width = self.column_width(column);
            for (row, line) in column.lines.iter().enumerate() {
                let middle = y + (row as f32 + 0.5) * LEADING * self.size;
                let base = middle + 0.5 * font::CAP_HEIGHT * self.size;
                if let Some(fill) = line.dot {
                    let radius = 0.36 * self.size;
                    page.push(Item::Circle {
                        x: left + radius,
                        y: middle,
                        radius,
                        fill,
                    });
                }
                let name = left + INDENT * self.size;
                page.text(Text::new(
                    &line.name,
                    name,
                    base,
                    self.size,
                    Anchor::Start,
                    style.ink,
                ));
                page.text(Text::new(
                    &line.count,
                    left + width,
                    base,
                    0.85 * self.size,
                    Anchor::End,
                    style.faint,
                ));
            }
            left += width + self.gap;
        }
    }
}
