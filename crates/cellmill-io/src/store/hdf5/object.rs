//! Groups and datasets: what is where, and attributes.

use super::dtype::Dtype;
use super::handle::{Fault, Handle, Outcome, check, locked, name, truth};
use super::values::{self, Place};
use hdf5_metno_sys::h5::{H5_index_t, H5_iter_order_t, herr_t};
use hdf5_metno_sys::h5i::hid_t;
use hdf5_metno_sys::h5o::{self, H5O_info2_t, H5O_type_t};
use hdf5_metno_sys::{h5a, h5l, h5p};
use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;

/// What stands at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Group,
    Dataset,
    /// A named datatype, or something newer than this version.
    Other,
}

/// An open group or dataset.
#[derive(Debug)]
pub(crate) struct Object {
    handle: Handle,
    kind: Kind,
    /// The library's number of the file that it is in (an external link leads elsewhere).
    file_number: u64,
}

impl Object {
    /// Opens what stands at `address` under `at`; `None` where nothing does.
    pub(crate) fn open(at: hid_t, address: &str) -> Outcome<Option<Self>> {
        let address = address.trim_matches('/');
        locked(|| {
            if !address.is_empty() {
                // The library answers for the last link only, so ask step by step.
                let mut end = 0;
                for part in address.split('/') {
                    end += part.len();
                    let prefix = name(&address[..end])?;
                    // SAFETY: `at` is open and the name is NUL-terminated.
                    if !truth(unsafe { h5l::H5Lexists(at, prefix.as_ptr(), h5p::H5P_DEFAULT) })? {
                        return Ok(None);
                    }
                    end += 1;
                }
            }
            let path = name(if address.is_empty() { "." } else { address })?;
            // SAFETY: `at` is open and the name is NUL-terminated.
            let id = unsafe { h5o::H5Oopen(at, path.as_ptr(), h5p::H5P_DEFAULT) };
            Self::wrap(Handle::take(id)?).map(Some)
        })
    }

    fn wrap(handle: Handle) -> Outcome<Self> {
        let mut info = MaybeUninit::<H5O_info2_t>::zeroed();
        // SAFETY: the library fills the structure when it succeeds; all-zero bytes are valid for it.
        let info = unsafe {
            check(h5o::H5Oget_info3(
                handle.id(),
                info.as_mut_ptr(),
                h5o::H5O_INFO_BASIC,
            ))?;
            info.assume_init()
        };
        let kind = match info.type_ {
            H5O_type_t::H5O_TYPE_GROUP => Kind::Group,
            H5O_type_t::H5O_TYPE_DATASET => Kind::Dataset,
            _ => Kind::Other,
        };
        Ok(Self {
            handle,
            kind,
            file_number: info.fileno as u64,
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn id(&self) -> hid_t {
        self.handle.id()
    }

    pub(crate) fn file_number(&self) -> u64 {
        self.file_number
    }

    /// The names in a group, in byte order.
    pub(crate) fn names(&self) -> Outcome<Vec<String>> {
        unsafe extern "C" fn collect(
            _group: hid_t,
            label: *const c_char,
            _info: *const h5l::H5L_info2_t,
            data: *mut c_void,
        ) -> herr_t {
            // SAFETY: `data` is the vector below, alive during the iteration; the library's name
            // is NUL-terminated.
            unsafe {
                (*data.cast::<Vec<String>>())
                    .push(CStr::from_ptr(label).to_string_lossy().into_owned());
            }
            0
        }
        let mut names: Vec<String> = Vec::new();
        locked(|| {
            // SAFETY: the callback matches the library's signature and does not unwind.
            check(unsafe {
                h5l::H5Literate2(
                    self.id(),
                    H5_index_t::H5_INDEX_NAME,
                    H5_iter_order_t::H5_ITER_INC,
                    std::ptr::null_mut(),
                    Some(collect),
                    (&raw mut names).cast(),
                )
            })
        })?;
        names.sort();
        Ok(names)
    }

    /// Whether the link `label` of this group is a soft or external link without an object.
    pub(crate) fn leads_nowhere(&self, label: &str) -> Outcome<bool> {
        let label = name(label)?;
        let mut info = MaybeUninit::<h5l::H5L_info2_t>::zeroed();
        // SAFETY: the group is open, the name is NUL-terminated; the library fills the structure
        // when it succeeds, and all-zero bytes are valid for it.
        locked(|| unsafe {
            check(h5l::H5Lget_info2(
                self.id(),
                label.as_ptr(),
                info.as_mut_ptr(),
                h5p::H5P_DEFAULT,
            ))?;
            if info.assume_init().type_ == h5l::H5L_type_t::H5L_TYPE_HARD {
                return Ok(false);
            }
            // An external link to a file that is not there is an error of the library.
            let there = h5o::H5Oexists_by_name(self.id(), label.as_ptr(), h5p::H5P_DEFAULT);
            Ok(there <= 0)
        })
    }

    /// The names of the attributes, in byte order.
    pub(crate) fn attribute_names(&self) -> Outcome<Vec<String>> {
        unsafe extern "C" fn collect(
            _object: hid_t,
            label: *const c_char,
            _info: *const h5a::H5A_info_t,
            data: *mut c_void,
        ) -> herr_t {
            // SAFETY: `data` is the vector below, alive during the iteration; the library's name
            // is NUL-terminated.
            unsafe {
                (*data.cast::<Vec<String>>())
                    .push(CStr::from_ptr(label).to_string_lossy().into_owned());
            }
            0
        }
        let mut names: Vec<String> = Vec::new();
        locked(|| {
            // SAFETY: the callback matches the library's signature and does not unwind.
            check(unsafe {
                h5a::H5Aiterate2(
                    self.id(),
                    H5_index_t::H5_INDEX_NAME,
                    H5_iter_order_t::H5_ITER_INC,
                    std::ptr::null_mut(),
                    Some(collect),
                    (&raw mut names).cast(),
                )
            })
        })?;
        names.sort();
        Ok(names)
    }

    /// An attribute as text; `None` where it is absent or not a string.
    pub(crate) fn text(&self, label: &str) -> Outcome<Option<String>> {
        let Some(place) = self.attribute(label)? else {
            return Ok(None);
        };
        match place.dtype()? {
            Dtype::Text(_) => Ok(values::texts(&place)?.into_iter().next()),
            _ => Ok(None),
        }
    }

    /// Opens an attribute; `None` where it is absent.
    pub(crate) fn attribute(&self, label: &str) -> Outcome<Option<Place>> {
        let c_label = name(label)?;
        locked(|| {
            // SAFETY: the object is open and the name is NUL-terminated.
            unsafe {
                if !truth(h5a::H5Aexists(self.id(), c_label.as_ptr()))? {
                    return Ok(None);
                }
                let id = h5a::H5Aopen(self.id(), c_label.as_ptr(), h5p::H5P_DEFAULT);
                Handle::take(id).map(|h| Some(Place::Attribute(h)))
            }
        })
    }

    /// The object as a place that holds values.
    pub(crate) fn dataset(self) -> Outcome<Place> {
        if self.kind == Kind::Dataset {
            Ok(Place::Dataset(self.handle))
        } else {
            Err(Fault("a dataset was expected and a group was found".into()))
        }
    }
}
