//! Datatypes of files.

use super::handle::{Handle, Outcome, locked, take_string, truth};
use hdf5_metno::globals;
use hdf5_metno_sys::h5t::{self, H5T_class_t, H5T_cset_t, H5T_order_t, H5T_sign_t, H5T_str_t};
use std::fmt;

/// A string type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// Bytes of a fixed-length string; `None` where the length varies.
    pub(crate) fixed: Option<usize>,
    /// Whether it is marked as UTF-8 (else ASCII).
    pub(crate) utf8: bool,
    /// Whether a fixed-length string is padded with spaces (else with NUL).
    pub(crate) spaces: bool,
}

/// A datatype, as far as this crate distinguishes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dtype {
    /// An integer of 1, 2, 4 or 8 bytes.
    Int {
        size: usize,
        signed: bool,
        big: bool,
    },
    /// An IEEE float of 2, 4 or 8 bytes.
    Float { size: usize, big: bool },
    /// The enum {FALSE, TRUE} on one byte that h5py uses.
    Bool,
    /// A string.
    Text(Text),
    /// A compound: the members' names and types.
    Compound(Vec<(String, Dtype)>),
    /// An array type inside a compound.
    Block { dims: Vec<u64>, of: Box<Dtype> },
    /// Anything else, in words.
    Other(String),
}

impl Dtype {
    /// Whether it is a number, a boolean or a string.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(
            self,
            Self::Int { .. } | Self::Float { .. } | Self::Bool | Self::Text(_)
        )
    }

    /// Bytes of an element, where the type is a number.
    pub(crate) fn number_size(&self) -> Option<usize> {
        match self {
            Self::Int { size, .. } | Self::Float { size, .. } => Some(*size),
            Self::Bool => Some(1),
            _ => None,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int { size, signed, .. } => {
                write!(f, "{}int{}", if *signed { "" } else { "u" }, size * 8)
            }
            Self::Float { size, .. } => write!(f, "float{}", size * 8),
            Self::Bool => f.write_str("bool"),
            Self::Text(_) => f.write_str("string"),
            Self::Compound(_) => f.write_str("compound"),
            Self::Block { of, .. } => write!(f, "array of {of}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// Reads a datatype. Call it under the lock.
pub(crate) fn describe(kind: &Handle) -> Outcome<Dtype> {
    describe_within(kind, 0)
}

fn describe_within(kind: &Handle, depth: usize) -> Outcome<Dtype> {
    let id = kind.id();
    // SAFETY: `id` is a valid datatype; out-parameters are local; member handles are owned.
    unsafe {
        let size = h5t::H5Tget_size(id);
        let big = h5t::H5Tget_order(id) == H5T_order_t::H5T_ORDER_BE;
        Ok(match h5t::H5Tget_class(id) {
            H5T_class_t::H5T_INTEGER => {
                let whole = h5t::H5Tget_precision(id) == size * 8 && h5t::H5Tget_offset(id) == 0;
                if whole && matches!(size, 1 | 2 | 4 | 8) {
                    let signed = h5t::H5Tget_sign(id) != H5T_sign_t::H5T_SGN_NONE;
                    Dtype::Int { size, signed, big }
                } else {
                    Dtype::Other(format!("an integer of {} bits", h5t::H5Tget_precision(id)))
                }
            }
            H5T_class_t::H5T_FLOAT => {
                let (mut spos, mut epos, mut esize, mut mpos, mut msize) = (0, 0, 0, 0, 0);
                h5t::H5Tget_fields(id, &mut spos, &mut epos, &mut esize, &mut mpos, &mut msize);
                let ieee = matches!(
                    (size, spos, epos, esize, mpos, msize),
                    (2, 15, 10, 5, 0, 10) | (4, 31, 23, 8, 0, 23) | (8, 63, 52, 11, 0, 52)
                );
                if ieee {
                    Dtype::Float { size, big }
                } else {
                    Dtype::Other(format!("a float of {} bytes", size))
                }
            }
            H5T_class_t::H5T_STRING => Dtype::Text(Text {
                fixed: if truth(h5t::H5Tis_variable_str(id))? {
                    None
                } else {
                    Some(size)
                },
                utf8: h5t::H5Tget_cset(id) == H5T_cset_t::H5T_CSET_UTF8,
                spaces: h5t::H5Tget_strpad(id) == H5T_str_t::H5T_STR_SPACEPAD,
            }),
            H5T_class_t::H5T_ENUM => {
                let n = h5t::H5Tget_nmembers(id);
                let mut names = Vec::new();
                for i in 0..n.max(0) {
                    names.push(take_string(h5t::H5Tget_member_name(id, i as u32)));
                }
                let mut zero_first = [0u8; 8];
                if size == 1 && n == 2 {
                    h5t::H5Tget_member_value(id, 0, zero_first.as_mut_ptr().cast());
                }
                let boolean = size == 1
                    && n == 2
                    && ((names == ["FALSE", "TRUE"] && zero_first[0] == 0)
                        || (names == ["TRUE", "FALSE"] && zero_first[0] == 1));
                if boolean {
                    Dtype::Bool
                } else {
                    Dtype::Other(format!("an enum of {n} names"))
                }
            }
            H5T_class_t::H5T_COMPOUND if depth < 4 => {
                let n = h5t::H5Tget_nmembers(id).max(0);
                let mut members = Vec::new();
                for i in 0..n as u32 {
                    let label = take_string(h5t::H5Tget_member_name(id, i));
                    let member = Handle::take(h5t::H5Tget_member_type(id, i))?;
                    members.push((label, describe_within(&member, depth + 1)?));
                }
                Dtype::Compound(members)
            }
            H5T_class_t::H5T_ARRAY if depth < 4 => {
                let n = h5t::H5Tget_array_ndims(id).clamp(0, 32) as usize;
                let mut dims = vec![0u64; 32];
                h5t::H5Tget_array_dims2(id, dims.as_mut_ptr());
                dims.truncate(n);
                let of = Handle::take(h5t::H5Tget_super(id))?;
                Dtype::Block {
                    dims,
                    of: Box::new(describe_within(&of, depth + 1)?),
                }
            }
            H5T_class_t::H5T_REFERENCE => Dtype::Other("a reference".into()),
            H5T_class_t::H5T_OPAQUE => Dtype::Other("opaque bytes".into()),
            H5T_class_t::H5T_VLEN => Dtype::Other("a ragged array".into()),
            H5T_class_t::H5T_BITFIELD => Dtype::Other("a bit field".into()),
            _ => Dtype::Other("a type that this version does not know".into()),
        })
    }
}

/// A number type of this program, and its name in the library.
pub(crate) trait Number: Copy + Default + Send + 'static {
    /// The library's type of the same layout.
    fn native() -> hdf5_metno_sys::h5i::hid_t;
}

macro_rules! numbers {
    ($($t:ty => $global:ident),* $(,)?) => {$(
        impl Number for $t {
            fn native() -> hdf5_metno_sys::h5i::hid_t {
                *globals::$global
            }
        }
    )*};
}

numbers! {
    i8 => H5T_NATIVE_INT8, i16 => H5T_NATIVE_INT16, i32 => H5T_NATIVE_INT32, i64 => H5T_NATIVE_INT64,
    u8 => H5T_NATIVE_UINT8, u16 => H5T_NATIVE_UINT16, u32 => H5T_NATIVE_UINT32, u64 => H5T_NATIVE_UINT64,
    f32 => H5T_NATIVE_FLOAT, f64 => H5T_NATIVE_DOUBLE,
}

/// The type of a string, for memory or for a file.
pub(crate) fn text_type(text: &Text) -> Outcome<Handle> {
    locked(|| {
        // SAFETY: the copy is ours; the setters only change it.
        unsafe {
            let kind = Handle::take(h5t::H5Tcopy(*globals::H5T_C_S1))?;
            h5t::H5Tset_size(kind.id(), text.fixed.unwrap_or(usize::MAX));
            let cset = if text.utf8 {
                H5T_cset_t::H5T_CSET_UTF8
            } else {
                H5T_cset_t::H5T_CSET_ASCII
            };
            h5t::H5Tset_cset(kind.id(), cset);
            if text.fixed.is_some() {
                let pad = if text.spaces {
                    H5T_str_t::H5T_STR_SPACEPAD
                } else {
                    H5T_str_t::H5T_STR_NULLPAD
                };
                h5t::H5Tset_strpad(kind.id(), pad);
            }
            Ok(kind)
        }
    })
}

/// The enum {FALSE, TRUE} that h5py and anndata use for booleans.
pub(crate) fn bool_type() -> Outcome<Handle> {
    locked(|| {
        // SAFETY: the enum is ours; the values outlive the calls.
        unsafe {
            let kind = Handle::take(h5t::H5Tenum_create(*globals::H5T_NATIVE_INT8))?;
            for (label, value) in [(c"FALSE", 0i8), (c"TRUE", 1i8)] {
                super::handle::check(h5t::H5Tenum_insert(
                    kind.id(),
                    label.as_ptr(),
                    (&raw const value).cast(),
                ))?;
            }
            Ok(kind)
        }
    })
}
