//! Blosc containers (version 1): blocks of a chunk, shuffled and compressed.

use super::codec::{unpack_lz4, unpack_zstd};
use flate2::read::ZlibDecoder;
use std::io::Read;

const HEADER: usize = 16;

fn number(bytes: &[u8], at: usize) -> Result<usize, String> {
    bytes
        .get(at..at + 4)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
        .ok_or_else(|| "its blosc container is cut".to_owned())
}

/// The bytes of a container, at most `limit`.
pub(super) fn unpack(bytes: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    if bytes.len() < HEADER {
        return Err("its blosc container is cut".into());
    }
    let flags = bytes[2];
    let type_size = usize::from(bytes[3]).max(1);
    let (n, block) = (number(bytes, 4)?, number(bytes, 8)?);
    if n > limit {
        return Err(format!(
            "its blosc container holds {n} bytes, more than {limit}"
        ));
    }
    if flags & 2 != 0 {
        let stored = bytes.get(HEADER..HEADER + n);
        return Ok(stored.ok_or("its blosc container is cut")?.to_vec());
    }
    if flags & 4 != 0 {
        return Err("blosc's shuffle of bits cannot be undone by this program".into());
    }
    if n > 0 && block == 0 {
        return Err("its blosc container has blocks of no bytes".into());
    }
    let mut out = Vec::with_capacity(n);
    for index in 0..n.div_ceil(block.max(1)) {
        let at = number(bytes, HEADER + 4 * index)?;
        let size = block.min(n - index * block);
        let whole = size == block;
        let splits = if flags & 16 == 0 && whole {
            type_size
        } else {
            1
        };
        let plain = block_of(bytes, at, size, splits, flags >> 5)?;
        if flags & 1 != 0 && type_size > 1 {
            unshuffle(&plain, type_size, &mut out);
        } else {
            out.extend_from_slice(&plain);
        }
    }
    Ok(out)
}

fn block_of(
    bytes: &[u8],
    mut at: usize,
    size: usize,
    splits: usize,
    packer: u8,
) -> Result<Vec<u8>, String> {
    let mut plain = Vec::with_capacity(size);
    let each = size / splits;
    for _ in 0..splits {
        let n = number(bytes, at)?;
        let packed = bytes
            .get(at + 4..(at + 4).saturating_add(n))
            .ok_or("its blosc container is cut")?;
        at += 4 + n;
        let before = plain.len();
        if n == each {
            plain.extend_from_slice(packed);
        } else {
            plain.extend(match packer {
                1 => unpack_lz4(packed, each)?,
                3 => {
                    let mut out = Vec::new();
                    ZlibDecoder::new(packed)
                        .take(each as u64 + 1)
                        .read_to_end(&mut out)
                        .map_err(|e| format!("its zlib stream is damaged ({e})"))?;
                    out
                }
                4 => unpack_zstd(packed, each)?,
                other => {
                    let name = ["blosclz", "", "snappy"]
                        .get(usize::from(other))
                        .unwrap_or(&"?");
                    return Err(format!(
                        "blosc's compressor {name} is not one that this program undoes"
                    ));
                }
            });
        }
        if plain.len() - before != each {
            return Err("a block of its blosc container has another size".into());
        }
    }
    Ok(plain)
}

/// Puts the bytes of values together again; what does not fill a value is left where it is.
fn unshuffle(planes: &[u8], size: usize, out: &mut Vec<u8>) {
    let n = planes.len() / size;
    let start = out.len();
    out.resize(start + n * size, 0);
    for (k, plane) in planes[..n * size].chunks_exact(n.max(1)).enumerate() {
        for (value, &byte) in out[start..].chunks_exact_mut(size).zip(plane) {
            value[k] = byte;
        }
    }
    out.extend_from_slice(&planes[n * size..]);
}
