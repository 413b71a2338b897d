//! Where elements are written: an HDF5 file or a zarr folder.

use super::SinkDtype;
use crate::elem::ArrayData;
use crate::store::hdf5::create::{self, Chunking, Dataset};
use crate::store::hdf5::handle::Outcome;
use crate::store::hdf5::{File, Kind, Object};
use crate::store::zarr::create::{self as zarr, Folder};
use hdf5_metno_sys::h5i::hid_t;

/// Entries in a chunk of an HDF5 dataset that is compressed or can grow.
const CHUNK: u64 = 1 << 16;

/// An HDF5 file or a zarr folder that is being written.
#[derive(Debug)]
pub(crate) enum Place {
    Hdf5(File),
    Zarr(Folder),
}

impl Place {
    /// The library's name of the file; of a folder none, which the library refuses.
    pub(crate) fn id(&self) -> hid_t {
        match self {
            Self::Hdf5(file) => file.id(),
            Self::Zarr(_) => hdf5_metno_sys::h5i::H5I_INVALID_HID,
        }
    }

    pub(crate) fn is_zarr(&self) -> bool {
        matches!(self, Self::Zarr(_))
    }

    pub(crate) fn kind(&self, path: &str) -> Outcome<Option<Kind>> {
        match self {
            Self::Hdf5(file) => Ok(Object::open(file.id(), path)?.map(|o| o.kind())),
            Self::Zarr(folder) => folder.kind(path),
        }
    }

    pub(crate) fn group(&self, path: &str) -> Outcome<()> {
        match self {
            Self::Hdf5(file) => create::group(file.id(), path),
            Self::Zarr(folder) => folder.group(path),
        }
    }

    pub(crate) fn remove(&self, path: &str) -> Outcome<()> {
        match self {
            Self::Hdf5(file) => create::remove(file.id(), path),
            Self::Zarr(folder) => folder.remove(path),
        }
    }

    pub(crate) fn null(&self, path: &str) -> Outcome<()> {
        match self {
            Self::Hdf5(file) => create::null(file.id(), path),
            Self::Zarr(folder) => folder.null(path),
        }
    }

    pub(crate) fn text_attribute(&self, path: &str, label: &str, value: &str) -> Outcome<()> {
        match self {
            Self::Hdf5(file) => create::text_attribute(file.id(), path, label, value),
            Self::Zarr(folder) => folder.attribute(path, label, value.into()),
        }
    }

    pub(crate) fn texts_attribute(&self, path: &str, label: &str, all: &[String]) -> Outcome<()> {
        match self {
            Self::Hdf5(file) => create::texts_attribute(file.id(), path, label, all),
            Self::Zarr(folder) => folder.attribute(path, label, all.into()),
        }
    }

    pub(crate) fn integers_attribute(&self, path: &str, label: &str, all: &[i64]) -> Outcome<()> {
        match self {
            Self::Hdf5(file) => create::integers_attribute(file.id(), path, label, all),
            Self::Zarr(folder) => folder.attribute(path, label, all.into()),
        }
    }

    pub(crate) fn bool_attribute(&self, path: &str, label: &str, value: bool) -> Outcome<()> {
        match self {
            Self::Hdf5(file) => create::bool_attribute(file.id(), path, label, value),
            Self::Zarr(folder) => folder.attribute(path, label, value.into()),
        }
    }

    /// Writes values; `growing` datasets of HDF5 are chunked, as anndata's parts of sparse matrices.
    pub(crate) fn values(
        &self,
        path: &str,
        dims: Option<&[u64]>,
        data: &ArrayData,
        gzip: Option<u32>,
        growing: bool,
    ) -> Outcome<()> {
        let file = match self {
            Self::Hdf5(file) => file,
            Self::Zarr(folder) => return folder.values(path, dims, data, gzip),
        };
        let chunking = (gzip.is_some() || growing).then_some(Chunking {
            entries: CHUNK.min(data.len().max(1) as u64),
            shuffle: gzip.is_some(),
            gzip,
        });
        let id = file.id();
        match data {
            ArrayData::Bool(v) => create::bools(id, path, dims, v),
            ArrayData::I8(v) => create::numbers(id, path, dims, v, chunking, growing),
            ArrayData::I16(v) => create::numbers(id, path, dims, v, chunking, growing),
            ArrayData::I32(v) => create::numbers(id, path, dims, v, chunking, growing),
            ArrayData::I64(v) => create::numbers(id, path, dims, v, chunking, growing),
            ArrayData::U8(v) => create::numbers(id, path, dims, v, chunking, growing),
            ArrayData::U16(v) => create::numbers(id, path, dims, v, chunking, growing),
            ArrayData::U32(v) => create::numbers(id, path, dims, v, chunking, growing),
            ArrayData::U64(v) => create::numbers(id, path, dims, v, chunking, growing),
            ArrayData::F32(v) => create::numbers(id, path, dims, v, chunking, growing),
            ArrayData::F64(v) => create::numbers(id, path, dims, v, chunking, growing),
            ArrayData::Str(v) => create::texts(id, path, dims, v),
        }
    }

    /// Begins an array of one dimension that is written chunk by chunk.
    pub(crate) fn growing(
        &self,
        path: &str,
        dtype: SinkDtype,
        chunking: Chunking,
    ) -> Outcome<Growing> {
        match self {
            Self::Hdf5(file) => match dtype {
                SinkDtype::F32 => Dataset::growing::<f32>(file.id(), path, chunking),
                SinkDtype::F64 => Dataset::growing::<f64>(file.id(), path, chunking),
                SinkDtype::I32 => Dataset::growing::<i32>(file.id(), path, chunking),
                SinkDtype::I64 => Dataset::growing::<i64>(file.id(), path, chunking),
            }
            .map(Growing::Hdf5),
            Self::Zarr(folder) => folder
                .growing(path, dtype.name(), chunking.entries, chunking.gzip)
                .map(Growing::Zarr),
        }
    }

    /// Begins an array of two dimensions that is written in chunks of whole rows.
    pub(crate) fn rows(
        &self,
        path: &str,
        dtype: SinkDtype,
        shape: [u64; 2],
        chunking: Chunking,
    ) -> Outcome<Growing> {
        match self {
            Self::Hdf5(file) => match dtype {
                SinkDtype::F32 => Dataset::rows::<f32>(file.id(), path, shape, chunking),
                SinkDtype::F64 => Dataset::rows::<f64>(file.id(), path, shape, chunking),
                SinkDtype::I32 => Dataset::rows::<i32>(file.id(), path, shape, chunking),
                SinkDtype::I64 => Dataset::rows::<i64>(file.id(), path, shape, chunking),
            }
            .map(Growing::Hdf5),
            Self::Zarr(folder) => folder
                .rows(path, dtype.name(), shape, chunking.entries, chunking.gzip)
                .map(Growing::Zarr),
        }
    }

    /// Everything is written: puts what is held back into the files.
    pub(crate) fn flush(&self) -> Outcome<()> {
        match self {
            Self::Hdf5(file) => file.flush(),
            Self::Zarr(folder) => folder.consolidate(),
        }
    }

    pub(crate) fn close(self) -> Outcome<()> {
        match self {
            Self::Hdf5(file) => file.close(),
            Self::Zarr(_) => Ok(()),
        }
    }
}

/// An array that is written chunk by chunk.
#[derive(Debug)]
pub(crate) enum Growing {
    Hdf5(Dataset),
    Zarr(zarr::Growing),
}

impl Growing {
    /// Sets the length of an array of one dimension.
    pub(crate) fn extend(&self, len: u64) -> Outcome<()> {
        match self {
            Self::Hdf5(dataset) => dataset.extend(len),
            Self::Zarr(array) => {
                array.extend(len);
                Ok(())
            }
        }
    }

    /// Writes a whole chunk whose filters have been applied already. `first` is its first value or row.
    pub(crate) fn write_chunk(&self, first: u64, bytes: &[u8]) -> Outcome<()> {
        match self {
            Self::Hdf5(dataset) => dataset.write_chunk(first, bytes),
            Self::Zarr(array) => array.write_chunk(first, bytes),
        }
    }

    /// No chunk comes any more.
    pub(crate) fn end(&self) -> Outcome<()> {
        match self {
            Self::Hdf5(_) => Ok(()),
            Self::Zarr(array) => array.end(),
        }
    }
}
