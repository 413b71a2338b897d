//! The kept columns of one span or chunk, as a value of a cluster's worker.

use crate::enter::detached;
use crate::fold::components;
use crate::operand::operand;
use crate::pp::matrix;
use crate::task::{Task, context};
use cellmill_engine::keep::{KeptColumns, Precision};
use cellmill_engine::linalg::project;
use cellmill_engine::op::Pipeline;
use cellmill_engine::reduce::Gram;
use cellmill_engine::{Context, Error, Op, Reduce, Source, run};
use numpy::{PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// The `columns` (`None`: all) of span `span` of a matrix, or of a whole chunk, as bytes.
#[pyfunction]
#[pyo3(signature = (task, x, columns=None, span=0))]
pub fn keep_chunk<'py>(
    py: Python<'py>,
    task: PyRef<'py, Task>,
    x: &Bound<'py, PyAny>,
    columns: Option<Vec<u32>>,
    span: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let x = operand(x)?;
    let view = x.one_block_shifted()?;
    let (cancel, budget) = (task.flag(), task.budget());
    let bytes = detached(py, move || {
        let ctx = context(&cancel, budget)?;
        let source = &*view.source;
        let mut ops = view.ops;
        ops.extend(columns.map(|genes| Op::SelectGenes { genes }));
        let width = Pipeline::new(&ops, source.n_rows(), source.n_cols())?.n_cols();
        let _held = ctx
            .budget()
            .reserve(source.reader_bytes(), "reading a span of the matrix")?;
        let kept = KeptColumns::new(&ctx, source.grid(), width, Precision::F32);
        let part = run::keep_span(source, &ops, &kept, span, ctx.cancel())?;
        Ok(kept.part_to_bytes(part)?)
    })?;
    Ok(PyBytes::new(py, &bytes))
}

/// The Gram state of the kept columns of consecutive spans, all of the same number of columns.
#[pyfunction]
pub fn fold_kept<'py>(
    py: Python<'py>,
    task: PyRef<'py, Task>,
    n_cols: u32,
    kept: Vec<PyBackedBytes>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (cancel, budget) = (task.flag(), task.budget());
    let bytes = detached(py, move || {
        let ctx = context(&cancel, budget)?;
        Ok(folded(&ctx, &kept, &Gram::new(n_cols))?)
    })?;
    Ok(PyBytes::new(py, &bytes))
}

/// The state of the kept columns of consecutive spans, or of a chunk, in its wire form.
///
/// # Errors
/// When the bytes are none, or the fold does not fit the budget.
pub fn folded<R: Reduce>(
    ctx: &Context,
    kept: &[PyBackedBytes],
    reduce: &R,
) -> Result<Vec<u8>, Error> {
    // One state grows, one is merged, and one waits on each level of the tree.
    let states = 2 + u64::from(kept.len().max(1).ilog2());
    let bytes = states * reduce.state_bytes(0) + reduce.fold_bytes();
    let _held = ctx.budget().reserve(bytes, "a fold of kept columns")?;
    let states = kept.iter().map(|part| {
        let part = KeptColumns::from_part(ctx, part)?;
        if part.grid().n_spans() == 0 {
            return Ok(reduce.start());
        }
        let bytes = part.reader_bytes();
        let _held = ctx
            .budget()
            .reserve(bytes, "reading the columns of a span")?;
        run::span_state(&part, &[], reduce, 0, ctx.cancel())
    });
    reduce.to_bytes(&run::merge_states(reduce, states)?)
}

/// The scores of kept columns.
#[pyfunction]
pub fn project_kept<'py>(
    py: Python<'py>,
    task: PyRef<'py, Task>,
    kept: &[u8],
    mean: PyReadonlyArray1<'py, f64>,
    loadings: PyReadonlyArray2<'py, f64>,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let components = components(&mean, &loadings)?;
    let n_comps = components.n_comps;
    let (cancel, budget) = (task.flag(), task.budget());
    let scores = detached(py, move || {
        let ctx = context(&cancel, budget)?;
        let kept = KeptColumns::from_part(&ctx, kept)?;
        Ok(project(&ctx, &kept, &components)?.data)
    })?;
    matrix(py, scores, n_comps)
}
