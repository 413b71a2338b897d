//! Parts of spans cut into chunks of one size, which any thread prepares and which reach the file in
//! order.
//!
//! Where the rows or entries of a span begin is known only when the spans before it are complete. So
//! [`cellmill_engine::Sink::accept`] only cuts the parts into chunks and queues them; whoever pushes
//! next, on any thread, takes a chunk from the queue and compresses it. Chunks go to the file in their
//! own order, so that the bytes do not depend on the threads.

use super::Output;
use crate::error::{Error, Result};
use crate::store::zarr::create as zarr;
use libdeflater::{CompressionLvl, Compressor};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Chunks that may wait to be compressed; beyond it `accept` compresses itself.
const WAITING: usize = 64;

/// A chunk that is not compressed yet: ranges of parts.
pub(super) struct Job<P> {
    number: u64,
    pub(super) pieces: Vec<(Arc<P>, Range<usize>)>,
    /// Entries, or rows, of the pieces together.
    pub(super) len: usize,
}

struct State<P> {
    /// Pieces of the chunk that is not full yet.
    open: Vec<(Arc<P>, Range<usize>)>,
    open_len: usize,
    chunks: u64,
    waiting: VecDeque<Job<P>>,
}

struct Written<R> {
    next: u64,
    ready: BTreeMap<u64, R>,
    /// Set once a write has failed: what comes later is dropped.
    failed: bool,
}

/// The queue of one matrix: parts `P`, chunks that are ready `R`.
pub(super) struct Chunks<P, R> {
    /// Entries, or rows, of a chunk.
    whole: usize,
    state: Mutex<State<P>>,
    written: Mutex<Written<R>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<P, R> Chunks<P, R> {
    pub(super) fn new(whole: usize) -> Self {
        Self {
            whole,
            state: Mutex::new(State {
                open: Vec::new(),
                open_len: 0,
                chunks: 0,
                waiting: VecDeque::new(),
            }),
            written: Mutex::new(Written {
                next: 0,
                ready: BTreeMap::new(),
                failed: false,
            }),
        }
    }

    /// Cuts the next part, of so many entries or rows.
    pub(super) fn add(&self, part: &Arc<P>, len: usize) {
        let mut state = lock(&self.state);
        let mut at = 0;
        while at < len {
            let n = (self.whole - state.open_len).min(len - at);
            state.open.push((part.clone(), at..at + n));
            state.open_len += n;
            at += n;
            if state.open_len == self.whole {
                state.close();
            }
        }
    }

    /// No part comes any more.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        if state.open_len > 0 {
            state.close();
        }
    }

    /// Whether more chunks wait than should.
    pub(super) fn is_full(&self) -> bool {
        lock(&self.state).waiting.len() > WAITING
    }

    /// Takes a chunk from the queue and brings it to the file; false where there was none. `write` is
    /// given the number of a chunk.
    pub(super) fn help(
        &self,
        prepare: impl FnOnce(&Job<P>) -> Result<R>,
        write: impl Fn(u64, &R) -> Result<()>,
    ) -> Result<bool> {
        let Some(job) = lock(&self.state).waiting.pop_front() else {
            return Ok(false);
        };
        let (number, ready) = (job.number, prepare(&job)?);
        drop(job);
        let mut written = lock(&self.written);
        written.ready.insert(number, ready);
        while let Some(ready) = {
            let next = written.next;
            written.ready.remove(&next)
        } {
            if written.failed {
                break;
            }
            if let Err(error) = write(written.next, &ready) {
                written.failed = true;
                return Err(error);
            }
            written.next += 1;
        }
        Ok(true)
    }
}

impl<P> State<P> {
    fn close(&mut self) {
        self.waiting.push_back(Job {
            number: self.chunks,
            pieces: std::mem::take(&mut self.open),
            len: self.open_len,
        });
        self.open_len = 0;
        self.chunks += 1;
    }
}

/// The bytes of a chunk with the filters of the place. `size`: bytes of a value.
pub(super) fn pack(
    output: &Output,
    address: &str,
    bytes: Vec<u8>,
    size: usize,
    gzip: Option<u32>,
    shuffled: bool,
) -> Result<Vec<u8>> {
    if output.place.is_zarr() {
        return zarr::gzip(bytes, gzip).map_err(|fault| output.fault(address, fault));
    }
    let Some(level) = gzip else {
        return Ok(bytes);
    };
    let bytes = if shuffled {
        shuffle(&bytes, size)
    } else {
        bytes
    };
    let level = CompressionLvl::new(level as i32).unwrap_or_default();
    let mut compressor = Compressor::new(level);
    let mut out = vec![0; compressor.zlib_compress_bound(bytes.len())];
    let n = compressor.zlib_compress(&bytes, &mut out).map_err(|e| {
        refuse(
            output,
            address,
            format!("a chunk could not be compressed ({e:?})"),
        )
    })?;
    out.truncate(n);
    out.shrink_to_fit();
    Ok(out)
}

/// What came does not fit the matrix that was announced.
pub(super) fn refuse(output: &Output, address: &str, what: String) -> Error {
    Error::Malformed {
        path: output.target.clone(),
        element: address.into(),
        rows: None,
        what,
    }
}

/// Byte k of every value beside byte k of the next.
fn shuffle(bytes: &[u8], size: usize) -> Vec<u8> {
    let n = bytes.len() / size;
    let mut out = Vec::with_capacity(bytes.len());
    for k in 0..size {
        out.extend(bytes[..n * size].chunks_exact(size).map(|value| value[k]));
    }
    out.extend_from_slice(&bytes[n * size..]);
    out
}
