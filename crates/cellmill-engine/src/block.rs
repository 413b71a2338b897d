//! The block: consecutive cells, all genes, as CSR.

/// The stored values of a block.
///
/// Values are f32 as they come from a file; f64 where the file is f64, where integers exceed
/// 2^24, and after any op that computes (op arithmetic is f64, rounded once on leaving the
/// engine).
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Values that an f32 holds exactly.
    F32(Vec<f32>),
    /// Values of f64 files, large integers, and results of ops.
    F64(Vec<f64>),
}

impl Values {
    /// The number of stored entries.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// Whether no entry is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entry `i` as f64.
    pub fn get(&self, i: usize) -> f64 {
        match self {
            Self::F32(v) => f64::from(v[i]),
            Self::F64(v) => v[i],
        }
    }
}

/// Consecutive cells x all genes, CSR: the unit of reading, of memory and of work.
///
/// Contract (a [`crate::BlockReader`] guarantees it, ops keep it): `indptr` has `n_rows + 1`
/// entries, starts at 0, never decreases and ends at `indices.len() == values.len()`; inside a
/// row the indices strictly increase and are below `n_cols`; values are finite. Explicit zeros
/// are allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The block's first row, as a row number of the source (before any selection of cells).
    pub first_row: u64,
    /// The number of columns (genes).
    pub n_cols: u32,
    /// Row starts within `indices` and `values`, `n_rows + 1` of them.
    pub indptr: Vec<usize>,
    /// Column of each entry, strictly increasing within a row.
    pub indices: Vec<u32>,
    /// Value of each entry.
    pub values: Values,
}

impl Block {
    /// An empty block of `n_cols` columns, to be filled by a reader and used again.
    pub fn new(n_cols: u32) -> Self {
        Self {
            first_row: 0,
            n_cols,
            indptr: vec![0],
            indices: Vec::new(),
            values: Values::F32(Vec::new()),
        }
    }

    /// The number of rows (cells).
    pub fn n_rows(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Takes all rows out, and keeps the memory.
    pub fn clear(&mut self) {
        self.indptr.clear();
        self.indptr.push(0);
        self.indices.clear();
        match &mut self.values {
            Values::F32(v) => v.clear(),
            Values::F64(v) => v.clear(),
        }
    }

    /// The number of stored entries.
    pub fn nnz(&self) -> usize {
        self.indices.len()
    }

    /// The entries of row `i` as a range into `indices` and `values`.
    pub fn row(&self, i: usize) -> std::ops::Range<usize> {
        self.indptr[i]..self.indptr[i + 1]
    }

    /// Turns f32 values into f64 ones (exact), so that an op can compute.
    pub fn values_f64(&mut self) -> &mut Vec<f64> {
        if let Values::F32(v) = &self.values {
            self.values = Values::F64(v.iter().map(|&x| f64::from(x)).collect());
        }
        match &mut self.values {
            Values::F64(v) => v,
            Values::F32(_) => unreachable!("converted above"),
        }
    }

    /// Heap bytes that the block holds (capacity, not length).
    pub fn bytes(&self) -> u64 {
        let values = match &self.values {
            Values::F32(v) => v.capacity() * 4,
            Values::F64(v) => v.capacity() * 8,
        };
        (self.indptr.capacity() * size_of::<usize>() + self.indices.capacity() * 4 + values) as u64
    }
}
