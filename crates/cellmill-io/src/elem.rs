//! The elements of an AnnData file, in memory: one type per encoding-type.

use std::path::PathBuf;

/// The numbers of an array, in the dtype that the file holds.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the variants are dtypes")]
pub enum ArrayData {
    Bool(Vec<bool>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Str(Vec<String>),
}

/// A dense array of any number of dimensions, row-major (`array`, `string-array`).
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Length of each dimension.
    pub shape: Vec<u64>,
    /// `shape` product values.
    pub data: ArrayData,
}

/// A 0-dimensional value (`numeric-scalar`, `string`).
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the variants are dtypes")]
pub enum Scalar {
    Bool(bool),
    I64(i64),
    U64(u64),
    F32(f32),
    F64(f64),
    Str(String),
}

/// A categorical column (`categorical`): pandas' codes and categories.
#[derive(Debug, Clone, PartialEq)]
pub struct Categorical {
    /// Index into `categories` for each row, -1 where missing.
    pub codes: Vec<i32>,
    /// The categories: strings, or numbers as pandas allows.
    pub categories: ArrayData,
    /// Whether the categories have an order.
    pub ordered: bool,
}

/// One column of a dataframe, or a 1-dimensional element of the same encodings.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// `array` or `string-array`.
    Plain(ArrayData),
    /// `categorical`.
    Categorical(Categorical),
    /// `nullable-integer`, `nullable-boolean`, `nullable-string-array`: values and a mask that is
    /// true where the value is missing.
    Nullable {
        /// The values; what stands under the mask has no meaning.
        values: ArrayData,
        /// True where the value is missing.
        mask: Vec<bool>,
    },
}

/// A dataframe (`obs`, `var`, and in `uns`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataFrame {
    /// The index's own name in the file (`_index` unless the user named it).
    pub index_name: String,
    /// The index, as strings.
    pub index: Vec<String>,
    /// The columns, in `column-order`.
    pub columns: Vec<(String, Column)>,
}

/// A sparse matrix in memory (`obsp` graphs, small layers). Bulk matrices are sources instead.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseMatrix {
    /// Rows and columns.
    pub shape: [u64; 2],
    /// Whether it is compressed along rows (`csr_matrix`) or columns (`csc_matrix`).
    pub csr: bool,
    /// Starts of the rows (columns), one more than there are.
    pub indptr: Vec<u64>,
    /// Column (row) of each entry. Written as int32 where it fits, else int64, with `indptr` alike.
    pub indices: Vec<u32>,
    /// Value of each entry.
    pub data: ArrayData,
}

/// An element of an AnnData file.
#[derive(Debug, Clone, PartialEq)]
pub enum Elem {
    /// `dict`: named elements, in the order they are written (HDF5 itself keeps none).
    Dict(Vec<(String, Elem)>),
    /// `dataframe`.
    DataFrame(DataFrame),
    /// `array`, `string-array`.
    Array(Array),
    /// `csr_matrix`, `csc_matrix`.
    Sparse(SparseMatrix),
    /// `categorical` or a nullable outside a dataframe.
    Column(Column),
    /// `numeric-scalar`, `string`.
    Scalar(Scalar),
    /// `null`: Python's None.
    Null,
    /// Something that this version does not read (awkward, rec-array, compound, …): it stays in
    /// the file where it is and is copied byte for byte when written.
    Foreign {
        /// The file.
        file: PathBuf,
        /// The element's address in it, such as `uns/rank_genes_groups/names`.
        address: String,
        /// Its encoding-type, or what was found in place of one.
        encoding: String,
    },
}

impl ArrayData {
    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Bool(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::U64(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::Str(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
