//! Quality control: the numbers of cells and genes, in one read or chunk by chunk.

use crate::enter::{Machine, detached, enter};
use crate::failure::{Failure, bug};
use crate::operand::operand;
use crate::task::Task;
use cellmill::pp::calculate_qc_metrics::{QcParams, SumDtype, of_matrix};
use cellmill_engine::reduce::Metrics;
use cellmill_engine::run;
use cellmill_io::{ArrayData, Column};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// What the user asked of calculate_qc_metrics, or of a filter.
#[derive(FromPyObject)]
pub struct Asked {
    expr_type: String,
    var_type: String,
    qc_vars: Vec<(String, Vec<u32>)>,
    percent_top: Vec<u32>,
    log1p: bool,
    dtype: String,
    positive: bool,
}

impl Asked {
    fn params(&self) -> QcParams {
        QcParams {
            expr_type: self.expr_type.clone(),
            var_type: self.var_type.clone(),
            qc_vars: self.qc_vars.clone(),
            percent_top: self.percent_top.clone(),
            log1p: self.log1p,
            positive: self.positive,
            dtype: SumDtype::of(&self.dtype),
        }
    }
}

/// Columns by name, in order.
fn frame<'py>(py: Python<'py>, columns: Vec<(String, Column)>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, column) in columns {
        let array = match column {
            Column::Plain(ArrayData::F32(v)) => PyArray1::from_vec(py, v).into_any(),
            Column::Plain(ArrayData::F64(v)) => PyArray1::from_vec(py, v).into_any(),
            Column::Plain(ArrayData::I32(v)) => PyArray1::from_vec(py, v).into_any(),
            Column::Plain(ArrayData::I64(v)) => PyArray1::from_vec(py, v).into_any(),
            Column::Plain(ArrayData::U64(v)) => PyArray1::from_vec(py, v).into_any(),
            _ => {
                return Err(bug("a column of quality control is not of numbers"));
            }
        };
        dict.set_item(name, array)?;
    }
    Ok(dict)
}

type Frames<'py> = (Bound<'py, PyDict>, Bound<'py, PyDict>);

fn frames<'py>(py: Python<'py>, params: &QcParams, found: &Metrics) -> PyResult<Frames<'py>> {
    Ok((frame(py, params.obs(found))?, frame(py, params.var(found))?))
}

/// The columns of obs and of var: one read.
#[pyfunction]
pub fn quality<'py>(
    py: Python<'py>,
    machine: Machine,
    x: &Bound<'py, PyAny>,
    asked: Asked,
) -> PyResult<Frames<'py>> {
    let x = operand(x)?;
    let view = x.view()?;
    let params = asked.params();
    let found = enter(py, machine, |ctx| {
        Ok(of_matrix(ctx, &*view.source, &view.ops, &params)?)
    })?;
    frames(py, &params, &found)
}

/// Folds one chunk on the calling thread: the state as bytes.
#[pyfunction]
pub fn quality_chunk<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    asked: Asked,
    task: PyRef<'py, Task>,
) -> PyResult<Bound<'py, PyBytes>> {
    let x = operand(x)?;
    let view = x.one_block()?;
    let cancel = task.flag();
    let bytes = detached(py, move || {
        let reduce = asked.params().reduction(view.source.n_cols())?;
        Ok(run::run_span(
            &*view.source,
            &view.ops,
            &reduce,
            0,
            &cancel,
        )?)
    })?;
    Ok(PyBytes::new(py, &bytes))
}

/// Merges two neighbouring states; `left` holds the earlier rows.
#[pyfunction]
pub fn quality_merge<'py>(
    py: Python<'py>,
    n_cols: u32,
    asked: Asked,
    left: &[u8],
    right: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = detached(py, move || {
        let reduce = asked.params().reduction(n_cols)?;
        Ok(run::merge(&reduce, left, right)?)
    })?;
    Ok(PyBytes::new(py, &bytes))
}

/// The columns of obs and of var, from the state of all cells.
#[pyfunction]
pub fn quality_frames<'py>(
    py: Python<'py>,
    n_cols: u32,
    asked: Asked,
    state: &[u8],
) -> PyResult<Frames<'py>> {
    let params = asked.params();
    let found = params
        .reduction(n_cols)
        .map_err(Failure::from)
        .and_then(|reduce| run::finish(&reduce, state).map_err(Failure::from))?;
    frames(py, &params, &found)
}
