//! The JSON of nodes.

use super::array::{Array, Shard};
use super::codec::{self, Codec};
use super::{Node, ZarrDtype};
use crate::error::{Error, Result};
use crate::open::Origin;
use crate::store::hdf5::Dtype;
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::Arc;

/// Reads the node in `folder`.
pub(super) fn read(origin: &Arc<Origin>, folder: &Path, address: &str) -> Result<Option<Node>> {
    if let Some(text) = json(origin, &folder.join("zarr.json"), address)? {
        return version_3(origin, folder, address, &text).map(Some);
    }
    let attributes = || -> Result<Map<String, Value>> {
        Ok(match json(origin, &folder.join(".zattrs"), address)? {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        })
    };
    if let Some(text) = json(origin, &folder.join(".zarray"), address)? {
        let array = version_2(origin, folder, address, &text)?;
        return Ok(Some(Node::Array(Box::new(array), attributes()?)));
    }
    if folder.join(".zgroup").is_file() {
        return Ok(Some(Node::Group(attributes()?)));
    }
    Ok(None)
}

fn json(origin: &Origin, path: &Path, address: &str) -> Result<Option<Value>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(source) => {
            return Err(Error::Io {
                path: path.into(),
                what: "it could not be read".into(),
                source,
            });
        }
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| {
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        origin.malformed(address, format!("its {file} is no JSON ({e})"))
    })
}

fn lengths(value: Option<&Value>) -> Option<Vec<u64>> {
    value?.as_array()?.iter().map(Value::as_u64).collect()
}

fn version_3(origin: &Arc<Origin>, folder: &Path, address: &str, text: &Value) -> Result<Node> {
    let attributes = match text.get("attributes") {
        Some(Value::Object(map)) => map.clone(),
        _ => Map::new(),
    };
    match text.get("node_type").and_then(Value::as_str) {
        Some("group") => return Ok(Node::Group(attributes)),
        Some("array") => {}
        other => {
            let what = format!("a group or an array was expected, not {other:?}");
            return Err(origin.malformed(address, what));
        }
    }
    let bad = |what: &str| origin.malformed(address, format!("its zarr.json has {what}"));
    let shape = lengths(text.get("shape")).ok_or_else(|| bad("no shape"))?;
    let grid = text.get("chunk_grid").ok_or_else(|| bad("no chunk_grid"))?;
    if grid.get("name").and_then(Value::as_str) != Some("regular") {
        return Err(bad("chunks that are not of one size"));
    }
    let outer = lengths(grid.get("configuration").and_then(|c| c.get("chunk_shape")))
        .ok_or_else(|| bad("no chunk_shape"))?;
    let keys = text.get("chunk_key_encoding");
    let name = keys.and_then(|k| k.get("name")).and_then(Value::as_str);
    let separator = keys
        .and_then(|k| k.get("configuration"))
        .and_then(|c| c.get("separator"))
        .and_then(Value::as_str);
    let (prefix, separator) = match name {
        Some("v2") => ("", separator.unwrap_or(".")),
        _ => ("c", separator.unwrap_or("/")),
    };
    let no_codecs = Vec::new();
    let mut codecs = text
        .get("codecs")
        .and_then(Value::as_array)
        .unwrap_or(&no_codecs);
    let mut chunk = outer.clone();
    let mut shard = None;
    if let [only] = codecs.as_slice()
        && only.get("name").and_then(Value::as_str) == Some("sharding_indexed")
    {
        let configuration = only
            .get("configuration")
            .ok_or_else(|| bad("no sharding"))?;
        chunk = lengths(configuration.get("chunk_shape")).ok_or_else(|| bad("no inner chunks"))?;
        let sound = chunk.len() == outer.len()
            && chunk
                .iter()
                .zip(&outer)
                .all(|(c, o)| *c > 0 && o.is_multiple_of(*c));
        if !sound {
            return Err(bad("inner chunks that do not fill its shards"));
        }
        let index = configuration
            .get("index_codecs")
            .and_then(Value::as_array)
            .unwrap_or(&no_codecs);
        let (index, _) = codec::chain(index).map_err(|what| unsupported(origin, address, what))?;
        let location = configuration.get("index_location").and_then(Value::as_str);
        shard = Some(Shard {
            outer,
            index,
            at_end: location != Some("start"),
        });
        codecs = configuration
            .get("codecs")
            .and_then(Value::as_array)
            .unwrap_or(&no_codecs);
    }
    let (codecs, big) = codec::chain(codecs).map_err(|what| unsupported(origin, address, what))?;
    let dtype = ZarrDtype::of_v3(text.get("data_type").unwrap_or(&Value::Null), big);
    let fill = fill(text.get("fill_value"), &dtype);
    let array = Array {
        origin: origin.clone(),
        folder: folder.into(),
        address: address.into(),
        shape,
        chunk,
        dtype,
        fill,
        codecs,
        shard,
        key: (prefix, separator.to_owned()),
        index: Default::default(),
    };
    array.check()?;
    Ok(Node::Array(Box::new(array), attributes))
}

fn version_2(origin: &Arc<Origin>, folder: &Path, address: &str, text: &Value) -> Result<Array> {
    let bad = |what: &str| origin.malformed(address, format!("its .zarray has {what}"));
    let shape = lengths(text.get("shape")).ok_or_else(|| bad("no shape"))?;
    let chunk = lengths(text.get("chunks")).ok_or_else(|| bad("no chunks"))?;
    let mut vlen = false;
    for filter in text
        .get("filters")
        .and_then(Value::as_array)
        .unwrap_or(&Vec::new())
    {
        match filter.get("id").and_then(Value::as_str) {
            Some("vlen-utf8") => vlen = true,
            other => {
                let what = format!("the filter {}", other.unwrap_or("without a name"));
                return Err(unsupported(origin, address, what));
            }
        }
    }
    if text.get("order").and_then(Value::as_str) == Some("F") && shape.len() > 1 {
        return Err(unsupported(origin, address, "the order F".into()));
    }
    let dtype = ZarrDtype::of_v2(text.get("dtype").unwrap_or(&Value::Null), vlen);
    let codecs = match text.get("compressor") {
        None | Some(Value::Null) => Vec::new(),
        Some(compressor) => {
            let id = compressor.get("id").and_then(Value::as_str).unwrap_or("");
            vec![Codec::named(id).map_err(|what| unsupported(origin, address, what))?]
        }
    };
    let separator = text.get("dimension_separator").and_then(Value::as_str);
    let fill = fill(text.get("fill_value"), &dtype);
    let array = Array {
        origin: origin.clone(),
        folder: folder.into(),
        address: address.into(),
        shape,
        chunk,
        dtype,
        fill,
        codecs,
        shard: None,
        key: ("", separator.unwrap_or(".").to_owned()),
        index: Default::default(),
    };
    array.check()?;
    Ok(array)
}

fn unsupported(origin: &Origin, address: &str, what: String) -> Error {
    Error::Unsupported {
        path: origin.path.clone(),
        element: address.into(),
        what: format!("it is stored with {what}, which this program cannot undo"),
        instead: "write it again with anndata's defaults".into(),
    }
}

/// The bytes of the fill value, as a chunk would hold them.
fn fill(value: Option<&Value>, dtype: &ZarrDtype) -> Vec<u8> {
    let number = match value {
        Some(Value::Number(n)) => n.as_f64().unwrap_or(0.0),
        Some(Value::Bool(true)) => 1.0,
        Some(Value::String(text)) if text == "NaN" => f64::NAN,
        Some(Value::String(text)) if text == "Infinity" => f64::INFINITY,
        Some(Value::String(text)) if text == "-Infinity" => f64::NEG_INFINITY,
        _ => 0.0,
    };
    let (bytes, big) = match dtype {
        ZarrDtype::Number(Dtype::Float { size: 4, big }) => {
            ((number as f32).to_le_bytes().to_vec(), *big)
        }
        ZarrDtype::Number(Dtype::Float { size: 8, big }) => (number.to_le_bytes().to_vec(), *big),
        ZarrDtype::Number(Dtype::Int { size, big, .. }) => {
            ((number as i64).to_le_bytes()[..*size].to_vec(), *big)
        }
        ZarrDtype::Number(Dtype::Bool) => (vec![number as u8], false),
        other => (vec![0; other.size()], false),
    };
    if big {
        bytes.into_iter().rev().collect()
    } else {
        bytes
    }
}
