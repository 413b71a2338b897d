//! `cellmill.tl`: a graph in, labels or a layout out.

use crate::enter::{Machine, enter};
use crate::failure::Failure;
use crate::pp::matrix;
use cellmill_graph::leiden::{LeidenParams, Objective};
use cellmill_graph::umap::{Init, UmapParams};
use cellmill_graph::{Points, Rows, WeightedGraph};
use numpy::{PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

type Csr<'py> = (
    PyReadonlyArray1<'py, i64>,
    PyReadonlyArray1<'py, i32>,
    PyReadonlyArray1<'py, f32>,
);

fn graph((indptr, indices, weights): &Csr<'_>) -> PyResult<WeightedGraph> {
    let indptr = indptr.as_slice()?.iter().map(|&p| p as u64).collect();
    let indices = bytemuck::cast_slice(indices.as_slice()?).to_vec();
    let weights = weights.as_slice()?.to_vec();
    Ok(WeightedGraph::from_parts(indptr, indices, weights).map_err(Failure::from)?)
}

/// What the user asked of leiden.
#[derive(FromPyObject)]
pub struct AskedLeiden {
    resolution: f64,
    n_iterations: i32,
    seed: u64,
    use_weights: bool,
    objective: String,
}

/// Communities, numbered by size, and their modularity.
#[pyfunction]
pub fn leiden<'py>(
    py: Python<'py>,
    machine: Machine,
    adjacency: Csr<'py>,
    asked: AskedLeiden,
) -> PyResult<(Bound<'py, PyArray1<u32>>, f64)> {
    let graph = graph(&adjacency)?;
    let params = LeidenParams {
        // scanpy gives igraph every edge twice, so its CPM resolution is twice ours.
        objective: match asked.objective.to_ascii_lowercase().as_str() {
            "modularity" => Objective::Modularity,
            "cpm" => Objective::Cpm,
            other => {
                return Err(PyValueError::new_err(format!(
                    "objective_function is {other}, and must be modularity or CPM"
                )));
            }
        },
        resolution: match asked.objective.to_ascii_lowercase().as_str() {
            "cpm" => asked.resolution / 2.0,
            _ => asked.resolution,
        },
        n_iterations: asked.n_iterations,
        seed: asked.seed,
        use_weights: asked.use_weights,
    };
    let found = enter(py, machine, |ctx| {
        Ok(cellmill_graph::leiden::leiden(ctx, &graph, &params)?)
    })?;
    Ok((PyArray1::from_vec(py, found.labels), found.modularity))
}

/// What the user asked of umap.
#[derive(FromPyObject)]
pub struct AskedUmap {
    a: f64,
    b: f64,
    n_epochs: Option<usize>,
    alpha: f64,
    gamma: f64,
    negative_sample_rate: usize,
    n_components: usize,
    seed: u64,
    init: String,
}

/// The curve's a and b.
#[pyfunction]
pub fn find_ab(spread: f64, min_dist: f64) -> PyResult<(f64, f64)> {
    Ok(cellmill_graph::find_ab_params(spread, min_dist).map_err(Failure::from)?)
}

/// The layout of a graph. `init` of `asked` is `spectral` (with points, the parts of a graph that
/// falls apart lie as the points do), `random`, or `given` (then `points` are the coordinates).
#[pyfunction]
#[pyo3(signature = (machine, connectivities, asked, points=None))]
pub fn umap<'py>(
    py: Python<'py>,
    machine: Machine,
    connectivities: Csr<'py>,
    asked: AskedUmap,
    points: Option<PyReadonlyArray2<'py, f32>>,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let graph = graph(&connectivities)?;
    let shape = points.as_ref().map(|p| (p.shape()[0], p.shape()[1]));
    let values = points.as_ref().map(|p| p.as_slice()).transpose()?;
    let params = UmapParams {
        a: asked.a,
        b: asked.b,
        n_epochs: asked.n_epochs,
        alpha: asked.alpha,
        gamma: asked.gamma,
        negative_sample_rate: asked.negative_sample_rate,
        n_components: asked.n_components,
        seed: asked.seed,
    };
    let layout = enter(py, machine, |ctx| {
        let points = match (values, shape) {
            (Some(values), Some((n, d))) => Some(Points::new(values, n, d)?),
            _ => None,
        };
        let init = match (asked.init.as_str(), &points) {
            ("random", _) => Init::Random,
            ("given", Some(points)) => Init::Given(points.data()),
            (_, points) => Init::Spectral {
                points: points.as_ref().map(|points| points as &dyn Rows),
            },
        };
        let (dim, epochs, seed) = (params.n_components, params.n_epochs, params.seed);
        let graph = cellmill_graph::umap::ordered(ctx, &graph, epochs)?;
        let begin = graph.initial_layout(ctx, init, dim, seed)?;
        Ok(graph.umap(ctx, &begin, &params)?)
    })?;
    matrix(py, layout, asked.n_components)
}
