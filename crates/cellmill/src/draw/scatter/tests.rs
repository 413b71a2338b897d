use super::*;
use crate::draw::raster;

/// `n` points of `k` categories on a ring, the last category in one place far inside.
fn ring(n: usize, k: usize) -> (Vec<f32>, Vec<i32>) {
    let mut xy = Vec::new();
    let mut codes = Vec::new();
    for i in 0..n {
        let turn = i as f32 * 0.618_034 * std::f32::consts::TAU;
        let radius = 1.0 + 0.3 * ((i * 37 % 101) as f32 / 101.0);
        xy.extend([radius * turn.cos(), radius * turn.sin()]);
        codes.push(
            (turn.rem_euclid(std::f32::consts::TAU) / std::f32::consts::TAU * k as f32) as i32
                % k as i32,
        );
    }
    (xy, codes)
}

fn names(k: usize) -> Vec<String> {
    (0..k).map(|i| format!("type {i}")).collect()
}

fn categorical<'a>(codes: &'a [i32], categories: &'a [String]) -> Colour<'a> {
    Colour::Categorical {
        codes,
        categories,
        colours: None,
    }
}

/// How many pixels of the picture have the colour, up to a few steps.
fn pixels_of(picture: &Picture, Rgb(colour): Rgb) -> usize {
    let near = |p: &[u8]| (0..3).all(|c| p[c].abs_diff(colour[c]) <= 12);
    let image = raster::pixels(picture).unwrap();
    image.rgba.chunks_exact(4).filter(|p| near(p)).count()
}

#[test]
fn equal_bytes_from_any_number_of_threads() {
    let (xy, mut codes) = ring(150_000, 12);
    codes.iter_mut().step_by(9).for_each(|c| *c = -1);
    let values: Vec<f32> = codes
        .iter()
        .enumerate()
        .map(|(i, &c)| {
            if i % 11 == 0 {
                f32::NAN
            } else {
                (c * (i as i32 % 7)) as f32
            }
        })
        .collect();
    let categories = names(12);
    let number = Colour::Continuous {
        values: &values,
        vmin: None,
        vmax: Some(20.0),
        map: Colormap::Viridis,
    };
    for colour in [Colour::None, categorical(&codes, &categories), number] {
        // Counted dots, and painted ones.
        for point_size in [None, Some(40.0)] {
            let plot = Scatter {
                colour,
                size: 200,
                point_size,
                labels_on_data: true,
                ..Scatter::new(&xy)
            };
            let draw = |threads| {
                let ctx = Context::quiet(threads).unwrap();
                let picture = scatter(&ctx, &plot).unwrap();
                (picture.to_png().unwrap(), picture.to_svg().unwrap())
            };
            let one = draw(1);
            assert_eq!(one, draw(2));
            assert_eq!(one, draw(5));
        }
    }
}

#[test]
fn a_rare_category_is_seen_among_many() {
    // 40 cells in the middle of 400,000 of another type, first in the file.
    let ctx = Context::quiet(2).unwrap();
    for (n, common_first) in [
        (4_000, false),
        (4_000, true),
        (400_000, false),
        (400_000, true),
    ] {
        let mut points: Vec<(f32, f32, i32)> = (0..n)
            .map(|i| {
                (
                    (i % 1000) as f32 / 1000.0,
                    (i * 7919 % 1009) as f32 / 1009.0,
                    0,
                )
            })
            .collect();
        let rare = (0..40).map(|i| (0.5 + (i % 8) as f32 * 4e-4, 0.5 + (i / 8) as f32 * 4e-4, 1));
        let at = if common_first { n } else { 0 };
        points.splice(at..at, rare);
        let xy: Vec<f32> = points.iter().flat_map(|p| [p.0, p.1]).collect();
        let codes: Vec<i32> = points.iter().map(|p| p.2).collect();
        let categories = names(2);
        let plot = Scatter {
            colour: categorical(&codes, &categories),
            legend: Legend::None,
            size: 400,
            ..Scatter::new(&xy)
        };
        let picture = scatter(&ctx, &plot).unwrap();
        let seen = pixels_of(&picture, palette(2)[1]);
        assert!(
            seen >= 1,
            "{n} points, common first: {common_first}: {seen} pixels"
        );
    }
}

#[test]
fn every_name_is_in_the_legend() {
    let ctx = Context::quiet(2).unwrap();
    for k in [1, 8, 60, 150, 400] {
        let (xy, mut codes) = ring(2_000, k);
        codes[5] = -1;
        let categories = names(k);
        let plot = Scatter {
            colour: categorical(&codes, &categories),
            size: 300,
            ..Scatter::new(&xy)
        };
        let picture = scatter(&ctx, &plot).unwrap();
        let svg = picture.to_svg().unwrap();
        for name in &categories {
            assert!(svg.contains(&format!(">{name}</text>")), "{name} of {k}");
        }
        assert!(svg.contains(">NA</text>"));
        assert!(picture.notes().is_empty());
        // Nothing is cut off.
        for item in &picture.items {
            if let Item::Text(text) = item {
                let width = font::width(&text.text, text.size);
                let left = match text.anchor {
                    Anchor::Start => text.x,
                    Anchor::Middle => text.x - 0.5 * width,
                    Anchor::End => text.x - width,
                };
                let inside = text.turned || (left >= 0.0 && left + width <= picture.width() as f32);
                assert!(inside, "{} at {left}", text.text);
                assert!(
                    text.y > 0.0 && text.y + font::DESCENT * text.size <= picture.height() as f32
                );
            }
        }
    }
}

#[test]
fn a_legend_that_is_cut_says_so() {
    let ctx = Context::quiet(1).unwrap();
    let categories = names(1_000);
    let codes: Vec<i32> = (0..1_500).map(|i| i % 1_000).collect();
    let (xy, _) = ring(1_500, 1);
    let plot = Scatter {
        colour: categorical(&codes, &categories),
        size: 200,
        ..Scatter::new(&xy)
    };
    let picture = scatter(&ctx, &plot).unwrap();
    assert_eq!(picture.notes().len(), 1);
    let svg = picture.to_svg().unwrap();
    assert!(svg.contains("… and 400 more"));
    // The categories with two cells come first.
    assert!(svg.contains(">type 499</text>") && !svg.contains(">type 999</text>"));
}

#[test]
fn names_with_marks_are_escaped_and_long_ones_shortened() {
    let ctx = Context::quiet(1).unwrap();
    let long = "a very long name ".repeat(300);
    let categories: Vec<String> = [
        "<b> & \"q\" [G/L]",
        "bell\u{7} and \u{0}",
        "细胞 µβé",
        long.as_str(),
        "",
    ]
    .map(str::to_owned)
    .to_vec();
    let plot = Scatter {
        colour: categorical(&[0, 1, 2, 3, 4], &categories),
        title: "T & <b>",
        size: 300,
        labels_on_data: true,
        ..Scatter::new(&[0.0, 0.0, 1.0, 1.0, 2.0, 0.0, 3.0, 1.0, 0.5, 0.5])
    };
    let picture = scatter(&ctx, &plot).unwrap();
    let svg = picture.to_svg().unwrap();
    assert!(svg.contains(">&lt;b&gt; &amp; &quot;q&quot; [G/L]</text>"));
    assert!(svg.contains("<title>T &amp; &lt;b&gt;</title>"));
    assert!(svg.contains("细胞 µβé") && svg.contains("bell  and"));
    assert!(!svg.contains('\u{7}') && !svg.contains('\u{0}') && !svg.contains(&long));
    assert!(picture.width() < 700, "{}", picture.width());
    picture.to_png().unwrap();
}

#[test]
fn missing_values_are_grey_beneath() {
    let ctx = Context::quiet(2).unwrap();
    // Two places; in the first a known cell lies on a missing one, in the second it is missing.
    let xy = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0];
    let categories = names(1);
    let colours = [Rgb::hex(0xff0000)];
    let by_code = Colour::Categorical {
        codes: &[0, -1, -1],
        categories: &categories,
        colours: Some(&colours),
    };
    let by_value = Colour::Continuous {
        values: &[1.0, f32::NAN, f32::NAN],
        vmin: Some(0.0),
        vmax: Some(1.0),
        map: Colormap::Viridis,
    };
    for (colour, known) in [
        (by_code, colours[0]),
        (by_value, Colormap::Viridis.colours()[255]),
    ] {
        let plot = Scatter {
            colour,
            legend: Legend::None,
            size: 200,
            point_size: Some(20_000.0),
            ..Scatter::new(&xy)
        };
        let picture = scatter(&ctx, &plot).unwrap();
        let (known, grey) = (pixels_of(&picture, known), pixels_of(&picture, MISSING));
        assert!(known > 1000, "{known}");
        assert!(grey.abs_diff(known) <= known / 5, "{known} {grey}");
    }
}

#[test]
fn points_without_a_place_are_noted() {
    let ctx = Context::quiet(1).unwrap();
    let plot = Scatter {
        size: 100,
        ..Scatter::new(&[0.0, f32::NAN, 1.0, 1.0, f32::INFINITY, 0.0])
    };
    let picture = scatter(&ctx, &plot).unwrap();
    assert!(
        picture.notes()[0].starts_with("2 of 3 points"),
        "{:?}",
        picture.notes()
    );
    assert!(picture.to_svg().unwrap().contains("n = 3 (2 not shown)"));
}

#[test]
fn nothing_at_all_is_a_picture() {
    let ctx = Context::quiet(2).unwrap();
    let number = Colour::Continuous {
        values: &[],
        vmin: None,
        vmax: None,
        map: Colormap::Magma,
    };
    for colour in [Colour::None, categorical(&[], &[]), number] {
        let plot = Scatter {
            colour,
            size: 64,
            labels_on_data: true,
            ..Scatter::new(&[])
        };
        assert!(
            scatter(&ctx, &plot)
                .unwrap()
                .to_png()
                .unwrap()
                .starts_with(b"\x89PNG")
        );
    }
}

#[test]
fn colours_of_the_file_are_used() {
    let ctx = Context::quiet(1).unwrap();
    let categories = names(2);
    let pink = Rgb::hex(0xff00aa);
    let draw = |colours: &[Rgb]| {
        let colour = Colour::Categorical {
            codes: &[0, 1],
            categories: &categories,
            colours: Some(colours),
        };
        let plot = Scatter {
            colour,
            size: 200,
            ..Scatter::new(&[0.0, 0.0, 1.0, 1.0])
        };
        scatter(&ctx, &plot).unwrap()
    };
    let given = draw(&[Rgb::BLACK, pink, Rgb::WHITE]);
    assert!(pixels_of(&given, pink) > 5 && given.notes().is_empty());
    let short = draw(&[pink]);
    assert_eq!(pixels_of(&short, pink), 0);
    assert_eq!(short.notes().len(), 1);
}

#[test]
fn wrong_input_is_refused() {
    let ctx = Context::quiet(1).unwrap();
    let xy = [0.0, 0.0, 1.0, 1.0];
    let categories = names(2);
    let plot = Scatter::new(&xy);
    let ends = |vmin, vmax| Colour::Continuous {
        values: &[1.0, 2.0],
        vmin,
        vmax,
        map: Colormap::Viridis,
    };
    for (plot, words) in [
        (
            Scatter {
                xy: &xy[..3],
                ..plot
            },
            "xy has 3",
        ),
        (Scatter { alpha: 0.0, ..plot }, "alpha"),
        (
            Scatter {
                alpha: f32::NAN,
                ..plot
            },
            "alpha",
        ),
        (
            Scatter {
                point_size: Some(-1.0),
                ..plot
            },
            "point_size",
        ),
        (Scatter { size: 10, ..plot }, "size"),
        (
            Scatter {
                colour: categorical(&[0], &categories),
                ..plot
            },
            "1 codes for 2",
        ),
        (
            Scatter {
                colour: categorical(&[0, 2], &categories),
                ..plot
            },
            "point 1 is 2",
        ),
        (
            Scatter {
                colour: categorical(&[-2, 0], &categories),
                ..plot
            },
            "point 0 is -2",
        ),
        (
            Scatter {
                colour: ends(Some(2.0), Some(1.0)),
                ..plot
            },
            "vmin is 2",
        ),
        (
            Scatter {
                colour: ends(Some(f32::NAN), None),
                ..plot
            },
            "vmin is not finite",
        ),
    ] {
        let error = scatter(&ctx, &plot).unwrap_err();
        assert!(matches!(error, Error::Parameter(_)));
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_budget_is_kept_and_a_stop_obeyed() {
    let (xy, _) = ring(10_000, 1);
    let plot = Scatter {
        size: 100,
        ..Scatter::new(&xy)
    };
    let budget = cellmill_engine::Budget::new(1000);
    let small = Context::new(1, budget, std::sync::Arc::new(()), std::env::temp_dir()).unwrap();
    assert!(matches!(scatter(&small, &plot), Err(Error::Budget { .. })));
    let stopped = Context::quiet(1).unwrap();
    stopped.cancel().cancel();
    assert!(matches!(scatter(&stopped, &plot), Err(Error::Cancelled)));
}

#[test]
fn the_colour_scale_has_two_ends() {
    assert_eq!(limits(&[0.0, 0.0], None, None).unwrap(), (0.0, 1.0));
    assert_eq!(
        limits(&[f32::NAN, 2.0, f32::INFINITY, -1.0], None, None).unwrap(),
        (-1.0, 2.0)
    );
    assert_eq!(limits(&[1.0, 2.0], Some(5.0), None).unwrap(), (5.0, 10.0));
    assert_eq!(limits(&[1.0, 2.0], None, Some(-4.0)).unwrap(), (-8.0, -4.0));
    assert_eq!(limits(&[], None, None).unwrap(), (0.0, 1.0));
}
