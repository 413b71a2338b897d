//! The Gram matrix times a few columns, without the Gram matrix.

use crate::linalg::{TILE, Tiles};
use crate::{Block, Error, Reduce, Result, Values};
use serde::{Deserialize, Serialize};

/// `Σ x wᵀ` over cells, with `w = (x − mean) · V`: the Gram matrix of `k` columns times the
/// `k x width` matrix `V`. One read, and a state of `k x width` numbers where the Gram matrix
/// itself has `k²`. A cell costs its entries times `width`; centring is a rank-one correction.
///
/// Each element is a sum over cells in row order, so that blocks can be cut anywhere inside a span
/// without changing a bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire")]
pub struct GramTimes {
    by: Tiles,
}

/// A [`GramTimes`] that came from elsewhere.
#[derive(Deserialize)]
struct Wire {
    by: Tiles,
}

impl TryFrom<Wire> for GramTimes {
    type Error = String;

    fn try_from(Wire { by }: Wire) -> std::result::Result<Self, String> {
        if by.is_whole() {
            Ok(Self { by })
        } else {
            Err("a matrix that is not of the size that it says".to_owned())
        }
    }
}

/// The result of [`GramTimes`].
#[derive(Debug, Clone, PartialEq)]
pub struct Times {
    /// The number of cells.
    pub n: u64,
    /// The number of columns of `V`.
    pub width: usize,
    /// `Σ w`, an element for each column of `V`.
    pub sums: Vec<f64>,
    /// `Σ x wᵀ`, `k x width`, row-major.
    pub product: Vec<f64>,
}

/// The sums over the cells seen so far, in the tiles of `V`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimesState {
    n: u64,
    sums: Vec<[f64; TILE]>,
    product: Vec<[f64; TILE]>,
}

impl GramTimes {
    /// Of `k` columns whose `mean` is taken off, and the row-major `k x width` matrix `rows`.
    ///
    /// # Errors
    /// [`Error::Parameter`] when `mean` and `rows` are not of these sizes.
    pub fn new(k: u32, width: usize, rows: &[f64], mean: &[f64]) -> Result<Self> {
        let k = k as usize;
        if rows.len() != k * width || mean.len() != k {
            return Err(Error::Parameter(format!(
                "a product with {width} columns of {k} numbers was given {} numbers and {} means",
                rows.len(),
                mean.len()
            )));
        }
        Ok(Self {
            by: Tiles::new(k, width, rows, mean),
        })
    }

    /// Upper bound of the bytes of the reduction itself.
    pub fn bytes(k: u64, width: u64) -> u64 {
        width.div_ceil(TILE as u64) * (k + 1) * 8 * TILE as u64
    }
}

struct Kernel<'a, T> {
    by: &'a Tiles,
    block: &'a Block,
    values: &'a [T],
    state: &'a mut TimesState,
}

impl<T: Copy + Into<f64>> pulp::WithSimd for Kernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        let by = self.by;
        for (tile, offset) in by.offset.iter().enumerate() {
            let product = &mut self.state.product[tile * by.k..(tile + 1) * by.k];
            let sum = &mut self.state.sums[tile];
            for row in 0..self.block.n_rows() {
                let range = self.block.row(row);
                let (indices, values) = (&self.block.indices[range.clone()], &self.values[range]);
                let mut w = by.times(tile, indices, values);
                for lane in 0..TILE {
                    w[lane] -= offset[lane];
                    sum[lane] += w[lane];
                }
                for (&gene, &x) in indices.iter().zip(values) {
                    let x: f64 = x.into();
                    let of_gene = &mut product[gene as usize];
                    for lane in 0..TILE {
                        of_gene[lane] += x * w[lane];
                    }
                }
            }
        }
    }
}

impl Reduce for GramTimes {
    type State = TimesState;
    type Output = Times;

    fn start(&self) -> TimesState {
        let tiles = self.by.offset.len();
        TimesState {
            n: 0,
            sums: vec![[0.0; TILE]; tiles],
            product: vec![[0.0; TILE]; tiles * self.by.k],
        }
    }

    fn fold(&self, state: &mut TimesState, block: &Block) -> Result<()> {
        if block.n_cols as usize != self.by.k {
            return Err(Error::Data(format!(
                "the block at row {} has {} columns where the product expects {}",
                block.first_row, block.n_cols, self.by.k
            )));
        }
        state.n += block.n_rows() as u64;
        let by = &self.by;
        let arch = pulp::Arch::new();
        match &block.values {
            Values::F32(values) => arch.dispatch(Kernel {
                by,
                block,
                values,
                state,
            }),
            Values::F64(values) => arch.dispatch(Kernel {
                by,
                block,
                values,
                state,
            }),
        }
        Ok(())
    }

    fn merge(&self, mut left: TimesState, right: TimesState) -> Result<TimesState> {
        let tiles = self.by.offset.len();
        for state in [&left, &right] {
            if state.sums.len() != tiles || state.product.len() != tiles * self.by.k {
                return Err(Error::Wire {
                    what: "state",
                    reason: format!(
                        "a product that is not of {} columns and {} tiles",
                        self.by.k, tiles
                    ),
                });
            }
        }
        left.n += right.n;
        let add = |to: &mut [[f64; TILE]], from: &[[f64; TILE]]| {
            for (a, b) in to.iter_mut().flatten().zip(from.iter().flatten()) {
                *a += b;
            }
        };
        add(&mut left.sums, &right.sums);
        add(&mut left.product, &right.product);
        Ok(left)
    }

    fn finish(&self, state: TimesState) -> Result<Times> {
        let (k, width) = (self.by.k, self.by.width);
        let mut product = vec![0.0; k * width];
        for (gene, row) in product.chunks_exact_mut(width.max(1)).enumerate() {
            for (column, x) in row.iter_mut().enumerate() {
                *x = state.product[column / TILE * k + gene][column % TILE];
            }
        }
        let mut sums: Vec<f64> = state.sums.into_iter().flatten().collect();
        sums.truncate(width);
        Ok(Times {
            n: state.n,
            width,
            sums,
            product,
        })
    }

    fn state_bytes(&self, _rows: u64) -> u64 {
        Self::bytes(self.by.k as u64, self.by.width as u64)
    }
}
