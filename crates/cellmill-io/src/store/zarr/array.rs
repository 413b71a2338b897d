//! An array: its chunks, one file each or in shards.

use super::ZarrDtype;
use super::codec::{self, Codec};
use crate::error::{Error, Result};
use crate::open::Origin;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// An element that is read whole is not larger than this.
const WHOLE: u64 = 1 << 34;

/// Chunks that are stored together in a file, with an index.
#[derive(Debug)]
pub(super) struct Shard {
    /// Lengths of a shard.
    pub(super) outer: Vec<u64>,
    pub(super) index: Vec<Codec>,
    pub(super) at_end: bool,
}

/// The index of the shard that was read last: its number, and offset and size of each chunk.
type Index = Mutex<Option<(PathBuf, Arc<Vec<[u64; 2]>>)>>;

/// An array of a zarr folder.
#[derive(Debug)]
pub(crate) struct Array {
    pub(super) origin: Arc<Origin>,
    pub(super) folder: PathBuf,
    pub(crate) address: String,
    pub(crate) shape: Vec<u64>,
    /// Lengths of a chunk: the unit of reading.
    pub(crate) chunk: Vec<u64>,
    pub(crate) dtype: ZarrDtype,
    /// The fill value's bytes.
    pub(crate) fill: Vec<u8>,
    pub(super) codecs: Vec<Codec>,
    pub(super) shard: Option<Shard>,
    /// What stands before a chunk's key, and between its numbers.
    pub(super) key: (&'static str, String),
    pub(super) index: Index,
}

impl Array {
    pub(super) fn check(&self) -> Result<()> {
        let sound = self.shape.len() == self.chunk.len() && !self.chunk.contains(&0);
        if sound && self.chunk_values().is_some() && self.len().is_some() {
            return Ok(());
        }
        Err(self.origin.malformed(
            &self.address,
            format!(
                "its chunks {:?} do not fit the shape {:?}",
                self.chunk, self.shape
            ),
        ))
    }

    /// The number of values.
    pub(crate) fn len(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d))
    }

    fn chunk_values(&self) -> Option<usize> {
        let n = self.chunk.iter().try_fold(1u64, |n, &d| n.checked_mul(d))?;
        usize::try_from(n)
            .ok()
            .filter(|n| n.checked_mul(self.dtype.size().max(1)).is_some())
    }

    /// The names of the codecs, for a user.
    pub(crate) fn codecs(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .codecs
            .iter()
            .map(|c| format!("{c:?}").to_lowercase())
            .collect();
        if self.shard.is_some() {
            names.push("in shards".into());
        }
        names
    }

    fn file_of(&self, index: &[u64]) -> PathBuf {
        let (prefix, separator) = &self.key;
        let mut key: Vec<String> = index.iter().map(u64::to_string).collect();
        if !prefix.is_empty() {
            key.insert(0, (*prefix).to_owned());
        } else if key.is_empty() {
            key.push("0".into());
        }
        self.folder.join(key.join(separator))
    }

    fn wrong(&self, index: &[u64], what: impl std::fmt::Display) -> Error {
        self.origin.malformed(
            &self.address,
            format!("the chunk {index:?} cannot be read: {what}"),
        )
    }

    /// The decoded bytes of a chunk by its place in the grid of chunks, always whole; `None` where
    /// it was never written.
    pub(crate) fn chunk(&self, index: &[u64], counter: &AtomicU64) -> Result<Option<Vec<u8>>> {
        let stored = match &self.shard {
            None => self
                .open(&self.file_of(index))?
                .map(|file| self.range(&file, None)),
            Some(shard) => self.in_shard(shard, index)?.map(Ok),
        };
        let Some(stored) = stored.transpose()? else {
            return Ok(None);
        };
        counter.fetch_add(stored.len() as u64, Ordering::Relaxed);
        let values = self.chunk_values().unwrap_or(usize::MAX);
        let size = self.dtype.size();
        let limit = if size == 0 {
            WHOLE as usize
        } else {
            values * size
        };
        let bytes = codec::undo(&self.codecs, stored, limit).map_err(|e| self.wrong(index, e))?;
        if size > 0 && bytes.len() != limit {
            let what = format!("it holds {} bytes and {limit} were expected", bytes.len());
            return Err(self.wrong(index, what));
        }
        Ok(Some(bytes))
    }

    fn open(&self, path: &std::path::Path) -> Result<Option<File>> {
        match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.io(source)),
        }
    }

    fn io(&self, source: std::io::Error) -> Error {
        Error::Io {
            path: self.origin.path.clone(),
            what: format!("{} could not be read", self.address),
            source,
        }
    }

    /// Some bytes of a file (offset and size), or all.
    fn range(&self, file: &File, range: Option<[u64; 2]>) -> Result<Vec<u8>> {
        let size = file.metadata().map_err(|e| self.io(e))?.len();
        let [offset, n] = range.unwrap_or([0, size]);
        if offset.checked_add(n).is_none_or(|end| end > size) {
            return Err(Error::Truncated {
                path: self.origin.path.clone(),
                element: self.address.clone(),
                what: format!("{n} bytes at {offset} of a chunk's file of {size} were expected"),
            });
        }
        let mut bytes = vec![0; n as usize];
        file.read_exact_at(&mut bytes, offset)
            .map_err(|e| self.io(e))?;
        Ok(bytes)
    }

    fn in_shard(&self, shard: &Shard, index: &[u64]) -> Result<Option<Vec<u8>>> {
        let per: Vec<u64> = shard
            .outer
            .iter()
            .zip(&self.chunk)
            .map(|(o, c)| o / c)
            .collect();
        let outer: Vec<u64> = index.iter().zip(&per).map(|(i, p)| i / p).collect();
        let inner = index.iter().zip(&per).fold(0, |at, (i, p)| at * p + i % p);
        let path = self.file_of(&outer);
        let Some(file) = self.open(&path)? else {
            return Ok(None);
        };
        let n: u64 = per.iter().product();
        let held = self
            .index
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let table = match held {
            Some((of, table)) if of == path => table,
            _ => {
                let sum = u64::from(shard.index.contains(&Codec::Crc32c)) * 4;
                let size = file.metadata().map_err(|e| self.io(e))?.len();
                let bytes = n * 16 + sum;
                let at = if shard.at_end {
                    size.saturating_sub(bytes)
                } else {
                    0
                };
                let stored = self.range(&file, Some([at, bytes]))?;
                let plain = codec::undo(&shard.index, stored, bytes as usize)
                    .map_err(|e| self.wrong(index, format!("the index of its shard: {e}")))?;
                let numbers = plain.as_chunks::<8>().0;
                let pairs = numbers.as_chunks::<2>().0;
                let table: Vec<[u64; 2]> =
                    pairs.iter().map(|p| p.map(u64::from_le_bytes)).collect();
                let table = Arc::new(table);
                let mut slot = self.index.lock().unwrap_or_else(PoisonError::into_inner);
                *slot = Some((path, table.clone()));
                table
            }
        };
        match table.get(inner as usize) {
            Some(&[u64::MAX, u64::MAX]) => Ok(None),
            Some(&range) => self.range(&file, Some(range)).map(Some),
            None => Err(self.wrong(index, "the index of its shard is too short")),
        }
    }

    /// All values as bytes of fixed width, row-major.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        let size = self.dtype.size();
        let n = self.len().unwrap_or(u64::MAX);
        if n.saturating_mul(size as u64) > WHOLE {
            let what = format!("its shape {:?} is too large to be read whole", self.shape);
            return Err(self.origin.malformed(&self.address, what));
        }
        let mut out = Vec::with_capacity(n as usize * size);
        for _ in 0..n {
            out.extend_from_slice(&self.fill);
        }
        self.each_chunk(|index, bytes| {
            place(&mut out, &bytes, &self.shape, &self.chunk, index, size);
            Ok(())
        })?;
        Ok(out)
    }

    /// All strings, row-major.
    pub(crate) fn texts(&self) -> Result<Vec<String>> {
        match &self.dtype {
            ZarrDtype::Unicode { chars, big } => {
                let bytes = self.bytes()?;
                Ok(bytes
                    .chunks_exact((chars * 4).max(1))
                    .map(|b| utf32(b, *big))
                    .collect())
            }
            ZarrDtype::Bytes(n) => {
                let bytes = self.bytes()?;
                let text = |b: &[u8]| {
                    let end = b.iter().position(|&c| c == 0).unwrap_or(b.len());
                    String::from_utf8_lossy(&b[..end]).into_owned()
                };
                Ok(bytes.chunks_exact((*n).max(1)).map(text).collect())
            }
            ZarrDtype::Text => {
                // Chunks of whole rows are the strings in their order.
                let inner = self.shape.get(1..).unwrap_or_default();
                let whole = |(s, c): (&u64, &u64)| c == s || *s == 0;
                if !inner.iter().zip(self.chunk.iter().skip(1)).all(whole) {
                    let what = "strings in chunks that cut rows are not read";
                    return Err(self.origin.malformed(&self.address, what));
                }
                let n = self.len().unwrap_or(0) as usize;
                let mut all: Vec<String> = Vec::new();
                let width = inner.iter().product::<u64>() as usize;
                let step = self.chunk.first().copied().unwrap_or(1) as usize * width;
                self.each_chunk(|index, bytes| {
                    let first = index.first().copied().unwrap_or(0) as usize * step;
                    all.resize(first.min(n), String::new());
                    let texts = vlen(&bytes).map_err(|e| self.wrong(index, e))?;
                    all.extend(texts.into_iter().take(n.saturating_sub(first)));
                    Ok(())
                })?;
                all.resize(n, String::new());
                Ok(all)
            }
            other => Err(self.origin.malformed(
                &self.address,
                format!("strings were expected, not {other:?}"),
            )),
        }
    }

    /// Hands out every chunk that was written, in order.
    fn each_chunk(&self, mut take: impl FnMut(&[u64], Vec<u8>) -> Result<()>) -> Result<()> {
        let counts: Vec<u64> = self
            .shape
            .iter()
            .zip(&self.chunk)
            .map(|(s, c)| s.div_ceil(*c))
            .collect();
        let n: u64 = counts.iter().product();
        let mut index = vec![0u64; counts.len()];
        for _ in 0..n {
            if let Some(bytes) = self.chunk(&index, &AtomicU64::new(0))? {
                take(&index, bytes)?;
            }
            for (i, n) in index.iter_mut().zip(&counts).rev() {
                *i += 1;
                if *i < *n {
                    break;
                }
                *i = 0;
            }
        }
        Ok(())
    }
}

/// Puts a chunk into the array of all values.
fn place(out: &mut [u8], bytes: &[u8], shape: &[u64], chunk: &[u64], index: &[u64], size: usize) {
    let Some((&width, outer)) = chunk.split_last() else {
        out.copy_from_slice(&bytes[..out.len()]);
        return;
    };
    let last = shape.len() - 1;
    let first = index[last] * width;
    let n = width.min(shape[last].saturating_sub(first)) as usize * size;
    let lines: u64 = outer.iter().product();
    for line in 0..lines {
        // Where this line of the chunk is in the array.
        let (mut rest, mut at, mut stride, mut inside) = (line, first, shape[last], true);
        for d in (0..last).rev() {
            let i = index[d] * chunk[d] + rest % chunk[d];
            rest /= chunk[d];
            inside &= i < shape[d];
            at += i * stride;
            stride *= shape[d];
        }
        if inside {
            let from = line as usize * width as usize * size;
            let to = at as usize * size;
            out[to..to + n].copy_from_slice(&bytes[from..from + n]);
        }
    }
}

fn utf32(bytes: &[u8], big: bool) -> String {
    let chars = bytes.as_chunks::<4>().0.iter().map(|&b| {
        if big {
            u32::from_be_bytes(b)
        } else {
            u32::from_le_bytes(b)
        }
    });
    chars
        .take_while(|&c| c != 0)
        .map(|c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Strings with their number and lengths before them.
fn vlen(bytes: &[u8]) -> Result<Vec<String>, &'static str> {
    const CUT: &str = "its strings end too early";
    let mut rest = bytes;
    let number = |rest: &mut &[u8]| -> Result<usize, &'static str> {
        let (head, tail) = rest.split_at_checked(4).ok_or(CUT)?;
        *rest = tail;
        Ok(u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize)
    };
    let n = number(&mut rest)?;
    let mut all = Vec::new();
    for _ in 0..n {
        let length = number(&mut rest)?;
        let (text, tail) = rest.split_at_checked(length).ok_or(CUT)?;
        all.push(String::from_utf8_lossy(text).into_owned());
        rest = tail;
    }
    Ok(all)
}
