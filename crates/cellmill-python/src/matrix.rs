//! The lazy matrix of a file: a source, and the ops that are to happen to every block.

use crate::enter::detached;
use crate::failure::Failure;
use cellmill::matrix::{Touched, result_dtype};
use cellmill_engine::op::{CellSet, Pipeline, Scratch};
use cellmill_engine::{Block, Op, Source, Values};
use cellmill_io::{CsrSource, H5ad, SourceSpec};
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// What another process needs to make the same matrix.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Recipe {
    source: SourceSpec,
    stored: String,
    ops: Vec<Op>,
}

/// A matrix of a file, and what is to happen to it: nothing is read until a block is asked for.
#[pyclass(frozen, module = "cellmill._native")]
pub struct Matrix {
    pub source: Arc<CsrSource>,
    recipe: Recipe,
    cells: Option<CellSet>,
    n_cols: u32,
    /// Blocks that are not empty after the selection of cells, and their rows.
    blocks: Vec<(usize, u64)>,
}

/// The sources that are open, so that two matrices of one file share its tables.
fn opened(spec: &SourceSpec) -> Result<Arc<CsrSource>, cellmill_io::Error> {
    static OPEN: OnceLock<Mutex<HashMap<String, Weak<CsrSource>>>> = OnceLock::new();
    let key = format!("{spec:?}");
    let mut open = OPEN
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(source) = open.get(&key).and_then(Weak::upgrade) {
        return Ok(source);
    }
    open.retain(|_, source| source.strong_count() > 0);
    let source = Arc::new(CsrSource::from_spec(spec)?);
    open.insert(key, Arc::downgrade(&source));
    Ok(source)
}

impl Matrix {
    fn make(recipe: Recipe, source: Arc<CsrSource>) -> Result<Self, Failure> {
        let pipeline = Pipeline::new(&recipe.ops, source.n_rows(), source.n_cols())?;
        let mut cells: Option<CellSet> = None;
        for op in &recipe.ops {
            if let Op::SelectCells { cells: set } = op {
                cells = Some(match cells {
                    None => set.clone(),
                    Some(before) => before.intersect(set),
                });
            }
        }
        let grid = source.grid();
        let blocks = (0..grid.n_blocks())
            .map(|i| {
                let rows = grid.block(i);
                let n = match &cells {
                    None => rows.end - rows.start,
                    Some(set) => set.within(rows).count() as u64,
                };
                (i, n)
            })
            .filter(|&(_, n)| n > 0)
            .collect();
        Ok(Self {
            n_cols: pipeline.n_cols(),
            source,
            recipe,
            cells,
            blocks,
        })
    }

    fn with(&self, op: Op) -> Result<Self, Failure> {
        let mut recipe = self.recipe.clone();
        recipe.ops.push(op);
        Self::make(recipe, self.source.clone())
    }

    /// What a fold does to every block: the ops, and the rounding that the dtype asks for.
    pub fn ops(&self) -> &[Op] {
        &self.recipe.ops
    }

    /// The source of a fold, which passes over blocks of which no cell is selected.
    pub fn touched(&self) -> Touched {
        Touched::new(self.source.clone(), self.cells.clone())
    }

    fn numpy_dtype(&self) -> &'static str {
        result_dtype(&self.recipe.stored, &self.recipe.ops)
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
            let file = H5ad::open(&path)?;
            let info = file.matrix_info(address)?;
            let mut source = file.csr_source(address)?;
            if let Some(rows) = block_rows {
                source = source.with_grid_rows(rows.max(1));
            }
            let recipe = Recipe {
                source: source.spec(),
                stored: info.data_dtype,
                ops: Vec::new(),
            };
            let source = opened(&recipe.source)?;
            Self::make(recipe, source)
        })
    }

    /// The matrix that [`Matrix::to_json`] described.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> PyResult<Self> {
        let recipe: Recipe =
            serde_json::from_str(text).map_err(|e| PyValueError::new_err(e.to_string()))?;
        detached(py, || {
            let source = opened(&recipe.source)?;
            Self::make(recipe, source)
        })
    }

    /// The matrix as text: path, element, identity of the file, ops; never the values.
    fn to_json(&self) -> PyResult<String> {
        serde_json::to_string(&self.recipe).map_err(|e| PyValueError::new_err(e.to_string()))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        let make = py.get_type::<Self>().getattr("from_json")?;
        Ok((make, (self.to_json()?,)))
    }

    /// Rows and columns, after the selections.
    #[getter]
    fn shape(&self) -> (u64, u32) {
        (self.blocks.iter().map(|b| b.1).sum(), self.n_cols)
    }

    /// The name of the values' dtype, as numpy has it.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.numpy_dtype()
    }

    /// Rows of each block that has any.
    #[getter]
    fn block_rows(&self) -> Vec<u64> {
        self.blocks.iter().map(|b| b.1).collect()
    }

    /// The file's path.
    #[getter]
    fn path(&self) -> PathBuf {
        self.recipe.source.file.path.clone()
    }

    /// The source in words.
    fn describe(&self) -> String {
        self.source.describe()
    }

    /// The ops in words.
    fn op_names(&self) -> Vec<String> {
        self.recipe.ops.iter().map(ToString::to_string).collect()
    }

    /// Bytes read from the file so far, by everything that reads this matrix's source.
    fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    /// The matrix with every cell divided by total / target_sum.
    fn normalize_total(&self, target_sum: f64) -> PyResult<Self> {
        Ok(self.with(Op::NormalizeTotal { target_sum })?)
    }

    /// The matrix with ln(1 + x) taken.
    #[pyo3(signature = (base=None))]
    fn log1p(&self, base: Option<f64>) -> PyResult<Self> {
        Ok(self.with(Op::Log1p { base })?)
    }

    /// The matrix with these columns only, in increasing order.
    fn select_genes(&self, genes: Vec<u32>) -> PyResult<Self> {
        Ok(self.with(Op::SelectGenes { genes })?)
    }

    /// The matrix with the rows only whose mask is true; the mask has an entry for each row of this
    /// matrix.
    fn select_cells(&self, py: Python<'_>, mask: PyReadonlyArray1<'_, bool>) -> PyResult<Self> {
        let mask = mask.as_slice()?;
        detached(py, || {
            let cells =
                cellmill::matrix::select_within(self.cells.as_ref(), self.source.n_rows(), mask)?;
            self.with(Op::SelectCells { cells })
        })
    }

    /// Block `i` of those that have rows: indptr, indices, values.
    fn read_block<'py>(&self, py: Python<'py>, i: usize) -> PyResult<Bound<'py, PyAny>> {
        let &(index, _) = self
            .blocks
            .get(i)
            .ok_or_else(|| PyValueError::new_err(format!("there is no block {i}")))?;
        let dtype = self.numpy_dtype();
        let block = detached(py, || {
            let mut ops = self.recipe.ops.clone();
            if dtype == "float32" {
                ops.push(Op::RoundF32);
            }
            let pipeline = Pipeline::new(&ops, self.source.n_rows(), self.source.n_cols())?;
            let mut reader = self.source.open(index..index + 1)?;
            let mut block = Block::new(self.source.n_cols());
            reader.next_block(&mut block)?;
            if pipeline.is_identity() {
                return Ok(block);
            }
            let mut out = Block::new(self.n_cols);
            pipeline.apply(&block, &mut Scratch::default(), &mut out)?;
            Ok(out)
        })?;
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
                let native = m.encoding == "csr"
                    && !matches!(m.path, cellmill_io::matrix::ReadPath::Unsupported(_));
                (m.address, m.encoding, native)
            })
            .collect())
    })
}
