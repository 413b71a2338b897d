//! The bundled font: widths, and outlines as paths.

use ab_glyph::{Font, FontRef, GlyphId, OutlineCurve};
use std::sync::LazyLock;
use tiny_skia::{Path, PathBuilder};

/// DejaVu Sans, matplotlib's default; its licence lies beside it in `assets/`.
static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../assets/DejaVuSans.ttf"))
        .expect("the bundled font is a font")
});

/// The family by which an SVG asks for the font, with what is near it.
pub(super) const FAMILY: &str = "DejaVu Sans, Bitstream Vera Sans, Verdana, sans-serif";

/// From the baseline to the top of a capital letter, in em.
pub(super) const CAP_HEIGHT: f32 = 0.729;

/// From the baseline to the lowest descender, in em.
pub(super) const DESCENT: f32 = 0.236;

/// Pixels for one font unit at `size` pixels an em.
fn scale(size: f32) -> f32 {
    size / FONT.units_per_em().unwrap_or(2048.0)
}

/// Glyphs with the pen position before each, in font units, kerned; and the pen after the last.
fn shape(text: &str) -> (Vec<(GlyphId, f32)>, f32) {
    let mut glyphs = Vec::with_capacity(text.len());
    let mut pen = 0.0;
    let mut before: Option<GlyphId> = None;
    for c in text.chars() {
        let id = FONT.glyph_id(c);
        if let Some(before) = before {
            pen += FONT.kern_unscaled(before, id);
        }
        glyphs.push((id, pen));
        pen += FONT.h_advance_unscaled(id);
        before = Some(id);
    }
    (glyphs, pen)
}

/// The width of `text` in pixels at `size` pixels an em.
pub(super) fn width(text: &str, size: f32) -> f32 {
    shape(text).1 * scale(size)
}

/// Whether the font has every character of `text`.
pub(super) fn covers(text: &str) -> bool {
    text.chars().all(|c| FONT.glyph_id(c).0 != 0)
}

/// The outline of `text` in pixels, its baseline from (0, 0) to the right, y downwards.
///
/// A character that the font does not have is drawn as a box. `None` where nothing is to be
/// drawn (spaces).
pub(super) fn outline(text: &str, size: f32) -> Option<Path> {
    let scale = scale(size);
    let mut path = PathBuilder::new();
    for (id, pen) in shape(text).0 {
        let Some(outline) = FONT.outline(id) else {
            continue;
        };
        let at = |p: ab_glyph::Point| ((p.x + pen) * scale, -p.y * scale);
        let mut end: Option<ab_glyph::Point> = None;
        for curve in &outline.curves {
            let (from, to) = match curve {
                OutlineCurve::Line(a, b) => (*a, *b),
                OutlineCurve::Quad(a, _, b) => (*a, *b),
                OutlineCurve::Cubic(a, _, _, b) => (*a, *b),
            };
            // Contours follow each other; a jump begins the next one.
            if end.is_none_or(|e| (e.x - from.x).abs() > 0.01 || (e.y - from.y).abs() > 0.01) {
                if end.is_some() {
                    path.close();
                }
                let (x, y) = at(from);
                path.move_to(x, y);
            }
            let (x, y) = at(to);
            match curve {
                OutlineCurve::Line(..) => path.line_to(x, y),
                OutlineCurve::Quad(_, c, _) => {
                    let (cx, cy) = at(*c);
                    path.quad_to(cx, cy, x, y);
                }
                OutlineCurve::Cubic(_, c, d, _) => {
                    let ((cx, cy), (dx, dy)) = (at(*c), at(*d));
                    path.cubic_to(cx, cy, dx, dy, x, y);
                }
            }
            end = Some(to);
        }
        if end.is_some() {
            path.close();
        }
    }
    path.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_grow_with_text_and_size() {
        assert_eq!(width("", 20.0), 0.0);
        assert!(width("ii", 20.0) < width("WW", 20.0));
        assert!((width("UMAP1", 40.0) - 2.0 * width("UMAP1", 20.0)).abs() < 1e-3);
    }

    #[test]
    fn a_character_that_is_missing_is_a_box() {
        assert!(covers("é µ β – …"));
        assert!(!covers("细胞"));
        assert!(outline("细", 20.0).is_some());
        assert!(outline(" ", 20.0).is_none());
    }
}
