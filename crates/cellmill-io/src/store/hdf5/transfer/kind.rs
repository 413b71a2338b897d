//! Types and extents, as the target is given them.

use super::super::dtype::{self, Dtype};
use super::super::handle::{Handle, Outcome, check, truth};
use super::super::values::Extent;
use hdf5_metno::globals;
use hdf5_metno_sys::h5s::{self, H5S_class_t};
use hdf5_metno_sys::h5t::{self, H5T_class_t, H5T_order_t};
use std::ffi::{c_int, c_uint};

/// What the bytes of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The value itself.
    Plain,
    /// A pointer into a heap of the file, at least in part.
    Varying,
    /// References to objects of the file.
    References,
}

/// The same type without what only newer libraries can read. Call it under the lock.
pub(super) fn oldest(kind: &Handle) -> Outcome<Handle> {
    // SAFETY: the type is open; the copies are ours and the setter only changes them.
    unsafe {
        let standard = match dtype::describe(kind)? {
            Dtype::Bool => return dtype::bool_type(),
            Dtype::Text(text) => return dtype::text_type(&text),
            Dtype::Int { size, signed, big } => {
                let native = match (size, signed) {
                    (1, true) => *globals::H5T_NATIVE_INT8,
                    (1, false) => *globals::H5T_NATIVE_UINT8,
                    (2, true) => *globals::H5T_NATIVE_INT16,
                    (2, false) => *globals::H5T_NATIVE_UINT16,
                    (4, true) => *globals::H5T_NATIVE_INT32,
                    (4, false) => *globals::H5T_NATIVE_UINT32,
                    (_, true) => *globals::H5T_NATIVE_INT64,
                    (_, false) => *globals::H5T_NATIVE_UINT64,
                };
                Some((native, big))
            }
            Dtype::Float { size: 4, big } => Some((*globals::H5T_NATIVE_FLOAT, big)),
            Dtype::Float { size: 8, big } => Some((*globals::H5T_NATIVE_DOUBLE, big)),
            _ => None,
        };
        let Some((native, big)) = standard else {
            return Handle::take(h5t::H5Tcopy(kind.id()));
        };
        let copy = Handle::take(h5t::H5Tcopy(native))?;
        let order = if big {
            H5T_order_t::H5T_ORDER_BE
        } else {
            H5T_order_t::H5T_ORDER_LE
        };
        check(h5t::H5Tset_order(copy.id(), order))?;
        Ok(copy)
    }
}

/// What the bytes of a value are. Call it under the lock.
pub(super) fn content(kind: &Handle, depth: usize) -> Outcome<Content> {
    // SAFETY: the type is open; the types inside are owned.
    unsafe {
        if truth(h5t::H5Tdetect_class(kind.id(), H5T_class_t::H5T_REFERENCE))? {
            return Ok(Content::References);
        }
        let varying = |yes: bool| {
            if yes {
                Content::Varying
            } else {
                Content::Plain
            }
        };
        Ok(match h5t::H5Tget_class(kind.id()) {
            H5T_class_t::H5T_STRING => varying(truth(h5t::H5Tis_variable_str(kind.id()))?),
            H5T_class_t::H5T_VLEN => Content::Varying,
            // Deeper than anything has: the careful way is right for every type.
            _ if depth > 8 => Content::Varying,
            H5T_class_t::H5T_ARRAY => {
                content(&Handle::take(h5t::H5Tget_super(kind.id()))?, depth + 1)?
            }
            H5T_class_t::H5T_COMPOUND => {
                let mut all = Content::Plain;
                for i in 0..h5t::H5Tget_nmembers(kind.id()).max(0) as c_uint {
                    let member = Handle::take(h5t::H5Tget_member_type(kind.id(), i))?;
                    if content(&member, depth + 1)? != Content::Plain {
                        all = Content::Varying;
                    }
                }
                all
            }
            _ => Content::Plain,
        })
    }
}

/// A dataspace of this extent. Call it under the lock.
pub(super) fn space(extent: &Extent, limits: Option<&[u64]>) -> Outcome<Handle> {
    // SAFETY: dimensions and limits have the same number and outlive the call.
    Handle::take(unsafe {
        match extent {
            Extent::Null => h5s::H5Screate(H5S_class_t::H5S_NULL),
            Extent::Scalar => h5s::H5Screate(H5S_class_t::H5S_SCALAR),
            Extent::Simple(dims) => {
                let limits = limits.filter(|l| l.len() == dims.len());
                h5s::H5Screate_simple(
                    dims.len() as c_int,
                    dims.as_ptr(),
                    limits.map_or(std::ptr::null(), <[u64]>::as_ptr),
                )
            }
        }
    })
}
