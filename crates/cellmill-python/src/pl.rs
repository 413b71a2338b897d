//! `cellmill.pl`: points in, pixels out; and what colours them.

use crate::enter::{Machine, enter};
use crate::failure::Failure;
use crate::operand::operand;
use cellmill::draw::{self, Cloud, Ink, Order, Rgb, View};
use numpy::{PyArray1, PyArray3, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// What the user asked of the points.
#[derive(FromPyObject)]
pub struct Asked {
    left: f64,
    right: f64,
    bottom: f64,
    top: f64,
    width: u32,
    height: u32,
    diameter: f32,
    alpha: f32,
    missing: [u8; 3],
    in_order_of_rows: bool,
}

/// Points (n x 2) as pixels: height x width x 4, red, green, blue and straight alpha, from the top.
///
/// `colours` are one for all points (without `codes` and `values`), one a code (`codes`, negative
/// for missing), or 256 from 0 to 1 (`values`, NaN for missing).
#[pyfunction]
#[pyo3(signature = (machine, xy, asked, colours, codes=None, values=None))]
pub fn raster_points<'py>(
    py: Python<'py>,
    machine: Machine,
    xy: PyReadonlyArray2<'py, f32>,
    asked: Asked,
    colours: Vec<[u8; 3]>,
    codes: Option<PyReadonlyArray1<'py, i32>>,
    values: Option<PyReadonlyArray1<'py, f32>>,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let colours: Vec<Rgb> = colours.into_iter().map(Rgb).collect();
    let map: Option<[Rgb; 256]> = colours.as_slice().try_into().ok();
    let ink = match (&codes, &values, &map, colours.as_slice()) {
        (Some(codes), None, ..) => Ink::Codes {
            codes: codes.as_slice()?,
            colours: &colours,
        },
        (None, Some(values), Some(map), _) => Ink::Values {
            values: values.as_slice()?,
            low: 0.0,
            high: 1.0,
            map,
        },
        (None, None, _, &[one]) => Ink::One(one),
        _ => {
            return Err(PyValueError::new_err(format!(
                "{} colours were given; expected one for all points, one for each code, or 256 \
                 for values",
                colours.len()
            )));
        }
    };
    let (width, height) = (asked.width, asked.height);
    let cloud = Cloud {
        xy: xy.as_slice()?,
        view: View {
            left: asked.left,
            right: asked.right,
            bottom: asked.bottom,
            top: asked.top,
            width,
            height,
        },
        diameter: asked.diameter,
        alpha: asked.alpha,
        ink,
        missing: Rgb(asked.missing),
        order: if asked.in_order_of_rows {
            Order::Rows
        } else {
            Order::Sorted
        },
    };
    let pixels = enter(py, machine, |ctx| Ok(draw::raster_points(ctx, &cloud)?))?;
    PyArray1::from_vec(py, pixels).reshape([height as usize, width as usize, 4])
}

/// The colours of so many categories, as `#rrggbb`: scanpy's, and what comes after them.
#[pyfunction]
pub fn palette(n: usize) -> Vec<String> {
    draw::palette(n).into_iter().map(Rgb::to_hex).collect()
}

/// One column of a matrix, a value for each cell: one read.
#[pyfunction]
pub fn column<'py>(
    py: Python<'py>,
    machine: Machine,
    x: &Bound<'py, PyAny>,
    gene: u32,
    stage: &str,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let x = operand(x)?;
    let view = x.view()?;
    let found = enter(py, machine, |ctx| {
        cellmill::matrix::column(ctx, &*view.source, &view.ops, gene, stage).map_err(Failure)
    })?;
    Ok(PyArray1::from_vec(py, found))
}
