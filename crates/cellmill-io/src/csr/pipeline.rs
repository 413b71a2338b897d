//! Undoing the filters of a chunk: gzip, lzf, shuffle, fletcher32.

use super::lzf;
use crate::store::hdf5::Filter;
use libdeflater::Decompressor;

const GZIP: i32 = 1;
const SHUFFLE: i32 = 2;
const FLETCHER32: i32 = 3;
const LZF: i32 = 32000;

/// A step that this module undoes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Gzip,
    Lzf,
    Shuffle { size: usize },
    Fletcher32,
}

/// The filters of a dataset, in the order in which they were applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pipeline {
    steps: Vec<Step>,
    /// Bytes of a whole chunk before any filter.
    chunk_bytes: usize,
    /// Bytes of a value.
    element: usize,
}

/// Buffers of one reader, used again for every chunk.
pub(crate) struct Buffers {
    inflater: Decompressor,
    spare: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            inflater: Decompressor::new(),
            spare: Vec::new(),
        }
    }
}

/// Whether the bytes of a chunk still lie in planes (all first bytes, all second bytes, …).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Plain,
    Planes,
}

impl Pipeline {
    /// The pipeline for these filters, or the filter that only the library knows.
    pub(crate) fn new(
        filters: &[Filter],
        chunk_bytes: usize,
        element: usize,
    ) -> Result<Self, String> {
        let mut steps = Vec::new();
        for filter in filters {
            let step = match filter.id {
                GZIP => Step::Gzip,
                LZF => Step::Lzf,
                FLETCHER32 => Step::Fletcher32,
                SHUFFLE => {
                    let size = filter.parameters.first().map_or(element, |&n| n as usize);
                    Step::Shuffle { size: size.max(1) }
                }
                id => return Err(format!("the filter {} (number {id})", filter.name)),
            };
            steps.push(step);
        }
        let packs = steps
            .iter()
            .filter(|s| matches!(s, Step::Gzip | Step::Lzf))
            .count();
        if packs > 1 {
            return Err("two compressing filters on top of each other".into());
        }
        Ok(Self {
            steps,
            chunk_bytes,
            element,
        })
    }

    /// Whether a chunk of this size can be inflated as a stream: gzip and nothing else.
    pub(crate) fn streams(&self) -> bool {
        self.steps == [Step::Gzip]
    }

    /// Whether chunks are stored as they are.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Undoes the filters. `stored` holds the chunk's bytes and is used as scratch; `out` becomes
    /// the chunk. The last unshuffle is left to the decoder where it can do it while it converts.
    pub(crate) fn undo(
        &self,
        mask: u32,
        stored: &mut Vec<u8>,
        out: &mut Vec<u8>,
        buffers: &mut Buffers,
    ) -> Result<Order, String> {
        let mut order = Order::Plain;
        // `current` is what has been undone so far; it starts as the stored bytes.
        std::mem::swap(stored, out);
        for (i, step) in self.steps.iter().enumerate().rev() {
            // The mask has 32 bits and HDF5 allows 32 filters.
            if i < 32 && mask & (1 << i) != 0 {
                continue;
            }
            match step {
                Step::Gzip | Step::Lzf => {
                    let want = self.bytes_before(i, mask);
                    std::mem::swap(stored, out);
                    out.resize(want, 0);
                    let got = if *step == Step::Gzip {
                        buffers
                            .inflater
                            .zlib_decompress(stored, out)
                            .map_err(|e| format!("its gzip stream is damaged ({e:?})"))?
                    } else {
                        lzf::inflate(stored, out).ok_or("its lzf stream is damaged")?
                    };
                    if got != want {
                        return Err(format!(
                            "it inflates to {got} bytes and {want} were expected"
                        ));
                    }
                }
                Step::Fletcher32 => {
                    let body = out
                        .len()
                        .checked_sub(4)
                        .ok_or("it is shorter than its checksum")?;
                    let said = u32::from_le_bytes([
                        out[body],
                        out[body + 1],
                        out[body + 2],
                        out[body + 3],
                    ]);
                    out.truncate(body);
                    let sum = fletcher32(out);
                    // HDF5 up to 1.6.2 wrote the bytes of both halves the other way round.
                    let old = (sum & 0x00ff_00ff) << 8 | (sum & 0xff00_ff00) >> 8;
                    if said != sum && said != old {
                        return Err("its checksum (fletcher32) does not fit its bytes".into());
                    }
                }
                Step::Shuffle { size } if *size > 1 => {
                    let direct = i == 0 && *size == self.element && out.len() == self.chunk_bytes;
                    if direct {
                        order = Order::Planes;
                    } else {
                        unshuffle(out, *size, &mut buffers.spare);
                        std::mem::swap(out, &mut buffers.spare);
                    }
                }
                Step::Shuffle { .. } => {}
            }
        }
        if out.len() == self.chunk_bytes {
            Ok(order)
        } else {
            Err(format!(
                "it holds {} bytes and {} were expected",
                out.len(),
                self.chunk_bytes
            ))
        }
    }

    /// Bytes that entered filter `i`: the chunk, and the checksums that were appended before.
    fn bytes_before(&self, i: usize, mask: u32) -> usize {
        let sums = self.steps[..i]
            .iter()
            .enumerate()
            .filter(|&(j, s)| *s == Step::Fletcher32 && (j >= 32 || mask & (1 << j) == 0))
            .count();
        self.chunk_bytes + 4 * sums
    }
}

/// Puts the bytes of values of `size` bytes together again.
fn unshuffle(planes: &[u8], size: usize, out: &mut Vec<u8>) {
    let n = planes.len() / size;
    out.clear();
    out.resize(planes.len(), 0);
    for (k, plane) in planes[..n * size].chunks_exact(n.max(1)).enumerate() {
        for (value, &byte) in out.chunks_exact_mut(size).zip(plane) {
            value[k] = byte;
        }
    }
    // Bytes that do not fill a value are left where they are.
    out[n * size..].copy_from_slice(&planes[n * size..]);
}

/// HDF5's Fletcher sum: 16-bit big-endian words, the odd byte last.
fn fletcher32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (0u32, 0u32);
    let (words, rest) = bytes.as_chunks::<2>();
    for block in words.chunks(360) {
        for word in block {
            a += u32::from(u16::from_be_bytes(*word));
            b += a;
        }
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    if let [last] = rest {
        a += u32::from(*last) << 8;
        b += a;
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    a = (a & 0xffff) + (a >> 16);
    b = (b & 0xffff) + (b >> 16);
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unshuffle_leaves_the_odd_bytes() {
        let mut out = Vec::new();
        unshuffle(&[1, 3, 2, 4, 9], 2, &mut out);
        assert_eq!(out, [1, 2, 3, 4, 9]);
    }

    #[test]
    fn an_unknown_filter_is_named() {
        let zstd = Filter {
            id: 32015,
            parameters: vec![],
            name: "zstd".into(),
            available: false,
        };
        assert_eq!(
            Pipeline::new(&[zstd], 8, 4).unwrap_err(),
            "the filter zstd (number 32015)"
        );
    }

    #[test]
    fn a_damaged_stream_is_an_error() {
        let gzip = Filter {
            id: 1,
            parameters: vec![4],
            name: "gzip".into(),
            available: true,
        };
        let pipeline = Pipeline::new(&[gzip], 8, 4).unwrap();
        let (mut stored, mut out) = (vec![1, 2, 3], Vec::new());
        assert!(
            pipeline
                .undo(0, &mut stored, &mut out, &mut Buffers::default())
                .is_err()
        );
        // Skipped by the mask, the bytes are the chunk.
        let (mut stored, mut out) = (vec![7; 8], Vec::new());
        assert_eq!(
            pipeline.undo(1, &mut stored, &mut out, &mut Buffers::default()),
            Ok(Order::Plain)
        );
        assert_eq!(out, [7; 8]);
    }
}
