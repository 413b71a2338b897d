//! The chunks of a dataset as they are stored.

use super::super::chunks::Chunk;
use super::super::handle::{Fault, Outcome, check, locked};
use super::super::values::Place;
use hdf5_metno_sys::h5::hsize_t;
use hdf5_metno_sys::{h5d, h5p};
use std::ffi::{c_int, c_uint, c_void};

/// The stored chunks of a dataset. There can be millions, so their places are in one vector.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    rank: usize,
    /// `rank` numbers for each chunk: its first value.
    firsts: Vec<u64>,
    chunks: Vec<Chunk>,
}

impl Stored {
    /// Every stored chunk of a dataset of these dimensions in chunks of these.
    pub(super) fn of(place: &Place, dims: &[u64], chunk: &[u64]) -> Outcome<Self> {
        if place.stored_bytes() == 0 || dims.contains(&0) {
            return Ok(Self::default());
        }
        let mut to = Visit {
            chunk: chunk.to_vec(),
            dims: dims.to_vec(),
            all: Self {
                rank: dims.len(),
                ..Self::default()
            },
            wrong: None,
        };
        // SAFETY: the dataset is open; the callback matches the library's signature and does not
        // unwind.
        let outcome = locked(|| unsafe {
            check(h5d::H5Dchunk_iter(
                place.id(),
                h5p::H5P_DEFAULT,
                Some(visit),
                (&raw mut to).cast(),
            ))
        });
        match to.wrong {
            Some(wrong) => Err(Fault(wrong)),
            None => outcome.map(|()| to.all),
        }
    }

    /// Every chunk with its first value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u64], Chunk)> {
        let firsts = self.firsts.chunks_exact(self.rank.max(1));
        firsts.zip(self.chunks.iter().copied())
    }
}

struct Visit {
    chunk: Vec<u64>,
    dims: Vec<u64>,
    all: Stored,
    wrong: Option<String>,
}

unsafe extern "C" fn visit(
    offset: *const hsize_t,
    mask: c_uint,
    address: hdf5_metno_sys::h5::haddr_t,
    size: hsize_t,
    data: *mut c_void,
) -> c_int {
    // SAFETY: `data` is the structure below, alive during the iteration; `offset` has as many
    // dimensions as the dataset.
    let (to, first) = unsafe {
        let to = &mut *data.cast::<Visit>();
        let first = std::slice::from_raw_parts(offset, to.dims.len());
        (to, first)
    };
    let sound = first
        .iter()
        .zip(to.chunk.iter().zip(&to.dims))
        .all(|(&at, (&step, &end))| at < end && at.is_multiple_of(step));
    match u32::try_from(size) {
        Ok(size) if sound => {
            let chunk = Chunk {
                address,
                size,
                mask,
            };
            to.all.firsts.extend_from_slice(first);
            to.all.chunks.push(chunk);
            0
        }
        _ => {
            to.wrong = Some(format!(
                "its chunk index holds a chunk of {size} bytes at offset {first:?}"
            ));
            1
        }
    }
}
