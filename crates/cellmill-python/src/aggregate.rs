//! `cellmill.get.aggregate`: groups in, genes of groups out.

use crate::enter::{Machine, detached, enter};
use crate::of_cells;
use crate::operand::operand;
use crate::pp::matrix;
use crate::task::Task;
use cellmill::get::aggregate;
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// Which cells are taken together: the group of each row (2^32 - 1 for none), and the degrees of
/// freedom of the variance where one is wanted.
#[pyclass(frozen, module = "cellmill._native")]
pub struct Aggregation(aggregate::Aggregation);

/// `sum`, `count_nonzero`, `mean` and, where asked for, `var`: groups x genes.
fn arrays<'py>(
    py: Python<'py>,
    found: aggregate::Aggregated,
    n_groups: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let n_genes = found.sum.len() / n_groups.max(1);
    let dict = PyDict::new(py);
    dict.set_item("sum", matrix(py, found.sum, n_genes)?)?;
    dict.set_item("count_nonzero", matrix(py, found.n_nonzero, n_genes)?)?;
    dict.set_item("mean", matrix(py, found.mean, n_genes)?)?;
    if let Some(variance) = found.variance {
        dict.set_item("var", matrix(py, variance, n_genes)?)?;
    }
    Ok(dict)
}

#[pymethods]
impl Aggregation {
    #[new]
    #[pyo3(signature = (n_groups, ids, dof=None))]
    fn new(n_groups: usize, ids: &Bound<'_, PyAny>, dof: Option<u32>) -> PyResult<Self> {
        if n_groups == 0 {
            return Err(PyValueError::new_err("there is no group of cells"));
        }
        let ids: PyReadonlyArray1<'_, u32> = of_cells::upright(ids)?.extract()?;
        let ids = ids.as_slice()?.to_vec();
        Ok(Self(aggregate::Aggregation::new(n_groups, ids, dof)))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Parts<'py>)> {
        let ids = PyArray1::from_slice(py, self.0.ids());
        Ok((
            py.get_type::<Self>().into_any(),
            (self.0.n_groups(), ids, self.0.dof()),
        ))
    }

    /// The same for the rows from `start` to `end` only.
    fn rows(&self, start: usize, end: usize) -> PyResult<Self> {
        let ids = self.0.ids().get(start..end).ok_or_else(|| {
            PyValueError::new_err(format!(
                "rows {start} to {end} are not among those of {} groups",
                self.0.ids().len()
            ))
        })?;
        let (n_groups, dof) = (self.0.n_groups(), self.0.dof());
        let part = aggregate::Aggregation::new(n_groups, ids.to_vec(), dof);
        Ok(Self(part))
    }

    /// One read of a matrix.
    fn of_matrix<'py>(
        &self,
        py: Python<'py>,
        machine: Machine,
        x: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let x = operand(x)?;
        let view = x.view()?;
        let found = enter(py, machine, |ctx| {
            Ok(self.0.of_matrix(ctx, &*view.source, &view.ops)?)
        })?;
        arrays(py, found, self.0.n_groups())
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

    /// The result, from the state of all cells.
    fn finish<'py>(
        &self,
        py: Python<'py>,
        n_cols: u32,
        state: &[u8],
    ) -> PyResult<Bound<'py, PyDict>> {
        let found = detached(py, || Ok(self.0.finish(n_cols, state)?))?;
        arrays(py, found, self.0.n_groups())
    }
}

type Parts<'py> = (usize, Bound<'py, PyArray1<u32>>, Option<u32>);
