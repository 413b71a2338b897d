//! Reading elements, by encoding-type.

pub(crate) mod column;
pub(crate) mod dataframe;
pub(crate) mod legacy;
pub(crate) mod plain;

use crate::elem::{Array, ArrayData, Elem, Scalar, SparseMatrix};
use crate::error::Result;
use crate::open::Opened;
use crate::store::hdf5::values::Extent;
use crate::store::hdf5::{Kind, Object};

/// Groups within groups beyond this depth are taken for a loop.
const DEPTH: usize = 64;

/// Reads the element at `address`.
pub(crate) fn read(file: &Opened, address: &str) -> Result<Elem> {
    let address = address.trim_matches('/');
    let object = file.object(address)?;
    let mut element = read_object(file, address, object, 0)?;
    if let ("uns", Elem::Dict(all)) = (address, &mut element) {
        // Categories that old files keep here belong to the columns that were read with them.
        let moved = legacy::category_keys(file)?;
        all.retain(|(name, _)| !moved.contains(name));
    }
    Ok(element)
}

fn foreign(file: &Opened, address: &str, encoding: impl Into<String>) -> Elem {
    Elem::Foreign {
        file: file.path.clone(),
        address: address.into(),
        encoding: encoding.into(),
    }
}

fn read_object(file: &Opened, address: &str, object: Object, depth: usize) -> Result<Elem> {
    if depth > DEPTH {
        return Err(file.malformed(address, format!("groups are nested deeper than {DEPTH}")));
    }
    let fault = |fault| file.fault(address, fault);
    let encoding = object.text("encoding-type").map_err(fault)?;
    match (object.kind(), encoding.as_deref()) {
        (Kind::Group, Some("csr_matrix" | "csc_matrix")) => sparse(file, address, &object),
        (Kind::Group, Some("dataframe")) => {
            dataframe::read(file, address, None).map(Elem::DataFrame)
        }
        (
            Kind::Group,
            Some("categorical" | "nullable-integer" | "nullable-boolean" | "nullable-string-array"),
        ) => column::read(file, address, object, None).map(Elem::Column),
        (Kind::Group, Some("dict" | "raw" | "anndata")) => group(file, address, &object, depth),
        (Kind::Group, None) => {
            if object.text("h5sparse_format").map_err(fault)?.is_some() {
                sparse(file, address, &object)
            } else {
                group(file, address, &object, depth)
            }
        }
        (Kind::Dataset, Some("null")) => Ok(Elem::Null),
        (Kind::Dataset, encoding) => {
            let encoding = encoding.map(str::to_owned);
            dataset(file, address, object, encoding)
        }
        (_, encoding) => Ok(foreign(file, address, encoding.unwrap_or("no encoding"))),
    }
}

fn group(file: &Opened, address: &str, object: &Object, depth: usize) -> Result<Elem> {
    let mut all = Vec::new();
    for name in object.names().map_err(|fault| file.fault(address, fault))? {
        let inner = join(address, &name);
        // A link that leads nowhere is left out.
        let Some(child) = file.find(&inner)? else {
            continue;
        };
        all.push((name, read_object(file, &inner, child, depth + 1)?));
    }
    Ok(Elem::Dict(all))
}

pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}/{name}")
    }
}

fn dataset(file: &Opened, address: &str, object: Object, encoding: Option<String>) -> Result<Elem> {
    let fault = |fault| file.fault(address, fault);
    let place = object.dataset().map_err(fault)?;
    let extent = place.extent().map_err(fault)?;
    if let Some(frame) = legacy::frame(file, address, &place, &extent)? {
        return Ok(Elem::DataFrame(frame));
    }
    if let Some(arrays) = legacy::arrays(file, address, &place, &extent)? {
        return Ok(arrays);
    }
    let known = matches!(
        encoding.as_deref(),
        None | Some("array" | "string-array" | "numeric-scalar" | "string")
    );
    let found = plain::read(&place).map_err(fault)?;
    match (known, found, extent) {
        (true, Some(data), Extent::Simple(shape)) => Ok(Elem::Array(Array { shape, data })),
        (true, Some(data), Extent::Scalar) => Ok(Elem::Scalar(scalar(data))),
        (true, Some(data), Extent::Null) => Ok(Elem::Array(Array {
            shape: vec![0],
            data,
        })),
        (_, _, _) => {
            let dtype = place.dtype().map_err(fault)?.to_string();
            Ok(foreign(file, address, encoding.unwrap_or(dtype)))
        }
    }
}

/// The only value of an array, in the widest type of its kind.
pub(crate) fn scalar(data: ArrayData) -> Scalar {
    match data {
        ArrayData::Bool(v) => Scalar::Bool(v.first().copied().unwrap_or_default()),
        ArrayData::I8(v) => Scalar::I64(v.first().copied().unwrap_or_default().into()),
        ArrayData::I16(v) => Scalar::I64(v.first().copied().unwrap_or_default().into()),
        ArrayData::I32(v) => Scalar::I64(v.first().copied().unwrap_or_default().into()),
        ArrayData::I64(v) => Scalar::I64(v.first().copied().unwrap_or_default()),
        ArrayData::U8(v) => Scalar::U64(v.first().copied().unwrap_or_default().into()),
        ArrayData::U16(v) => Scalar::U64(v.first().copied().unwrap_or_default().into()),
        ArrayData::U32(v) => Scalar::U64(v.first().copied().unwrap_or_default().into()),
        ArrayData::U64(v) => Scalar::U64(v.first().copied().unwrap_or_default()),
        ArrayData::F32(v) => Scalar::F32(v.first().copied().unwrap_or_default()),
        ArrayData::F64(v) => Scalar::F64(v.first().copied().unwrap_or_default()),
        ArrayData::Str(v) => Scalar::Str(v.into_iter().next().unwrap_or_default()),
    }
}

fn sparse(file: &Opened, address: &str, object: &Object) -> Result<Elem> {
    let shape = crate::matrix::shape_attribute(file, address, object)?;
    let csr = match crate::matrix::encoding_of(file, address, object)?.as_str() {
        "csr" => true,
        "csc" => false,
        other => return Ok(foreign(file, address, other)),
    };
    let part = |name: &str| -> Result<ArrayData> {
        let inner = join(address, name);
        let place = file
            .object(&inner)?
            .dataset()
            .and_then(|place| plain::read(&place))
            .map_err(|fault| file.fault(&inner, fault))?;
        place.ok_or_else(|| file.malformed(&inner, "numbers were expected"))
    };
    let integers = |name: &str| -> Result<Vec<u64>> {
        plain::unsigned(part(name)?).ok_or_else(|| {
            file.malformed(&join(address, name), "it holds a negative or no integer")
        })
    };
    let indptr = integers("indptr")?;
    let wide = integers("indices")?;
    let data = part("data")?;
    let (major, minor) = if csr {
        (shape[0], shape[1])
    } else {
        (shape[1], shape[0])
    };
    let sound = indptr.len() as u64 == major.saturating_add(1)
        && indptr.first() == Some(&0)
        && indptr.windows(2).all(|w| w[0] <= w[1])
        && indptr.last() == Some(&(wide.len() as u64));
    if !sound {
        return Err(file.malformed(
            &join(address, "indptr"),
            format!(
                "{} starts from 0 to {} were expected, never decreasing; there are {}, ending at {:?}",
                major.saturating_add(1),
                wide.len(),
                indptr.len(),
                indptr.last()
            ),
        ));
    }
    if data.len() != wide.len() {
        return Err(file.malformed(
            &join(address, "data"),
            format!(
                "it has {} entries and indices has {}",
                data.len(),
                wide.len()
            ),
        ));
    }
    let mut indices = Vec::with_capacity(wide.len());
    for (entry, &index) in wide.iter().enumerate() {
        match u32::try_from(index) {
            Ok(small) if index < minor => indices.push(small),
            _ => {
                return Err(file.malformed(
                    &join(address, "indices"),
                    format!("entry {entry} should be below {minor} and is {index}"),
                ));
            }
        }
    }
    Ok(Elem::Sparse(SparseMatrix {
        shape,
        csr,
        indptr,
        indices,
        data,
    }))
}

/// The dimensions of the element at `address`.
pub(crate) fn shape_of(file: &Opened, address: &str) -> Result<Vec<u64>> {
    let address = address.trim_matches('/');
    let object = file.object(address)?;
    let fault = |fault| file.fault(address, fault);
    if object.kind() == Kind::Dataset {
        let place = object.dataset().map_err(fault)?;
        return Ok(match place.extent().map_err(fault)? {
            Extent::Simple(dims) => dims,
            _ => Vec::new(),
        });
    }
    let encoding = object.text("encoding-type").map_err(fault)?;
    match encoding.as_deref() {
        Some("dataframe") => dataframe::shape(file, address),
        Some("categorical") => shape_of(file, &join(address, "codes")),
        Some("nullable-integer" | "nullable-boolean" | "nullable-string-array") => {
            shape_of(file, &join(address, "values"))
        }
        _ if object.attribute("shape").map_err(fault)?.is_some()
            || object.attribute("h5sparse_shape").map_err(fault)?.is_some() =>
        {
            crate::matrix::shape_attribute(file, address, &object).map(|s| s.to_vec())
        }
        other => Err(file.malformed(
            address,
            format!(
                "it has no dimensions (it is {})",
                other.unwrap_or("a group")
            ),
        )),
    }
}
