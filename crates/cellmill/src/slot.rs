//! A slot is a place in an AnnData; a patch is what a method returns: slot -> value.

use cellmill_io::{Array, ArrayData, Column, Elem, Scalar};

/// A place in an AnnData.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// A column of `obs`.
    Obs(String),
    /// A column of `var`.
    Var(String),
    /// An array with a row for each cell.
    Obsm(String),
    /// An array with a row for each gene.
    Varm(String),
    /// A matrix of cells x cells.
    Obsp(String),
    /// An entry of `uns`.
    Uns(String),
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (group, key) = match self {
            Self::Obs(k) => ("obs", k),
            Self::Var(k) => ("var", k),
            Self::Obsm(k) => ("obsm", k),
            Self::Varm(k) => ("varm", k),
            Self::Obsp(k) => ("obsp", k),
            Self::Uns(k) => ("uns", k),
        };
        write!(f, "{group}/{key}")
    }
}

/// What stands in a slot.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A column, for `obs` and `var`.
    Column(Column),
    /// An element, for every other slot.
    Elem(Elem),
}

/// Values for slots, in the order in which they were found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Patch {
    entries: Vec<(Slot, Value)>,
}

impl Patch {
    /// A patch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column of `obs`.
    pub fn obs(mut self, key: &str, column: Column) -> Self {
        self.entries
            .push((Slot::Obs(key.to_owned()), Value::Column(column)));
        self
    }

    /// Adds a column of `var`.
    pub fn var(mut self, key: &str, column: Column) -> Self {
        self.entries
            .push((Slot::Var(key.to_owned()), Value::Column(column)));
        self
    }

    /// Adds an element to any other slot.
    pub fn elem(mut self, slot: Slot, elem: Elem) -> Self {
        self.entries.push((slot, Value::Elem(elem)));
        self
    }

    /// Adds a value to a slot of its kind.
    pub(crate) fn with(mut self, slot: Slot, value: Value) -> Self {
        self.entries.push((slot, value));
        self
    }

    /// Adds all of another patch.
    pub fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[(Slot, Value)] {
        &self.entries
    }

    /// The entries, in order, by value.
    pub fn into_entries(self) -> Vec<(Slot, Value)> {
        self.entries
    }
}

/// A `uns` dictionary.
pub fn dict(entries: Vec<(&str, Elem)>) -> Elem {
    Elem::Dict(
        entries
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v))
            .collect(),
    )
}

/// A float scalar.
pub fn float(value: f64) -> Elem {
    Elem::Scalar(Scalar::F64(value))
}

/// An integer scalar.
pub fn integer(value: i64) -> Elem {
    Elem::Scalar(Scalar::I64(value))
}

/// A string scalar.
pub fn text(value: &str) -> Elem {
    Elem::Scalar(Scalar::Str(value.to_owned()))
}

/// A 1-dimensional f32 array.
pub fn floats(values: impl IntoIterator<Item = f64>) -> Elem {
    let data: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
    Elem::Array(Array {
        shape: vec![data.len() as u64],
        data: ArrayData::F32(data),
    })
}

/// A row-major matrix.
pub fn matrix(rows: usize, columns: usize, data: ArrayData) -> Elem {
    Elem::Array(Array {
        shape: vec![rows as u64, columns as u64],
        data,
    })
}
