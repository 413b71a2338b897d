//! Types of zarr arrays.

use crate::store::hdf5::Dtype;
use serde_json::Value;

/// The type of an array's values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ZarrDtype {
    /// Numbers and booleans, which have the layout of HDF5's.
    Number(Dtype),
    /// UTF-8 of any length.
    Text,
    /// As many characters of 4 bytes.
    Unicode { chars: usize, big: bool },
    /// As many bytes.
    Bytes(usize),
    /// Something else, in words.
    Other(String),
}

impl ZarrDtype {
    /// Bytes of a value before it is compressed; 0 where they vary.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Number(dtype) => dtype.number_size().unwrap_or(1),
            Self::Unicode { chars, .. } => chars * 4,
            Self::Bytes(n) => *n,
            Self::Text | Self::Other(_) => 0,
        }
    }

    /// The type of version 3, by its name.
    pub(crate) fn of_v3(value: &Value, big: bool) -> Self {
        let size = |name: &str, prefix: &str| -> Option<usize> {
            let bits: usize = name.strip_prefix(prefix)?.parse().ok()?;
            Some(bits / 8)
        };
        match value {
            Value::String(name) => match name.as_str() {
                "bool" => Self::Number(Dtype::Bool),
                "string" => Self::Text,
                name => match (size(name, "uint"), size(name, "int"), size(name, "float")) {
                    (Some(size @ (1 | 2 | 4 | 8)), _, _) => Self::Number(Dtype::Int {
                        size,
                        signed: false,
                        big,
                    }),
                    (_, Some(size @ (1 | 2 | 4 | 8)), _) => Self::Number(Dtype::Int {
                        size,
                        signed: true,
                        big,
                    }),
                    (_, _, Some(size @ (2 | 4 | 8))) => Self::Number(Dtype::Float { size, big }),
                    _ => Self::Other(name.to_owned()),
                },
            },
            Value::Object(map) => {
                let name = map.get("name").and_then(Value::as_str).unwrap_or("?");
                let bytes = map
                    .get("configuration")
                    .and_then(|c| c.get("length_bytes"))
                    .and_then(Value::as_u64);
                match (name, bytes) {
                    ("fixed_length_utf32", Some(n)) => Self::Unicode {
                        chars: n as usize / 4,
                        big,
                    },
                    ("null_terminated_bytes", Some(n)) => Self::Bytes(n as usize),
                    _ => Self::Other(name.to_owned()),
                }
            }
            other => Self::Other(other.to_string()),
        }
    }

    /// The type of version 2, as numpy writes it.
    pub(crate) fn of_v2(value: &Value, vlen_utf8: bool) -> Self {
        let Some(text) = value.as_str() else {
            return Self::Other("structured".into());
        };
        let (order, rest) = text.split_at(text.len().min(1));
        let (kind, size) = rest.split_at(rest.len().min(1));
        let big = order == ">";
        let n: usize = size.parse().unwrap_or(0);
        match (kind, n) {
            ("b", 1) => Self::Number(Dtype::Bool),
            ("i" | "u", 1 | 2 | 4 | 8) => Self::Number(Dtype::Int {
                size: n,
                signed: kind == "i",
                big,
            }),
            ("f", 2 | 4 | 8) => Self::Number(Dtype::Float { size: n, big }),
            ("O", _) if vlen_utf8 => Self::Text,
            ("U", _) => Self::Unicode { chars: n, big },
            ("S", _) => Self::Bytes(n),
            _ => Self::Other(text.to_owned()),
        }
    }
}
