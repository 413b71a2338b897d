use super::*;
use crate::draw::MISSING;

const VIEW: View = View {
    left: 0.0,
    right: 40.0,
    bottom: 0.0,
    top: 40.0,
    width: 40,
    height: 40,
};
const RED: Rgb = Rgb([255, 0, 0]);
const BLUE: Rgb = Rgb([0, 0, 255]);

fn cloud<'a>(xy: &'a [f32], ink: Ink<'a>) -> Cloud<'a> {
    Cloud {
        xy,
        view: VIEW,
        diameter: 5.0,
        alpha: 1.0,
        ink,
        missing: MISSING,
        order: Order::Sorted,
    }
}

fn at(rgba: &[u8], x: usize, y: usize) -> [u8; 4] {
    let at = 4 * (y * VIEW.width as usize + x);
    [rgba[at], rgba[at + 1], rgba[at + 2], rgba[at + 3]]
}

#[test]
fn rows_over_rows_where_that_is_asked() {
    let ctx = Context::quiet(2).unwrap();
    let xy = [20.5, 20.5].repeat(3);
    let map = std::array::from_fn(|i| Rgb([i as u8; 3]));
    let colours = [RED, BLUE];
    // The last row is missing, and the one before it has the lower value.
    let codes = Ink::Codes {
        codes: &[1, 0, -1],
        colours: &colours,
    };
    let values = Ink::Values {
        values: &[1.0, 0.0, f32::NAN],
        low: 0.0,
        high: 1.0,
        map: &map,
    };
    for diameter in [1.5, 5.0] {
        for ink in [codes, values] {
            let asked = Cloud {
                order: Order::Rows,
                diameter,
                ..cloud(&xy, ink)
            };
            let rgba = raster_points(&ctx, &asked).unwrap();
            assert_eq!(at(&rgba, 20, 19)[..3], MISSING.0);
        }
    }
    let rgba = raster_points(&ctx, &cloud(&xy, values)).unwrap();
    assert_eq!(at(&rgba, 20, 19), [255; 4]);
    let rgba = raster_points(&ctx, &cloud(&xy, codes)).unwrap();
    assert_ne!(at(&rgba, 20, 19)[..3], MISSING.0);
}

#[test]
fn missing_values_have_the_colour_that_is_asked() {
    let ctx = Context::quiet(1).unwrap();
    let ink = Ink::Codes {
        codes: &[-1],
        colours: &[],
    };
    for diameter in [1.9, 5.0] {
        let asked = Cloud {
            missing: BLUE,
            diameter,
            ..cloud(&[10.5, 10.5], ink)
        };
        let rgba = raster_points(&ctx, &asked).unwrap();
        assert_eq!(at(&rgba, 10, 29)[..3], BLUE.0);
    }
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    let ctx = Context::quiet(1).unwrap();
    let one = Ink::One(RED);
    let good = cloud(&[1.0, 1.0], one);
    let codes = |codes| Ink::Codes {
        codes,
        colours: &[RED],
    };
    let view = |left, right, width| View {
        left,
        right,
        width,
        ..VIEW
    };
    for (bad, words) in [
        (cloud(&[1.0], one), "two coordinates"),
        (cloud(&[1.0, 1.0], codes(&[])), "a colour for each point"),
        (cloud(&[1.0, 1.0], codes(&[1])), "code 1"),
        (
            Cloud {
                diameter: 0.0,
                ..good
            },
            "pixels wide",
        ),
        (
            Cloud {
                diameter: f32::NAN,
                ..good
            },
            "pixels wide",
        ),
        (Cloud { alpha: 1.5, ..good }, "alpha"),
        (
            Cloud {
                view: view(1.0, 1.0, 40),
                ..good
            },
            "the view",
        ),
        (
            Cloud {
                view: view(0.0, f64::INFINITY, 40),
                ..good
            },
            "the view",
        ),
        (
            Cloud {
                view: view(0.0, 1.0, 0),
                ..good
            },
            "the view",
        ),
    ] {
        let message = raster_points(&ctx, &bad).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
    let none = raster_points(&ctx, &cloud(&[], one)).unwrap();
    assert!(none.iter().all(|&byte| byte == 0));
}
