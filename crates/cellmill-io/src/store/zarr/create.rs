//! Making groups, arrays and attributes of a zarr folder of version 3.

use crate::elem::ArrayData;
use crate::store::hdf5::handle::Outcome;
use crate::store::hdf5::{Fault, Kind};
use libdeflater::{CompressionLvl, Compressor};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Values in a chunk of an array that is written whole.
const CHUNK: u64 = 1 << 20;
/// The file with the metadata of a node.
const NODE: &str = "zarr.json";

/// A zarr folder that is being written.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

fn io(error: std::io::Error) -> Fault {
    // The form in which `Fault::errno` finds the number.
    Fault(match error.raw_os_error() {
        Some(code) => format!("{error}, errno = {code}"),
        None => error.to_string(),
    })
}

/// Bytes as the codec gzip has them; as they are without a level.
pub(crate) fn gzip(bytes: Vec<u8>, level: Option<u32>) -> Outcome<Vec<u8>> {
    let Some(level) = level else {
        return Ok(bytes);
    };
    let level = CompressionLvl::new(level as i32).unwrap_or_default();
    let mut compressor = Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let n = compressor
        .gzip_compress(&bytes, &mut out)
        .map_err(|e| Fault(format!("a chunk could not be compressed ({e:?})")))?;
    out.truncate(n);
    Ok(out)
}

/// The name of a type, and its fill value.
fn data_type(data: &ArrayData) -> (&'static str, Value) {
    match data {
        ArrayData::Bool(_) => ("bool", json!(false)),
        ArrayData::I8(_) => ("int8", json!(0)),
        ArrayData::I16(_) => ("int16", json!(0)),
        ArrayData::I32(_) => ("int32", json!(0)),
        ArrayData::I64(_) => ("int64", json!(0)),
        ArrayData::U8(_) => ("uint8", json!(0)),
        ArrayData::U16(_) => ("uint16", json!(0)),
        ArrayData::U32(_) => ("uint32", json!(0)),
        ArrayData::U64(_) => ("uint64", json!(0)),
        ArrayData::F32(_) => ("float32", json!(0.0)),
        ArrayData::F64(_) => ("float64", json!(0.0)),
        ArrayData::Str(_) => ("string", json!("")),
    }
}

/// The bytes of a chunk of `whole` values, of which these are there.
fn encoded(data: &ArrayData, range: Range<usize>, whole: usize) -> Outcome<Vec<u8>> {
    macro_rules! bytes {
        ($values:expr, $zero:expr) => {{
            let rest = whole - range.len();
            let values = $values[range].iter().copied();
            values
                .chain(std::iter::repeat_n($zero, rest))
                .flat_map(|x| x.to_ne_bytes())
                .collect()
        }};
    }
    Ok(match data {
        ArrayData::Bool(v) => {
            let mut bytes: Vec<u8> = v[range].iter().map(|&b| u8::from(b)).collect();
            bytes.resize(whole, 0);
            bytes
        }
        ArrayData::I8(v) => bytes!(v, 0),
        ArrayData::I16(v) => bytes!(v, 0),
        ArrayData::I32(v) => bytes!(v, 0),
        ArrayData::I64(v) => bytes!(v, 0),
        ArrayData::U8(v) => bytes!(v, 0),
        ArrayData::U16(v) => bytes!(v, 0),
        ArrayData::U32(v) => bytes!(v, 0),
        ArrayData::U64(v) => bytes!(v, 0),
        ArrayData::F32(v) => bytes!(v, 0.0),
        ArrayData::F64(v) => bytes!(v, 0.0),
        ArrayData::Str(v) => {
            // Their number, and each with its length before it.
            let length = |n: usize| {
                u32::try_from(n)
                    .map(u32::to_le_bytes)
                    .map_err(|_| Fault(format!("a string of {n} bytes is too long")))
            };
            let mut bytes = length(whole)?.to_vec();
            for text in &v[range.clone()] {
                bytes.extend(length(text.len())?);
                bytes.extend(text.as_bytes());
            }
            bytes.resize(bytes.len() + 4 * (whole - range.len()), 0);
            bytes
        }
    })
}

/// A text in characters of 4 bytes, filled up to `width` bytes.
fn utf32(text: &str, width: usize) -> Vec<u8> {
    let chars = text.chars().map(u32::from).chain(std::iter::repeat(0));
    chars.take(width / 4).flat_map(u32::to_ne_bytes).collect()
}

/// The metadata of an array.
fn array(name: &Value, fill: Value, shape: &[u64], chunk: &[u64], level: Option<u32>) -> Value {
    let endian = if cfg!(target_endian = "big") {
        "big"
    } else {
        "little"
    };
    let mut codecs = vec![match name.as_str() {
        Some("string") => json!({"name": "vlen-utf8", "configuration": {}}),
        _ => json!({"name": "bytes", "configuration": {"endian": endian}}),
    }];
    codecs.extend(level.map(|n| json!({"name": "gzip", "configuration": {"level": n}})));
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": codecs,
        "attributes": {},
        "storage_transformers": [],
    })
}

impl Folder {
    /// Begins in a folder that is there and empty.
    pub(crate) fn create(root: &Path) -> Outcome<Self> {
        let folder = Self { root: root.into() };
        folder.group("")?;
        Ok(folder)
    }

    fn at(&self, path: &str) -> Outcome<PathBuf> {
        if path.is_empty() {
            return Ok(self.root.clone());
        }
        // Names that a file system or zarr takes for something else.
        match path.split('/').find(|p| ["", ".", "..", NODE].contains(p)) {
            Some(name) => Err(Fault(format!(
                "the name {name:?} cannot be in a zarr folder"
            ))),
            None => Ok(self.root.join(path)),
        }
    }

    fn save(&self, folder: &Path, node: &Value) -> Outcome<()> {
        std::fs::create_dir_all(folder).map_err(io)?;
        std::fs::write(folder.join(NODE), node.to_string()).map_err(io)
    }

    fn load(&self, folder: &Path) -> Outcome<Value> {
        let bytes = std::fs::read(folder.join(NODE)).map_err(io)?;
        serde_json::from_slice(&bytes).map_err(|e| Fault(e.to_string()))
    }

    /// What stands at `path`.
    pub(crate) fn kind(&self, path: &str) -> Outcome<Option<Kind>> {
        let folder = self.at(path)?;
        if !folder.join(NODE).is_file() {
            return Ok(None);
        }
        let node = self.load(&folder)?;
        Ok(Some(match node["node_type"].as_str() {
            Some("group") => Kind::Group,
            _ => Kind::Dataset,
        }))
    }

    /// Makes a group.
    pub(crate) fn group(&self, path: &str) -> Outcome<()> {
        let node = json!({"zarr_format": 3, "node_type": "group", "attributes": {}});
        self.save(&self.at(path)?, &node)
    }

    /// Removes what stands at `path`, if anything does.
    pub(crate) fn remove(&self, path: &str) -> Outcome<()> {
        let folder = self.at(path)?;
        if folder.exists() {
            std::fs::remove_dir_all(folder).map_err(io)?;
        }
        Ok(())
    }

    /// Sets an attribute.
    pub(crate) fn attribute(&self, path: &str, label: &str, value: Value) -> Outcome<()> {
        let folder = self.at(path)?;
        let mut node = self.load(&folder)?;
        node["attributes"][label] = value;
        self.save(&folder, &node)
    }

    /// Writes values; `dims` is `None` for one value without dimensions.
    pub(crate) fn values(
        &self,
        path: &str,
        dims: Option<&[u64]>,
        data: &ArrayData,
        level: Option<u32>,
    ) -> Outcome<()> {
        let folder = self.at(path)?;
        let (name, fill) = data_type(data);
        let name = Value::from(name);
        let shape = dims.unwrap_or_default();
        let fits = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d));
        if fits != Some(data.len() as u64) {
            let what = format!("its shape is {shape:?} and it has {} values", data.len());
            return Err(Fault(what));
        }
        let Some((&rows, inner)) = shape.split_first() else {
            self.save(&folder, &array(&name, fill, &[], &[], level))?;
            let bytes = gzip(encoded(data, 0..1, 1)?, level)?;
            return std::fs::write(folder.join("c"), bytes).map_err(io);
        };
        let width: u64 = inner.iter().product();
        let step = (CHUNK / width.max(1)).clamp(1, rows.max(1));
        let mut chunk = vec![step];
        chunk.extend(inner.iter().map(|&n| n.max(1)));
        self.save(&folder, &array(&name, fill, shape, &chunk, level))?;
        if data.is_empty() {
            return Ok(());
        }
        let rest = "/0".repeat(inner.len());
        for (number, first) in (0..rows).step_by(step as usize).enumerate() {
            let last = (first + step).min(rows);
            let range = (first * width) as usize..(last * width) as usize;
            let bytes = gzip(encoded(data, range, (step * width) as usize)?, level)?;
            let file = folder.join(format!("c/{number}{rest}"));
            std::fs::create_dir_all(file.parent().unwrap_or(&folder)).map_err(io)?;
            std::fs::write(file, bytes).map_err(io)?;
        }
        Ok(())
    }

    /// Writes records of one dimension, not compressed; strings take the width of the longest.
    pub(crate) fn records(&self, path: &str, fields: &[(String, ArrayData)]) -> Outcome<()> {
        let n = fields.first().map_or(0, |(_, data)| data.len());
        let (mut types, mut fills) = (Vec::new(), serde_json::Map::new());
        let mut columns = Vec::new();
        for (name, data) in fields {
            let (of, fill) = data_type(data);
            let (kind, width, bytes) = if let ArrayData::Str(texts) = data {
                let chars = texts.iter().map(|t| t.chars().count()).max();
                let width = 4 * chars.unwrap_or(1).max(1);
                let name = "fixed_length_utf32";
                (
                    json!({"name": name, "configuration": {"length_bytes": width}}),
                    width,
                    texts.iter().flat_map(|t| utf32(t, width)).collect(),
                )
            } else {
                let bytes = encoded(data, 0..n, n)?;
                (Value::from(of), bytes.len() / n.max(1), bytes)
            };
            types.push(json!({"name": name, "data_type": kind}));
            fills.insert(name.clone(), fill);
            columns.push((width, bytes));
        }
        let kind = json!({"name": "struct", "configuration": {"fields": types}});
        let (shape, chunk) = ([n as u64], [n.max(1) as u64]);
        let folder = self.at(path)?;
        self.save(&folder, &array(&kind, fills.into(), &shape, &chunk, None))?;
        if n == 0 {
            return Ok(());
        }
        let row = |i: usize| {
            let one =
                move |(width, bytes): &(usize, Vec<u8>)| bytes[i * width..][..*width].to_vec();
            columns.iter().flat_map(one)
        };
        let bytes: Vec<u8> = (0..n).flat_map(row).collect();
        std::fs::create_dir_all(folder.join("c")).map_err(io)?;
        std::fs::write(folder.join("c/0"), bytes).map_err(io)
    }

    /// Writes anndata's `null`: a boolean that was never written.
    pub(crate) fn null(&self, path: &str) -> Outcome<()> {
        let node = array(&json!("bool"), json!(false), &[], &[], None);
        self.save(&self.at(path)?, &node)
    }

    /// Begins an array of one dimension that is written chunk by chunk; `name` is its type.
    pub(crate) fn growing(
        &self,
        path: &str,
        name: &'static str,
        chunk: u64,
        level: Option<u32>,
    ) -> Outcome<Growing> {
        let folder = self.at(path)?;
        std::fs::create_dir_all(folder.join("c")).map_err(io)?;
        Ok(Growing {
            folder,
            name,
            chunk,
            columns: None,
            level,
            len: AtomicU64::new(0),
        })
    }

    /// Begins an array of two dimensions that is written in chunks of whole rows, which hold so many
    /// values.
    pub(crate) fn rows(
        &self,
        path: &str,
        name: &'static str,
        shape: [u64; 2],
        values: u64,
        level: Option<u32>,
    ) -> Outcome<Growing> {
        let chunk = (values / shape[1].max(1)).max(1);
        Ok(Growing {
            columns: Some(shape[1]),
            len: AtomicU64::new(shape[0]),
            ..self.growing(path, name, chunk, level)?
        })
    }

    /// Puts the metadata of all nodes into the root, so that a reader opens one file.
    pub(crate) fn consolidate(&self) -> Outcome<()> {
        let mut all = serde_json::Map::new();
        self.gather(&self.root, "", &mut all)?;
        let mut root = self.load(&self.root)?;
        root["consolidated_metadata"] =
            json!({"kind": "inline", "must_understand": false, "metadata": all});
        self.save(&self.root, &root)
    }

    fn gather(
        &self,
        folder: &Path,
        path: &str,
        all: &mut serde_json::Map<String, Value>,
    ) -> Outcome<()> {
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let below = entry.path();
            if !below.join(NODE).is_file() {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let inner = crate::elem_read::join(path, &name);
            let node = self.load(&below)?;
            let group = node["node_type"] == "group";
            all.insert(inner.clone(), node);
            if group {
                self.gather(&below, &inner, all)?;
            }
        }
        Ok(())
    }
}

/// An array that is written chunk by chunk.
#[derive(Debug)]
pub(crate) struct Growing {
    folder: PathBuf,
    name: &'static str,
    /// Values of a chunk, or rows where there are columns.
    chunk: u64,
    columns: Option<u64>,
    level: Option<u32>,
    len: AtomicU64,
}

impl Growing {
    /// Sets the length.
    pub(crate) fn extend(&self, len: u64) {
        self.len.store(len, Ordering::Relaxed);
    }

    /// Writes a whole chunk that has been compressed already. `first` is its first value or row.
    pub(crate) fn write_chunk(&self, first: u64, bytes: &[u8]) -> Outcome<()> {
        let number = first / self.chunk;
        let mut file = self.folder.join(format!("c/{number}"));
        if self.columns.is_some() {
            std::fs::create_dir_all(&file).map_err(io)?;
            file.push("0");
        }
        std::fs::write(file, bytes).map_err(io)
    }

    /// Writes the metadata.
    pub(crate) fn end(&self) -> Outcome<()> {
        let mut shape = vec![self.len.load(Ordering::Relaxed)];
        let mut chunk = vec![self.chunk];
        shape.extend(self.columns);
        chunk.extend(self.columns.map(|n| n.max(1)));
        let fill = if self.name.starts_with('f') {
            json!(0.0)
        } else {
            json!(0)
        };
        let node = array(&json!(self.name), fill, &shape, &chunk, self.level);
        std::fs::write(self.folder.join(NODE), node.to_string()).map_err(io)
    }
}
