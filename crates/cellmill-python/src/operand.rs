//! What a fold may read: a matrix of a file, or a CSR matrix of numpy arrays, in place.

use crate::failure::Failure;
use crate::matrix::Matrix;
use cellmill_engine::source::MemValue;
use cellmill_engine::{Grid, MemSource, Op, Source};
use numpy::{Element, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A CSR matrix of numpy arrays, canonical (sorted, without duplicates).
pub struct Csr<'py, T: Element> {
    indptr: Vec<u64>,
    indices: PyReadonlyArray1<'py, i32>,
    values: PyReadonlyArray1<'py, T>,
    n_cols: u32,
}

/// A matrix from Python: a `Matrix`, or a tuple (indptr i64, indices i32, values f32 or f64,
/// number of columns).
pub enum Operand<'py> {
    File(PyRef<'py, Matrix>),
    F32(Csr<'py, f32>),
    F64(Csr<'py, f64>),
}

/// The same without Python: what a thread can borrow.
pub struct View<'a> {
    pub source: Box<dyn Source + 'a>,
    pub ops: Vec<Op>,
}

type Parts<'py> = (
    PyReadonlyArray1<'py, i64>,
    PyReadonlyArray1<'py, i32>,
    Bound<'py, PyAny>,
    u32,
);

/// Takes a matrix from Python.
///
/// # Errors
/// `TypeError` for anything that is neither.
pub fn operand<'py>(object: &Bound<'py, PyAny>) -> PyResult<Operand<'py>> {
    if let Ok(matrix) = object.cast::<Matrix>() {
        return Ok(Operand::File(matrix.borrow()));
    }
    let (indptr, indices, values, n_cols): Parts<'py> = object.extract()?;
    // The check of the source refuses a row start that went below 0.
    let indptr: Vec<u64> = indptr.as_slice()?.iter().map(|&p| p as u64).collect();
    if let Ok(values) = values.extract::<PyReadonlyArray1<'py, f32>>() {
        return Ok(Operand::F32(Csr {
            indptr,
            indices,
            values,
            n_cols,
        }));
    }
    Ok(Operand::F64(Csr {
        indptr,
        indices,
        values: values.extract()?,
        n_cols,
    }))
}

impl<T: Element + MemValue> Csr<'_, T> {
    fn source(&self) -> PyResult<MemSource<'_, T>> {
        let indices: &[u32] = bytemuck::cast_slice(self.indices.as_slice()?);
        let source = MemSource::new(
            self.n_cols,
            self.indptr.as_slice(),
            indices,
            self.values.as_slice()?,
        );
        Ok(source.map_err(Failure::from)?)
    }
}

impl Operand<'_> {
    /// What a thread can borrow.
    ///
    /// # Errors
    /// `ValueError` where the arrays are no canonical CSR matrix of finite values, and for a lazy
    /// matrix whose columns were centred.
    pub fn view(&self) -> PyResult<View<'_>> {
        self.refuse_centred()?;
        self.shifted()
    }

    fn refuse_centred(&self) -> PyResult<()> {
        match self {
            Self::File(matrix) if matrix.is_centred() => Err(PyValueError::new_err(
                "this lazy matrix was scaled with zero_center=True, and only PCA folds such a matrix; \
                 call this before pp.scale, or give it a layer that was not scaled",
            )),
            _ => Ok(()),
        }
    }

    /// The same for a fold that gives the same when every row is shifted: PCA. Of a matrix whose
    /// columns were centred it sees the differences from what stands where there is no entry.
    ///
    /// # Errors
    /// `ValueError` where the arrays are no canonical CSR matrix of finite values.
    pub fn shifted(&self) -> PyResult<View<'_>> {
        Ok(match self {
            Self::File(matrix) => View {
                source: Box::new(matrix.touched()),
                ops: matrix.ops().to_vec(),
            },
            Self::F32(csr) => View {
                source: Box::new(csr.source()?),
                ops: Vec::new(),
            },
            Self::F64(csr) => View {
                source: Box::new(csr.source()?),
                ops: Vec::new(),
            },
        })
    }

    /// The same as one block: how a chunk of Dask's is folded.
    ///
    /// # Errors
    /// As [`Operand::view`].
    pub fn one_block(&self) -> PyResult<View<'_>> {
        self.refuse_centred()?;
        self.one_block_shifted()
    }

    /// As [`Operand::shifted`], as one block.
    ///
    /// # Errors
    /// As [`Operand::shifted`].
    pub fn one_block_shifted(&self) -> PyResult<View<'_>> {
        let one = |n_rows: u64| Grid::from_blocks(vec![0, n_rows]).map_err(Failure::from);
        let source: Box<dyn Source + '_> = match self {
            Self::File(_) => return self.shifted(),
            Self::F32(csr) => {
                let source = csr.source()?;
                let grid = one(source.n_rows())?;
                Box::new(source.with_grid(grid).map_err(Failure::from)?)
            }
            Self::F64(csr) => {
                let source = csr.source()?;
                let grid = one(source.n_rows())?;
                Box::new(source.with_grid(grid).map_err(Failure::from)?)
            }
        };
        Ok(View {
            source,
            ops: Vec::new(),
        })
    }
}
