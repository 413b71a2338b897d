//! Opening and closing files.

use super::handle::{Fault, Handle, Outcome, check, locked};
use hdf5_metno::globals;
use hdf5_metno_sys::h5f::{self, H5F_libver_t};
use hdf5_metno_sys::{h5g, h5p};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whether the library takes the system's lock on the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// With the lock: readers share it, a writer holds it alone.
    Locked,
    /// Without, for file systems that have no locks.
    Unlocked,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct File(Handle);

fn c_path(path: &Path) -> Outcome<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Fault("the path holds a NUL character".into()))
}

fn access(opening: Opening) -> Outcome<Handle> {
    // SAFETY: the property list is ours; the setters only change it.
    unsafe {
        let list = Handle::take(h5p::H5Pcreate(*globals::H5P_FILE_ACCESS))?;
        if opening == Opening::Unlocked {
            check(h5p::H5Pset_file_locking(list.id(), 0, 1))?;
        }
        Ok(list)
    }
}

impl File {
    /// Opens a file for reading.
    pub(crate) fn open(path: &Path, opening: Opening) -> Outcome<Self> {
        let path = c_path(path)?;
        locked(|| {
            let list = access(opening)?;
            // SAFETY: path and list are valid during the call.
            let id = unsafe { h5f::H5Fopen(path.as_ptr(), h5f::H5F_ACC_RDONLY, list.id()) };
            Handle::take(id).map(Self)
        })
    }

    /// Makes a file that anndata 0.8 and h5py of HDF5 1.10 can read.
    pub(crate) fn create(path: &Path) -> Outcome<Self> {
        let path = c_path(path)?;
        locked(|| {
            let list = access(Opening::Unlocked)?;
            // SAFETY: path and list are valid during the calls.
            unsafe {
                check(h5p::H5Pset_libver_bounds(
                    list.id(),
                    H5F_libver_t::H5F_LIBVER_EARLIEST,
                    H5F_libver_t::H5F_LIBVER_V110,
                ))?;
                let make = Handle::take(h5p::H5Pcreate(*globals::H5P_FILE_CREATE))?;
                check(h5p::H5Pset_obj_track_times(make.id(), 0))?;
                let id = h5f::H5Fcreate(path.as_ptr(), h5f::H5F_ACC_TRUNC, make.id(), list.id());
                Handle::take(id).map(Self)
            }
        })
    }

    /// The root group.
    pub(crate) fn root(&self) -> Outcome<Handle> {
        // SAFETY: the file is open.
        locked(|| {
            Handle::take(unsafe { h5g::H5Gopen2(self.0.id(), c"/".as_ptr(), h5p::H5P_DEFAULT) })
        })
    }

    /// Writes everything that is held back.
    pub(crate) fn flush(&self) -> Outcome<()> {
        // SAFETY: the file is open.
        locked(|| check(unsafe { h5f::H5Fflush(self.0.id(), h5f::H5F_scope_t::H5F_SCOPE_GLOBAL) }))
    }

    /// Closes the file and says whether that went well.
    pub(crate) fn close(self) -> Outcome<()> {
        let id = self.0.into_id();
        // SAFETY: the identifier was ours and is released here.
        locked(|| check(unsafe { h5f::H5Fclose(id) }))
    }

    pub(crate) fn id(&self) -> hdf5_metno_sys::h5i::hid_t {
        self.0.id()
    }
}
