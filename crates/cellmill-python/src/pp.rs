//! `cellmill.pp`: arrays in, arrays out.

use crate::enter::{Machine, detached, enter};
use crate::failure::{Failure, bug};
use crate::fold::solved;
use crate::operand::operand;
use cellmill::params::{Metric, RunParams};
use cellmill::pp;
use cellmill::pp::highly_variable_genes::{Flavor, HighlyVariable, HvgParams, Labels, Selection};
use cellmill_engine::op::{Draw, ScaleGenes};
use cellmill_engine::{Op, Values};
use cellmill_graph::fuzzy::fuzzy_simplicial_set;
use cellmill_graph::{KnnGraph, Points, WeightedGraph, knn};
use cellmill_io::ArrayData;
use numpy::{
    PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods,
};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A row-major matrix as a numpy array.
pub fn matrix<'py, T: numpy::Element>(
    py: Python<'py>,
    data: Vec<T>,
    n_cols: usize,
) -> PyResult<Bound<'py, PyArray2<T>>> {
    let n_rows = data.len() / n_cols.max(1);
    PyArray1::from_vec(py, data).reshape([n_rows, n_cols])
}

/// The op of normalize_total.
pub fn normalize(target_sum: f64, without: Option<Vec<u32>>) -> Op {
    match without {
        None => Op::NormalizeTotal { target_sum },
        Some(genes) => Op::NormalizeTotalWithout { target_sum, genes },
    }
}

/// The total of each cell, of the columns `genes` where they are given.
#[pyfunction]
#[pyo3(signature = (machine, x, genes=None))]
pub fn totals<'py>(
    py: Python<'py>,
    machine: Machine,
    x: &Bound<'py, PyAny>,
    genes: Option<Vec<u32>>,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let x = operand(x)?;
    let view = x.view()?;
    let found = enter(py, machine, |ctx| {
        let (source, ops) = (&*view.source, &view.ops);
        Ok(match genes {
            None => pp::normalize_total::totals(ctx, source, ops)?,
            Some(genes) => pp::normalize_total::totals_of(ctx, source, ops, genes)?,
        })
    })?;
    Ok(PyArray1::from_vec(py, found))
}

/// Whether each gene has more than this fraction of the total of a cell.
#[pyfunction]
pub fn highly_expressed<'py>(
    py: Python<'py>,
    machine: Machine,
    x: &Bound<'py, PyAny>,
    max_fraction: f64,
) -> PyResult<Bound<'py, PyArray1<bool>>> {
    let x = operand(x)?;
    let view = x.view()?;
    let found = enter(py, machine, |ctx| {
        let (source, ops) = (&*view.source, &view.ops);
        Ok(pp::normalize_total::highly_expressed(
            ctx,
            source,
            ops,
            max_fraction,
        )?)
    })?;
    Ok(PyArray1::from_vec(py, found))
}

/// From totals: the target (`asked`, or their median) and scanpy's factor of each cell.
#[pyfunction]
#[pyo3(signature = (totals, asked=None))]
pub fn norm_factors<'py>(
    py: Python<'py>,
    totals: PyReadonlyArray1<'py, f64>,
    asked: Option<f64>,
) -> PyResult<(f64, Bound<'py, PyArray1<f64>>)> {
    let totals = totals.as_slice()?;
    let target = pp::normalize_total::target_sum(totals, asked).map_err(Failure::from)?;
    let factors = pp::normalize_total::factors(totals, target);
    Ok((target, PyArray1::from_vec(py, factors)))
}

/// One op on a CSR matrix in memory: the new values, in the order of the old ones. `op` is
/// `normalize_total` (with a target, and genes that totals are `without`), `log1p` (with a base or none)
/// or `sqrt`.
#[pyfunction]
#[pyo3(signature = (x, op, parameter=None, round=true, without=None))]
pub fn apply<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    op: &str,
    parameter: Option<f64>,
    round: bool,
    without: Option<Vec<u32>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut ops = vec![match (op, parameter) {
        ("normalize_total", Some(target_sum)) => normalize(target_sum, without),
        ("sqrt", None) => Op::Sqrt,
        ("log1p", base) => Op::Log1p { base },
        _ => return Err(PyValueError::new_err(format!("there is no op {op}"))),
    }];
    if round {
        ops.push(Op::RoundF32);
    }
    let x = operand(x)?;
    let view = x.view()?;
    let found = detached(py, move || {
        Ok(cellmill::matrix::values_after(&*view.source, &ops)?)
    })?;
    Ok(match found {
        Values::F32(v) => PyArray1::from_vec(py, v).into_any(),
        Values::F64(v) => PyArray1::from_vec(py, v).into_any(),
    })
}

/// A matrix in memory with its columns scaled. Without means: the new values, in the order of the old
/// ones; with means: all values, rows x columns. f32 where `narrow`.
#[pyfunction]
#[pyo3(signature = (x, std, mean=None, max=None, narrow=false))]
pub fn scale_genes<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    std: Vec<f64>,
    mean: Option<Vec<f64>>,
    max: Option<f64>,
    narrow: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let x = operand(x)?;
    let view = x.view()?;
    let (centred, width) = (mean.is_some(), std.len());
    let found = detached(py, move || {
        let scale = ScaleGenes { std, mean, max };
        Ok(pp::scale::of_source(&*view.source, scale, narrow)?)
    })?;
    match (found, centred) {
        (Values::F32(v), true) => matrix(py, v, width)?.into_bound_py_any(py),
        (Values::F64(v), true) => matrix(py, v, width)?.into_bound_py_any(py),
        (Values::F32(v), false) => PyArray1::from_vec(py, v).into_bound_py_any(py),
        (Values::F64(v), false) => PyArray1::from_vec(py, v).into_bound_py_any(py),
    }
}

/// A sample of the counts of each row that has more than its number in `counts` (or the only one):
/// the new values, in the order of the old ones.
#[pyfunction]
pub fn downsample_counts<'py>(
    py: Python<'py>,
    indptr: PyReadonlyArray1<'py, i64>,
    values: PyReadonlyArray1<'py, f64>,
    counts: Vec<u64>,
    seed: u32,
    replace: bool,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (indptr, values) = (indptr.as_slice()?, values.as_slice()?);
    let found = detached(py, || {
        let draw = Draw { seed, replace };
        Ok(pp::downsample_counts::of_rows(
            indptr, values, &counts, draw,
        )?)
    })?;
    Ok(PyArray1::from_vec(py, found))
}

/// What the user asked of highly_variable_genes.
#[derive(FromPyObject)]
pub struct Asked {
    flavor: String,
    n_top_genes: Option<u64>,
    min_mean: f64,
    max_mean: f64,
    min_disp: f64,
    max_disp: f64,
    n_bins: usize,
    span: f64,
    theta: f64,
    clip: Option<f64>,
    filter_unexpressed: bool,
    check_values: bool,
    base: Option<f64>,
    /// The batch of each cell, as places in the names; -1 for none.
    batches: Option<(Vec<i64>, Vec<String>)>,
    /// Names of the genes, where there are batches.
    genes: Vec<String>,
}

impl Asked {
    pub fn base(&self) -> Option<f64> {
        self.base
    }

    pub fn params(&self) -> cellmill::Result<HvgParams> {
        let params = HvgParams {
            flavor: Flavor::parse(&self.flavor)?,
            selection: match self.n_top_genes {
                Some(n) => Selection::Top(n),
                None => Selection::Cutoffs {
                    min_mean: self.min_mean,
                    max_mean: self.max_mean,
                    min_disp: self.min_disp,
                    max_disp: self.max_disp,
                },
            },
            n_bins: self.n_bins,
            span: self.span,
            theta: self.theta,
            clip: self.clip,
            filter_unexpressed: self.filter_unexpressed,
            check_values: self.check_values,
        };
        params.validate()?;
        Ok(params)
    }

    /// The labels of a matrix that `ops` make of a source of `n_rows`; without a source, those of
    /// all cells in one.
    pub fn labels(&self, ops: &[Op], n_rows: Option<u64>) -> cellmill::Result<Labels> {
        let labels = Labels {
            genes: self.genes.clone(),
            ..Labels::default()
        };
        match &self.batches {
            None => Ok(labels),
            Some((codes, names)) => {
                let n_rows = n_rows.unwrap_or(codes.len() as u64);
                labels.with_batches(codes, names, ops, n_rows)
            }
        }
    }
}

/// The columns of var, by scanpy's names, and the warnings.
pub fn columns<'py>(py: Python<'py>, found: HighlyVariable) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, data) in found.columns {
        match data {
            ArrayData::F64(v) => dict.set_item(name, PyArray1::from_vec(py, v))?,
            ArrayData::F32(v) => dict.set_item(name, PyArray1::from_vec(py, v))?,
            ArrayData::I64(v) => dict.set_item(name, PyArray1::from_vec(py, v))?,
            ArrayData::Bool(v) => dict.set_item(name, PyArray1::from_vec(py, v))?,
            _ => {
                return Err(bug(&format!("{name} is no number")));
            }
        }
    }
    dict.set_item(
        "highly_variable",
        PyArray1::from_vec(py, found.highly_variable),
    )?;
    dict.set_item("warnings", found.warnings)?;
    Ok(dict)
}

/// Highly variable genes of a matrix, whose logarithm (where there is one) has base `asked.base`.
#[pyfunction]
pub fn highly_variable_genes<'py>(
    py: Python<'py>,
    machine: Machine,
    x: &Bound<'py, PyAny>,
    asked: Asked,
) -> PyResult<Bound<'py, PyDict>> {
    let x = operand(x)?;
    let view = x.view()?;
    let found = enter(py, machine, |ctx| {
        let labels = asked.labels(&view.ops, Some(view.source.n_rows()))?;
        Ok(pp::highly_variable_genes::of_matrix(
            ctx,
            &*view.source,
            &view.ops,
            asked.base,
            &labels,
            &asked.params()?,
        )?)
    })?;
    columns(py, found)
}

/// scanpy's number of components for so many cells and genes.
#[pyfunction]
#[pyo3(signature = (asked, n_cells, n_genes))]
pub fn pca_n_comps(asked: Option<u32>, n_cells: u64, n_genes: u64) -> PyResult<usize> {
    Ok(pp::pca::n_comps(asked, n_cells, n_genes).map_err(Failure::from)?)
}

/// Principal components of the selected columns: scores, loadings, variance, ratio.
#[pyfunction]
pub fn pca<'py>(
    py: Python<'py>,
    machine: Machine,
    x: &Bound<'py, PyAny>,
    selected: Option<Vec<u32>>,
    n_comps: usize,
    zero_center: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let x = operand(x)?;
    let view = if zero_center { x.shifted()? } else { x.view()? };
    let found = enter(py, machine, |ctx| {
        let selected = selected.as_deref();
        Ok(pp::pca::of_matrix(
            ctx,
            &*view.source,
            &view.ops,
            selected,
            n_comps,
            zero_center,
        )?)
    })?;
    (
        matrix(py, found.scores, n_comps)?,
        matrix(py, found.loadings, n_comps)?,
        PyArray1::from_vec(py, found.variance),
        PyArray1::from_vec(py, found.variance_ratio),
    )
        .into_bound_py_any(py)
}

/// The components alone: means, loadings, variance, ratio.
#[pyfunction]
pub fn pca_components<'py>(
    py: Python<'py>,
    machine: Machine,
    x: &Bound<'py, PyAny>,
    selected: Option<Vec<u32>>,
    n_comps: usize,
    zero_center: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let x = operand(x)?;
    let view = x.view()?;
    let found = enter(py, machine, |ctx| {
        let (source, selected) = (&*view.source, selected.as_deref());
        Ok(pp::pca::components(
            ctx,
            source,
            &view.ops,
            selected,
            n_comps,
            zero_center,
        )?)
    })?;
    solved(py, found)
}

fn graph<'py>(py: Python<'py>, graph: WeightedGraph) -> PyResult<Bound<'py, PyAny>> {
    (
        PyArray1::from_iter(py, graph.indptr.iter().map(|&p| p as i64)),
        PyArray1::from_iter(py, graph.indices.iter().map(|&j| j as i32)),
        PyArray1::from_vec(py, graph.weights),
    )
        .into_bound_py_any(py)
}

/// Neighbours of points (n x d, row-major): (indptr, indices, distances) and (indptr, indices,
/// weights), and the number of neighbours, the cell itself counted.
#[pyfunction]
pub fn neighbors<'py>(
    py: Python<'py>,
    machine: Machine,
    points: PyReadonlyArray2<'py, f32>,
    n_neighbors: usize,
    metric: &str,
    seed: u64,
) -> PyResult<Bound<'py, PyAny>> {
    let params = RunParams {
        n_neighbors,
        metric: match self::metric(metric)? {
            knn::Metric::Euclidean => Metric::Euclidean,
            knn::Metric::Cosine => Metric::Cosine,
        },
        seed,
        ..RunParams::default()
    };
    params.validate().map_err(Failure::from)?;
    let (n, d) = (points.shape()[0], points.shape()[1]);
    let values = points.as_slice()?;
    let (knn, weights) = enter(py, machine, |ctx| {
        let points = Points::new(values, n, d)?;
        Ok(pp::neighbors::neighbors(ctx, points, &params)?)
    })?;
    neighbour_parts(py, knn, weights)
}

/// A metric by its name.
pub fn metric(name: &str) -> PyResult<knn::Metric> {
    match name {
        "euclidean" => Ok(knn::Metric::Euclidean),
        "cosine" => Ok(knn::Metric::Cosine),
        other => Err(PyValueError::new_err(format!("there is no metric {other}"))),
    }
}

/// A neighbour graph as [`neighbors`] returns it.
pub fn neighbour_parts(
    py: Python<'_>,
    knn: KnnGraph,
    weights: WeightedGraph,
) -> PyResult<Bound<'_, PyAny>> {
    let k = knn.k + 1;
    let distances = pp::neighbors::distances(knn);
    let indptr = PyArray1::from_iter(py, distances.indptr.iter().map(|&p| p as i64));
    let indices = PyArray1::from_iter(py, distances.indices.iter().map(|&j| j as i32));
    let values = match distances.data {
        ArrayData::F64(v) => PyArray1::from_vec(py, v).into_any(),
        ArrayData::F32(v) => PyArray1::from_vec(py, v).into_any(),
        _ => return Err(bug("distances are not floats")),
    };
    ((indptr, indices, values), graph(py, weights)?, k).into_bound_py_any(py)
}

/// The fuzzy set of neighbours that someone else found: n x k indices and distances, in order of
/// distance, the cell itself not among them.
#[pyfunction]
pub fn connectivities<'py>(
    py: Python<'py>,
    machine: Machine,
    indices: PyReadonlyArray2<'py, i32>,
    distances: PyReadonlyArray2<'py, f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let (n, k) = (indices.shape()[0], indices.shape()[1]);
    if distances.shape() != [n, k] {
        return Err(PyValueError::new_err(
            "indices and distances of neighbours must have the same shape",
        ));
    }
    let knn = KnnGraph {
        n,
        k,
        indices: bytemuck::cast_slice(indices.as_slice()?).to_vec(),
        distances: distances.as_slice()?.to_vec(),
        exact: true,
    };
    if knn.indices.iter().any(|&j| j as usize >= n) {
        return Err(PyValueError::new_err(format!(
            "a neighbour of {n} cells has a number outside them"
        )));
    }
    let found = enter(py, machine, |ctx| Ok(fuzzy_simplicial_set(ctx, &knn)?))?;
    graph(py, found)
}
