//! Scatter plots of an embedding, as `scanpy.pl.embedding` draws them.

use super::colorbar::Bar;
use super::colormap::Colormap;
use super::extent::Extent;
use super::frame::Frame;
use super::label::{self, Label};
use super::legend::{Block, Entry};
use super::name::thousands;
use super::picture::{Anchor, Item, Picture, Text};
use super::points::{self, Cloud, Ink, Order};
use super::style::Style;
use super::{MISSING, Rgb, font, palette};
use cellmill_engine::{Context, Error, Event, Result};

/// What colours the points.
#[derive(Debug, Clone, Copy)]
pub enum Colour<'a> {
    /// Nothing: one grey, darker where there are more points.
    None,
    /// A category for each point.
    Categorical {
        /// One code a point: an index into `categories`, or −1 for a missing one.
        codes: &'a [i32],
        /// The names.
        categories: &'a [String],
        /// A colour a category (`uns/<key>_colors`), else [`palette`]. As in scanpy a longer list
        /// is cut, and a shorter one is not used (with a note).
        colours: Option<&'a [Rgb]>,
    },
    /// A number for each point; NaN is missing, infinite values are ends of the scale.
    Continuous {
        /// One value a point.
        values: &'a [f32],
        /// What has the lowest colour; the smallest finite value if `None`.
        vmin: Option<f32>,
        /// What has the highest colour; the largest finite value if `None`.
        vmax: Option<f32>,
        /// The colours.
        map: Colormap,
    },
}

/// Where the names of categories go. A colour bar is drawn unless it is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Legend {
    /// To the right of the data, with counts: scanpy's `right margin`.
    #[default]
    Right,
    /// On the data only: scanpy's `on data`.
    OnData,
    /// Nowhere.
    None,
}

/// A scatter plot to be drawn; [`Scatter::new`] has the defaults.
#[derive(Debug, Clone, Copy)]
pub struct Scatter<'a> {
    /// n x 2 coordinates, row by row. Points with a coordinate that is not finite are left out,
    /// with a note.
    pub xy: &'a [f32],
    /// What colours the points.
    pub colour: Colour<'a>,
    /// Above the data; empty for none.
    pub title: &'a str,
    /// Below the data.
    pub x_label: &'a str,
    /// Left of the data.
    pub y_label: &'a str,
    /// The side of the square data area in pixels, 64 to 8192; titles and legend are added to it
    /// and grow with it.
    pub size: u32,
    /// scanpy's `size`: the area of a dot in square points on axes of 3.5 inches. `None`:
    /// 120000 / n as scanpy, at most a fiftieth of the side across.
    pub point_size: Option<f32>,
    /// Opacity of the points, above 0 up to 1.
    pub alpha: f32,
    /// Names of categories on the data, whatever `legend` says.
    pub labels_on_data: bool,
    /// Where the names of categories go.
    pub legend: Legend,
    /// The page's colour; `None` is transparent.
    pub background: Option<Rgb>,
}

impl<'a> Scatter<'a> {
    /// A UMAP of 1,200 pixels on white, without colours.
    pub fn new(xy: &'a [f32]) -> Self {
        Self {
            xy,
            colour: Colour::None,
            title: "",
            x_label: "UMAP1",
            y_label: "UMAP2",
            size: 1200,
            point_size: None,
            alpha: 1.0,
            labels_on_data: false,
            legend: Legend::Right,
            background: Some(Rgb::WHITE),
        }
    }
}

/// More categories than this are not all in the legend.
const LEGEND_MOST: usize = 600;

/// Points without colours.
const GREY: Rgb = Rgb::hex(0x808890);

/// What stands to the right of the data.
enum Side {
    Nothing,
    Names(Block),
    Bar(Bar, Option<Block>),
}

/// Draws a scatter plot.
///
/// The view holds all points, unless a handful (at most one in 2,000) would press the others into
/// a quarter of its width or height: those are left out, counted in the corner and in a note.
///
/// ```
/// use cellmill::draw::{scatter, Colour, Scatter};
/// let ctx = cellmill_engine::Context::quiet(1)?;
/// let names = ["B".to_string(), "T & NK".to_string()];
/// let picture = scatter(&ctx, &Scatter {
///     colour: Colour::Categorical { codes: &[0, 1, -1], categories: &names, colours: None },
///     title: "cell_type",
///     size: 200,
///     ..Scatter::new(&[0.0, 0.0, 1.0, 1.0, 0.5, 0.2])
/// })?;
/// assert!(picture.to_png()?.starts_with(b"\x89PNG"));
/// assert!(picture.to_svg()?.contains("T &amp; NK"));
/// # Ok::<(), cellmill_engine::Error>(())
/// ```
///
/// # Errors
/// [`Error::Parameter`] when lengths disagree, a code is no index into the categories, or a
/// number is out of its range; [`Error::Budget`]; [`Error::Cancelled`].
pub fn scatter(ctx: &Context, plot: &Scatter) -> Result<Picture> {
    let style = Style::new(plot.size, plot.background)?;
    let n = check(plot)?;
    let mut notes = Vec::new();
    let fit = {
        let bytes = Extent::bytes(n);
        let _reserved = ctx
            .budget()
            .reserve(bytes, "finding the range of the points")?;
        Extent::new(plot.xy, plot.size)
    };
    if fit.without > 0 {
        notes.push(format!(
            "{} of {} points have a coordinate that is not finite and are not drawn",
            thousands(fit.without),
            thousands(n as u64)
        ));
    }
    if fit.outside > 0 {
        notes.push(format!(
            "{} of {} points lie so far from the others that they are outside the picture",
            thousands(fit.outside),
            thousands(n as u64)
        ));
    }

    // What the colour needs: a table each, alive while the points are drawn.
    let (mut colours, mut counts, mut missing) = (Vec::new(), Vec::new(), 0);
    let (mut low, mut high) = (0.0, 1.0);
    let mut map = [Rgb::BLACK; 256];
    match plot.colour {
        Colour::None => {}
        Colour::Categorical {
            codes,
            categories,
            colours: given,
        } => {
            (counts, missing) = points::count(codes, categories.len())?;
            colours = choose(given, categories.len(), &mut notes);
        }
        Colour::Continuous {
            values,
            vmin,
            vmax,
            map: chosen,
        } => {
            (low, high) = limits(values, vmin, vmax)?;
            missing = values.iter().filter(|v| v.is_nan()).count() as u64;
            map = chosen.colours();
        }
    }
    let ink = match plot.colour {
        Colour::None => Ink::One(GREY),
        Colour::Categorical { codes, .. } => Ink::Codes {
            codes,
            colours: &colours,
        },
        Colour::Continuous { values, .. } => Ink::Values {
            values,
            low,
            high,
            map: &map,
        },
    };
    let cloud = Cloud {
        xy: plot.xy,
        view: fit.view,
        diameter: diameter(plot, n),
        alpha: plot.alpha,
        ink,
        missing: MISSING,
        order: Order::Sorted,
    };
    ctx.cancel().check()?;
    let layer = points::render(ctx, &cloud)?;

    let u = style.unit;
    let side = plot.size as f32;
    let frame = Frame {
        x: (24.0 * u
            + if plot.y_label.is_empty() {
                0.0
            } else {
                style.label + 14.0 * u
            })
        .round(),
        y: (26.0 * u
            + if plot.title.is_empty() {
                0.0
            } else {
                style.title + 14.0 * u
            })
        .round(),
        width: side,
        height: side,
    };
    let meaning = Meaning {
        low,
        high,
        missing,
        colours: &colours,
        counts: &counts,
    };
    let right = beside(plot, &style, &meaning, &mut notes);
    let (gap, extra) = match &right {
        Side::Nothing => (0.0, 0.0),
        Side::Names(block) => (28.0 * u, block.width()),
        Side::Bar(bar, block) => (
            34.0 * u,
            bar.width(&style)
                .max(block.as_ref().map_or(0.0, Block::width)),
        ),
    };
    let width = frame.x + side + gap + extra + 28.0 * u;
    let below = 16.0 * u + style.label.max(style.small) * (1.0 + font::DESCENT) + 14.0 * u;
    let tallest = match &right {
        Side::Names(block) => block.height(),
        _ => 0.0,
    };
    let height = (frame.y + side + below).max(tallest + 40.0 * u);

    let mut page = Picture::new(width, height, plot.background, plot.title);
    page.push(Item::Image {
        x: frame.x as u32,
        y: frame.y as u32,
        image: layer,
    });
    frame.outline(&mut page, &style);
    frame.title(&mut page, &style, plot.title);
    frame.x_label(&mut page, &style, plot.x_label, 16.0 * u);
    frame.y_label(&mut page, &style, plot.y_label, 16.0 * u);
    corner(&mut page, &style, &frame, n, &fit);
    let x = frame.x + side + gap;
    match &right {
        Side::Nothing => {}
        Side::Names(block) => {
            let y = (frame.y + 0.5 * (side - block.height())).max(20.0 * u);
            block.draw(&mut page, &style, x, y);
        }
        Side::Bar(bar, block) => {
            let room = block.as_ref().map_or(0.0, |b| b.height() + 16.0 * u);
            bar.draw(&mut page, &style, x, frame.y, side - room);
            if let Some(block) = block {
                block.draw(&mut page, &style, x, frame.y + side - block.height());
            }
        }
    }
    if let Colour::Categorical {
        codes, categories, ..
    } = plot.colour
        && (plot.labels_on_data || plot.legend == Legend::OnData)
    {
        if categories.len() > label::MOST {
            notes.push(format!(
                "{} categories are too many for labels on the data (at most {})",
                thousands(categories.len() as u64),
                label::MOST
            ));
        } else {
            let bytes = label::bytes(categories.len());
            let _reserved = ctx.budget().reserve(bytes, "placing the labels")?;
            let spots = label::densest(plot.xy, codes, categories.len(), &fit.view);
            let mut labels: Vec<(u64, Label)> = Vec::new();
            for (k, spot) in spots.into_iter().enumerate() {
                if let Some(mut spot) = spot {
                    spot.x += frame.x;
                    spot.y += frame.y;
                    spot.height += cloud.diameter;
                    spot.width += cloud.diameter;
                    let text = categories[k].clone();
                    labels.push((counts[k], Label { text, spot }));
                }
            }
            // The largest first: it keeps its place. The sort is stable, so ties keep their order.
            labels.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
            let labels: Vec<Label> = labels.into_iter().map(|(_, l)| l).collect();
            label::draw(&mut page, &style, &frame, &labels);
        }
    }
    for text in &notes {
        ctx.emit(Event::Note { text: text.clone() });
    }
    page.notes = notes;
    Ok(page)
}

/// Checks lengths and ranges; the number of points.
fn check(plot: &Scatter) -> Result<usize> {
    let wrong = |text: String| Err(Error::Parameter(text));
    if !plot.xy.len().is_multiple_of(2) {
        return wrong(format!(
            "xy has {} numbers; expected two for each point",
            plot.xy.len()
        ));
    }
    let n = plot.xy.len() / 2;
    if !(plot.alpha > 0.0 && plot.alpha <= 1.0) {
        return wrong(format!(
            "alpha is {}; expected above 0, up to 1",
            plot.alpha
        ));
    }
    if let Some(size) = plot.point_size
        && !(size > 0.0 && size <= 1e6)
    {
        return wrong(format!("point_size is {size}; expected above 0, up to 1e6"));
    }
    match plot.colour {
        Colour::Categorical {
            codes, categories, ..
        } => {
            if codes.len() != n {
                return wrong(format!("there are {} codes for {n} points", codes.len()));
            }
            let most = categories.len() as i64;
            if let Some(row) = codes.iter().position(|&c| c < -1 || i64::from(c) >= most) {
                return wrong(format!(
                    "the code of point {row} is {}; expected −1 (missing) to {} as there are {most} categories",
                    codes[row],
                    most - 1
                ));
            }
        }
        Colour::Continuous { values, .. } if values.len() != n => {
            return wrong(format!("there are {} values for {n} points", values.len()));
        }
        _ => {}
    }
    Ok(n)
}

/// The diameter of a dot in pixels. matplotlib's `.` is half as wide as the root of its area.
fn diameter(plot: &Scatter, n: usize) -> f32 {
    let side = plot.size as f32;
    let of = |area: f32| 0.5 * area.sqrt() / (3.5 * 72.0) * side;
    match plot.point_size {
        Some(area) => of(area),
        None => of(120_000.0 / n.max(1) as f32).min(0.02 * side),
    }
}

fn choose(given: Option<&[Rgb]>, n: usize, notes: &mut Vec<String>) -> Vec<Rgb> {
    match given {
        Some(colours) if colours.len() >= n => colours[..n].to_vec(),
        Some(colours) => {
            notes.push(format!(
                "{} colours were given for {n} categories; the default palette is used",
                colours.len()
            ));
            palette(n)
        }
        None => palette(n),
    }
}

/// The ends of the colour scale, the second above the first.
fn limits(values: &[f32], vmin: Option<f32>, vmax: Option<f32>) -> Result<(f32, f32)> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let low = vmin.or_else(|| finite().reduce(f32::min));
    let high = vmax.or_else(|| finite().reduce(f32::max));
    for (name, end) in [("vmin", vmin), ("vmax", vmax)] {
        if end.is_some_and(|v| !v.is_finite()) {
            return Err(Error::Parameter(format!(
                "{name} is not finite; expected a number"
            )));
        }
    }
    match (vmin, vmax) {
        (Some(low), Some(high)) if low > high => {
            return Err(Error::Parameter(format!(
                "vmin is {low} and vmax is {high}; expected vmin below vmax"
            )));
        }
        _ => {}
    }
    let (low, high) = match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(end), None) | (None, Some(end)) => (end, end),
        (None, None) => (0.0, 0.0),
    };
    // One value only (a gene that is nowhere expressed) has the lowest colour, as in matplotlib;
    // so has everything below a vmin that is above all values.
    Ok(if high > low {
        (low, high)
    } else if vmax.is_some() && vmin.is_none() {
        (high - high.abs().max(1.0), high)
    } else {
        (low, low + low.abs().max(1.0))
    })
}

/// What the colours stand for.
struct Meaning<'a> {
    low: f32,
    high: f32,
    missing: u64,
    colours: &'a [Rgb],
    counts: &'a [u64],
}

/// The legend or the colour bar.
fn beside(plot: &Scatter, style: &Style, meaning: &Meaning, notes: &mut Vec<String>) -> Side {
    let (missing, colours, counts) = (meaning.missing, meaning.colours, meaning.counts);
    let side = plot.size as f32;
    let absent = Entry {
        name: "NA".to_owned(),
        dot: Some((MISSING, missing)),
    };
    match plot.colour {
        Colour::Categorical { categories, .. } if plot.legend == Legend::Right => {
            let mut entries: Vec<Entry> = Vec::new();
            // Where not all can be shown, the largest are, in the order of the categories.
            let mut shown: Vec<usize> = (0..categories.len()).collect();
            if shown.len() > LEGEND_MOST {
                shown.sort_by_key(|&k| std::cmp::Reverse(counts[k]));
                shown.truncate(LEGEND_MOST);
                shown.sort_unstable();
            }
            for &k in &shown {
                entries.push(Entry {
                    name: categories[k].clone(),
                    dot: Some((colours[k], counts[k])),
                });
            }
            if missing > 0 {
                entries.push(absent);
            }
            let rest = categories.len() - shown.len();
            if rest > 0 {
                entries.push(Entry {
                    name: format!("… and {} more", thousands(rest as u64)),
                    dot: None,
                });
                notes.push(format!(
                    "the legend shows the {LEGEND_MOST} largest of {} categories",
                    categories.len()
                ));
            }
            if entries.is_empty() {
                Side::Nothing
            } else {
                Side::Names(Block::new(style, &entries, side))
            }
        }
        Colour::Continuous { map, .. } if plot.legend != Legend::None => {
            let block = (missing > 0).then(|| Block::new(style, &[absent], side));
            Side::Bar(Bar::new(meaning.low, meaning.high, map), block)
        }
        _ => Side::Nothing,
    }
}

/// Small text below the frame's right corner: how many points, and how many are not there.
fn corner(page: &mut Picture, style: &Style, frame: &Frame, n: usize, fit: &Extent) {
    let mut text = format!("n = {}", thousands(n as u64));
    let absent = fit.without + fit.outside;
    if absent > 0 {
        text.push_str(&format!(" ({} not shown)", thousands(absent)));
    }
    let y = frame.y + frame.height + 16.0 * style.unit + font::CAP_HEIGHT * style.small;
    page.text(Text::new(
        text,
        frame.x + frame.width,
        y,
        style.small,
        Anchor::End,
        style.faint,
    ));
}

#[cfg(test)]
mod tests;
