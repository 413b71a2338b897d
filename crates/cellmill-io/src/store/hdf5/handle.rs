//! Library identifiers that close themselves, and the library's error stack as text.

use hdf5_metno::sync::sync;
use hdf5_metno_sys as sys;
use std::ffi::{CStr, CString, c_char, c_uint, c_void};
use sys::h5i::hid_t;

/// What the library said when a call failed, innermost reason first.
#[derive(Debug, Clone)]
pub(crate) struct Fault(pub(crate) String);

pub(crate) type Outcome<T> = Result<T, Fault>;

impl Fault {
    /// The system's error number, where the library names one.
    pub(crate) fn errno(&self) -> Option<i32> {
        let (_, tail) = self.0.split_once("errno = ")?;
        let digits: String = tail.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|&n| n != 0)
    }
}

/// Runs `f` under the library's lock, with its error printing off.
pub(crate) fn locked<T>(f: impl FnOnce() -> T) -> T {
    sync(f)
}

/// The text of the library's current error stack.
fn stack() -> Fault {
    unsafe extern "C" fn collect(
        _n: c_uint,
        entry: *const sys::h5e::H5E_error2_t,
        data: *mut c_void,
    ) -> sys::h5::herr_t {
        // SAFETY: `data` is the vector below, alive during the walk; `entry` is the library's.
        unsafe {
            if let Some(entry) = entry.as_ref()
                && !entry.desc.is_null()
            {
                let lines = &mut *data.cast::<Vec<String>>();
                lines.push(CStr::from_ptr(entry.desc).to_string_lossy().into_owned());
            }
        }
        0
    }
    let mut lines: Vec<String> = Vec::new();
    // SAFETY: the callback matches the library's signature and does not unwind.
    unsafe {
        sys::h5e::H5Ewalk2(
            sys::h5e::H5E_DEFAULT,
            sys::h5e::H5E_direction_t::H5E_WALK_UPWARD,
            Some(collect),
            (&raw mut lines).cast(),
        );
    }
    lines.truncate(3);
    if lines.is_empty() {
        lines.push("the HDF5 library gave no reason".into());
    }
    Fault(lines.join("; "))
}

/// An error code of the library as a result. Call it under the lock.
pub(crate) fn check(code: sys::h5::herr_t) -> Outcome<()> {
    if code < 0 { Err(stack()) } else { Ok(()) }
}

/// A three-valued answer of the library. Call it under the lock.
pub(crate) fn truth(code: sys::h5::htri_t) -> Outcome<bool> {
    if code < 0 { Err(stack()) } else { Ok(code > 0) }
}

/// A non-negative answer of the library. Call it under the lock.
pub(crate) fn count(number: i64) -> Outcome<u64> {
    u64::try_from(number).map_err(|_| stack())
}

/// An identifier of the library, released when dropped.
#[derive(Debug)]
pub(crate) struct Handle(hid_t);

impl Handle {
    /// Takes what a library call returned. Call it under the lock.
    pub(crate) fn take(id: hid_t) -> Outcome<Self> {
        if id < 0 { Err(stack()) } else { Ok(Self(id)) }
    }

    pub(crate) fn id(&self) -> hid_t {
        self.0
    }

    /// Gives up the identifier without releasing it: the caller does.
    pub(crate) fn into_id(self) -> hid_t {
        let id = self.0;
        std::mem::forget(self);
        id
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        locked(|| {
            // SAFETY: the identifier is ours and is released once.
            unsafe { sys::h5i::H5Idec_ref(self.0) };
        });
    }
}

/// A name for the library. A name with a NUL inside cannot be in a file.
pub(crate) fn name(text: &str) -> Outcome<CString> {
    CString::new(text).map_err(|_| Fault(format!("the name {text:?} holds a NUL character")))
}

/// A string that the library allocated, taken and freed. Call it under the lock.
pub(crate) fn take_string(text: *mut c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the library returned a NUL-terminated string that the caller frees.
    unsafe {
        let owned = CStr::from_ptr(text).to_string_lossy().into_owned();
        sys::h5::H5free_memory(text.cast());
        owned
    }
}
