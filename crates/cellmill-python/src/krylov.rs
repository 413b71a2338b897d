//! Block Krylov whose passes are folds of tasks.

use crate::enter::{Machine, detached, enter};
use crate::failure::Failure;
use crate::fold::solved;
use crate::kept::folded;
use crate::operand::operand;
use crate::task::{Task, context};
use cellmill_engine::linalg::{self, MOST_GRAM, Pass};
use cellmill_engine::{Cancel, Error, Op, run};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// Whether the components of so many genes are found through their Gram matrix.
#[pyfunction]
pub fn pca_makes_gram(n_genes: u32) -> bool {
    n_genes <= MOST_GRAM
}

/// Components of many genes, between the passes.
#[pyclass(module = "cellmill._native")]
pub struct BlockKrylov(linalg::BlockKrylov);

#[pymethods]
impl BlockKrylov {
    /// Of a matrix of `n_cols` genes.
    #[new]
    fn new(
        py: Python<'_>,
        machine: Machine,
        n_cols: u32,
        n_comps: usize,
        zero_center: bool,
    ) -> PyResult<Self> {
        enter(py, machine, |ctx| {
            Ok(Self(linalg::BlockKrylov::new(
                ctx,
                n_cols,
                n_comps,
                zero_center,
            )?))
        })
    }

    /// What the next pass folds, as bytes.
    fn next_pass<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = detached(py, || {
            let pass = self.0.pass()?;
            Ok(postcard::to_stdvec(&pass).map_err(wire)?)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Takes the state of a pass over all cells. Means, loadings, variance, ratio; `None` where
    /// another pass is needed.
    fn advance<'py>(
        &mut self,
        py: Python<'py>,
        machine: Machine,
        state: &[u8],
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let solver = &mut self.0;
        let found = enter(py, machine, |ctx| {
            let found = run::finish(&solver.pass()?, state)?;
            Ok(solver.advance(ctx, found)?)
        })?;
        found.map(|found| solved(py, found)).transpose()
    }
}

fn wire(e: postcard::Error) -> Error {
    Error::Wire {
        what: "pass",
        reason: e.to_string(),
    }
}

fn read(step: &[u8]) -> Result<Pass, Failure> {
    Ok(postcard::from_bytes(step).map_err(wire)?)
}

/// The state of a pass over the kept columns of consecutive spans.
#[pyfunction]
pub fn pass_kept<'py>(
    py: Python<'py>,
    task: PyRef<'py, Task>,
    kept: Vec<PyBackedBytes>,
    step: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let (cancel, budget) = (task.flag(), task.budget());
    let bytes = detached(py, move || {
        let ctx = context(&cancel, budget)?;
        Ok(folded(&ctx, &kept, &read(step)?)?)
    })?;
    Ok(PyBytes::new(py, &bytes))
}

/// The state of a pass over a chunk that someone else made, on the calling thread.
#[pyfunction]
pub fn pass_chunk<'py>(
    py: Python<'py>,
    task: PyRef<'py, Task>,
    x: &Bound<'py, PyAny>,
    step: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let x = operand(x)?;
    let view = x.one_block()?;
    let cancel: Cancel = task.flag();
    let bytes = detached(py, move || {
        // What kept columns would hold.
        Ok(run::run_span(
            &*view.source,
            &[Op::RoundF32],
            &read(step)?,
            0,
            &cancel,
        )?)
    })?;
    Ok(PyBytes::new(py, &bytes))
}

/// The state of two neighbours; `left` holds the earlier rows.
#[pyfunction]
pub fn merge_passes<'py>(
    py: Python<'py>,
    step: &[u8],
    left: &[u8],
    right: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = detached(py, move || Ok(run::merge(&read(step)?, left, right)?))?;
    Ok(PyBytes::new(py, &bytes))
}
