//! Reading the elements of an AnnData zarr folder, by encoding-type.

use crate::csr::{CsrSource, RawArray};
use crate::dense::DenseSource;
use crate::elem::{Array, ArrayData, Categorical, Column, DataFrame, Elem, Scalar, SparseMatrix};
use crate::elem_read::{column, dataframe, join, plain};
use crate::error::{Error, Result};
use crate::file_matrix::FileMatrix;
use crate::matrix::{MatrixInfo, ReadPath};
use crate::store::hdf5::Dtype;
use crate::store::zarr::{self, Node, Zarr, ZarrDtype};
use crate::turned::{TurnedSource, open_csc};
use crate::workspace::Workspace;
use serde_json::Value;

/// Groups within groups beyond this depth are taken for a loop.
const DEPTH: usize = 64;

fn malformed(zarr: &Zarr, address: &str, what: impl Into<String>) -> Error {
    zarr.origin.malformed(address, what)
}

/// The values of an array: numbers, booleans or strings.
fn values(zarr: &Zarr, array: &zarr::Array) -> Result<ArrayData> {
    macro_rules! numbers {
        ($bytes:expr, $big:expr, $t:ty) => {
            $bytes
                .as_chunks::<{ size_of::<$t>() }>()
                .0
                .iter()
                .map(|&b| {
                    if $big {
                        <$t>::from_be_bytes(b)
                    } else {
                        <$t>::from_le_bytes(b)
                    }
                })
                .collect()
        };
    }
    let ZarrDtype::Number(dtype) = &array.dtype else {
        return array.texts().map(ArrayData::Str);
    };
    let bytes = array.bytes()?;
    Ok(match *dtype {
        Dtype::Bool => ArrayData::Bool(bytes.into_iter().map(|b| b != 0).collect()),
        Dtype::Int { size, signed, big } => match (size, signed) {
            (1, true) => ArrayData::I8(numbers!(bytes, big, i8)),
            (1, false) => ArrayData::U8(bytes),
            (2, true) => ArrayData::I16(numbers!(bytes, big, i16)),
            (2, false) => ArrayData::U16(numbers!(bytes, big, u16)),
            (4, true) => ArrayData::I32(numbers!(bytes, big, i32)),
            (4, false) => ArrayData::U32(numbers!(bytes, big, u32)),
            (_, true) => ArrayData::I64(numbers!(bytes, big, i64)),
            (_, false) => ArrayData::U64(numbers!(bytes, big, u64)),
        },
        Dtype::Float { size: 8, big } => ArrayData::F64(numbers!(bytes, big, f64)),
        Dtype::Float { size: 4, big } => ArrayData::F32(numbers!(bytes, big, f32)),
        Dtype::Float { big, .. } => {
            let bits: Vec<u16> = numbers!(bytes, big, u16);
            ArrayData::F32(bits.into_iter().map(crate::csr::half).collect())
        }
        ref other => {
            return Err(malformed(
                zarr,
                &array.address,
                format!("numbers were expected, not {other}"),
            ));
        }
    })
}

fn data(zarr: &Zarr, address: &str) -> Result<ArrayData> {
    match zarr.expect(address)? {
        Node::Array(array, _) => values(zarr, &array),
        // Categories may be nullable strings when pandas 3 wrote them.
        group @ Node::Group(_) => match column_of(zarr, address, &group)? {
            Column::Plain(values) | Column::Nullable { values, .. } => Ok(values),
            Column::Categorical(_) => Err(malformed(
                zarr,
                address,
                "plain values were expected, not a categorical",
            )),
        },
    }
}

/// Reads the element at `address`.
pub(crate) fn read(zarr: &Zarr, address: &str) -> Result<Elem> {
    let address = address.trim_matches('/');
    read_node(zarr, address, zarr.expect(address)?, 0)
}

fn read_node(zarr: &Zarr, address: &str, node: Node, depth: usize) -> Result<Elem> {
    if depth > DEPTH {
        return Err(malformed(
            zarr,
            address,
            format!("groups are nested deeper than {DEPTH}"),
        ));
    }
    let encoding = node.text("encoding-type").map(str::to_owned);
    match (&node, encoding.as_deref()) {
        (_, Some("null")) => Ok(Elem::Null),
        (Node::Group(_), Some("csr_matrix" | "csc_matrix")) => sparse(zarr, address, &node),
        (Node::Group(_), Some("dataframe")) => {
            read_dataframe(zarr, address, None).map(Elem::DataFrame)
        }
        (
            Node::Group(_),
            Some("categorical" | "nullable-integer" | "nullable-boolean" | "nullable-string-array"),
        ) => column_of(zarr, address, &node).map(Elem::Column),
        (Node::Group(_), None | Some("dict" | "raw" | "anndata")) => {
            let mut all = Vec::new();
            for name in zarr.names(address)? {
                let inner = join(address, &name);
                let child = zarr.expect(&inner)?;
                all.push((name, read_node(zarr, &inner, child, depth + 1)?));
            }
            Ok(Elem::Dict(all))
        }
        (
            Node::Array(array, _),
            None | Some("array" | "string-array" | "numeric-scalar" | "string"),
        ) if !matches!(array.dtype, ZarrDtype::Other(_)) => {
            let data = values(zarr, array)?;
            if array.shape.is_empty() {
                return Ok(Elem::Scalar(scalar(data)));
            }
            Ok(Elem::Array(Array {
                shape: array.shape.clone(),
                data,
            }))
        }
        (_, encoding) => Err(Error::Unsupported {
            path: zarr.origin.path.clone(),
            element: address.into(),
            what: format!(
                "{} is not an encoding that this version reads from zarr",
                encoding.unwrap_or("an array of that type")
            ),
            instead: "remove it, or write the data as h5ad with anndata".into(),
        }),
    }
}

fn scalar(data: ArrayData) -> Scalar {
    crate::elem_read::scalar(data)
}

fn flag(node: &Node, label: &str) -> bool {
    match node.attributes().get(label) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(n)) => n.as_i64().is_some_and(|n| n != 0),
        _ => false,
    }
}

fn column_of(zarr: &Zarr, address: &str, node: &Node) -> Result<Column> {
    match (node, node.text("encoding-type")) {
        (Node::Array(array, _), _) => {
            if array.shape.len() != 1 {
                let what = format!("a column has one dimension, and this has {:?}", array.shape);
                return Err(malformed(zarr, address, what));
            }
            values(zarr, array).map(Column::Plain)
        }
        (_, Some("categorical")) => {
            let codes = data(zarr, &join(address, "codes"))?;
            let categories = data(zarr, &join(address, "categories"))?;
            let ordered = flag(node, "ordered");
            categorical(zarr, address, codes, categories, ordered).map(Column::Categorical)
        }
        (_, Some("nullable-integer" | "nullable-boolean" | "nullable-string-array")) => {
            let values = data(zarr, &join(address, "values"))?;
            let mask = match data(zarr, &join(address, "mask"))? {
                ArrayData::Bool(mask) if mask.len() == values.len() => mask,
                _ => return Err(malformed(zarr, address, "its mask does not fit its values")),
            };
            Ok(Column::Nullable { values, mask })
        }
        (_, other) => Err(malformed(
            zarr,
            address,
            format!(
                "a column cannot be {}",
                other.unwrap_or("a group without an encoding")
            ),
        )),
    }
}

fn categorical(
    zarr: &Zarr,
    address: &str,
    codes: ArrayData,
    categories: ArrayData,
    ordered: bool,
) -> Result<Categorical> {
    column::fitting(codes, categories, ordered).map_err(|(row, what)| Error::Malformed {
        path: zarr.origin.path.clone(),
        element: address.into(),
        rows: row.map(|r| r..r + 1),
        what,
    })
}

/// The name of the index and the columns in order.
fn head(zarr: &Zarr, address: &str) -> Result<(String, Vec<String>)> {
    let node = zarr.expect(address)?;
    if node.text("encoding-type") != Some("dataframe") {
        return Err(Error::Unsupported {
            path: zarr.origin.path.clone(),
            element: address.into(),
            what: "it is no dataframe, so this is no AnnData folder of anndata 0.7 or later".into(),
            instead: "write it again with anndata".into(),
        });
    }
    let index = node.text("_index").unwrap_or("_index").to_owned();
    let order = node
        .attributes()
        .get("column-order")
        .and_then(Value::as_array);
    let order = order
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned);
    Ok((index, order.collect()))
}

/// Reads a dataframe, or some of its columns in the order asked for.
pub(crate) fn read_dataframe(
    zarr: &Zarr,
    address: &str,
    wanted: Option<&[String]>,
) -> Result<DataFrame> {
    let address = address.trim_matches('/');
    let (index_name, order) = head(zarr, address)?;
    let at = join(address, &index_name);
    let index = match column_of(zarr, &at, &zarr.expect(&at)?)? {
        Column::Plain(values) | Column::Nullable { values, .. } => plain::strings(values),
        Column::Categorical(c) => {
            let labels = plain::strings(c.categories);
            let label = |&code: &i32| labels.get(code as usize).cloned().unwrap_or_default();
            c.codes.iter().map(label).collect()
        }
    };
    let names = wanted.map_or_else(|| order.clone(), <[String]>::to_vec);
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        if !order.contains(&name) {
            return Err(dataframe::no_column(
                &zarr.origin.path,
                address,
                &name,
                &order,
            ));
        }
        let inner = join(address, &name);
        let column = match (
            column_of(zarr, &inner, &zarr.expect(&inner)?)?,
            legacy(zarr, address, &name)?,
        ) {
            // Dataframes of version 0.1.0 have the categories elsewhere.
            (Column::Plain(codes), Some((categories, ordered))) => {
                Column::Categorical(categorical(zarr, &inner, codes, categories, ordered)?)
            }
            (column, _) => column,
        };
        let n = dataframe::len(&column);
        if n != index.len() {
            let what = format!("it has {n} rows and the index has {}", index.len());
            return Err(malformed(zarr, &inner, what));
        }
        columns.push((name, column));
    }
    Ok(DataFrame {
        index_name,
        index,
        columns,
    })
}

/// The categories of a column of a dataframe of version 0.1.0, and whether they have an order.
fn legacy(zarr: &Zarr, address: &str, name: &str) -> Result<Option<(ArrayData, bool)>> {
    let at = format!("{address}/__categories/{name}");
    match zarr.node(&at)? {
        Some(node) => Ok(Some((data(zarr, &at)?, flag(&node, "ordered")))),
        None => Ok(None),
    }
}

/// The columns of a dataframe, in order.
pub(crate) fn columns(zarr: &Zarr, address: &str) -> Result<Vec<String>> {
    head(zarr, address.trim_matches('/')).map(|(_, order)| order)
}

/// The dimensions of the element at `address`.
pub(crate) fn shape_of(zarr: &Zarr, address: &str) -> Result<Vec<u64>> {
    let node = zarr.expect(address)?;
    match (&node, node.text("encoding-type")) {
        (Node::Array(array, _), _) => Ok(array.shape.clone()),
        (_, Some("dataframe")) => {
            let (index, order) = head(zarr, address)?;
            let rows = shape_of(zarr, &join(address, &index))?;
            Ok(vec![rows.first().copied().unwrap_or(0), order.len() as u64])
        }
        (_, Some("categorical")) => shape_of(zarr, &join(address, "codes")),
        (_, Some("nullable-integer" | "nullable-boolean" | "nullable-string-array")) => {
            shape_of(zarr, &join(address, "values"))
        }
        _ => shape(zarr, address, &node).map(|s| s.to_vec()),
    }
}

/// The attribute `shape` of a sparse matrix.
fn shape(zarr: &Zarr, address: &str, node: &Node) -> Result<[u64; 2]> {
    let lengths: Vec<u64> = node
        .attributes()
        .get("shape")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .collect();
    match lengths[..] {
        [rows, columns] => Ok([rows, columns]),
        _ => Err(malformed(
            zarr,
            address,
            "the attribute shape should be two lengths",
        )),
    }
}

fn sparse(zarr: &Zarr, address: &str, node: &Node) -> Result<Elem> {
    let shape = shape(zarr, address, node)?;
    let csr = node.text("encoding-type") == Some("csr_matrix");
    let integers = |name: &str| -> Result<Vec<u64>> {
        let at = join(address, name);
        plain::unsigned(data(zarr, &at)?)
            .ok_or_else(|| malformed(zarr, &at, "it holds a negative or no integer"))
    };
    let (indptr, wide) = (integers("indptr")?, integers("indices")?);
    let values = data(zarr, &join(address, "data"))?;
    let (major, minor) = if csr {
        (shape[0], shape[1])
    } else {
        (shape[1], shape[0])
    };
    let sound = indptr.len() as u64 == major + 1
        && indptr.first() == Some(&0)
        && indptr.windows(2).all(|w| w[0] <= w[1])
        && indptr.last() == Some(&(wide.len() as u64))
        && values.len() == wide.len()
        && wide.iter().all(|&i| i < minor);
    let indices: Option<Vec<u32>> = wide.into_iter().map(|i| i.try_into().ok()).collect();
    match (sound, indices) {
        (true, Some(indices)) => Ok(Elem::Sparse(SparseMatrix {
            shape,
            csr,
            indptr,
            indices,
            data: values,
        })),
        _ => Err(malformed(
            zarr,
            address,
            format!("its row starts, indices and values do not make a matrix of shape {shape:?}"),
        )),
    }
}

/// Describes the matrix at `address`.
pub(crate) fn matrix_info(zarr: &Zarr, address: &str) -> Result<MatrixInfo> {
    let node = zarr.expect(address)?;
    let bytes = |part: &str| folder_bytes(&zarr.origin.path.join(part));
    let mut info = MatrixInfo {
        address: address.into(),
        encoding: String::new(),
        shape: [0, 0],
        nnz: None,
        data_dtype: String::new(),
        indices_dtype: String::new(),
        indptr_dtype: String::new(),
        chunk_entries: None,
        filters: Vec::new(),
        compressed_bytes: bytes(address),
        path: ReadPath::Fast,
    };
    let name = |array: &zarr::Array| match &array.dtype {
        ZarrDtype::Number(dtype) => dtype.to_string(),
        other => format!("{other:?}"),
    };
    match (&node, node.text("encoding-type")) {
        (Node::Array(array, _), _) => {
            info.encoding = "dense".into();
            if let [rows, columns] = array.shape[..] {
                info.shape = [rows, columns];
            }
            info.data_dtype = name(array);
            info.chunk_entries = Some(array.chunk.iter().product());
            info.filters = array.codecs();
        }
        (_, Some(encoding @ ("csr_matrix" | "csc_matrix"))) => {
            let part = |part: &str| zarr.array(&join(address, part));
            let (data, indices, indptr) = (part("data")?, part("indices")?, part("indptr")?);
            info.encoding = encoding[..3].into();
            info.shape = shape(zarr, address, &node)?;
            info.nnz = data.len();
            info.data_dtype = name(&data);
            info.indices_dtype = name(&indices);
            info.indptr_dtype = name(&indptr);
            info.chunk_entries = data.chunk.first().copied();
            info.filters = data.codecs();
        }
        (_, other) => {
            let other = other.unwrap_or("no encoding");
            info.encoding = other.into();
            info.path =
                ReadPath::Unsupported(format!("{other} is not a matrix that this version reads"));
        }
    }
    Ok(info)
}

fn folder_bytes(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(facts) if facts.is_dir() => folder_bytes(&entry.path()),
            Ok(facts) => facts.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The matrix at `address` as a source of row blocks.
pub(crate) fn source(
    zarr: &Zarr,
    address: &str,
    workspace: &Workspace,
) -> Result<Box<dyn FileMatrix>> {
    let node = zarr.expect(address)?;
    let part = |name: &str| RawArray::of_zarr(&zarr.origin, zarr.array(&join(address, name))?);
    let parts =
        || -> Result<[RawArray; 3]> { Ok([part("indptr")?, part("indices")?, part("data")?]) };
    match (&node, node.text("encoding-type")) {
        (Node::Array(_, _), _) => {
            let array = zarr.array(address)?;
            Ok(Box::new(DenseSource::of_zarr(
                &zarr.origin,
                address,
                array,
            )?))
        }
        (_, Some("csr_matrix")) => {
            let shape = shape(zarr, address, &node)?;
            Ok(Box::new(CsrSource::of_arrays(
                &zarr.origin,
                address,
                address,
                parts()?,
                shape,
            )?))
        }
        (_, Some("csc_matrix")) => {
            let [rows, columns] = shape(zarr, address, &node)?;
            let turned = open_csc(&zarr.origin, address, || {
                CsrSource::of_arrays(&zarr.origin, address, address, parts()?, [columns, rows])
            })?;
            Ok(Box::new(TurnedSource::new(turned, workspace)))
        }
        (_, other) => Err(Error::Unsupported {
            path: zarr.origin.path.clone(),
            element: address.into(),
            what: format!(
                "it is {}, not a matrix that this version reads",
                other.unwrap_or("a group")
            ),
            instead: "write it with anndata".into(),
        }),
    }
}
