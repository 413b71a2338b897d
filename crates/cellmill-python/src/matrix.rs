//! The lazy matrix of files: what is read, and the ops that are to happen to every block.

use crate::enter::detached;
use crate::failure::Failure;
use cellmill::matrix::{self, Recipe, Touched};
use cellmill_engine::op::ScaleGenes;
use cellmill_engine::{Op, Values};
use cellmill_io::H5ad;
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::PathBuf;

/// A matrix of files, and what is to happen to it: nothing is read until a block is asked for.
#[pyclass(frozen, module = "cellmill._native")]
pub struct Matrix(matrix::Matrix);

impl Matrix {
    /// What a fold does to every block.
    pub fn ops(&self) -> &[Op] {
        self.0.ops()
    }

    /// Whether columns were centred.
    pub fn is_centred(&self) -> bool {
        self.0.is_centred()
    }

    /// The source of a fold, which passes over blocks of which no cell is selected.
    pub fn touched(&self) -> Touched {
        self.0.touched()
    }
}

#[pymethods]
impl Matrix {
    /// Opens the matrix at `address` of the file at `path`.
    #[staticmethod]
    #[pyo3(signature = (path, address, block_rows=None))]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        address: &str,
        block_rows: Option<u64>,
    ) -> PyResult<Self> {
        detached(py, || {
            // Held until it is open for good, so that nothing is counted twice.
            // Another machine has another working folder.
            let path = std::path::absolute(&path).unwrap_or(path);
            let source = H5ad::open(&path)?.source(address, block_rows)?;
            Ok(Self(matrix::Matrix::of_file(source.spec())?))
        })
    }

    /// The matrix that [`Matrix::to_json`] described.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> PyResult<Self> {
        let recipe: Recipe =
            serde_json::from_str(text).map_err(|e| PyValueError::new_err(e.to_string()))?;
        detached(py, || Ok(Self(matrix::Matrix::new(recipe)?)))
    }

    /// The matrix as text: paths, elements, identity of the files, ops; never the values.
    fn to_json(&self) -> PyResult<String> {
        serde_json::to_string(self.0.recipe()).map_err(|e| PyValueError::new_err(e.to_string()))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        let make = py.get_type::<Self>().getattr("from_json")?;
        Ok((make, (self.to_json()?,)))
    }

    /// Rows and columns, after the selections.
    #[getter]
    fn shape(&self) -> (u64, u32) {
        self.0.shape()
    }

    /// The name of the values' dtype, as numpy has it.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.0.dtype()
    }

    /// Rows of each block that has any.
    #[getter]
    fn block_rows(&self) -> Vec<u64> {
        self.0.block_rows()
    }

    /// The files' paths.
    #[getter]
    fn paths(&self) -> Vec<PathBuf> {
        let files = self.0.recipe().files();
        files.iter().map(|spec| spec.path().clone()).collect()
    }

    /// Bytes that the tables of the open files hold.
    #[getter]
    fn resident_bytes(&self) -> u64 {
        self.0.files().iter().map(|f| f.resident_bytes()).sum()
    }

    /// The least budget of each call in bytes: normalize_total with a median target,
    /// highly_variable_genes, pca of so many genes and components.
    fn needs(&self, n_genes: u32, n_comps: u64) -> PyResult<Vec<(&'static str, u64)>> {
        let needs = self.0.needs(n_genes, n_comps).map_err(Failure::from)?;
        Ok(needs.into_iter().map(|n| (n.stage, n.bytes)).collect())
    }

    /// The source in words.
    fn describe(&self) -> String {
        self.0.source().describe()
    }

    /// The ops in words.
    fn op_names(&self) -> Vec<String> {
        self.0.ops().iter().map(ToString::to_string).collect()
    }

    /// Bytes read from the files so far, by everything that reads this matrix's source.
    fn bytes_read(&self) -> u64 {
        self.0.source().bytes_read()
    }

    /// The matrix with every cell divided by total / target_sum; totals are without the genes
    /// `without`, where they are given.
    #[pyo3(signature = (target_sum, without=None))]
    fn normalize_total(
        &self,
        py: Python<'_>,
        target_sum: f64,
        without: Option<Vec<u32>>,
    ) -> PyResult<Self> {
        let op = crate::pp::normalize(target_sum, without);
        detached(py, || Ok(Self(self.0.with(op)?)))
    }

    /// The matrix with square roots taken.
    fn sqrt(&self, py: Python<'_>) -> PyResult<Self> {
        detached(py, || Ok(Self(self.0.with(Op::Sqrt)?)))
    }

    /// The matrix with ln(1 + x) taken.
    #[pyo3(signature = (base=None))]
    fn log1p(&self, py: Python<'_>, base: Option<f64>) -> PyResult<Self> {
        detached(py, || Ok(Self(self.0.with(Op::Log1p { base })?)))
    }

    /// The matrix with its columns scaled; with means they are centred.
    #[pyo3(signature = (std, mean=None, max=None))]
    fn scale_genes(
        &self,
        py: Python<'_>,
        std: Vec<f64>,
        mean: Option<Vec<f64>>,
        max: Option<f64>,
    ) -> PyResult<Self> {
        let scale = ScaleGenes { std, mean, max };
        detached(py, || Ok(Self(self.0.with(Op::ScaleGenes(scale))?)))
    }

    /// The matrix with a sample of the counts of each cell that has more than `counts`: one number
    /// for all cells, or one for each row of this matrix.
    fn downsample_counts(
        &self,
        py: Python<'_>,
        counts: Vec<u64>,
        seed: u32,
        replace: bool,
    ) -> PyResult<Self> {
        detached(py, || {
            Ok(Self(self.0.downsample_counts(counts, seed, replace)?))
        })
    }

    /// The matrix with these columns, in this order; `None` is a column without entries.
    fn arrange_columns(&self, py: Python<'_>, columns: Vec<Option<u32>>) -> PyResult<Self> {
        detached(py, || Ok(Self(self.0.arrange_columns(&columns)?)))
    }

    /// The matrix with the rows only whose mask is true; the mask has an entry for each row of this
    /// matrix.
    fn select_cells(&self, py: Python<'_>, mask: PyReadonlyArray1<'_, bool>) -> PyResult<Self> {
        let mask = mask.as_slice()?;
        detached(py, || Ok(Self(self.0.select_cells(mask)?)))
    }

    /// The rows of all matrices, one below the other.
    #[staticmethod]
    fn concat(py: Python<'_>, matrices: Vec<PyRef<'_, Self>>) -> PyResult<Self> {
        let matrices: Vec<&matrix::Matrix> = matrices.iter().map(|m| &m.0).collect();
        detached(py, || Ok(Self(matrix::Matrix::concat(&matrices)?)))
    }

    /// Whether columns were centred, so that chunks are dense.
    #[getter]
    fn centred(&self) -> bool {
        self.0.is_centred()
    }

    /// Block `i` of those that have rows, where columns were centred: rows x columns.
    fn read_dense<'py>(&self, py: Python<'py>, i: usize) -> PyResult<Bound<'py, PyAny>> {
        let values = detached(py, || Ok(self.0.read_dense(i)?))?
            .ok_or_else(|| PyValueError::new_err(format!("there is no block {i}")))?;
        let width = self.0.shape().1 as usize;
        match values {
            Values::F32(v) => crate::pp::matrix(py, v, width)?.into_bound_py_any(py),
            Values::F64(v) => crate::pp::matrix(py, v, width)?.into_bound_py_any(py),
        }
    }

    /// Block `i` of those that have rows: indptr, indices, values.
    fn read_block<'py>(&self, py: Python<'py>, i: usize) -> PyResult<Bound<'py, PyAny>> {
        let block = detached(py, || Ok(self.0.read_block(i)?))?
            .ok_or_else(|| PyValueError::new_err(format!("there is no block {i}")))?;
        let indptr = PyArray1::from_iter(py, block.indptr.iter().map(|&p| p as i64));
        let indices = PyArray1::from_iter(py, block.indices.iter().map(|&j| j as i32));
        let values = match block.values {
            Values::F32(v) => PyArray1::from_vec(py, v).into_any(),
            Values::F64(v) => PyArray1::from_vec(py, v).into_any(),
        };
        (indptr, indices, values).into_bound_py_any(py)
    }
}

/// The matrices of a file: address, encoding (`csr`, `csc`, `dense` or other), whether it can be
/// read as a stream of cells.
#[pyfunction]
pub fn matrices(py: Python<'_>, path: PathBuf) -> PyResult<Vec<(String, String, bool)>> {
    detached(py, || {
        let file = H5ad::open(&path)?;
        Ok(file
            .matrices()?
            .into_iter()
            .map(|m| {
                let native = ["csr", "csc", "dense", "mtx"].contains(&m.encoding.as_str())
                    && !matches!(m.path, cellmill_io::matrix::ReadPath::Unsupported(_));
                (m.address, m.encoding, native)
            })
            .collect())
    })
}
