//! Only fetching and inflating the chunks of a CSR matrix: what reading it costs at the least.

use libdeflater::Decompressor;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A chunk: offset in the file, bytes there, bytes when inflated, whether it is compressed.
struct Chunk {
    at: u64,
    stored: usize,
    bytes: usize,
    gzip: bool,
}

/// The chunks of the indices and values of matrices.
pub struct Chunks {
    file: File,
    all: Vec<Chunk>,
}

impl Chunks {
    /// The chunks of the CSR matrices at `addresses`; arrays without chunks are left out.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn of(path: &Path, addresses: &[&str]) -> Result<Self, Box<dyn std::error::Error>> {
        let raw = hdf5_metno::File::open(path)?;
        let mut all = Vec::new();
        for address in addresses {
            for part in ["indices", "data"] {
                let set = raw.dataset(&format!("{address}/{part}"))?;
                let Some(shape) = set.chunk() else { continue };
                let bytes = shape.iter().product::<usize>() * set.dtype()?.size();
                let filters = set.filters();
                let gzip = filters
                    .iter()
                    .any(|f| matches!(f, hdf5_metno::filters::Filter::Deflate(_)));
                set.chunks_visit(|chunk| {
                    all.push(Chunk {
                        at: chunk.addr,
                        stored: chunk.size as usize,
                        bytes,
                        gzip,
                    });
                    0
                })?;
            }
        }
        Ok(Self {
            file: File::open(path)?,
            all,
        })
    }

    /// Bytes of all chunks when inflated.
    pub fn bytes(&self) -> u64 {
        self.all.iter().map(|chunk| chunk.bytes as u64).sum()
    }

    /// Fetches and inflates every chunk.
    pub fn inflate(&self, threads: usize) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut inflater = Decompressor::new();
                    let (mut stored, mut out) = (Vec::new(), Vec::new());
                    while let Some(chunk) = self.all.get(next.fetch_add(1, Ordering::Relaxed)) {
                        stored.resize(chunk.stored, 0);
                        self.file
                            .read_exact_at(&mut stored, chunk.at)
                            .expect("the file was readable before");
                        if chunk.gzip {
                            out.resize(chunk.bytes, 0);
                            inflater
                                .zlib_decompress(&stored, &mut out)
                                .expect("a sound chunk");
                        }
                    }
                });
            }
        });
    }
}
