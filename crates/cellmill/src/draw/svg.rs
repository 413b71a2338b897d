//! The display list as SVG.

use super::font;
use super::picture::{Anchor, Image, Item, Picture, Text};
use super::raster;
use cellmill_engine::Result;
use std::fmt::Write;

/// The picture as an SVG file.
pub(super) fn svg(picture: &Picture) -> Result<String> {
    let (w, h) = (picture.width, picture.height);
    let mut out = String::new();
    // Writing to a String cannot fail, so the results of write! are dropped.
    let _ = writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#);
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{w}" height="{h}" viewBox="0 0 {w} {h}" font-family="{}">"#,
        font::FAMILY
    );
    if !picture.title.is_empty() {
        let _ = writeln!(out, "<title>{}</title>", escape(&picture.title));
    }
    if let Some(colour) = picture.background {
        let _ = writeln!(
            out,
            r#"<rect width="{w}" height="{h}" fill="{}"/>"#,
            colour.to_hex()
        );
    }
    for item in &picture.items {
        write_item(&mut out, item)?;
    }
    out.push_str("</svg>\n");
    Ok(out)
}

fn write_item(out: &mut String, item: &Item) -> Result<()> {
    let _ = match item {
        Item::Image { x, y, image } => write_image(out, *x, *y, image)?,
        Item::Text(text) => write_text(out, text),
        Item::Line {
            from,
            to,
            ink,
            width,
        } => writeln!(
            out,
            r#"<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}" stroke-width="{}"/>"#,
            num(from.0),
            num(from.1),
            num(to.0),
            num(to.1),
            ink.to_hex(),
            num(*width)
        ),
        Item::Path { points, ink, width } => {
            let list: Vec<String> = points
                .iter()
                .map(|p| format!("{},{}", num(p.0), num(p.1)))
                .collect();
            writeln!(
                out,
                r#"<polyline points="{}" fill="none" stroke="{}" stroke-width="{}"/>"#,
                list.join(" "),
                ink.to_hex(),
                num(*width)
            )
        }
        Item::Rect {
            x,
            y,
            width,
            height,
            fill,
            line,
        } => {
            let fill = fill.map_or("none".to_owned(), |c| c.to_hex());
            let line = line.map_or(String::new(), |(ink, w)| {
                format!(r#" stroke="{}" stroke-width="{}""#, ink.to_hex(), num(w))
            });
            writeln!(
                out,
                r#"<rect x="{}" y="{}" width="{}" height="{}" fill="{fill}"{line}/>"#,
                num(*x),
                num(*y),
                num(*width),
                num(*height)
            )
        }
        Item::Circle { x, y, radius, fill } => {
            writeln!(
                out,
                r#"<circle cx="{}" cy="{}" r="{}" fill="{}"/>"#,
                num(*x),
                num(*y),
                num(*radius),
                fill.to_hex()
            )
        }
    };
    Ok(())
}

fn write_image(out: &mut String, x: u32, y: u32, image: &Image) -> Result<std::fmt::Result> {
    let png = raster::encode(image, false, "")?;
    let (w, h) = (image.width, image.height);
    let _ = write!(
        out,
        r#"<image x="{x}" y="{y}" width="{w}" height="{h}" preserveAspectRatio="none" xlink:href="data:image/png;base64,"#
    );
    base64(out, &png);
    out.push_str("\"/>\n");
    Ok(Ok(()))
}

fn write_text(out: &mut String, text: &Text) -> std::fmt::Result {
    write!(
        out,
        r#"<text x="{}" y="{}" font-size="{}""#,
        num(text.x),
        num(text.y),
        num(text.size)
    )?;
    match text.anchor {
        Anchor::Start => {}
        Anchor::Middle => out.push_str(r#" text-anchor="middle""#),
        Anchor::End => out.push_str(r#" text-anchor="end""#),
    }
    if text.turned {
        write!(
            out,
            r#" transform="rotate(-90 {} {})""#,
            num(text.x),
            num(text.y)
        )?;
    }
    if let Some((ink, width)) = text.halo {
        write!(
            out,
            r#" stroke="{}" stroke-width="{}" stroke-linejoin="round" paint-order="stroke""#,
            ink.to_hex(),
            num(width)
        )?;
    }
    // A viewer without the font keeps the layout; where the font has no glyph the viewer's own
    // font is needed, and its width is not known here.
    if font::covers(&text.text) {
        write!(
            out,
            r#" textLength="{}" lengthAdjust="spacingAndGlyphs""#,
            num(font::width(&text.text, text.size))
        )?;
    }
    writeln!(
        out,
        r#" fill="{}" xml:space="preserve">{}</text>"#,
        text.ink.to_hex(),
        escape(&text.text)
    )
}

/// A number with two decimals at most.
fn num(value: f32) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `text` as XML character data or attribute value.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Appends `bytes` in base64 (RFC 4648, padded).
fn base64(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word =
            three.iter().fold(0_u32, |w, &b| w << 8 | u32::from(b)) << (8 * (3 - three.len()));
        for i in 0..4 {
            if i <= three.len() {
                out.push(char::from(DIGITS[(word >> (18 - 6 * i) & 63) as usize]));
            } else {
                out.push('=');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut out = String::new();
            base64(&mut out, plain.as_bytes());
            assert_eq!(out, coded);
        }
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escape(r#"<a & "b">'"#),
            "&lt;a &amp; &quot;b&quot;&gt;&#39;"
        );
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            (num(1.0), num(0.125), num(-2.5), num(100.0)),
            ("1".into(), "0.12".into(), "-2.5".into(), "100".into())
        );
    }
}
