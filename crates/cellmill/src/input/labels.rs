//! Labels of cells: the categories of an obs column.

use super::{Input, gather_rows};
use crate::params::RunParams;
use crate::pp::highly_variable_genes::Labels;
use crate::{Error, Result};
use cellmill_engine::Source as _;
use cellmill_io::{ArrayData, Categorical, Column, H5ad};
use std::collections::BTreeMap;

/// The categories of an obs column, and the category of each cell (-1 where it is missing).
///
/// A categorical keeps its order; other values are sorted, as pandas makes them categories.
///
/// # Errors
/// [`Error::Data`] when there is no such column (says which there are), or it holds numbers that
/// are not whole.
pub fn of_column(file: &H5ad, key: &str) -> Result<(Vec<i64>, Vec<String>)> {
    let column = read(file, key)?;
    let values = match &column {
        Column::Categorical(c) => &c.categories,
        Column::Plain(values) | Column::Nullable { values, .. } => values,
    };
    if matches!(values, ArrayData::F32(_) | ArrayData::F64(_)) {
        let why = "holds numbers that are not whole, and labels are expected";
        return Err(refused(file, key, why));
    }
    let Categorical {
        codes, categories, ..
    } = as_categorical(file, key, column)?;
    Ok((
        codes.into_iter().map(i64::from).collect(),
        names(&categories),
    ))
}

/// An obs column as pandas makes it a categorical: a categorical as it is, of other values those that
/// there are, sorted, in their dtype; NaN is missing.
///
/// # Errors
/// [`Error::Data`] when there is no such column (says which there are).
pub fn categorical(file: &H5ad, key: &str) -> Result<Categorical> {
    as_categorical(file, key, read(file, key)?)
}

fn refused(file: &H5ad, key: &str, why: &str) -> Error {
    Error::Data(format!("{}: obs/{key} {why}", file.path().display()))
}

fn read(file: &H5ad, key: &str) -> Result<Column> {
    let known = file.dataframe_columns("obs")?;
    let missing = || {
        let has = match known.as_slice() {
            [] => "no columns".to_owned(),
            known => known.join(", "),
        };
        let why = format!("is not there; obs has {has}");
        refused(file, key, &why)
    };
    if !known.iter().any(|name| name == key) {
        return Err(missing());
    }
    let frame = file.read_dataframe("obs", Some(&[key.to_owned()]))?;
    let column = frame.columns.into_iter().next();
    column.map(|(_, column)| column).ok_or_else(missing)
}

fn as_categorical(file: &H5ad, key: &str, column: Column) -> Result<Categorical> {
    let (data, missing) = match column {
        Column::Categorical(c) => return Ok(c),
        Column::Plain(data) => (data, Vec::new()),
        Column::Nullable { values, mask } => (values, mask),
    };
    let value = |row: usize| {
        let is_missing = missing.get(row).copied().unwrap_or(false);
        sorted_as(&data, row).filter(|_| !is_missing)
    };
    // Of each value the first row, and its place among all.
    let mut found = BTreeMap::new();
    for row in 0..data.len() {
        if let Some(value) = value(row) {
            found.entry(value).or_insert((row, 0));
        }
    }
    if i32::try_from(found.len()).is_err() {
        return Err(refused(file, key, "has more than 2^31 different values"));
    }
    for (code, at) in (0i32..).zip(found.values_mut()) {
        at.1 = code;
    }
    let code = |row| value(row).map_or(-1, |value| found[&value].1);
    let rows: Vec<usize> = found.values().map(|at| at.0).collect();
    Ok(Categorical {
        codes: (0..data.len()).map(code).collect(),
        categories: gather_rows(&data, &rows),
        ordered: false,
    })
}

/// A value as something that sorts as the values of its dtype do; `None` for NaN.
fn sorted_as(data: &ArrayData, row: usize) -> Option<(i128, &str)> {
    let of_float = |x: f64| {
        // 0.0 and -0.0 are one value; the order is that of `f64::total_cmp`.
        let bits = (x + 0.0).to_bits() as i64;
        let ordered = bits ^ (((bits >> 63) as u64) >> 1) as i64;
        (!x.is_nan()).then_some((i128::from(ordered), ""))
    };
    let whole = |x: i128| Some((x, ""));
    match data {
        ArrayData::Str(v) => Some((0, v[row].as_str())),
        ArrayData::Bool(v) => whole(v[row].into()),
        ArrayData::I8(v) => whole(v[row].into()),
        ArrayData::I16(v) => whole(v[row].into()),
        ArrayData::I32(v) => whole(v[row].into()),
        ArrayData::I64(v) => whole(v[row].into()),
        ArrayData::U8(v) => whole(v[row].into()),
        ArrayData::U16(v) => whole(v[row].into()),
        ArrayData::U32(v) => whole(v[row].into()),
        ArrayData::U64(v) => whole(v[row].into()),
        ArrayData::F32(v) => of_float(v[row].into()),
        ArrayData::F64(v) => of_float(v[row]),
    }
}

/// Values in Python's words: `True`, `1`, `0.5`, `1e-05`.
pub fn names(data: &ArrayData) -> Vec<String> {
    fn all<T: Copy, U: ToString>(values: &[T], word: impl Fn(T) -> U) -> Vec<String> {
        values.iter().map(|&x| word(x).to_string()).collect()
    }
    match data {
        ArrayData::Str(v) => v.clone(),
        ArrayData::Bool(v) => all(v, |b| if b { "True" } else { "False" }),
        ArrayData::I8(v) => all(v, |x| x),
        ArrayData::I16(v) => all(v, |x| x),
        ArrayData::I32(v) => all(v, |x| x),
        ArrayData::I64(v) => all(v, |x| x),
        ArrayData::U8(v) => all(v, |x| x),
        ArrayData::U16(v) => all(v, |x| x),
        ArrayData::U32(v) => all(v, |x| x),
        ArrayData::U64(v) => all(v, |x| x),
        ArrayData::F32(v) => all(v, |x| float(x.into())),
        ArrayData::F64(v) => all(v, float),
    }
}

/// A float as Python's `repr` writes it: shortest, with an exponent below 1e-4 and from 1e16 on.
fn float(x: f64) -> String {
    let scientific = format!("{x:e}");
    let parts = scientific.split_once('e');
    match parts.and_then(|(digits, e)| Some((digits, e.parse::<i32>().ok()?))) {
        Some((digits, e)) if !(-4..16).contains(&e) => {
            let sign = if e < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", e.abs())
        }
        _ => format!("{x:?}"),
    }
}

/// The labels of the cells that are selected, from those of all cells of the file.
pub(crate) fn of_kept(input: &Input, codes: Vec<i64>) -> Vec<i64> {
    match input.source.cells() {
        None => codes,
        Some(cells) => cells
            .within(0..codes.len() as u64)
            .map(|cell| codes[cell])
            .collect(),
    }
}

/// The labels that a run selects genes by: of the cells that are selected.
///
/// # Errors
/// As [`of_column`].
pub(crate) fn of_run(input: &Input, params: &RunParams) -> Result<Labels> {
    let labels = Labels {
        excluded: input.excluded.clone(),
        ..Labels::default()
    };
    let Some(key) = &params.batch_key else {
        return Ok(labels);
    };
    let (codes, names) = of_column(&input.file, key)?;
    let codes = of_kept(input, codes);
    let labels = Labels {
        genes: input.var.index.clone(),
        ..labels
    };
    labels.with_batches(&codes, &names, &[], input.source.n_rows())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_in_pythons_words() {
        let values = [0.5, 1.0, -0.0, 1e-4, 1e-5, 1.5e-7, 1e15, 1e16, -2.5e22, 0.1];
        let written = [
            "0.5",
            "1.0",
            "-0.0",
            "0.0001",
            "1e-05",
            "1.5e-07",
            "1000000000000000.0",
            "1e+16",
            "-2.5e+22",
            "0.1",
        ];
        assert_eq!(names(&ArrayData::F64(values.to_vec())), written);
        assert_eq!(names(&ArrayData::F64(vec![f64::INFINITY])), ["inf"]);
        assert_eq!(names(&ArrayData::F32(vec![0.1])), ["0.10000000149011612"]);
        assert_eq!(names(&ArrayData::Bool(vec![true])), ["True"]);
    }

    #[test]
    fn values_sort_as_in_their_dtype() {
        let values = ArrayData::F64(vec![2.0, -1.0, f64::NEG_INFINITY, 0.0, -0.0, f64::NAN]);
        let at = |row| sorted_as(&values, row);
        assert!(at(2) < at(1) && at(1) < at(3) && at(3) < at(0));
        assert_eq!(at(3), at(4));
        assert_eq!(at(5), None);
    }
}
