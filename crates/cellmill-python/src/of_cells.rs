//! Folds that know something of each cell, span by span or chunk by chunk.

use crate::enter::detached;
use crate::operand::operand;
use crate::task::Task;
use cellmill::of_cells::OfCells;
use cellmill_engine::op::Pipeline;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A copy of an array that may have come in a message, where numbers may lie crooked.
pub fn upright<'py>(array: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    array.call_method1("copy", ("C",))
}

/// Of a fold over a matrix: the number of its spans, its columns, and the bytes that the fold of any
/// number of them takes.
pub fn size(
    what: &impl OfCells,
    py: Python<'_>,
    x: &Bound<'_, PyAny>,
) -> PyResult<(usize, u32, u64)> {
    let x = operand(x)?;
    let view = x.view()?;
    detached(py, || {
        let (source, ops) = (&*view.source, &view.ops);
        let pipeline = Pipeline::new(ops, source.n_rows(), source.n_cols())?;
        let bytes = what.span_bytes(source, ops)?;
        Ok((source.grid().n_spans(), pipeline.n_cols(), bytes))
    })
}

/// The state of the spans from one to another, or of a chunk, on the calling thread.
pub fn of_spans<'py>(
    what: &impl OfCells,
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    spans: (usize, usize),
    task: &Task,
) -> PyResult<Bound<'py, PyBytes>> {
    let x = operand(x)?;
    let view = x.one_block()?;
    let cancel = task.flag();
    let bytes = detached(py, || {
        let (source, ops) = (&*view.source, &view.ops);
        Ok(what.of_spans(source, ops, spans.0..spans.1, &cancel)?)
    })?;
    Ok(PyBytes::new(py, &bytes))
}

/// Merges two neighbouring states; `left` holds the earlier rows.
pub fn merge<'py>(
    what: &impl OfCells,
    py: Python<'py>,
    n_cols: u32,
    left: &[u8],
    right: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = detached(py, || Ok(what.merge(n_cols, left, right)?))?;
    Ok(PyBytes::new(py, &bytes))
}
