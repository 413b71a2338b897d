//! `cellmill.pp.regress_out`: regressors in, coefficients and residuals out.

use crate::enter::{Machine, detached, enter};
use crate::of_cells;
use crate::operand::operand;
use crate::pp::matrix;
use crate::task::Task;
use cellmill::pp::regress_out::{self as regress, Design};
use cellmill_engine::Values;
use numpy::{PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// What genes are regressed on: orthonormal numbers of the cells (cells x columns, f64), or the
/// category of each (cells x 1, u32; the number of categories for none).
#[pyclass(frozen, module = "cellmill._native")]
pub struct Regressors(regress::Regressors);

/// Numbers or categories as Python holds them; `n` is the number of categories.
fn regressors(
    cells: &Bound<'_, PyAny>,
    n: usize,
    full_rank: bool,
) -> PyResult<regress::Regressors> {
    if let Ok(ids) = cells.extract::<PyReadonlyArray2<'_, u32>>() {
        let ids = ids.as_slice()?.to_vec();
        return Ok(regress::Regressors::Categories { n, ids });
    }
    let numbers: PyReadonlyArray2<'_, f64> = cells.extract()?;
    Ok(regress::Regressors::Numbers(Design {
        numbers: numbers.as_slice()?.into(),
        n_columns: numbers.shape()[1],
        full_rank,
    }))
}

impl Regressors {
    fn n(&self) -> usize {
        match &self.0 {
            regress::Regressors::Categories { n, .. } => *n,
            regress::Regressors::Numbers(_) => 0,
        }
    }

    fn table<'py>(&self, py: Python<'py>, found: Vec<f64>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let rows = match &self.0 {
            regress::Regressors::Categories { n, .. } => n + 1,
            regress::Regressors::Numbers(design) => design.n_columns,
        };
        let n_genes = found.len() / rows.max(1);
        matrix(py, found, n_genes)
    }
}

#[pymethods]
impl Regressors {
    #[new]
    #[pyo3(signature = (cells, n=0, full_rank=true))]
    fn new(cells: &Bound<'_, PyAny>, n: usize, full_rank: bool) -> PyResult<Self> {
        Ok(Self(regressors(&of_cells::upright(cells)?, n, full_rank)?))
    }

    /// From columns of obs.
    #[staticmethod]
    fn of_numbers(
        py: Python<'_>,
        columns: Vec<PyReadonlyArray1<'_, f64>>,
        n_cells: usize,
    ) -> PyResult<Self> {
        let columns: Result<Vec<_>, _> = columns.iter().map(|c| c.as_slice()).collect();
        let columns = columns?;
        detached(py, || {
            let design = Design::new(&columns, n_cells)?;
            Ok(Self(regress::Regressors::Numbers(design)))
        })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Parts<'py>)> {
        let parts = (self.cells(py)?, self.n(), self.full_rank());
        Ok((py.get_type::<Self>().into_any(), parts))
    }

    /// What is known of the cells: cells x columns.
    #[getter]
    fn cells<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.0 {
            regress::Regressors::Categories { ids, .. } => {
                matrix(py, ids.clone(), 1)?.into_bound_py_any(py)
            }
            regress::Regressors::Numbers(design) => {
                matrix(py, design.numbers.to_vec(), design.n_columns)?.into_bound_py_any(py)
            }
        }
    }

    /// Whether these are numbers, none of which follows from others.
    #[getter]
    fn full_rank(&self) -> bool {
        matches!(&self.0, regress::Regressors::Numbers(design) if design.full_rank)
    }

    /// The same for the rows from `start` to `end` only.
    fn rows(&self, start: usize, end: usize) -> PyResult<Self> {
        let part = self.0.rows(start..end);
        Ok(Self(part.map_err(crate::failure::Failure::from)?))
    }

    /// Coefficients: one read of a matrix.
    fn of_matrix<'py>(
        &self,
        py: Python<'py>,
        machine: Machine,
        x: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let x = operand(x)?;
        let view = x.view()?;
        let found = enter(py, machine, |ctx| {
            Ok(self.0.of_matrix(ctx, &*view.source, &view.ops)?)
        })?;
        self.table(py, found)
    }

    /// Of a fold over a matrix: the number of its spans, its columns, and the bytes that the fold of
    /// any number of them takes.
    fn size(&self, py: Python<'_>, x: &Bound<'_, PyAny>) -> PyResult<(usize, u32, u64)> {
        of_cells::size(&self.0, py, x)
    }

    /// The state of the spans from one to another, or of a chunk, on the calling thread.
    fn of_spans<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        spans: (usize, usize),
        task: PyRef<'py, Task>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        of_cells::of_spans(&self.0, py, x, spans, &task)
    }

    /// Merges two neighbouring states; `left` holds the earlier rows.
    fn merge<'py>(
        &self,
        py: Python<'py>,
        n_cols: u32,
        left: &[u8],
        right: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        of_cells::merge(&self.0, py, n_cols, left, right)
    }

    /// Coefficients, from the state of all cells.
    fn finish<'py>(
        &self,
        py: Python<'py>,
        n_cols: u32,
        state: &[u8],
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let found = detached(py, || Ok(self.0.finish(n_cols, state)?))?;
        self.table(py, found)
    }
}

type Parts<'py> = (Bound<'py, PyAny>, usize, bool);

/// Residuals of a CSR matrix in memory, or of a chunk: all values, rows x columns, f32 where
/// `narrow`. `cells` are those of [`Regressors`], `table` its coefficients.
#[pyfunction]
#[pyo3(signature = (x, cells, table, narrow=false))]
pub fn residuals<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    cells: &Bound<'py, PyAny>,
    table: PyReadonlyArray2<'py, f64>,
    narrow: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let what = regressors(cells, table.shape()[0].saturating_sub(1), true)?;
    let width = table.shape()[1];
    let table = table.as_slice()?;
    let x = operand(x)?;
    let view = x.view()?;
    let found = detached(py, || Ok(what.residuals(&*view.source, table, narrow)?))?;
    match found {
        Values::F32(v) => matrix(py, v, width)?.into_bound_py_any(py),
        Values::F64(v) => matrix(py, v, width)?.into_bound_py_any(py),
    }
}
