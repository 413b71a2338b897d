//! Folds of someone else's chunks: each chunk is folded where it is, states travel as bytes.

use crate::enter::{Machine, detached, enter};
use crate::failure::Failure;
use crate::matrix::Matrix;
use crate::operand::{View, operand};
use crate::pp::{Asked, columns, matrix};
use crate::task::Task;
use cellmill::pp::highly_variable_genes::{MomentsPlan, highly_variable_genes};
use cellmill_engine::keep::{KeptColumns, Precision};
use cellmill_engine::linalg::{self, project};
use cellmill_engine::op::Pipeline;
use cellmill_engine::reduce::{CellTotals, GeneMoments, Gram};
use cellmill_engine::run;
use cellmill_engine::{Cancel, Context, Op, Reduce};
use numpy::{PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// A reduction by name, for a matrix of so many columns; calls `with` with it.
macro_rules! reduction {
    ($name:expr, $n_cols:expr, $reduce:ident => $with:expr) => {
        match $name {
            "totals" => {
                let $reduce = CellTotals;
                $with
            }
            "moments" => {
                let $reduce = GeneMoments::new($n_cols);
                $with
            }
            "gram" => {
                let $reduce = Gram::new($n_cols);
                $with
            }
            "run" => {
                let $reduce = cellmill::run::counts_reduction($n_cols).map_err(Failure::from)?;
                $with
            }
            other => {
                return Err(PyValueError::new_err(format!(
                    "there is no reduction {other}"
                )));
            }
        }
    };
}

/// What happens to the entries before the fold, after the matrix's own `ops`.
fn ops_of(name: &str, ops: &[Op], base: Option<f64>) -> Vec<Op> {
    match name {
        // The logarithm is not taken; of a matrix that someone else made it has to be undone.
        "moments" => MomentsPlan::new(ops, base).ops,
        // Gram and scores both read what the kept columns would hold.
        "gram" => ops.iter().cloned().chain([Op::RoundF32]).collect(),
        _ => ops.to_vec(),
    }
}

/// Folds one chunk, or span `span` of a matrix of a file, on the calling thread: the state as bytes.
/// For `moments`, `base` is that of the logarithm that is undone.
#[pyfunction]
#[pyo3(signature = (name, x, base=None, span=0, task=None))]
pub fn fold_chunk<'py>(
    py: Python<'py>,
    name: &str,
    x: &Bound<'py, PyAny>,
    base: Option<f64>,
    span: usize,
    task: Option<PyRef<'py, Task>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let x = operand(x)?;
    let view = x.one_block()?;
    let ops = ops_of(name, &view.ops, base);
    let n_cols = width(&view, &ops)?;
    let cancel = task.map_or_else(Cancel::default, |task| task.flag());
    let bytes = reduction!(name, n_cols, reduce => detached(py, move || {
        Ok(run::run_span(&*view.source, &ops, &reduce, span, &cancel)?)
    })?);
    Ok(PyBytes::new(py, &bytes))
}

/// Of a fold over a matrix: the number of its states, the columns of a state, and the bytes that
/// the fold of one of them takes. For `kept`, `columns` says how many are kept.
#[pyfunction]
#[pyo3(signature = (name, x, base=None, columns=None))]
pub fn fold_size(
    name: &str,
    x: &Bound<'_, PyAny>,
    base: Option<f64>,
    columns: Option<u32>,
) -> PyResult<(usize, u32, u64)> {
    let x = operand(x)?;
    let view = if name == "kept" {
        x.shifted()?
    } else {
        x.view()?
    };
    let source = &*view.source;
    let ops = ops_of(name, &view.ops, base);
    let n_cols = columns.map_or_else(|| width(&view, &ops), Ok)?;
    let n_spans = source.grid().n_spans();
    if name == "kept" {
        let ctx = Context::quiet(1).map_err(Failure::from)?;
        let sink = KeptColumns::with_memory(&ctx, source.grid(), n_cols, Precision::F32, 0);
        let gram = Gram::new(n_cols);
        let keep = run::smallest_stage(source, &ops, &(), &sink).map_err(Failure::from)?;
        let fold = 3 * gram.state_bytes(0) + gram.fold_bytes();
        return Ok((n_spans, n_cols, keep.max(fold)));
    }
    let bytes = reduction!(name, n_cols, reduce => {
        run::smallest_stage(source, &ops, &reduce, &()).map_err(Failure::from)?
    });
    Ok((n_spans, n_cols, bytes))
}

fn width(view: &View<'_>, ops: &[Op]) -> PyResult<u32> {
    let pipeline = Pipeline::new(ops, view.source.n_rows(), view.source.n_cols());
    Ok(pipeline.map_err(Failure::from)?.n_cols())
}

/// Merges two neighbouring states; `left` holds the earlier rows.
#[pyfunction]
pub fn merge_states<'py>(
    py: Python<'py>,
    name: &str,
    n_cols: u32,
    left: &[u8],
    right: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = reduction!(name, n_cols, reduce => detached(py, move || {
        Ok(run::merge(&reduce, left, right)?)
    })?);
    Ok(PyBytes::new(py, &bytes))
}

/// The merges of so many states: (left, right, node), in an order that can be executed.
#[pyfunction]
pub fn merge_tree(n_states: usize) -> Vec<(usize, usize, usize)> {
    let joins = run::merge_tree(n_states);
    joins.iter().map(|j| (j.left, j.right, j.node)).collect()
}

/// The total of each cell, from the state of all.
#[pyfunction]
pub fn read_totals<'py>(py: Python<'py>, state: &[u8]) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let found = run::finish(&CellTotals, state).map_err(Failure::from)?;
    Ok(PyArray1::from_vec(py, found.total))
}

/// Highly variable genes, from the state of all cells; `x` is the matrix where it is one of a file.
#[pyfunction]
#[pyo3(signature = (n_cols, state, asked, x=None))]
pub fn read_moments<'py>(
    py: Python<'py>,
    n_cols: u32,
    state: &[u8],
    asked: Asked,
    x: Option<PyRef<'py, Matrix>>,
) -> PyResult<Bound<'py, PyDict>> {
    let ops = x.map_or_else(Vec::new, |x| x.ops().to_vec());
    let found = detached(py, || {
        let moments = run::finish(&GeneMoments::new(n_cols), state)?;
        let moments = MomentsPlan::new(&ops, asked.base()).finish(moments);
        let params = asked.params();
        Ok(highly_variable_genes(
            &moments.mean,
            &moments.variance,
            &params,
        )?)
    })?;
    columns(py, found)
}

/// Components for Python: means, loadings, variance, ratio.
pub fn solved<'py>(py: Python<'py>, found: linalg::Pca) -> PyResult<Bound<'py, PyAny>> {
    (
        PyArray1::from_vec(py, found.mean),
        matrix(py, found.loadings, found.n_comps)?,
        PyArray1::from_vec(py, found.variance),
        PyArray1::from_vec(py, found.variance_ratio),
    )
        .into_bound_py_any(py)
}

/// Components from the Gram state of all cells: means, loadings, variance, ratio.
#[pyfunction]
pub fn solve_gram<'py>(
    py: Python<'py>,
    machine: Machine,
    n_cols: u32,
    state: &[u8],
    n_comps: usize,
    zero_center: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let found = enter(py, machine, |ctx| {
        let gram = run::finish(&Gram::new(n_cols), state)?;
        Ok(linalg::pca(ctx, &gram, n_comps, zero_center)?)
    })?;
    solved(py, found)
}

/// The scores of one chunk, on the calling thread.
#[pyfunction]
pub fn project_chunk<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    mean: PyReadonlyArray1<'py, f64>,
    loadings: PyReadonlyArray2<'py, f64>,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let x = operand(x)?;
    let view = x.one_block()?;
    let components = components(&mean, &loadings)?;
    let n_comps = components.n_comps;
    let scores = detached(py, move || {
        let ctx = Context::quiet(1)?;
        Ok(project(&ctx, &*view.source, &components)?.data)
    })?;
    matrix(py, scores, n_comps)
}

/// What a projection needs of the components.
pub fn components(
    mean: &PyReadonlyArray1<'_, f64>,
    loadings: &PyReadonlyArray2<'_, f64>,
) -> PyResult<linalg::Pca> {
    Ok(linalg::Pca {
        n: 0,
        k: loadings.shape()[0],
        n_comps: loadings.shape()[1],
        mean: mean.as_slice()?.to_vec(),
        loadings: loadings.as_slice()?.to_vec(),
        variance: Vec::new(),
        variance_ratio: Vec::new(),
    })
}
