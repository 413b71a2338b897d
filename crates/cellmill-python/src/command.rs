//! The `cellmill` command, as the wheel carries it.

use crate::failure::Failure;
use crate::pp::metric;
use cellmill::input::Input;
use cellmill::params::RunParams;
use cellmill::pp::pca::Pca;
use cellmill::run::Elsewhere;
use cellmill::{Error, Result};
use cellmill_engine::Context;
use cellmill_graph::knn::finish_search;
use cellmill_graph::{KnnGraph, Points};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

/// Runs the command with these arguments (the first is the program's name); returns the exit code.
/// `connect` makes a cluster of an address.
#[pyfunction]
#[pyo3(signature = (arguments, connect=None))]
pub fn run_command(py: Python<'_>, arguments: Vec<String>, connect: Option<Py<PyAny>>) -> u8 {
    py.detach(|| {
        let Some(connect) = connect else {
            return cellmill_cli::run(arguments);
        };
        let make = |address: &str| -> anyhow::Result<Box<dyn Elsewhere>> {
            let made = Python::attach(|py| connect.call1(py, (address,)).map_err(|e| said(py, &e)));
            Ok(Box::new(Cluster(made?)))
        };
        cellmill_cli::run_with(arguments, Some(&make))
    })
}

/// The memory limit in bytes where the user gave none.
#[pyfunction]
pub fn default_memory() -> u64 {
    cellmill_cli::default_limit()
}

/// A cluster behind a Python object with the methods `counts`, `components` and `knn`.
struct Cluster(Py<PyAny>);

type Components<'py> = (
    PyReadonlyArray2<'py, f32>,
    PyReadonlyArray2<'py, f64>,
    PyReadonlyArray1<'py, f64>,
    PyReadonlyArray1<'py, f64>,
);

/// What a search found: rows (exact), or the keys of all places.
#[derive(FromPyObject)]
enum Found<'py> {
    Keys(PyReadonlyArray1<'py, u32>, PyReadonlyArray1<'py, u64>, f64),
    Rows(PyReadonlyArray1<'py, u32>, PyReadonlyArray1<'py, f64>),
}

/// What a Python exception says, as an error of a run.
fn said(py: Python<'_>, error: &PyErr) -> Error {
    if error.is_instance_of::<pyo3::exceptions::PyKeyboardInterrupt>(py) {
        return cellmill_engine::Error::Cancelled.into();
    }
    Error::Data(format!("on the cluster: {}", error.value(py)))
}

impl Elsewhere for Cluster {
    fn counts(&self, input: &Input, params: &RunParams) -> Result<Vec<u8>> {
        Python::attach(|py| {
            let matrix = (input.file.path(), &input.matrix, params.block_rows);
            let state = self.0.call_method1(py, "counts", matrix)?;
            state.extract(py)
        })
        .map_err(|e| Python::attach(|py| said(py, &e)))
    }

    fn components(
        &self,
        input: &Input,
        params: &RunParams,
        target_sum: f64,
        selected: &[u32],
        n_comps: usize,
    ) -> Result<Pca> {
        Python::attach(|py| {
            let matrix = (input.file.path(), &input.matrix, params.block_rows);
            let asked = (matrix, target_sum, params.log_base, selected, n_comps);
            let found = self.0.call_method1(py, "components", asked)?.into_bound(py);
            let (scores, loadings, variance, ratio): Components<'_> = found.extract()?;
            Ok(Pca {
                n_comps,
                scores: scores.as_slice()?.to_vec(),
                loadings: loadings.as_slice()?.to_vec(),
                variance: variance.as_slice()?.to_vec(),
                variance_ratio: ratio.as_slice()?.to_vec(),
            })
        })
        .map_err(|e: PyErr| Python::attach(|py| said(py, &e)))
    }

    fn knn(&self, ctx: &Context, points: Points<'_>, params: &RunParams) -> Result<KnnGraph> {
        Python::attach(|py| {
            let name = params.metric.name();
            let values = PyArray1::from_slice(py, points.data());
            let values = values.reshape([points.n(), points.d()])?;
            let asked = (values, params.n_neighbors, name, params.seed);
            let found = self.0.call_method1(py, "knn", asked)?.into_bound(py);
            match found.extract()? {
                Found::Rows(indices, distances) => Ok(KnnGraph {
                    n: points.n(),
                    k: distances.as_slice()?.len() / points.n().max(1),
                    indices: indices.as_slice()?.to_vec(),
                    distances: distances.as_slice()?.to_vec(),
                    exact: true,
                }),
                Found::Keys(order, keys, scale) => {
                    let (order, keys) = (order.as_slice()?, keys.as_slice()?);
                    let graph = finish_search(ctx, points, metric(name)?, order, keys, scale);
                    Ok(graph.map_err(Failure::from)?)
                }
            }
        })
        .map_err(|e: PyErr| Python::attach(|py| said(py, &e)))
    }
}
