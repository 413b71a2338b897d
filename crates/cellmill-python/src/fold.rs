//! Folds of someone else's chunks: each chunk is folded where it is, states travel as bytes.

use crate::enter::{Machine, detached, enter};
use crate::failure::Failure;
use crate::matrix::Matrix;
use crate::operand::{View, operand};
use crate::pp::{Asked, columns, matrix};
use crate::task::Task;
use cellmill::pp::highly_variable_genes::{
    Flavor, Labels, MomentsPlan, SecondRead, by_dispersion, finish, first_read, second_read,
};
use cellmill_engine::keep::{KeptColumns, Precision};
use cellmill_engine::linalg::{self, BlockKrylov, MOST_GRAM, project};
use cellmill_engine::op::Pipeline;
use cellmill_engine::reduce::{CellTotals, Gram, GroupMoments, GroupSums, Groups, HighlyExpressed};
use cellmill_engine::run;
use cellmill_engine::{Context, Op, Reduce};
use numpy::{PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// What folds need beside the matrix, most of them for highly variable genes.
#[derive(FromPyObject)]
pub struct Genes {
    #[pyo3(default)]
    flavor: String,
    /// The base of the logarithm that `seurat` undoes.
    #[pyo3(default)]
    base: Option<f64>,
    /// The number of batches; `None`: there are none.
    n_groups: Option<usize>,
    /// The batch of each cell of the chunk, or of the matrix of a file.
    #[pyo3(default)]
    groups: Vec<u32>,
    /// For `sums`: what [`hvg_second_read`] gave.
    #[pyo3(default)]
    second: Vec<u8>,
    /// For `highly_expressed`.
    #[pyo3(default)]
    max_fraction: f64,
}

impl Genes {
    /// The batches of the cells of a matrix; of no cell, where states are merged.
    fn groups(&self, of: Option<&View<'_>>) -> Result<Groups, Failure> {
        Ok(match (self.n_groups, of) {
            (None, _) => Groups::whole(),
            (Some(n), None) => Groups::new(n, Vec::new())?,
            (Some(n), Some(view)) => {
                let groups = Groups::new(n, self.groups.clone())?;
                groups.behind(&view.ops, view.source.n_rows())?
            }
        })
    }

    fn sums(&self, n_cols: u32, of: Option<&View<'_>>) -> Result<GroupSums, Failure> {
        let second = SecondRead::from_bytes(&self.second)?;
        Ok(GroupSums::new(n_cols, self.groups(of)?, second.term)?)
    }
}

/// A reduction by name, for a matrix (or states of one) of so many columns; calls `with` with it.
macro_rules! reduction {
    ($name:expr, $n_cols:expr, $genes:expr, $of:expr, $reduce:ident => $with:expr) => {
        match ($name, &$genes) {
            ("totals", _) => {
                let $reduce = CellTotals;
                $with
            }
            ("gram", _) => {
                let $reduce = Gram::new($n_cols);
                $with
            }
            ("moments", Some(genes)) => {
                let $reduce = GroupMoments::new($n_cols, genes.groups($of)?);
                $with
            }
            ("counts", Some(genes)) => {
                let $reduce = first_read($n_cols, genes.groups($of)?).map_err(Failure::from)?;
                $with
            }
            ("sums", Some(genes)) => {
                let $reduce = genes.sums($n_cols, $of)?;
                $with
            }
            ("highly_expressed", Some(genes)) => {
                let $reduce =
                    HighlyExpressed::new($n_cols, genes.max_fraction).map_err(Failure::from)?;
                $with
            }
            ("run", _) => {
                let $reduce = cellmill::run::counts_reduction($n_cols).map_err(Failure::from)?;
                $with
            }
            (other, _) => {
                return Err(PyValueError::new_err(format!(
                    "there is no reduction {other}"
                )));
            }
        }
    };
}

/// What happens to the entries before the fold, after the matrix's own `ops`.
fn ops_of(name: &str, ops: &[Op], genes: Option<&Genes>) -> Result<Vec<Op>, Failure> {
    Ok(match (name, genes) {
        // seurat undoes the logarithm; of a lazy matrix it is not taken.
        ("moments", Some(genes)) => {
            MomentsPlan::new(ops, Flavor::parse(&genes.flavor)?, genes.base).ops
        }
        // Gram and scores both read what the kept columns would hold.
        ("gram", _) => ops.iter().cloned().chain([Op::RoundF32]).collect(),
        _ => ops.to_vec(),
    })
}

/// Folds one chunk, or the spans from one to another of a matrix of a file, on the calling thread: the
/// state as bytes. `moments`, `counts` and `sums` need `genes`.
#[pyfunction]
pub fn fold_chunk<'py>(
    py: Python<'py>,
    name: &str,
    x: &Bound<'py, PyAny>,
    genes: Option<Genes>,
    spans: (usize, usize),
    task: PyRef<'py, Task>,
) -> PyResult<Bound<'py, PyBytes>> {
    let x = operand(x)?;
    let view = x.one_block()?;
    let ops = ops_of(name, &view.ops, genes.as_ref())?;
    let n_cols = width(&view, &ops)?;
    let cancel = task.flag();
    let bytes = reduction!(name, n_cols, genes, Some(&view), reduce => detached(py, move || {
        Ok(run::run_spans(&*view.source, &ops, &reduce, spans.0..spans.1, &cancel)?)
    })?);
    Ok(PyBytes::new(py, &bytes))
}

/// Of a fold over a matrix: the number of its states, the columns of a state, and the bytes that
/// the fold of any number of them takes. For `kept`, `columns` says how many are kept, and `spans` how
/// many spans are folded together.
#[pyfunction]
#[pyo3(signature = (name, x, genes=None, columns=None, spans=1))]
pub fn fold_size(
    name: &str,
    x: &Bound<'_, PyAny>,
    genes: Option<Genes>,
    columns: Option<u32>,
    spans: usize,
) -> PyResult<(usize, u32, u64)> {
    let x = operand(x)?;
    let view = if name == "kept" {
        x.shifted()?
    } else {
        x.view()?
    };
    let source = &*view.source;
    let ops = ops_of(name, &view.ops, genes.as_ref())?;
    let n_cols = columns.map_or_else(|| width(&view, &ops), Ok)?;
    let n_spans = source.grid().n_spans();
    if name == "kept" {
        let ctx = Context::quiet(1).map_err(Failure::from)?;
        let sink = KeptColumns::with_memory(&ctx, source.grid(), n_cols, Precision::F32, 0);
        let keep = run::smallest_stage(source, &ops, &(), &sink).map_err(Failure::from)?;
        // Of a group of spans, a state waits on each level of the tree.
        let states = 3 + u64::from(spans.max(1).ilog2());
        let fold = if n_cols > MOST_GRAM {
            states * BlockKrylov::state_bytes(n_cols.into(), u32::MAX.into())
        } else {
            let gram = Gram::new(n_cols);
            states * gram.state_bytes(0) + gram.fold_bytes()
        };
        return Ok((n_spans, n_cols, keep.max(fold)));
    }
    let bytes = reduction!(name, n_cols, genes, Some(&view), reduce => {
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
#[pyo3(signature = (name, n_cols, left, right, genes=None))]
pub fn merge_states<'py>(
    py: Python<'py>,
    name: &str,
    n_cols: u32,
    left: &[u8],
    right: &[u8],
    genes: Option<Genes>,
) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = reduction!(name, n_cols, genes, None, reduce => detached(py, move || {
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

/// Whether each gene is highly expressed, from the state of all cells.
#[pyfunction]
pub fn read_highly_expressed(
    py: Python<'_>,
    n_cols: u32,
    state: &[u8],
) -> PyResult<Py<PyArray1<bool>>> {
    let reduce = HighlyExpressed::new(n_cols, 0.0).map_err(Failure::from)?;
    let found = run::finish(&reduce, state).map_err(Failure::from)?;
    Ok(PyArray1::from_vec(py, found).unbind())
}

/// Highly variable genes by dispersion, from the state of all cells; `x` is the matrix where it is one of a file.
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
        let params = asked.params()?;
        let labels = asked.labels(&[], None)?;
        let moments = run::finish(&GroupMoments::new(n_cols, labels.groups.clone()), state)?;
        let plan = MomentsPlan::new(&ops, params.flavor, asked.base());
        Ok(by_dispersion(&plan.finish(moments), &labels, &params)?)
    })?;
    columns(py, found)
}

/// What `sums` has to sum, from the state of `counts`, in a form that travels.
#[pyfunction]
pub fn hvg_second_read<'py>(
    py: Python<'py>,
    machine: Machine,
    n_cols: u32,
    counts: &[u8],
    asked: Asked,
) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = enter(py, machine, |ctx| {
        let labels = asked.labels(&[], None)?;
        let (first, _) = run::finish(&first_read(n_cols, labels.groups.clone())?, counts)?;
        Ok(second_read(ctx, &first, &labels, &asked.params()?)?.to_bytes()?)
    })?;
    Ok(PyBytes::new(py, &bytes))
}

/// Highly variable genes of flavours of counts, from the states of both passes.
#[pyfunction]
pub fn read_sums<'py>(
    py: Python<'py>,
    machine: Machine,
    n_cols: u32,
    counts: &[u8],
    second: &[u8],
    sums: &[u8],
    asked: Asked,
) -> PyResult<Bound<'py, PyDict>> {
    let found = enter(py, machine, |ctx| {
        let labels = asked.labels(&[], None)?;
        let (first, _) = run::finish(&first_read(n_cols, labels.groups.clone())?, counts)?;
        let second = SecondRead::from_bytes(second)?;
        let reduce = GroupSums::new(n_cols, labels.groups.clone(), second.term.clone())?;
        let sums = run::finish(&reduce, sums)?;
        Ok(finish(
            ctx,
            &first,
            &second,
            &sums,
            &labels,
            &asked.params()?,
        )?)
    })?;
    columns(py, found)
}

/// The batch of each cell among those that have cells, as folds number them.
#[pyfunction]
pub fn hvg_groups<'py>(
    py: Python<'py>,
    codes: Vec<i64>,
    names: Vec<String>,
) -> PyResult<(usize, Bound<'py, PyArray1<u32>>)> {
    let labels = Labels::default()
        .with_batches(&codes, &names, &[], codes.len() as u64)
        .map_err(Failure::from)?;
    let ids = labels.groups.ids(codes.len() as u64);
    Ok((labels.groups.len(), PyArray1::from_vec(py, ids)))
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
