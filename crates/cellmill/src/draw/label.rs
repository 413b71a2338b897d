//! Names of categories on the data: where each category is densest, moved apart where they
//! would cover each other.

use super::font;
use super::frame::{Frame, fitted};
use super::picture::{Anchor, Item, Picture, Text};
use super::points::View;
use super::style::Style;

/// Cells of the counting grid along each side.
const GRID: usize = 96;
/// More categories than this get no labels.
pub(super) const MOST: usize = 300;

/// Memory that [`densest`] takes for `n` categories.
pub(super) fn bytes(n: usize) -> u64 {
    (4 * n * GRID * GRID) as u64
}

/// Where a category is: its densest position, and how far it reaches (four standard deviations).
/// In pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spot {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) height: f32,
}

/// The densest position of each category on the layer; `None` for one without points.
///
/// Points are counted on a grid of 96 x 96, the counts are smoothed, and the position is the
/// centre of mass around the highest.
pub(super) fn densest(xy: &[f32], codes: &[i32], n: usize, view: &View) -> Vec<Option<Spot>> {
    let mut counts = vec![0.0_f32; n * GRID * GRID];
    let cell = |at: f32, size: u32| ((at / size as f32 * GRID as f32) as usize).min(GRID - 1);
    for (point, &code) in xy.chunks_exact(2).zip(codes) {
        let Ok(code) = usize::try_from(code) else {
            continue;
        };
        if let Some((x, y)) = view.place(point[0], point[1]) {
            counts[(code * GRID + cell(y, view.height)) * GRID + cell(x, view.width)] += 1.0;
        }
    }
    counts
        .chunks_exact_mut(GRID * GRID)
        .map(|grid| peak(grid, view))
        .collect()
}

fn peak(grid: &mut [f32], view: &View) -> Option<Spot> {
    if grid.iter().all(|&c| c == 0.0) {
        return None;
    }
    let (wide, high) = (reach(grid, |at| at % GRID), reach(grid, |at| at / GRID));
    // Three passes of a box of seven: close to a Gaussian of 3.5 cells, 4 % of the side.
    for _ in 0..3 {
        smooth(grid, 1, GRID);
        smooth(grid, GRID, 1);
    }
    let mut top = 0;
    for (at, &c) in grid.iter().enumerate() {
        if c > grid[top] {
            top = at;
        }
    }
    let (row, column) = (top / GRID, top % GRID);
    let (mut weight, mut x, mut y) = (0.0, 0.0, 0.0);
    for r in row.saturating_sub(2)..(row + 3).min(GRID) {
        for c in column.saturating_sub(2)..(column + 3).min(GRID) {
            let w = grid[r * GRID + c];
            weight += w;
            x += w * (c as f32 + 0.5);
            y += w * (r as f32 + 0.5);
        }
    }
    let scale = |at: f32, size: u32| at / GRID as f32 * size as f32;
    Some(Spot {
        x: scale(x / weight, view.width),
        y: scale(y / weight, view.height),
        width: scale(wide, view.width),
        height: scale(high, view.height),
    })
}

/// Four standard deviations of a coordinate of the cells, by what they hold; in cells.
fn reach(grid: &[f32], coordinate: impl Fn(usize) -> usize) -> f32 {
    let held = || {
        grid.iter()
            .enumerate()
            .map(|(at, &c)| (f64::from(c), coordinate(at) as f64))
    };
    let total: f64 = held().map(|(c, _)| c).sum();
    let mean = held().map(|(c, x)| c * x).sum::<f64>() / total;
    let square = held()
        .map(|(c, x)| c * (x - mean) * (x - mean))
        .sum::<f64>()
        / total;
    (4.0 * square.sqrt()) as f32
}

/// A running mean of seven along lines of the grid.
fn smooth(grid: &mut [f32], step: usize, next_line: usize) {
    let mut line = [0.0_f32; GRID];
    for l in 0..GRID {
        for (i, v) in line.iter_mut().enumerate() {
            *v = grid[l * next_line + i * step];
        }
        for i in 0..GRID {
            let window = &line[i.saturating_sub(3)..(i + 4).min(GRID)];
            grid[l * next_line + i * step] = window.iter().sum::<f32>() / 7.0;
        }
    }
}

/// A label to be placed: its text, and the position it names.
pub(super) struct Label {
    pub(super) text: String,
    pub(super) spot: Spot,
}

/// Places the labels in order, the first where it wants to be, and draws them: each at the
/// nearest free place around its position, with a thin line back if that is far. A category that
/// its name would cover has it above.
pub(super) fn draw(page: &mut Picture, style: &Style, frame: &Frame, labels: &[Label]) {
    let size = (match labels.len() {
        0..=25 => 27.0,
        26..=60 => 23.0,
        _ => 19.0,
    } * style.unit)
        .max(7.0);
    let (half_height, margin) = (0.5 * font::CAP_HEIGHT * size + 0.2 * size, 0.25 * size);
    let mut taken: Vec<[f32; 4]> = Vec::new();
    let mut lines = Vec::new();
    let mut texts = Vec::new();
    for label in labels {
        let text = fitted(&label.text, size, 0.3 * frame.width);
        let half_width = 0.5 * font::width(&text, size) + margin;
        let bounds = |x: f32, y: f32| {
            [
                x - half_width,
                y - half_height,
                x + half_width,
                y + half_height,
            ]
        };
        let inside = |x: f32, y: f32| {
            (
                x.clamp(
                    frame.x + half_width + 4.0 * style.unit,
                    frame.x + frame.width - half_width - 4.0 * style.unit,
                ),
                y.clamp(
                    frame.y + half_height + 4.0 * style.unit,
                    frame.y + frame.height - half_height - 4.0 * style.unit,
                ),
            )
        };
        let spot = &label.spot;
        let mut want = (spot.x, spot.y);
        if spot.width < 2.0 * half_width && spot.height < 5.0 * half_height {
            let off = 0.5 * spot.height + half_height + 2.0 * style.unit;
            // Below, where there is no room above.
            let room = spot.y - off - half_height > frame.y + 4.0 * style.unit;
            want.1 += if room { -off } else { off };
        }
        let mut best = (f32::INFINITY, want.0, want.1);
        // Rings around the position, flatter than wide as text is.
        'rings: for ring in 0..26 {
            let steps = if ring == 0 { 1 } else { 8 + 4 * ring };
            for step in 0..steps {
                // Begin above, go on alternating right and left.
                let turn = (step as f32 / 2.0).ceil() * if step % 2 == 0 { 1.0 } else { -1.0 };
                let angle = turn / steps as f32 * std::f32::consts::TAU;
                let away = ring as f32 * 0.55 * size;
                let (x, y) = inside(
                    want.0 + 1.3 * away * angle.sin(),
                    want.1 - away * angle.cos(),
                );
                let here = bounds(x, y);
                let covered: f32 = taken.iter().map(|other| shared(&here, other)).sum();
                if covered < best.0 {
                    best = (covered, x, y);
                }
                if covered == 0.0 {
                    break 'rings;
                }
            }
        }
        let (_, x, y) = best;
        taken.push(bounds(x, y));
        let moved = ((x - want.0) / half_width)
            .abs()
            .max(((y - want.1) / half_height).abs());
        if moved > 1.6 {
            // To the edge of the text, not through it.
            let (dx, dy) = (x - spot.x, y - spot.y);
            let away = (dx / half_width).abs().max((dy / half_height).abs());
            let t = (1.0 - 1.0 / away).max(0.0);
            lines.push(((spot.x, spot.y), (spot.x + dx * t, spot.y + dy * t)));
        }
        let mut item = Text::new(
            text,
            x,
            y + 0.5 * font::CAP_HEIGHT * size,
            size,
            Anchor::Middle,
            style.ink,
        );
        item.halo = Some((style.paper, 0.24 * size));
        texts.push(item);
    }
    for (from, to) in lines {
        page.push(Item::Line {
            from,
            to,
            ink: style.paper,
            width: 2.5 * style.line,
        });
        page.push(Item::Line {
            from,
            to,
            ink: style.ink,
            width: 0.8 * style.line,
        });
    }
    for text in texts {
        page.text(text);
    }
}

/// The area that two boxes share.
fn shared(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let wide = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let high = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    wide * high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_is_where_the_points_are() {
        let view = View {
            left: 0.0,
            right: 1.0,
            bottom: 0.0,
            top: 1.0,
            width: 960,
            height: 960,
        };
        // A hundred points in one place, one far away; the second category has none.
        let mut xy = [0.25_f32, 0.75].repeat(100);
        xy.extend([0.9, 0.1]);
        let places = densest(&xy, &[0; 101], 2, &view);
        let spot = places[0].unwrap();
        assert!((spot.x - 240.0).abs() < 15.0, "{spot:?}");
        assert!((spot.y - 240.0).abs() < 15.0, "{spot:?}");
        assert!(spot.width > 100.0 && spot.width < 400.0, "{spot:?}");
        assert_eq!(places[1], None);
    }

    #[test]
    fn labels_do_not_cover_each_other() {
        let style = Style::new(1200, None).unwrap();
        let frame = Frame {
            x: 0.0,
            y: 0.0,
            width: 1200.0,
            height: 1200.0,
        };
        let labels: Vec<Label> = (0..20)
            .map(|i| Label {
                text: format!("type {i}"),
                spot: Spot {
                    x: 1190.0,
                    y: 600.0,
                    width: 20.0,
                    height: 20.0,
                },
            })
            .collect();
        let mut page = Picture::new(1200.0, 1200.0, None, "");
        draw(&mut page, &style, &frame, &labels);
        let boxes: Vec<[f32; 4]> = page
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Text(t) => {
                    let w = font::width(&t.text, t.size);
                    Some([
                        t.x - 0.5 * w,
                        t.y - font::CAP_HEIGHT * t.size,
                        t.x + 0.5 * w,
                        t.y,
                    ])
                }
                _ => None,
            })
            .collect();
        assert_eq!(boxes.len(), 20);
        for (i, a) in boxes.iter().enumerate() {
            assert!(a[0] >= 0.0 && a[2] <= 1200.0);
            assert!(boxes[..i].iter().all(|b| shared(a, b) == 0.0));
        }
    }
}
