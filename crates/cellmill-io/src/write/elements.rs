//! Writing elements, exactly as anndata encodes them.

use super::H5adWriter;
use super::place::Place;
use crate::elem::{Array, ArrayData, Categorical, Column, DataFrame, Elem, Scalar, SparseMatrix};
use crate::elem_read::{join, legacy};
use crate::error::{Error, Result};
use crate::open::Opened;
use crate::store::hdf5::Dtype;
use crate::store::hdf5::handle::Outcome;
use crate::store::hdf5::values::Extent;

/// Arrays below this many values are not worth compressing.
const SMALL: usize = 1024;

pub(super) fn write(to: &H5adWriter, address: &str, element: &Elem) -> Result<()> {
    match element {
        Elem::Dict(all) => {
            let encoding = if address == "raw" { "raw" } else { "dict" };
            to.group(address, encoding, "0.1.0")?;
            for (name, inner) in all {
                if name.is_empty() || name.contains('/') {
                    return Err(refuse(
                        to,
                        address,
                        format!("the key {name:?} cannot be written"),
                    ));
                }
                write(to, &join(address, name), inner)?;
            }
            Ok(())
        }
        Elem::DataFrame(frame) => dataframe(to, address, frame),
        Elem::Array(array) => plain(to, address, array),
        Elem::Sparse(matrix) => sparse(to, address, matrix),
        Elem::Column(column) => write_column(to, address, column),
        Elem::Scalar(value) => scalar(to, address, value),
        Elem::Null => {
            done(to, address, to.place().null(address))?;
            to.encode(address, "null", "0.1.0")
        }
        Elem::Foreign {
            file,
            address: from,
            encoding,
        } => {
            let source = Opened::open(file)?;
            let from = source.resolve(from)?;
            if let Place::Zarr(folder) = to.place() {
                let records = match legacy::records(&source, &from)? {
                    Some(records) => records,
                    None => {
                        return Err(Error::Unsupported {
                            path: file.clone(),
                            element: from,
                            what: format!("it is {encoding}, which is not written to zarr"),
                            instead: "remove it, or convert to h5ad".into(),
                        });
                    }
                };
                done(to, address, folder.records(address, &records))?;
                return to.encode(address, "rec-array", "0.2.0");
            }
            super::copy::copy(to, &source, &from, address)
        }
    }
}

fn done<T>(to: &H5adWriter, address: &str, outcome: Outcome<T>) -> Result<T> {
    outcome.map_err(|fault| to.output().fault(address, fault))
}

fn refuse(to: &H5adWriter, address: &str, what: String) -> Error {
    Error::Malformed {
        path: to.target().into(),
        element: address.into(),
        rows: None,
        what,
    }
}

/// The encoding of a plain dataset of this type and extent.
pub(super) fn plain_encoding(
    dtype: &Dtype,
    extent: &Extent,
) -> Option<(&'static str, &'static str)> {
    Some(match (dtype, extent) {
        (Dtype::Text(_), Extent::Scalar) => ("string", "0.2.0"),
        (Dtype::Text(_), Extent::Simple(_)) => ("string-array", "0.2.0"),
        (_, Extent::Scalar) => ("numeric-scalar", "0.2.0"),
        (_, Extent::Simple(_)) => ("array", "0.2.0"),
        (_, Extent::Null) => return None,
    })
}

/// The values alone, without attributes.
fn values(
    to: &H5adWriter,
    address: &str,
    dims: Option<&[u64]>,
    data: &ArrayData,
    growing: bool,
) -> Result<()> {
    let gzip = to
        .options()
        .compression
        .filter(|_| data.len() >= SMALL && dims.is_some());
    let outcome = to.place().values(address, dims, data, gzip, growing);
    done(to, address, outcome)
}

fn encoding_of(data: &ArrayData) -> &'static str {
    if matches!(data, ArrayData::Str(_)) {
        "string-array"
    } else {
        "array"
    }
}

fn plain(to: &H5adWriter, address: &str, array: &Array) -> Result<()> {
    values(to, address, Some(&array.shape), &array.data, false)?;
    to.encode(address, encoding_of(&array.data), "0.2.0")
}

fn one_dimension(to: &H5adWriter, address: &str, data: &ArrayData) -> Result<()> {
    values(to, address, Some(&[data.len() as u64]), data, false)?;
    to.encode(address, encoding_of(data), "0.2.0")
}

fn scalar(to: &H5adWriter, address: &str, value: &Scalar) -> Result<()> {
    let (data, encoding) = match value {
        Scalar::Bool(v) => (ArrayData::Bool(vec![*v]), "numeric-scalar"),
        Scalar::I64(v) => (ArrayData::I64(vec![*v]), "numeric-scalar"),
        Scalar::U64(v) => (ArrayData::U64(vec![*v]), "numeric-scalar"),
        Scalar::F32(v) => (ArrayData::F32(vec![*v]), "numeric-scalar"),
        Scalar::F64(v) => (ArrayData::F64(vec![*v]), "numeric-scalar"),
        Scalar::Str(v) => (ArrayData::Str(vec![v.clone()]), "string"),
    };
    values(to, address, None, &data, false)?;
    to.encode(address, encoding, "0.2.0")
}

fn dataframe(to: &H5adWriter, address: &str, frame: &DataFrame) -> Result<()> {
    to.group(address, "dataframe", "0.2.0")?;
    let index = if frame.index_name.is_empty() {
        "_index"
    } else {
        &frame.index_name
    };
    let order: Vec<String> = frame.columns.iter().map(|(name, _)| name.clone()).collect();
    for (i, name) in order.iter().enumerate() {
        if name.is_empty() || name.contains('/') || name == index || order[..i].contains(name) {
            let what = format!("a column cannot be named {name:?} here");
            return Err(refuse(to, address, what));
        }
    }
    done(
        to,
        address,
        to.place().text_attribute(address, "_index", index),
    )?;
    done(
        to,
        address,
        to.place().texts_attribute(address, "column-order", &order),
    )?;
    let inner = join(address, index);
    let n = [frame.index.len() as u64];
    let names = ArrayData::Str(frame.index.clone());
    values(to, &inner, Some(&n), &names, false)?;
    to.encode(&inner, "string-array", "0.2.0")?;
    for (name, column) in &frame.columns {
        let n = match column {
            Column::Plain(values) => values.len(),
            Column::Categorical(c) => c.codes.len(),
            Column::Nullable { values, .. } => values.len(),
        };
        let inner = join(address, name);
        if n != frame.index.len() {
            let what = format!("it has {n} rows and the index has {}", frame.index.len());
            return Err(refuse(to, &inner, what));
        }
        write_column(to, &inner, column)?;
    }
    Ok(())
}

fn write_column(to: &H5adWriter, address: &str, column: &Column) -> Result<()> {
    match column {
        Column::Plain(data) => one_dimension(to, address, data),
        Column::Categorical(c) => categorical(to, address, c),
        Column::Nullable { values, mask } => {
            let encoding = match values {
                ArrayData::Str(_) => "nullable-string-array",
                ArrayData::Bool(_) => "nullable-boolean",
                _ => "nullable-integer",
            };
            to.group(address, encoding, "0.1.0")?;
            one_dimension(to, &join(address, "values"), values)?;
            one_dimension(to, &join(address, "mask"), &ArrayData::Bool(mask.clone()))
        }
    }
}

fn categorical(to: &H5adWriter, address: &str, c: &Categorical) -> Result<()> {
    to.group(address, "categorical", "0.2.0")?;
    done(
        to,
        address,
        to.place().bool_attribute(address, "ordered", c.ordered),
    )?;
    let n = c.categories.len();
    if let Some(code) = c
        .codes
        .iter()
        .find(|&&code| code < -1 || code >= 0 && code as usize >= n)
    {
        return Err(refuse(
            to,
            address,
            format!("the code {code} is not one of {n} categories"),
        ));
    }
    // pandas' own widths.
    let codes = if n <= 127 {
        ArrayData::I8(c.codes.iter().map(|&v| v as i8).collect())
    } else if n <= 32_767 {
        ArrayData::I16(c.codes.iter().map(|&v| v as i16).collect())
    } else {
        ArrayData::I32(c.codes.clone())
    };
    one_dimension(to, &join(address, "codes"), &codes)?;
    one_dimension(to, &join(address, "categories"), &c.categories)
}

fn sparse(to: &H5adWriter, address: &str, matrix: &SparseMatrix) -> Result<()> {
    let (major, minor) = if matrix.csr {
        (matrix.shape[0], matrix.shape[1])
    } else {
        (matrix.shape[1], matrix.shape[0])
    };
    let nnz = matrix.indices.len() as u64;
    let sound = matrix.indptr.len() as u64 == major + 1
        && matrix.indptr.last() == Some(&nnz)
        && matrix.data.len() as u64 == nnz
        && matrix.indices.iter().all(|&i| u64::from(i) < minor);
    if !sound {
        let what = format!(
            "{} row starts, {nnz} indices and {} values do not make a matrix of shape {:?}",
            matrix.indptr.len(),
            matrix.data.len(),
            matrix.shape
        );
        return Err(refuse(to, address, what));
    }
    let encoding = if matrix.csr {
        "csr_matrix"
    } else {
        "csc_matrix"
    };
    to.group(address, encoding, "0.1.0")?;
    let shape = matrix.shape.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    done(
        to,
        address,
        to.place().integers_attribute(address, "shape", &shape),
    )?;
    let part = |name: &str, data: &ArrayData| {
        values(
            to,
            &join(address, name),
            Some(&[data.len() as u64]),
            data,
            true,
        )
    };
    part("data", &matrix.data)?;
    // scanpy's compiled code wants one dtype for both.
    let narrow = nnz <= i32::MAX as u64 && matrix.shape.iter().all(|&n| n <= i32::MAX as u64);
    if narrow {
        part(
            "indices",
            &ArrayData::I32(matrix.indices.iter().map(|&i| i as i32).collect()),
        )?;
        part(
            "indptr",
            &ArrayData::I32(matrix.indptr.iter().map(|&i| i as i32).collect()),
        )
    } else {
        part(
            "indices",
            &ArrayData::I64(matrix.indices.iter().map(|&i| i.into()).collect()),
        )?;
        part(
            "indptr",
            &ArrayData::I64(matrix.indptr.iter().map(|&i| i as i64).collect()),
        )
    }
}
