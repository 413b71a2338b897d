//! A matrix whose file does not hold it cell by cell: turned around once, through scratch.
//!
//! The entries are counted for each row, and so the blocks are known, as if the file held CSR. Before
//! the first block is read, one pass over the file deals the entries out to buckets of consecutive
//! rows, and every bucket is sorted in memory and written to a scratch file as CSR. Nothing depends
//! on the number of buckets, which the budget sets.

mod buckets;
mod csc;
mod exchanged;

pub(crate) use csc::open as open_csc;

use crate::csr::{Repairs, is_sorted, mix, sort_rows};
use crate::error::Error;
use crate::file_matrix::{FileMatrix, MatrixSpec};
use crate::open::FileIdentity;
use crate::workspace::Workspace;
use cellmill_engine::{Block, BlockReader, Grid, Result, Source, Values};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// An entry of a matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Entry {
    pub(crate) row: u64,
    pub(crate) column: u32,
    pub(crate) value: f64,
}

/// What takes batches of entries.
pub(crate) type Take<'a> = dyn FnMut(&[Entry]) -> Result<()> + 'a;

/// The entries of a matrix in the order of its file, which can be gone through more than once.
pub(crate) trait Entries: Send + Sync {
    /// Hands out every entry, in batches.
    fn each(&self, bytes_read: &AtomicU64, take: &mut Take<'_>) -> Result<()>;

    /// The matrix with rows and columns exchanged, where the file holds that.
    fn transposed(&self) -> Option<&dyn Source> {
        None
    }

    /// Heap bytes that are held while the matrix is open.
    fn resident_bytes(&self) -> u64 {
        0
    }
}

/// The type of the values in the file, as far as blocks depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// Floats of 64 bits: blocks are f64.
    Double,
    /// Integers that f32 may not hold: each block decides.
    Wide,
    /// What f32 holds.
    Single,
}

/// What is known of a matrix before it is turned around, and where it is afterwards.
pub(crate) struct Turned {
    pub(crate) path: PathBuf,
    pub(crate) identity: FileIdentity,
    pub(crate) address: String,
    /// The layout in the file, in words.
    pub(crate) layout: &'static str,
    /// The type of the values, in numpy's words.
    pub(crate) stored_dtype: String,
    pub(crate) n_cols: u32,
    pub(crate) indptr: Vec<u64>,
    pub(crate) number: Number,
    pub(crate) table_hash: u64,
    pub(crate) entries: Box<dyn Entries>,
    /// The scratch file: column numbers, then values.
    pub(crate) scratch: Mutex<Option<Arc<File>>>,
    pub(crate) bytes_read: AtomicU64,
}

impl Turned {
    pub(crate) fn nnz(&self) -> u64 {
        self.indptr.last().copied().unwrap_or(0)
    }

    /// Bytes of a value in scratch.
    fn value_bytes(&self) -> u64 {
        if self.number == Number::Single { 4 } else { 8 }
    }

    /// The scratch file, made now if it is not there yet.
    fn scratch(&self, workspace: &Workspace) -> Result<Arc<File>> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*scratch {
            return Ok(file.clone());
        }
        let file = Arc::new(buckets::fill(self, workspace)?);
        *scratch = Some(file.clone());
        Ok(file)
    }

    fn is_turned(&self) -> bool {
        let scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        scratch.is_some()
    }
}

/// A matrix that is turned around before its first block is read.
pub struct TurnedSource {
    turned: Arc<Turned>,
    workspace: Workspace,
    grid: Grid,
    block_rows: Option<u64>,
    repairs: Mutex<BTreeMap<usize, Repairs>>,
}

impl TurnedSource {
    pub(crate) fn new(turned: Arc<Turned>, workspace: &Workspace) -> Self {
        Self {
            grid: Grid::from_indptr(&turned.indptr),
            turned,
            workspace: workspace.clone(),
            block_rows: None,
            repairs: Mutex::default(),
        }
    }
}

impl FileMatrix for TurnedSource {
    fn stored_dtype(&self) -> String {
        self.turned.stored_dtype.clone()
    }

    fn path(&self) -> &Path {
        &self.turned.path
    }

    fn resident_bytes(&self) -> u64 {
        (self.turned.indptr.capacity() * 8) as u64 + self.turned.entries.resident_bytes()
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
            file: self.turned.identity.clone(),
            address: self.turned.address.clone(),
            table_hash: self.turned.table_hash,
            block_rows: self.block_rows,
        }
    }

    fn transposed(&self) -> Option<&dyn Source> {
        self.turned.entries.transposed()
    }

    fn to_turn(&self) -> Option<u64> {
        let bytes = self.turned.nnz() * (4 + self.turned.value_bytes());
        (!self.turned.is_turned()).then_some(bytes)
    }

    fn turn(&self) -> Result<()> {
        self.turned.scratch(&self.workspace).map(|_| ())
    }
}

impl Source for TurnedSource {
    fn n_cols(&self) -> u32 {
        self.turned.n_cols
    }

    fn nnz(&self) -> Option<u64> {
        Some(self.turned.nnz())
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn open(&self, blocks: Range<usize>) -> Result<Box<dyn BlockReader + '_>> {
        let end = blocks.end.min(self.grid.n_blocks());
        Ok(Box::new(Reader {
            source: self,
            scratch: self.turned.scratch(&self.workspace)?,
            blocks: blocks.start.min(end)..end,
            bytes: Vec::new(),
        }))
    }

    fn reader_bytes(&self) -> u64 {
        let (mut entries, mut rows) = (0, 0);
        for b in 0..self.grid.n_blocks() {
            let block = self.grid.block(b);
            let indptr = &self.turned.indptr;
            entries = entries.max(indptr[block.end as usize] - indptr[block.start as usize]);
            rows = rows.max(block.end - block.start);
        }
        entries * (4 + 2 * self.turned.value_bytes()) + (rows + 1) * 8 + (1 << 16)
    }

    fn bytes_read(&self) -> u64 {
        self.turned.bytes_read.load(Ordering::Relaxed)
    }

    fn describe(&self) -> String {
        format!(
            "{} {} ({} x {}, {} entries, {}, {})",
            self.turned.path.display(),
            self.turned.address,
            self.grid.n_rows(),
            self.turned.n_cols,
            self.turned.nnz(),
            self.turned.layout,
            self.turned.stored_dtype
        )
    }
}

struct Reader<'a> {
    source: &'a TurnedSource,
    scratch: Arc<File>,
    blocks: Range<usize>,
    bytes: Vec<u8>,
}

impl Reader<'_> {
    fn read(&mut self, offset: u64, n: usize) -> Result<()> {
        self.bytes.resize(n, 0);
        self.scratch
            .read_exact_at(&mut self.bytes, offset)
            .map_err(|source| cellmill_engine::Error::Io {
                what: "reading a scratch file".into(),
                source,
            })
    }

    fn fill(&mut self, index: usize, block: &mut Block) -> Result<()> {
        let source = self.source;
        let turned = &*source.turned;
        let rows = source.grid.block(index);
        let starts = &turned.indptr[rows.start as usize..=rows.end as usize];
        let (first, last) = (starts[0], starts[starts.len() - 1]);
        let n = (last - first) as usize;
        block.clear();
        block.first_row = rows.start;
        block.n_cols = turned.n_cols;
        block
            .indptr
            .extend(starts[1..].iter().map(|&p| (p - first) as usize));
        self.read(first * 4, n * 4)?;
        let columns = self.bytes.as_chunks::<4>().0;
        block
            .indices
            .extend(columns.iter().map(|&b| u32::from_ne_bytes(b)));
        let size = turned.value_bytes();
        self.read(turned.nnz() * 4 + first * size, n * size as usize)?;
        let doubles = || {
            self.bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|&b| f64::from_ne_bytes(b))
        };
        let narrow = match turned.number {
            Number::Single => true,
            Number::Double => false,
            Number::Wide => doubles().all(|x| x.abs() < 16_777_216.0),
        };
        match &mut block.values {
            Values::F64(_) if narrow => block.values = Values::F32(Vec::new()),
            Values::F32(_) if !narrow => block.values = Values::F64(Vec::new()),
            _ => {}
        }
        match (&mut block.values, turned.number) {
            (Values::F32(v), Number::Single) => {
                let floats = self.bytes.as_chunks::<4>().0;
                v.extend(floats.iter().map(|&b| f32::from_ne_bytes(b)));
            }
            (Values::F32(v), _) => v.extend(doubles().map(|x| x as f32)),
            (Values::F64(v), _) => v.extend(doubles()),
        }
        if !is_sorted(block) {
            let repairs = sort_rows(block, turned.number == Number::Wide);
            let mut all = source
                .repairs
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            all.insert(index, repairs);
        }
        Ok(())
    }
}

impl BlockReader for Reader<'_> {
    fn next_block(&mut self, block: &mut Block) -> Result<bool> {
        match self.blocks.next() {
            Some(index) => {
                self.fill(index, block)?;
                Ok(true)
            }
            None => {
                block.clear();
                Ok(false)
            }
        }
    }
}

/// The matrix of a file that is open already, else a new one: it is neither counted nor turned around
/// twice.
pub(crate) fn cached(
    identity: &FileIdentity,
    address: &str,
    make: impl FnOnce() -> Result<Turned, Error>,
) -> Result<Arc<Turned>, Error> {
    type Open = Mutex<HashMap<(FileIdentity, String), Weak<Turned>>>;
    static OPEN: OnceLock<Open> = OnceLock::new();
    let key = (identity.clone(), address.to_owned());
    let mut open = OPEN
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(turned) = open.get(&key).and_then(Weak::upgrade) {
        return Ok(turned);
    }
    open.retain(|_, turned| turned.strong_count() > 0);
    let turned = Arc::new(make()?);
    open.insert(key, Arc::downgrade(&turned));
    Ok(turned)
}

/// Row starts from the number of entries of each row.
pub(crate) fn starts(mut counts: Vec<u64>) -> Vec<u64> {
    let mut end = 0;
    for n in &mut counts {
        end += *n;
        *n = end;
    }
    counts.insert(0, 0);
    counts
}

/// A hash of the row starts, for sources that have no table of chunks.
pub(crate) fn hash_of(indptr: &[u64]) -> u64 {
    indptr.iter().fold(indptr.len() as u64, |h, &p| mix(h, p))
}

/// The file is not what it was when its entries were counted.
pub(crate) fn changed(turned: &Turned) -> Error {
    Error::Changed {
        path: turned.path.clone(),
        what: format!("{} has other entries", turned.address),
    }
}
