//! Points: n x d, row-major, f32.

use cellmill_engine::{Error, Result};

/// Points that are met one after the other, wherever they lie.
pub trait Rows: std::fmt::Debug {
    /// The number of points.
    fn n(&self) -> usize;

    /// The number of dimensions.
    fn d(&self) -> usize;

    /// Shows the coordinates of every point, in order.
    ///
    /// # Errors
    /// Where they have to be read: when they cannot be.
    fn each(&self, visit: &mut dyn FnMut(&[f32])) -> Result<()>;
}

impl Rows for Points<'_> {
    fn n(&self) -> usize {
        self.n
    }

    fn d(&self) -> usize {
        self.d
    }

    fn each(&self, visit: &mut dyn FnMut(&[f32])) -> Result<()> {
        (0..self.n).for_each(|i| visit(self.row(i)));
        Ok(())
    }
}

/// A borrowed matrix of `n` points with `d` coordinates each, row-major, all finite.
#[derive(Debug, Clone, Copy)]
pub struct Points<'a> {
    data: &'a [f32],
    n: usize,
    d: usize,
}

impl<'a> Points<'a> {
    /// Borrows `n * d` coordinates.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the length is not `n * d` or `n` exceeds 2^32 - 2,
    /// [`Error::Data`] with the row when a coordinate is not finite.
    pub fn new(data: &'a [f32], n: usize, d: usize) -> Result<Self> {
        if n.checked_mul(d) != Some(data.len()) {
            return Err(Error::Parameter(format!(
                "{} coordinates were given for {n} points of {d} dimensions",
                data.len()
            )));
        }
        if n as u64 > u64::from(u32::MAX) - 1 {
            return Err(Error::Parameter(format!(
                "{n} points are more than 2^32 - 2"
            )));
        }
        if let Some(i) = data.iter().position(|x| !x.is_finite()) {
            return Err(Error::Data(format!(
                "the coordinate {} of point {} is {}; every coordinate must be finite",
                i % d,
                i / d,
                data[i]
            )));
        }
        Ok(Self { data, n, d })
    }

    /// The number of points.
    pub fn n(&self) -> usize {
        self.n
    }

    /// The number of dimensions.
    pub fn d(&self) -> usize {
        self.d
    }

    /// All coordinates, row-major.
    pub fn data(&self) -> &'a [f32] {
        self.data
    }

    /// The coordinates of point `i`.
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.d..(i + 1) * self.d]
    }
}
