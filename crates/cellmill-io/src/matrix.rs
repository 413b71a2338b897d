//! Which matrices a file holds, and how they lie in it.

use crate::csr::RawArray;
use crate::error::{Error, Result};
use crate::open::Opened;
use crate::store::hdf5::chunks::filters_of;
use crate::store::hdf5::values::{self, Extent};
use crate::store::hdf5::{Dtype, Kind, Object};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How fast a matrix can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadPath {
    /// In parallel, outside the HDF5 library.
    Fast,
    /// Through the HDF5 library, one chunk at a time; the reason.
    Library(String),
    /// Not by this version; the reason.
    Unsupported(String),
}

/// A matrix of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixInfo {
    /// Where it stands: `X`, `raw/X`, `layers/NAME`.
    pub address: String,
    /// `csr`, `csc`, `dense` or what was found instead.
    pub encoding: String,
    /// Rows and columns; zeros where they are not known.
    pub shape: [u64; 2],
    /// Stored entries of a sparse matrix.
    pub nnz: Option<u64>,
    /// Type of the values, in numpy's words.
    pub data_dtype: String,
    /// Type of the column numbers; empty for a dense matrix.
    pub indices_dtype: String,
    /// Type of the row starts; empty for a dense matrix.
    pub indptr_dtype: String,
    /// Entries in a chunk of the values, where there are chunks.
    pub chunk_entries: Option<u64>,
    /// The filters of the values, in the order in which they were applied.
    pub filters: Vec<String>,
    /// Bytes in the file, of all parts.
    pub compressed_bytes: u64,
    /// How it is read.
    pub path: ReadPath,
}

/// `csr`, `csc`, `dense`, or the encoding that stands in place of a matrix.
pub(crate) fn encoding_of(file: &Opened, address: &str, object: &Object) -> Result<String> {
    let text = |label: &str| {
        object
            .text(label)
            .map_err(|fault| file.fault(address, fault))
    };
    if object.kind() == Kind::Dataset {
        return Ok("dense".into());
    }
    if let Some(encoding) = text("encoding-type")? {
        return Ok(match encoding.as_str() {
            "csr_matrix" => "csr".into(),
            "csc_matrix" => "csc".into(),
            other => other.into(),
        });
    }
    // anndata before 0.7 wrote the attributes of h5sparse.
    Ok(text("h5sparse_format")?.unwrap_or_else(|| "no encoding".into()))
}

/// The shape of a sparse matrix: attribute `shape`, `h5sparse_shape` in old files.
pub(crate) fn shape_attribute(file: &Opened, address: &str, object: &Object) -> Result<[u64; 2]> {
    let fault = |fault| file.fault(address, fault);
    for label in ["shape", "h5sparse_shape"] {
        if let Some(place) = object.attribute(label).map_err(fault)? {
            let shape: Vec<i64> = match place.dtype().map_err(fault)? {
                Dtype::Int { .. } | Dtype::Float { .. } => {
                    values::numbers(&place).map_err(fault)?
                }
                other => {
                    return Err(file.malformed(address, format!("attribute {label} holds {other}")));
                }
            };
            return match shape[..] {
                [rows, columns] if rows >= 0 && columns >= 0 => Ok([rows as u64, columns as u64]),
                _ => Err(file.malformed(
                    address,
                    format!("attribute {label} should be two lengths and is {shape:?}"),
                )),
            };
        }
    }
    Err(file.malformed(address, "the attribute shape is missing"))
}

/// Describes the matrix at `address`.
pub(crate) fn describe(file: &Arc<Opened>, address: &str) -> Result<MatrixInfo> {
    let address = address.trim_matches('/');
    let object = file.object(address)?;
    let encoding = encoding_of(file, address, &object)?;
    match encoding.as_str() {
        "csr" | "csc" => sparse(file, address, encoding, &object),
        "dense" => dense(file, address, object),
        other => Ok(MatrixInfo {
            address: address.into(),
            encoding: other.into(),
            shape: [0, 0],
            nnz: None,
            data_dtype: String::new(),
            indices_dtype: String::new(),
            indptr_dtype: String::new(),
            chunk_entries: None,
            filters: Vec::new(),
            compressed_bytes: 0,
            path: ReadPath::Unsupported(format!("{other} is not a matrix that this version reads")),
        }),
    }
}

fn sparse(
    file: &Arc<Opened>,
    address: &str,
    encoding: String,
    object: &Object,
) -> Result<MatrixInfo> {
    let shape = shape_attribute(file, address, object)?;
    let part = |name: &str| RawArray::open(file, &format!("{address}/{name}"));
    let mut info = MatrixInfo {
        address: address.into(),
        encoding,
        shape,
        nnz: None,
        data_dtype: String::new(),
        indices_dtype: String::new(),
        indptr_dtype: String::new(),
        chunk_entries: None,
        filters: Vec::new(),
        compressed_bytes: 0,
        path: ReadPath::Fast,
    };
    let parts = part("data").and_then(|d| Ok((d, part("indices")?, part("indptr")?)));
    let (data, indices, indptr) = match parts {
        Ok(parts) => parts,
        // A filter that is not there is a fact about the matrix, not a failure to describe it.
        Err(Error::Unsupported { what, .. }) => {
            if let Some(object) = file.find(&format!("{address}/data"))?
                && let Ok(place) = object.dataset()
                && let (Ok(dtype), Ok((filters, chunk))) = (place.dtype(), filters_of(&place))
            {
                info.data_dtype = dtype.to_string();
                info.filters = filters.into_iter().map(|f| f.name).collect();
                info.chunk_entries = chunk.and_then(|c| c.first().copied());
                info.compressed_bytes = place.stored_bytes();
            }
            info.path = ReadPath::Unsupported(what);
            return Ok(info);
        }
        Err(error) => return Err(error),
    };
    info.nnz = Some(data.len);
    info.data_dtype = data.dtype.to_string();
    info.indices_dtype = indices.dtype.to_string();
    info.indptr_dtype = indptr.dtype.to_string();
    info.chunk_entries = data.chunk_entries();
    info.filters = data.filters();
    info.compressed_bytes = data.stored_bytes() + indices.stored_bytes() + indptr.stored_bytes();
    if let Some(reason) = [&data, &indices].iter().find_map(|a| a.library_reason()) {
        info.path = ReadPath::Library(reason.to_owned());
    }
    Ok(info)
}

fn dense(file: &Arc<Opened>, address: &str, object: Object) -> Result<MatrixInfo> {
    let fault = |fault| file.fault(address, fault);
    let place = object.dataset().map_err(fault)?;
    let shape = match place.extent().map_err(fault)? {
        Extent::Simple(dims) => match dims[..] {
            [rows, columns] => [rows, columns],
            [rows] => [rows, 1],
            _ => [0, 0],
        },
        _ => [0, 0],
    };
    let (filters, chunk) = filters_of(&place).map_err(fault)?;
    let missing = filters.iter().find(|f| !f.available);
    let path = match missing {
        Some(filter) => ReadPath::Unsupported(format!("compressed with {}", filter.name)),
        None if filters.iter().all(|f| matches!(f.id, 1 | 2 | 3 | 32000)) => ReadPath::Fast,
        None => ReadPath::Library("filters that only the library undoes".into()),
    };
    Ok(MatrixInfo {
        address: address.into(),
        encoding: "dense".into(),
        shape,
        nnz: None,
        data_dtype: place.dtype().map_err(fault)?.to_string(),
        indices_dtype: String::new(),
        indptr_dtype: String::new(),
        chunk_entries: chunk.map(|c| c.iter().product()),
        filters: filters.into_iter().map(|f| f.name).collect(),
        compressed_bytes: place.stored_bytes(),
        path,
    })
}
