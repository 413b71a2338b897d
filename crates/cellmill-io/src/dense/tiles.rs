//! The chunks of a dense array of two dimensions, each read alone.

use crate::csr::{Buffers, Order, Piece, Pipeline, mix, unknown_filter};
use crate::error::{Error, Result};
use crate::open::{Opened, Origin};
use crate::store::hdf5::chunks::{Chunk, read_bytes};
use crate::store::hdf5::{Dtype, Layout, Storage};
use crate::store::zarr::{self, ZarrDtype};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Values of an array without chunks that are read at once.
const RUN: u64 = 1 << 18;

/// How the values are reached.
enum Way {
    /// Chunks, with this crate's own filters.
    Chunks {
        file: Arc<Opened>,
        chunks: Vec<Chunk>,
        pipeline: Pipeline,
    },
    /// One run of bytes; `None` where nothing was ever written.
    Run {
        file: Arc<Opened>,
        address: Option<u64>,
    },
    /// The library's own read.
    Library {
        file: Arc<Opened>,
        storage: Box<Storage>,
    },
    /// The chunks of a zarr folder.
    Zarr(Box<zarr::Array>),
}

/// A dense array of numbers, cut into tiles: its chunks, or rows of an array without chunks.
pub(super) struct Tiles {
    origin: Arc<Origin>,
    address: String,
    pub(super) dtype: Dtype,
    pub(super) shape: [u64; 2],
    /// Rows and columns of a tile.
    pub(super) tile: [u64; 2],
    way: Way,
    big: bool,
    fill: [u8; 8],
    stored: u64,
}

/// The tile that was read last, with the buffers that its reading took.
#[derive(Default)]
pub(super) struct Tile {
    bytes: Vec<u8>,
    stored: Vec<u8>,
    buffers: Buffers,
}

impl Tiles {
    pub(super) fn open(file: &Arc<Opened>, address: &str) -> Result<Self> {
        let fault = |fault| file.fault(address, fault);
        let object = file.object(address)?;
        let mut storage = Storage::of(object, file.number, file.identity.size, 2).map_err(fault)?;
        let size = storage.dtype.number_size().unwrap_or(1);
        let mut dtype = storage.dtype.clone();
        let mut big = matches!(
            dtype,
            Dtype::Int { big: true, .. } | Dtype::Float { big: true, .. }
        );
        let shape = [storage.dims[0], storage.dims[1]];
        let rows = (RUN / shape[1].max(1)).clamp(1, shape[0].max(1));
        let mut tile = [rows, shape[1].max(1)];
        let layout = std::mem::replace(&mut storage.layout, Layout::Opaque(String::new()));
        let fast = match layout {
            Layout::Contiguous { address: at } if storage.filters.is_empty() => {
                if let Some(at) = at {
                    file.inside(address, at, storage.len.saturating_mul(size as u64))?;
                }
                Some(Way::Run {
                    file: file.clone(),
                    address: at,
                })
            }
            Layout::Chunked { entries, chunks } => {
                let bytes = entries
                    .checked_mul(size as u64)
                    .and_then(|b| usize::try_from(b).ok());
                match bytes.map(|bytes| Pipeline::new(&storage.filters, bytes, size)) {
                    Some(Ok(pipeline)) => {
                        for chunk in chunks.iter().filter(|c| c.address != u64::MAX) {
                            file.inside(address, chunk.address, chunk.size.into())?;
                        }
                        Some(Way::Chunks {
                            file: file.clone(),
                            chunks,
                            pipeline,
                        })
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        if let Some(chunk) = &storage.chunk
            && let [rows, columns] = chunk[..]
        {
            tile = [rows, columns];
        }
        let (fill, stored) = (storage.fill, storage.stored);
        let way = match fast {
            Some(way) => way,
            None => {
                if let Some(filter) = storage.filters.iter().find(|f| !f.available) {
                    return Err(unknown_filter(file, address, filter));
                }
                // The library converts: to this machine's byte order, and halves to floats.
                big = cfg!(target_endian = "big");
                if let Dtype::Float { size: 2, .. } = dtype {
                    dtype = Dtype::Float { size: 4, big };
                }
                storage.dtype = dtype.clone();
                Way::Library {
                    file: file.clone(),
                    storage: Box::new(storage),
                }
            }
        };
        Ok(Self {
            origin: file.origin.clone(),
            address: address.into(),
            dtype,
            shape,
            tile,
            way,
            big,
            fill,
            stored,
        })
    }

    pub(super) fn of_zarr(origin: &Arc<Origin>, array: zarr::Array) -> Result<Self> {
        let (&[rows, columns], &[tile_rows, tile_columns], ZarrDtype::Number(dtype)) =
            (&array.shape[..], &array.chunk[..], &array.dtype)
        else {
            return Err(origin.malformed(
                &array.address,
                format!(
                    "numbers in two dimensions were expected, not {:?} of shape {:?}",
                    array.dtype, array.shape
                ),
            ));
        };
        let mut fill = [0; 8];
        fill[..array.fill.len()].copy_from_slice(&array.fill);
        Ok(Self {
            origin: origin.clone(),
            address: array.address.clone(),
            dtype: dtype.clone(),
            shape: [rows, columns],
            tile: [tile_rows, tile_columns],
            big: matches!(
                dtype,
                Dtype::Int { big: true, .. } | Dtype::Float { big: true, .. }
            ),
            fill,
            stored: 0,
            way: Way::Zarr(Box::new(array)),
        })
    }

    /// Checks that nobody has written to the file since it was opened.
    pub(super) fn unchanged(&self) -> Result<()> {
        match &self.way {
            Way::Chunks { file, .. } | Way::Run { file, .. } | Way::Library { file, .. } => {
                file.unchanged()
            }
            Way::Zarr(_) => Ok(()),
        }
    }

    fn element(&self) -> u64 {
        self.dtype.number_size().unwrap_or(1) as u64
    }

    /// Heap bytes of the chunk table.
    pub(super) fn table_bytes(&self) -> u64 {
        match &self.way {
            Way::Chunks { chunks, .. } => (chunks.capacity() * size_of::<Chunk>()) as u64,
            _ => 0,
        }
    }

    /// Upper bound of the heap bytes of a [`Tile`].
    pub(super) fn tile_bytes(&self) -> u64 {
        let tile = self.tile[0]
            .saturating_mul(self.tile[1])
            .saturating_mul(self.element());
        match &self.way {
            Way::Chunks { chunks, .. } => {
                let largest = chunks.iter().map(|c| u64::from(c.size)).max().unwrap_or(0);
                largest.max(tile) + tile * 2
            }
            Way::Run { .. } => tile,
            Way::Library { .. } | Way::Zarr(_) => tile * 2,
        }
    }

    /// A number that changes when the values lie elsewhere or otherwise in the file.
    pub(super) fn hash(&self) -> u64 {
        let mut hash = mix(self.shape[0], self.shape[1]);
        hash = mix(hash, self.tile[0] ^ self.tile[1] << 1);
        match &self.way {
            Way::Chunks { chunks, .. } => {
                for chunk in chunks {
                    hash = mix(hash, chunk.address);
                    hash = mix(hash, u64::from(chunk.size) << 32 | u64::from(chunk.mask));
                }
            }
            Way::Run { address, .. } => hash = mix(hash, address.unwrap_or(u64::MAX)),
            Way::Library { .. } | Way::Zarr(_) => hash = mix(hash, self.stored),
        }
        hash
    }

    /// The values of `rows` (of one row of tiles) in a column of tiles, all columns of the tile;
    /// `None` where nothing was ever written and nothing means zero.
    pub(super) fn load<'t>(
        &self,
        tile: &'t mut Tile,
        rows: Range<u64>,
        column: u64,
        counter: &AtomicU64,
    ) -> Result<Option<Piece<'t>>> {
        let [tile_rows, tile_columns] = self.tile;
        let n = ((rows.end - rows.start) * tile_columns) as usize;
        let mut range = 0..n;
        let mut order = Order::Plain;
        match &self.way {
            Way::Chunks {
                file,
                chunks,
                pipeline,
            } => {
                let across = self.shape[1].div_ceil(tile_columns);
                let row = rows.start / tile_rows;
                let chunk = chunks
                    .get((row * across + column) as usize)
                    .copied()
                    .unwrap_or(Chunk::MISSING);
                if chunk.address == u64::MAX {
                    return Ok(self.filled(tile, n));
                }
                tile.stored.resize(chunk.size as usize, 0);
                file.read_at(&self.address, &mut tile.stored, chunk.address, counter)?;
                order = pipeline
                    .undo(
                        chunk.mask,
                        &mut tile.stored,
                        &mut tile.bytes,
                        &mut tile.buffers,
                    )
                    .map_err(|what| self.wrong(row * tile_rows, column * tile_columns, what))?;
                let skip = ((rows.start - row * tile_rows) * tile_columns) as usize;
                range = skip..skip + n;
            }
            Way::Run { address: None, .. } => return Ok(self.filled(tile, n)),
            Way::Run {
                file,
                address: Some(at),
            } => {
                tile.bytes.resize(n * self.element() as usize, 0);
                let skip = rows.start * self.shape[1] * self.element();
                file.read_at(&self.address, &mut tile.bytes, at + skip, counter)?;
            }
            Way::Library { file, storage } => {
                let first = [rows.start, column * tile_columns];
                let wanted = tile_columns.min(self.shape[1] - first[1]);
                let size = self.element() as usize;
                let lengths = [rows.end - rows.start, wanted];
                let mut held = vec![0; (lengths[0] * wanted) as usize * size];
                read_bytes(storage, &first, &lengths, &mut held)
                    .map_err(|fault| file.fault(&self.address, fault))?;
                counter.fetch_add(held.len() as u64, Ordering::Relaxed);
                // The last tile of a row may be cut; it is handed out whole.
                tile.bytes.clear();
                for row in held.chunks_exact((wanted as usize * size).max(1)) {
                    tile.bytes.extend_from_slice(row);
                    let end = tile.bytes.len() + (tile_columns - wanted) as usize * size;
                    tile.bytes.resize(end, 0);
                }
            }
            Way::Zarr(array) => {
                let row = rows.start / tile_rows;
                match array.chunk(&[row, column], counter)? {
                    Some(bytes) => tile.bytes = bytes,
                    None => return Ok(self.filled(tile, n)),
                }
                let skip = ((rows.start - row * tile_rows) * tile_columns) as usize;
                range = skip..skip + n;
            }
        }
        Ok(Some(Piece {
            bytes: &tile.bytes,
            order,
            range,
            big: self.big,
        }))
    }

    /// `n` fill values, or nothing where they are zero.
    fn filled<'t>(&self, tile: &'t mut Tile, n: usize) -> Option<Piece<'t>> {
        let fill = &self.fill[..self.element() as usize];
        if fill.iter().all(|&b| b == 0) {
            return None;
        }
        tile.bytes.clear();
        for _ in 0..n {
            tile.bytes.extend_from_slice(fill);
        }
        Some(Piece {
            bytes: &tile.bytes,
            order: Order::Plain,
            range: 0..n,
            big: self.big,
        })
    }

    fn wrong(&self, row: u64, column: u64, what: String) -> Error {
        Error::Malformed {
            path: self.origin.path.clone(),
            element: self.address.clone(),
            rows: None,
            what: format!(
                "the chunk that begins at row {row}, column {column} cannot be read: {what}"
            ),
        }
    }
}
