//! A thin safe face over the HDF5 C library.
//!
//! Every call takes the library's one lock. Bulk data does not go through here: see
//! [`crate::csr`], which reads chunks with its own file descriptor.
//!
//! The unsafe code of this crate is in this folder and nowhere else.

pub(crate) mod chunks;
pub(crate) mod create;
pub(crate) mod dtype;
pub(crate) mod file;
pub(crate) mod handle;
pub(crate) mod object;
pub(crate) mod transfer;
pub(crate) mod values;

pub(crate) use chunks::{Filter, Layout, Storage};
pub(crate) use dtype::Dtype;
pub(crate) use file::{File, Opening};
pub(crate) use handle::Fault;
pub(crate) use object::{Kind, Object};
