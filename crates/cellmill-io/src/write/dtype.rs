//! The type in which the values of a matrix are stored.

/// The type in which values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are dtypes")]
pub enum SinkDtype {
    F32,
    F64,
    I32,
    I64,
}

impl SinkDtype {
    /// The type that holds every value of a file's type.
    pub fn of(name: &str) -> Self {
        match name {
            "bool" | "int8" | "uint8" | "int16" | "uint16" | "int32" => Self::I32,
            "uint32" | "int64" | "uint64" => Self::I64,
            "float64" => Self::F64,
            _ => Self::F32,
        }
    }

    /// Bytes of a value.
    pub fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// The name, in numpy's words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::I32 => "int32",
            Self::I64 => "int64",
        }
    }

    /// The first [`SinkDtype::size`] bytes are the value's; `None` where an integer does not hold it.
    pub(super) fn bytes(self, value: f64) -> Option<[u8; 8]> {
        let four = |bytes: [u8; 4]| {
            let mut all = [0; 8];
            all[..4].copy_from_slice(&bytes);
            all
        };
        match self {
            Self::F32 => Some(four((value as f32).to_ne_bytes())),
            Self::F64 => Some(value.to_ne_bytes()),
            Self::I32 => {
                (f64::from(value as i32) == value).then(|| four((value as i32).to_ne_bytes()))
            }
            Self::I64 => ((value as i64) as f64 == value).then(|| (value as i64).to_ne_bytes()),
        }
    }
}
