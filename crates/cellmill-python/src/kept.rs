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
use cellmill_engine::{Op, Reduce, Source, run};
use numpy::{PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
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

/// The Gram state of kept columns.
#[pyfunction]
pub fn fold_kept<'py>(
    py: Python<'py>,
    task: PyRef<'py, Task>,
    kept: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let (cancel, budget) = (task.flag(), task.budget());
    let bytes = detached(py, move || {
        let ctx = context(&cancel, budget)?;
        let kept = KeptColumns::from_part(&ctx, kept)?;
        let gram = Gram::new(kept.n_cols());
        if kept.grid().n_spans() == 0 {
            return Ok(gram.to_bytes(&gram.start())?);
        }
        let _held = ctx.budget().reserve(
            gram.state_bytes(0) + gram.fold_bytes() + kept.reader_bytes(),
            "the Gram matrix of a span",
        )?;
        Ok(run::run_span(&kept, &[], &gram, 0, ctx.cancel())?)
    })?;
    Ok(PyBytes::new(py, &bytes))
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
