//! A dense matrix of a file as a [`Source`] of row blocks: zeros are dropped.

mod tiles;

use crate::csr::values;
use crate::error::{Error, Result};
use crate::file_matrix::{FileMatrix, MatrixSpec};
use crate::open::{Opened, Origin};
use crate::store::hdf5::Dtype;
use crate::store::zarr;
use cellmill_engine::grid::{BLOCK_ENTRIES, BLOCK_ROWS};
use cellmill_engine::{Block, BlockReader, Grid, Source, Values};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tiles::{Tile, Tiles};

/// A row of chunks above this many values is read in several blocks, each of which inflates its
/// chunks again.
const BAND: u64 = 16 << 20;

/// A dense matrix in a file, chunked in any way or contiguous. Blocks begin where chunks begin, so
/// that a chunk is inflated once in a read, unless a row of chunks holds more than 16 million values.
pub struct DenseSource {
    origin: Arc<Origin>,
    address: String,
    shape: [u64; 2],
    n_cols: u32,
    tiles: Tiles,
    grid: Grid,
    block_rows: Option<u64>,
    bytes_read: AtomicU64,
}

impl DenseSource {
    /// Opens the matrix at `address`: reads its chunk table, not its values.
    pub(crate) fn open(file: &Arc<Opened>, address: &str) -> Result<Self> {
        let address = address.trim_matches('/');
        Self::of_tiles(&file.origin, address, Tiles::open(file, address)?)
    }

    /// The array of a zarr folder.
    pub(crate) fn of_zarr(origin: &Arc<Origin>, address: &str, array: zarr::Array) -> Result<Self> {
        Self::of_tiles(origin, address, Tiles::of_zarr(origin, array)?)
    }

    fn of_tiles(file: &Arc<Origin>, address: &str, tiles: Tiles) -> Result<Self> {
        let shape = tiles.shape;
        let Ok(n_cols) = u32::try_from(shape[1]) else {
            return Err(Error::Unsupported {
                path: file.path.clone(),
                element: address.into(),
                what: format!("it has {} columns, more than {}", shape[1], u32::MAX),
                instead: "split it".into(),
            });
        };
        let grid = Grid::regular(shape[0], block_rows(tiles.tile[0], shape[1]));
        Ok(Self {
            origin: file.clone(),
            address: address.into(),
            shape,
            n_cols,
            tiles,
            grid,
            block_rows: None,
            bytes_read: AtomicU64::new(0),
        })
    }

    fn double(&self) -> bool {
        matches!(self.tiles.dtype, Dtype::Float { size: 8, .. })
    }
}

/// Rows of a block: whole rows of chunks, as many as hold about a million values.
fn block_rows(tile_rows: u64, n_cols: u64) -> u64 {
    let n_cols = n_cols.max(1);
    let band = tile_rows.saturating_mul(n_cols);
    if band > BAND {
        let parts = band.div_ceil(BAND);
        return tile_rows.div_ceil(parts).max(1);
    }
    let bands = (BLOCK_ENTRIES / band.max(1)).min(BLOCK_ROWS / tile_rows.max(1));
    tile_rows * bands.max(1)
}

impl FileMatrix for DenseSource {
    fn stored_dtype(&self) -> String {
        self.tiles.dtype.to_string()
    }

    fn path(&self) -> &Path {
        &self.origin.path
    }

    fn resident_bytes(&self) -> u64 {
        self.tiles.table_bytes()
    }

    fn set_grid_rows(&mut self, block_rows: u64) {
        self.grid = Grid::regular(self.shape[0], block_rows);
        self.block_rows = Some(block_rows);
    }

    fn spec(&self) -> MatrixSpec {
        MatrixSpec {
            file: self.origin.identity.clone(),
            address: self.address.clone(),
            table_hash: self.tiles.hash(),
            block_rows: self.block_rows,
        }
    }
}

impl Source for DenseSource {
    fn n_cols(&self) -> u32 {
        self.n_cols
    }

    fn nnz(&self) -> Option<u64> {
        None
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn open(&self, blocks: Range<usize>) -> cellmill_engine::Result<Box<dyn BlockReader + '_>> {
        self.tiles.unchanged()?;
        let end = blocks.end.min(self.grid.n_blocks());
        Ok(Box::new(Reader {
            source: self,
            blocks: blocks.start.min(end)..end,
            tile: Tile::default(),
            piece: Values::F32(Vec::new()),
            band: Values::F32(Vec::new()),
        }))
    }

    fn reader_bytes(&self) -> u64 {
        let rows = (0..self.grid.n_blocks())
            .map(|b| self.grid.block(b))
            .map(|r| r.end - r.start)
            .max()
            .unwrap_or(0);
        let wide = matches!(
            self.tiles.dtype,
            Dtype::Float { size: 8, .. } | Dtype::Int { size: 4 | 8, .. }
        );
        let value = if wide { 8 } else { 4 };
        let band = rows.min(self.tiles.tile[0]);
        let piece = band * self.tiles.tile[1];
        self.tiles.tile_bytes()
            + (band * u64::from(self.n_cols) + piece) * value
            + rows * u64::from(self.n_cols) * (4 + value)
            + (rows + 1) * 8
            + (1 << 16)
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    fn describe(&self) -> String {
        format!(
            "{} {} ({} x {}, dense, {})",
            self.origin.path.display(),
            self.address,
            self.shape[0],
            self.shape[1],
            self.tiles.dtype
        )
    }
}

struct Reader<'a> {
    source: &'a DenseSource,
    blocks: Range<usize>,
    tile: Tile,
    /// The wanted rows of one chunk.
    piece: Values,
    /// The wanted rows of a row of chunks, row-major.
    band: Values,
}

impl Reader<'_> {
    fn fill(&mut self, rows: Range<u64>, block: &mut Block) -> Result<()> {
        let source = self.source;
        block.clear();
        block.first_row = rows.start;
        block.n_cols = source.n_cols;
        match &mut block.values {
            Values::F64(_) if !source.double() => block.values = Values::F32(Vec::new()),
            Values::F32(_) if source.double() => block.values = Values::F64(Vec::new()),
            _ => {}
        }
        let step = source.tiles.tile[0];
        let mut at = rows.start;
        while at < rows.end {
            let end = rows.end.min((at / step + 1) * step);
            self.read_band(at..end)?;
            self.push(block, (end - at) as usize);
            at = end;
        }
        Ok(())
    }

    /// Brings rows of one row of chunks into `band`.
    fn read_band(&mut self, rows: Range<u64>) -> Result<()> {
        let source = self.source;
        let width = source.n_cols as usize;
        let n_rows = (rows.end - rows.start) as usize;
        let step = source.tiles.tile[1];
        let columns = source.shape[1].div_ceil(step);
        clear(&mut self.band, source.double());
        resize(&mut self.band, n_rows * width);
        for column in 0..columns {
            clear(&mut self.piece, source.double());
            let first = column * step;
            let held =
                source
                    .tiles
                    .load(&mut self.tile, rows.clone(), column, &source.bytes_read)?;
            if let Some(piece) = held
                && !values::extend_values(&source.tiles.dtype, &piece, &mut self.piece)
            {
                return Err(not_finite(source, &self.piece, rows.start, first));
            }
            let wanted = step.min(source.shape[1] - first) as usize;
            scatter(
                &mut self.band,
                &mut self.piece,
                width,
                first as usize,
                step as usize,
                wanted,
            );
        }
        Ok(())
    }

    /// Appends what is not zero in `band` to the block.
    fn push(&self, block: &mut Block, n_rows: usize) {
        let width = self.source.n_cols as usize;
        if let Values::F64(_) = self.band {
            block.values_f64();
        }
        for r in 0..n_rows {
            let row = r * width..(r + 1) * width;
            match (&self.band, &mut block.values) {
                (Values::F32(band), Values::F32(out)) => keep(&band[row], &mut block.indices, out),
                (Values::F64(band), Values::F64(out)) => keep(&band[row], &mut block.indices, out),
                (Values::F32(band), Values::F64(out)) => {
                    for (j, &x) in band[row].iter().enumerate().filter(|(_, x)| **x != 0.0) {
                        block.indices.push(j as u32);
                        out.push(f64::from(x));
                    }
                }
                (Values::F64(_), Values::F32(_)) => {}
            }
            block.indptr.push(block.indices.len());
        }
    }
}

fn keep<T: Copy + PartialEq + Default>(row: &[T], indices: &mut Vec<u32>, out: &mut Vec<T>) {
    for (j, &x) in row.iter().enumerate() {
        if x != T::default() {
            indices.push(j as u32);
            out.push(x);
        }
    }
}

fn clear(values: &mut Values, double: bool) {
    match values {
        Values::F32(v) if !double => v.clear(),
        Values::F64(v) if double => v.clear(),
        _ if double => *values = Values::F64(Vec::new()),
        _ => *values = Values::F32(Vec::new()),
    }
}

fn resize(values: &mut Values, n: usize) {
    match values {
        Values::F32(v) => v.resize(n, 0.0),
        Values::F64(v) => v.resize(n, 0.0),
    }
}

/// Puts the rows of a chunk of `step` columns, of which `wanted` count, at column `first` of a band.
fn scatter(
    band: &mut Values,
    piece: &mut Values,
    width: usize,
    first: usize,
    step: usize,
    wanted: usize,
) {
    fn copy<T: Copy>(
        band: &mut [T],
        piece: &[T],
        width: usize,
        first: usize,
        step: usize,
        wanted: usize,
    ) {
        for (row, from) in band.chunks_exact_mut(width).zip(piece.chunks_exact(step)) {
            row[first..first + wanted].copy_from_slice(&from[..wanted]);
        }
    }
    match (&mut *band, &mut *piece) {
        (Values::F32(to), Values::F32(from)) => copy(to, from, width, first, step, wanted),
        (Values::F64(to), Values::F64(from)) => copy(to, from, width, first, step, wanted),
        // One chunk has an integer that f32 does not hold: the others follow.
        (Values::F32(to), Values::F64(_)) => {
            *band = Values::F64(to.iter().map(|&x| f64::from(x)).collect());
            scatter(band, piece, width, first, step, wanted);
        }
        (Values::F64(_), Values::F32(from)) => {
            *piece = Values::F64(from.iter().map(|&x| f64::from(x)).collect());
            scatter(band, piece, width, first, step, wanted);
        }
    }
}

fn not_finite(source: &DenseSource, piece: &Values, first_row: u64, first_column: u64) -> Error {
    let step = source.tiles.tile[1] as usize;
    let at = (0..piece.len())
        .find(|&i| !piece.get(i).is_finite())
        .unwrap_or(0);
    let row = first_row + (at / step) as u64;
    Error::Malformed {
        path: source.origin.path.clone(),
        element: source.address.clone(),
        rows: Some(row..row + 1),
        what: format!(
            "column {} is {} and every value should be a finite number",
            first_column + (at % step) as u64,
            piece.get(at)
        ),
    }
}

impl BlockReader for Reader<'_> {
    fn next_block(&mut self, block: &mut Block) -> cellmill_engine::Result<bool> {
        match self.blocks.next() {
            Some(index) => {
                let rows = self.source.grid.block(index);
                self.fill(rows, block)?;
                Ok(true)
            }
            None => {
                block.clear();
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_rows_of_chunks() {
        assert_eq!(block_rows(10, 1000), 1040);
        assert_eq!(block_rows(64, 32_738), 64);
        assert_eq!(block_rows(1, 0), 65_536);
        assert_eq!(block_rows(100_000, 3), 100_000);
        // 3.2e9 values in a row of chunks: 196 parts.
        assert_eq!(block_rows(100_000, 32_738), 511);
    }
}
