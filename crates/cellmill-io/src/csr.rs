//! A CSR matrix of a file as a [`Source`] of row blocks.
//!
//! The HDF5 library takes one lock and inflates on one thread, so bulk data does not go through
//! it: the chunk table is read once, and every reader then fetches compressed chunks with `pread`
//! and inflates them itself, on as many threads as there are readers.

mod array;
mod decode;
mod lzf;
mod pipeline;
mod reader;
mod stream;
pub(crate) mod values;

pub(crate) use array::{RawArray, mix, unknown_filter};
pub(crate) use decode::{Piece, half};
pub(crate) use pipeline::{Buffers, Order, Pipeline};
pub(crate) use reader::{is_sorted, sort_rows};

use crate::error::{Error, Result};
use crate::file_matrix::{FileMatrix, MatrixSpec};
use crate::open::{Opened, Origin};
use crate::store::hdf5::Dtype;
use array::Cursor;
use cellmill_engine::{BlockReader, Grid, Source};
use reader::Reader;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What had to be put right while blocks were read. Each block counts once, however often it is
/// read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs {
    /// Rows whose column numbers did not increase, and were sorted.
    pub rows_sorted: u64,
    /// Entries that stood twice at one place, and were added to the first.
    pub duplicates_summed: u64,
}

impl Repairs {
    /// The repairs of all blocks.
    pub(crate) fn sum(blocks: &Mutex<BTreeMap<usize, Self>>) -> Self {
        let all = blocks.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().fold(Self::default(), |sum, r| Self {
            rows_sorted: sum.rows_sorted + r.rows_sorted,
            duplicates_summed: sum.duplicates_summed + r.duplicates_summed,
        })
    }
}

/// A CSR matrix in a file.
///
/// The type of a block's values depends on the grid and the data alone (see [`FileMatrix`]), so it
/// is the same in every read, and an ordinary count matrix stays at 4 bytes a value even where one
/// block has a huge count.
///
/// Rows whose columns are not sorted are sorted, entries at the same place are added up (as scipy
/// does), explicit zeros are kept; [`FileMatrix::repairs`] counts. `nnz` is what the file stores,
/// before duplicates are added up.
pub struct CsrSource {
    origin: Arc<Origin>,
    address: String,
    n_cols: u32,
    indptr: Vec<u64>,
    indices: RawArray,
    data: RawArray,
    grid: Grid,
    block_rows: Option<u64>,
    /// The type that a user is told.
    stored_dtype: String,
    table_hash: u64,
    bytes_read: AtomicU64,
    repairs: Mutex<BTreeMap<usize, Repairs>>,
}

impl CsrSource {
    /// Opens the matrix at `address`: reads `indptr` and the chunk tables, and checks them.
    pub(crate) fn open(file: &Arc<Opened>, address: &str) -> Result<Self> {
        let address = address.trim_matches('/');
        let shape = sparse_shape(file, address, "csr")?;
        Self::of_parts(file, address, address, shape)
    }

    /// Opens the CSC matrix at `address` with rows and columns exchanged.
    pub(crate) fn open_transposed(file: &Arc<Opened>, address: &str) -> Result<Self> {
        let [rows, columns] = sparse_shape(file, address, "csc")?;
        Self::of_parts(file, address, address, [columns, rows])
    }

    /// The matrix whose parts stand in the group `group`, to be known as `address`.
    pub(crate) fn of_parts(
        file: &Arc<Opened>,
        address: &str,
        group: &str,
        shape: [u64; 2],
    ) -> Result<Self> {
        let part = |name: &str| RawArray::open(file, &format!("{group}/{name}"));
        let parts = [part("indptr")?, part("indices")?, part("data")?];
        Self::of_arrays(&file.origin, address, group, parts, shape)
    }

    /// The matrix of these arrays (row starts, columns, values), to be known as `address`.
    pub(crate) fn of_arrays(
        file: &Arc<Origin>,
        address: &str,
        group: &str,
        [indptr, indices, data]: [RawArray; 3],
        shape: [u64; 2],
    ) -> Result<Self> {
        let Ok(n_cols) = u32::try_from(shape[1]) else {
            return Err(Error::Unsupported {
                path: file.path.clone(),
                element: address.into(),
                what: format!("it has {} columns, more than {}", shape[1], u32::MAX),
                instead: "split it".into(),
            });
        };
        for (array, element) in [(&indptr, "indptr"), (&indices, "indices")] {
            if !matches!(array.dtype, Dtype::Int { .. }) {
                return Err(file.malformed(
                    &format!("{group}/{element}"),
                    format!("integers were expected and it holds {}", array.dtype),
                ));
            }
        }
        let hash = [&indptr, &indices, &data]
            .iter()
            .fold(shape[0] ^ shape[1] << 1, |h, a| a.hash(h));
        let bytes_read = AtomicU64::new(0);
        let indptr = read_indptr(file, &indptr, shape[0], &bytes_read)?;
        let nnz = indptr.last().copied().unwrap_or(0);
        for (array, element) in [(&indices, "indices"), (&data, "data")] {
            if array.len != nnz {
                return Err(file.malformed(
                    &format!("{group}/{element}"),
                    format!("it has {} entries and indptr ends at {nnz}", array.len),
                ));
            }
        }
        let grid = Grid::from_indptr(&indptr);
        Ok(Self {
            origin: file.clone(),
            address: address.into(),
            stored_dtype: data.dtype.to_string(),
            n_cols,
            indptr,
            indices,
            data,
            grid,
            block_rows: None,
            table_hash: hash,
            bytes_read,
            repairs: Mutex::new(BTreeMap::new()),
        })
    }

    /// The same matrix in blocks of `block_rows` rows, whatever they hold: for tests, and where
    /// an executor prescribes the blocks.
    pub fn with_grid_rows(mut self, block_rows: u64) -> Self {
        self.set_grid_rows(block_rows);
        self
    }

    /// The starts of the rows, one more than there are rows.
    pub fn indptr(&self) -> &[u64] {
        &self.indptr
    }

    /// The same matrix, of which a user is told that it holds this type.
    pub(crate) fn known_as(mut self, dtype: &str) -> Self {
        self.stored_dtype = dtype.into();
        self
    }

    /// The type of the values in the file.
    pub(crate) fn dtype(&self) -> &Dtype {
        &self.data.dtype
    }

    /// A reader that leaves every entry where it stands in the file: rows may be unsorted and hold
    /// entries twice.
    pub(crate) fn open_as_stored(&self) -> Reader<'_> {
        let mut reader = Reader::new(self, 0..self.grid.n_blocks());
        reader.as_stored = true;
        reader
    }

    /// Adds the number of entries of each column to `counts`, reading the column numbers alone.
    pub(crate) fn count_columns(&self, counts: &mut [u64]) -> Result<()> {
        let nnz = self.indices.len;
        let mut columns = Vec::new();
        Cursor::new(&self.indices, nnz, &self.bytes_read).read(0..nnz, |piece, at| {
            columns.clear();
            values::extend_columns(&self.indices.dtype, piece, &mut columns);
            for (i, &column) in columns.iter().enumerate() {
                match counts.get_mut(column as usize) {
                    Some(n) => *n += 1,
                    None => {
                        return Err(self.origin.malformed(
                            &self.indices.address,
                            format!(
                                "entry {} should be below {} and is {}",
                                at + i as u64,
                                counts.len(),
                                if column == u32::MAX {
                                    "negative or far too large".to_owned()
                                } else {
                                    column.to_string()
                                }
                            ),
                        ));
                    }
                }
            }
            Ok(())
        })
    }

    fn entries(&self, blocks: &Range<usize>) -> Range<u64> {
        if blocks.is_empty() || blocks.end > self.grid.n_blocks() {
            return 0..0;
        }
        let first = self.grid.block(blocks.start).start as usize;
        let end = self.grid.block(blocks.end - 1).end as usize;
        self.indptr[first]..self.indptr[end]
    }
}

impl FileMatrix for CsrSource {
    fn stored_dtype(&self) -> String {
        self.stored_dtype.clone()
    }

    fn path(&self) -> &Path {
        &self.origin.path
    }

    fn resident_bytes(&self) -> u64 {
        (self.indptr.capacity() * 8) as u64 + self.indices.table_bytes() + self.data.table_bytes()
    }

    fn repairs(&self) -> Repairs {
        Repairs::sum(&self.repairs)
    }

    fn set_grid_rows(&mut self, block_rows: u64) {
        self.grid = Grid::regular(self.grid.n_rows(), block_rows);
        self.block_rows = Some(block_rows);
    }

    fn spec(&self) -> MatrixSpec {
        MatrixSpec {
            file: self.origin.identity.clone(),
            address: self.address.clone(),
            table_hash: self.table_hash,
            block_rows: self.block_rows,
        }
    }
}

impl Source for CsrSource {
    fn n_cols(&self) -> u32 {
        self.n_cols
    }

    fn nnz(&self) -> Option<u64> {
        self.indptr.last().copied()
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn open(&self, blocks: Range<usize>) -> cellmill_engine::Result<Box<dyn BlockReader + '_>> {
        self.data.unchanged()?;
        Ok(Box::new(Reader::new(self, blocks)))
    }

    fn prefetch(&self, blocks: Range<usize>) {
        let entries = self.entries(&blocks);
        for array in [&self.indices, &self.data] {
            array.prefetch(entries.clone());
        }
    }

    fn reader_bytes(&self) -> u64 {
        // A reader holds one chunk of each array and the block that it fills.
        let (mut entries, mut rows) = (0, 0);
        for b in 0..self.grid.n_blocks() {
            let block = self.grid.block(b);
            entries =
                entries.max(self.indptr[block.end as usize] - self.indptr[block.start as usize]);
            rows = rows.max(block.end - block.start);
        }
        let value = match self.data.dtype {
            Dtype::Float { size: 8, .. } | Dtype::Int { size: 4 | 8, .. } => 8,
            _ => 4,
        };
        self.indices.cursor_bytes()
            + self.data.cursor_bytes()
            + entries * (4 + value)
            + (rows + 1) * 8
            + (1 << 16)
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    fn describe(&self) -> String {
        format!(
            "{} {} ({} x {}, {} entries, {})",
            self.origin.path.display(),
            self.address,
            self.grid.n_rows(),
            self.n_cols,
            self.data.len,
            self.data.dtype
        )
    }
}

/// The shape of the sparse matrix at `address`, which has to be of this format.
pub(crate) fn sparse_shape(file: &Opened, address: &str, format: &str) -> Result<[u64; 2]> {
    let object = file.object(address)?;
    let found = crate::matrix::encoding_of(file, address, &object)?;
    if found != format {
        return Err(Error::Unsupported {
            path: file.path.clone(),
            element: address.into(),
            what: format!("it is {found}, which is not a matrix that this version reads here"),
            instead: "convert it in Python with adata.X = scipy.sparse.csr_matrix(adata.X) and \
                      adata.write_h5ad(…)"
                .into(),
        });
    }
    crate::matrix::shape_attribute(file, address, &object)
}

fn read_indptr(
    file: &Origin,
    array: &RawArray,
    n_rows: u64,
    bytes_read: &AtomicU64,
) -> Result<Vec<u64>> {
    if n_rows.checked_add(1) != Some(array.len) {
        return Err(file.malformed(
            &array.address,
            format!(
                "the matrix has {n_rows} rows, so {} entries were expected and it has {}",
                n_rows + 1,
                array.len
            ),
        ));
    }
    let mut indptr: Vec<u64> = Vec::new();
    let n = usize::try_from(array.len).unwrap_or(usize::MAX);
    indptr.try_reserve_exact(n).map_err(|_| {
        file.malformed(
            &array.address,
            format!("{n} row starts do not fit in memory"),
        )
    })?;
    Cursor::new(array, array.len, bytes_read).read(0..array.len, |piece, _| {
        values::extend_u64(&array.dtype, piece, &mut indptr);
        Ok(())
    })?;
    let bad = |row: usize, what: String| Error::Malformed {
        path: file.path.clone(),
        element: array.address.clone(),
        rows: Some(row as u64..row as u64 + 1),
        what,
    };
    if indptr[0] != 0 {
        return Err(bad(
            0,
            format!("the first entry should be 0 and is {}", indptr[0] as i64),
        ));
    }
    if let Some(row) = indptr.windows(2).position(|w| w[1] < w[0]) {
        return Err(bad(
            row,
            format!(
                "row starts should never decrease, and entry {} is {} after {}",
                row + 1,
                indptr[row + 1] as i64,
                indptr[row]
            ),
        ));
    }
    if indptr[n - 1] > i64::MAX as u64 {
        return Err(bad(
            n - 2,
            format!("it ends at {}, which is negative", indptr[n - 1] as i64),
        ));
    }
    Ok(indptr)
}
