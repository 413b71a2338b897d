//! Folds of someone else's chunks: each chunk is folded where it is, states travel as bytes.

use crate::enter::{Machine, detached, enter};
use crate::failure::Failure;
use crate::operand::operand;
use crate::pp::{Asked, columns, matrix};
use cellmill::pp::highly_variable_genes::{MomentsPlan, highly_variable_genes};
use cellmill_engine::linalg::{self, project};
use cellmill_engine::reduce::{CellTotals, GeneMoments, Gram};
use cellmill_engine::run;
use cellmill_engine::{Cancel, Context, Op};
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
            other => {
                return Err(PyValueError::new_err(format!(
                    "there is no reduction {other}"
                )));
            }
        }
    };
}

/// What happens to the entries of a chunk before the fold.
fn ops_of(name: &str, base: Option<f64>) -> Vec<Op> {
    match name {
        // A matrix that someone else made: the logarithm has to be undone.
        "moments" => MomentsPlan::new(&[], base).ops,
        // Gram and scores both read what the kept columns would hold.
        "gram" => vec![Op::RoundF32],
        _ => Vec::new(),
    }
}

/// Folds one chunk on the calling thread: the state as bytes. For `moments`, `base` is that of the
/// logarithm that is undone.
#[pyfunction]
#[pyo3(signature = (name, x, base=None))]
pub fn fold_chunk<'py>(
    py: Python<'py>,
    name: &str,
    x: &Bound<'py, PyAny>,
    base: Option<f64>,
) -> PyResult<Bound<'py, PyBytes>> {
    let x = operand(x)?;
    let view = x.one_block()?;
    let ops = ops_of(name, base);
    let n_cols = view.source.n_cols();
    let bytes = reduction!(name, n_cols, reduce => detached(py, move || {
        Ok(run::run_span(&*view.source, &ops, &reduce, 0, &Cancel::default())?)
    })?);
    Ok(PyBytes::new(py, &bytes))
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

/// Highly variable genes, from the state of all cells.
#[pyfunction]
pub fn read_moments<'py>(
    py: Python<'py>,
    n_cols: u32,
    state: &[u8],
    asked: Asked,
) -> PyResult<Bound<'py, PyDict>> {
    let found = detached(py, || {
        let moments = run::finish(&GeneMoments::new(n_cols), state)?;
        let moments = MomentsPlan::new(&[], asked.base()).finish(moments);
        let params = asked.params();
        Ok(highly_variable_genes(
            &moments.mean,
            &moments.variance,
            &params,
        )?)
    })?;
    columns(py, found)
}

/// Components from the Gram state of all cells: means, loadings, variance, ratio, cells.
#[pyfunction]
pub fn solve_gram<'py>(
    py: Python<'py>,
    machine: Machine,
    n_cols: u32,
    state: &[u8],
    n_comps: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let found = enter(py, machine, |ctx| {
        let gram = run::finish(&Gram::new(n_cols), state)?;
        Ok(linalg::pca(ctx, &gram, n_comps)?)
    })?;
    (
        PyArray1::from_vec(py, found.mean),
        matrix(py, found.loadings, n_comps)?,
        PyArray1::from_vec(py, found.variance),
        PyArray1::from_vec(py, found.variance_ratio),
        found.n,
    )
        .into_bound_py_any(py)
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
    let (k, n_comps) = (loadings.shape()[0], loadings.shape()[1]);
    let components = linalg::Pca {
        n: view.source.n_rows(),
        k,
        n_comps,
        mean: mean.as_slice()?.to_vec(),
        loadings: loadings.as_slice()?.to_vec(),
        variance: Vec::new(),
        variance_ratio: Vec::new(),
    };
    let scores = detached(py, move || {
        let ctx = Context::quiet(1)?;
        Ok(project(&ctx, &*view.source, &components)?.data)
    })?;
    matrix(py, scores, n_comps)
}
