//! The stages of the neighbour search: tasks of a cluster, and what the client does before and
//! after.

use crate::enter::{Machine, detached, enter};
use crate::failure::{Failure, bug, raised};
use crate::pp::{metric, neighbour_parts};
use crate::task::{Task, context};
use cellmill_graph::kernel::Isa;
use cellmill_graph::knn::{self, CellLists, KnnParams, SearchData};
use cellmill_graph::{KnnGraph, Points, fuzzy_simplicial_set};
use numpy::{
    PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArrayDyn, PyUntypedArrayMethods,
};
use pyo3::IntoPyObjectExt;
use pyo3::PyTypeInfo;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The kernels that this machine has, the best first.
#[pyfunction]
pub fn kernels() -> PyResult<Vec<String>> {
    Isa::available().into_iter().map(name).collect()
}

fn name(isa: Isa) -> PyResult<String> {
    match serde_json::to_value(isa) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        _ => Err(bug("a kernel without a name")),
    }
}

fn isa(name: &str) -> PyResult<Isa> {
    serde_json::from_value(name.into())
        .map_err(|_| PyValueError::new_err(format!("there is no kernel {name}")))
}

fn wire(error: postcard::Error) -> PyErr {
    raised(
        "Error",
        format!("a value of the neighbour search could not be sent or read: {error}"),
    )
}

fn to_bytes<'py>(
    py: Python<'py>,
    value: &(impl Serialize + Sync),
) -> PyResult<Bound<'py, PyBytes>> {
    let bytes = py.detach(|| postcard::to_stdvec(value)).map_err(wire)?;
    Ok(PyBytes::new(py, &bytes))
}

fn from_bytes<T: DeserializeOwned + Send>(py: Python<'_>, bytes: &[u8]) -> PyResult<T> {
    py.detach(|| postcard::from_bytes(bytes)).map_err(wire)
}

/// For `n` points: the number of neighbours to find, the point itself not counted; whether all
/// pairs are looked at; the bytes that a search of points of `d` coordinates holds.
#[pyfunction]
pub fn knn_decide(
    py: Python<'_>,
    machine: Machine,
    n: usize,
    d: u64,
    n_neighbors: usize,
    metric: &str,
) -> PyResult<(usize, bool, u64)> {
    let params = KnnParams {
        n_neighbors,
        metric: self::metric(metric)?,
        ..KnnParams::default()
    };
    enter(py, machine, |ctx| {
        let (k, exact) = knn::decide(ctx, n, &params)?;
        Ok((k, exact, SearchData::bytes_needed(n as u64, d, k)))
    })
}

/// The nearest of the points from `start` to `end` by looking at all pairs: indices and distances,
/// `k` a point.
#[pyfunction]
pub fn knn_exact<'py>(
    py: Python<'py>,
    task: PyRef<'py, Task>,
    points: PyReadonlyArray2<'py, f32>,
    k: usize,
    metric: &str,
    start: usize,
    end: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let metric = self::metric(metric)?;
    let (n, d) = (points.shape()[0], points.shape()[1]);
    let values = points.as_slice()?;
    let (cancel, budget) = (task.flag(), task.budget());
    let (indices, distances) = detached(py, move || {
        let ctx = context(&cancel, budget)?;
        let points = Points::new(values, n, d)?;
        Ok(knn::exact_rows(&ctx, points, k, metric, start..end)?)
    })?;
    (
        PyArray1::from_vec(py, indices),
        PyArray1::from_vec(py, distances),
    )
        .into_bound_py_any(py)
}

/// The points in the order of the plan, and the plan: what every task of a search reads.
#[pyclass(frozen, module = "cellmill._native")]
pub struct KnnSearch(SearchData);

#[pymethods]
impl KnnSearch {
    /// Orders the points and says who meets whom.
    #[staticmethod]
    fn plan(
        py: Python<'_>,
        task: PyRef<'_, Task>,
        kernel: &str,
        points: PyReadonlyArray2<'_, f32>,
        k: usize,
        metric: &str,
        seed: u64,
    ) -> PyResult<Self> {
        let (isa, metric) = (isa(kernel)?, self::metric(metric)?);
        let (n, d) = (points.shape()[0], points.shape()[1]);
        let values = points.as_slice()?;
        let (cancel, budget) = (task.flag(), task.budget());
        detached(py, move || {
            let ctx = context(&cancel, budget)?;
            let points = Points::new(values, n, d)?;
            Ok(Self(SearchData::new(&ctx, points, k, metric, seed, isa)?))
        })
    }

    /// What the client needs at the end: the caller's index of the point at each place, and by what
    /// distances were multiplied.
    fn order<'py>(&self, py: Python<'py>) -> (Bound<'py, PyArray1<u32>>, f64) {
        let order = PyArray1::from_slice(py, &self.0.plan().order);
        (order, self.0.scale())
    }

    /// Searches the cells of part `part` of `parts`.
    fn search(
        &self,
        py: Python<'_>,
        task: PyRef<'_, Task>,
        kernel: &str,
        part: usize,
        parts: usize,
    ) -> PyResult<KnnLists> {
        let isa = isa(kernel)?;
        let (cancel, budget) = (task.flag(), task.budget());
        detached(py, move || {
            let ctx = context(&cancel, budget)?;
            let cells = self.0.part(part, parts);
            Ok(KnnLists(self.0.search(&ctx, isa, cells)?))
        })
    }

    /// The keys of the nearest of the points at the places `start` to `end`; `lists` are those of
    /// all points.
    #[allow(
        clippy::too_many_arguments,
        reason = "a task's inputs are what they are"
    )]
    fn pull<'py>(
        &self,
        py: Python<'py>,
        task: PyRef<'py, Task>,
        kernel: &str,
        lists: PyRef<'py, KnnLists>,
        start: usize,
        end: usize,
    ) -> PyResult<Bound<'py, PyArray1<u64>>> {
        let isa = isa(kernel)?;
        let (cancel, budget, lists) = (task.flag(), task.budget(), &lists.0);
        let keys = detached(py, move || {
            let ctx = context(&cancel, budget)?;
            Ok(self.0.pull(&ctx, isa, lists, start..end)?)
        })?;
        Ok(PyArray1::from_vec(py, keys))
    }

    /// The search that [`KnnSearch::to_bytes`] described.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        let data: SearchData = from_bytes(py, bytes)?;
        data.check().map_err(Failure::from)?;
        Ok(Self(data))
    }

    /// The search as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        to_bytes(py, &self.0)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduced::<Self>(py, self.to_bytes(py)?)
    }

    fn __sizeof__(&self) -> u64 {
        self.0.bytes()
    }
}

/// A function and its arguments: how Python makes the same again.
type Reduced<'py> = (Bound<'py, PyAny>, (Bound<'py, PyBytes>,));

/// What makes a `T` of its bytes.
fn reduced<'py, T: PyTypeInfo>(
    py: Python<'py>,
    bytes: Bound<'py, PyBytes>,
) -> PyResult<Reduced<'py>> {
    Ok((py.get_type::<T>().getattr("from_bytes")?, (bytes,)))
}

/// The nearest of each of some points, as far as they are known.
#[pyclass(frozen, module = "cellmill._native")]
pub struct KnnLists(CellLists);

#[pymethods]
impl KnnLists {
    /// The lists of the points of either side.
    fn join(&self, py: Python<'_>, kernel: &str, other: PyRef<'_, Self>) -> PyResult<Self> {
        let (isa, other) = (isa(kernel)?, &other.0);
        detached(py, move || Ok(Self(self.0.join(isa, other)?)))
    }

    /// The lists of all `n` points.
    fn of_all(&self, py: Python<'_>, n: usize) -> PyResult<Self> {
        detached(py, move || Ok(Self(self.0.of_all(n)?)))
    }

    /// The lists that [`KnnLists::to_bytes`] described.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        let lists: CellLists = from_bytes(py, bytes)?;
        lists.check().map_err(Failure::from)?;
        Ok(Self(lists))
    }

    /// The lists as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        to_bytes(py, &self.0)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduced::<Self>(py, self.to_bytes(py)?)
    }

    fn __sizeof__(&self) -> usize {
        self.0.members.len() * 4 + self.0.lists.len() * 8
    }
}

/// The graph of an exact search out of the rows of all points: as `neighbors` returns it.
#[pyfunction]
pub fn knn_of_rows<'py>(
    py: Python<'py>,
    machine: Machine,
    indices: PyReadonlyArray1<'py, u32>,
    distances: PyReadonlyArray1<'py, f64>,
    k: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let knn = KnnGraph {
        n: distances.len() / k.max(1),
        k,
        indices: indices.as_slice()?.to_vec(),
        distances: distances.as_slice()?.to_vec(),
        exact: true,
    };
    let (knn, graph) = enter(py, machine, |ctx| {
        let graph = fuzzy_simplicial_set(ctx, &knn)?;
        Ok((knn, graph))
    })?;
    neighbour_parts(py, knn, graph)
}

/// The graph of a search out of the keys of all places: as `neighbors` returns it.
#[pyfunction]
pub fn knn_of_keys<'py>(
    py: Python<'py>,
    machine: Machine,
    points: PyReadonlyArray2<'py, f32>,
    metric: &str,
    order: PyReadonlyArray1<'py, u32>,
    keys: PyReadonlyArrayDyn<'py, u64>,
    scale: f64,
) -> PyResult<Bound<'py, PyAny>> {
    let metric = self::metric(metric)?;
    let (n, d) = (points.shape()[0], points.shape()[1]);
    let (values, order, keys) = (points.as_slice()?, order.as_slice()?, keys.as_slice()?);
    let (knn, graph) = enter(py, machine, |ctx| {
        let points = Points::new(values, n, d)?;
        let knn = knn::finish_search(ctx, points, metric, order, keys, scale)?;
        let graph = fuzzy_simplicial_set(ctx, &knn)?;
        Ok((knn, graph))
    })?;
    neighbour_parts(py, knn, graph)
}
