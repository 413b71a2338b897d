//! Values on their way from one file to another.

use super::super::handle::{Fault, Handle, Outcome, locked};
use hdf5_metno_sys::{h5p, h5t};
use std::ffi::c_void;

/// Bytes of values, with what the library allocated for them.
pub(super) struct Buffer<'a> {
    bytes: Vec<u8>,
    kind: &'a Handle,
    space: &'a Handle,
    reclaim: bool,
}

impl<'a> Buffer<'a> {
    /// Zeroed room for `n` values of `kind`; `space` has `n` values too.
    pub(super) fn new(kind: &'a Handle, space: &'a Handle, n: u64, reclaim: bool) -> Outcome<Self> {
        // SAFETY: the type is open.
        let size = locked(|| unsafe { h5t::H5Tget_size(kind.id()) }) as u64;
        let total = n.checked_mul(size).and_then(|b| usize::try_from(b).ok());
        let mut bytes = Vec::new();
        let fits = total.is_some_and(|total| bytes.try_reserve_exact(total).is_ok());
        let Some(total) = total.filter(|_| fits) else {
            return Err(Fault(format!(
                "{n} values of {size} bytes do not fit in memory"
            )));
        };
        bytes.resize(total, 0);
        Ok(Self {
            bytes,
            kind,
            space,
            reclaim,
        })
    }

    pub(super) fn pointer(&mut self) -> *mut c_void {
        self.bytes.as_mut_ptr().cast()
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        if self.reclaim && !self.bytes.is_empty() {
            let pointer = self.pointer();
            // SAFETY: the library filled the buffer with values of this type, or it is all zero,
            // which is no pointer.
            locked(|| unsafe {
                h5t::H5Treclaim(self.kind.id(), self.space.id(), h5p::H5P_DEFAULT, pointer);
            });
        }
    }
}
