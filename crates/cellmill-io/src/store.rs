//! Where elements lie: HDF5 files.

pub(crate) mod hdf5;
pub(crate) mod zarr;
