//! The display list as pixels.

use super::Rgb;
use super::font;
use super::picture::{Anchor, Image, Item, Picture, Text};
use cellmill_engine::{Error, Result};
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, PathBuilder, Pixmap, PixmapPaint,
    PremultipliedColorU8, Rect, Stroke, Transform,
};

/// The picture as a PNG file.
pub(super) fn png(picture: &Picture) -> Result<Vec<u8>> {
    let image = pixels(picture)?;
    encode(&image, picture.background.is_some(), &picture.title)
}

/// The picture as pixels.
pub(super) fn pixels(picture: &Picture) -> Result<Image> {
    let (width, height) = (picture.width, picture.height);
    let mut page = Pixmap::new(width, height).ok_or_else(|| too_large(width, height))?;
    if let Some(Rgb([r, g, b])) = picture.background {
        page.fill(Color::from_rgba8(r, g, b, 255));
    }
    for item in &picture.items {
        draw(&mut page, item)?;
    }
    Ok(Image {
        width,
        height,
        rgba: page.take_demultiplied(),
    })
}

/// Pixels as a PNG file; without the alpha channel if `opaque`.
pub(super) fn encode(image: &Image, opaque: bool, title: &str) -> Result<Vec<u8>> {
    let failed = |e: png::EncodingError| {
        Error::Data(format!(
            "a picture of {} x {} pixels could not be written as PNG: {e}",
            image.width, image.height
        ))
    };
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, image.width, image.height);
    encoder.set_color(if opaque {
        png::ColorType::Rgb
    } else {
        png::ColorType::Rgba
    });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    // 300 pixels an inch.
    encoder.set_pixel_dims(Some(png::PixelDimensions {
        xppu: 11811,
        yppu: 11811,
        unit: png::Unit::Meter,
    }));
    encoder
        .add_itxt_chunk("Software".to_owned(), "cellmill".to_owned())
        .map_err(failed)?;
    if !title.is_empty() {
        encoder
            .add_itxt_chunk("Title".to_owned(), title.to_owned())
            .map_err(failed)?;
    }
    let mut writer = encoder.write_header().map_err(failed)?;
    if opaque {
        let rgb: Vec<u8> = image
            .rgba
            .chunks_exact(4)
            .flat_map(|p| [p[0], p[1], p[2]])
            .collect();
        writer.write_image_data(&rgb).map_err(failed)?;
    } else {
        writer.write_image_data(&image.rgba).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    Ok(out)
}

fn too_large(width: u32, height: u32) -> Error {
    Error::Data(format!(
        "a picture of {width} x {height} pixels is too large to be held as pixels; choose a smaller size, or no legend"
    ))
}

fn paint(Rgb([r, g, b]): Rgb) -> Paint<'static> {
    let mut paint = Paint {
        anti_alias: true,
        ..Paint::default()
    };
    paint.set_color_rgba8(r, g, b, 255);
    paint
}

fn stroke(width: f32) -> Stroke {
    Stroke {
        width,
        line_cap: LineCap::Square,
        line_join: LineJoin::Miter,
        ..Stroke::default()
    }
}

fn draw(page: &mut Pixmap, item: &Item) -> Result<()> {
    match item {
        Item::Image { x, y, image } => draw_image(page, *x, *y, image)?,
        Item::Text(text) => draw_text(page, text),
        Item::Line {
            from,
            to,
            ink,
            width,
        } => draw_path(page, &[*from, *to], *ink, *width),
        Item::Path { points, ink, width } => draw_path(page, points, *ink, *width),
        Item::Rect {
            x,
            y,
            width,
            height,
            fill,
            line,
        } => {
            let Some(rect) = Rect::from_xywh(*x, *y, *width, *height) else {
                return Ok(());
            };
            let path = PathBuilder::from_rect(rect);
            if let Some(fill) = fill {
                page.fill_path(
                    &path,
                    &paint(*fill),
                    FillRule::Winding,
                    Transform::identity(),
                    None,
                );
            }
            if let Some((ink, width)) = line {
                page.stroke_path(
                    &path,
                    &paint(*ink),
                    &stroke(*width),
                    Transform::identity(),
                    None,
                );
            }
        }
        Item::Circle { x, y, radius, fill } => {
            if let Some(path) = PathBuilder::from_circle(*x, *y, *radius) {
                page.fill_path(
                    &path,
                    &paint(*fill),
                    FillRule::Winding,
                    Transform::identity(),
                    None,
                );
            }
        }
    }
    Ok(())
}

fn draw_image(page: &mut Pixmap, x: u32, y: u32, image: &Image) -> Result<()> {
    let mut layer = Pixmap::new(image.width, image.height)
        .ok_or_else(|| too_large(image.width, image.height))?;
    for (to, from) in layer
        .pixels_mut()
        .iter_mut()
        .zip(image.rgba.chunks_exact(4))
    {
        let alpha = u16::from(from[3]);
        let of = |c: u8| ((u16::from(c) * alpha + 127) / 255) as u8;
        if let Some(pixel) =
            PremultipliedColorU8::from_rgba(of(from[0]), of(from[1]), of(from[2]), from[3])
        {
            *to = pixel;
        }
    }
    page.draw_pixmap(
        x as i32,
        y as i32,
        layer.as_ref(),
        &PixmapPaint::default(),
        Transform::identity(),
        None,
    );
    Ok(())
}

fn draw_path(page: &mut Pixmap, points: &[(f32, f32)], ink: Rgb, width: f32) {
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 {
            path.move_to(x, y);
        } else {
            path.line_to(x, y);
        }
    }
    if let Some(path) = path.finish() {
        page.stroke_path(
            &path,
            &paint(ink),
            &stroke(width),
            Transform::identity(),
            None,
        );
    }
}

fn draw_text(page: &mut Pixmap, text: &Text) {
    let Some(path) = font::outline(&text.text, text.size) else {
        return;
    };
    let back = match text.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -0.5 * font::width(&text.text, text.size),
        Anchor::End => -font::width(&text.text, text.size),
    };
    let place = if text.turned {
        // (1, 0) goes to (0, -1): upwards on the page.
        Transform::from_row(0.0, -1.0, 1.0, 0.0, text.x, text.y - back)
    } else {
        Transform::from_translate(text.x + back, text.y)
    };
    if let Some((ink, width)) = text.halo {
        let round = Stroke {
            width,
            line_join: LineJoin::Round,
            line_cap: LineCap::Round,
            ..Stroke::default()
        };
        page.stroke_path(&path, &paint(ink), &round, place, None);
    }
    page.fill_path(&path, &paint(text.ink), FillRule::Winding, place, None);
}
