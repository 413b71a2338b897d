//! Labels of cells: the categories of an obs column.

use super::Input;
use crate::params::RunParams;
use crate::pp::highly_variable_genes::Labels;
use crate::{Error, Result};
use cellmill_engine::Source as _;
use cellmill_io::{ArrayData, Column, H5ad};
use std::collections::BTreeMap;

/// The categories of an obs column, and the category of each cell (-1 where it is missing).
///
/// A categorical keeps its order; other values are sorted, as pandas makes them categories.
///
/// # Errors
/// [`Error::Data`] when there is no such column (says which there are), or it holds numbers that
/// are not whole.
pub fn of_column(file: &H5ad, key: &str) -> Result<(Vec<i64>, Vec<String>)> {
    let refuse = |why: &str| {
        Err(Error::Data(format!(
            "{}: obs/{key} {why}",
            file.path().display()
        )))
    };
    let known = file.dataframe_columns("obs")?;
    if !known.iter().any(|name| name == key) {
        return refuse(&format!("is not there; obs has {}", known.join(", ")));
    }
    let frame = file.read_dataframe("obs", Some(&[key.to_owned()]))?;
    let Some((_, column)) = frame.columns.into_iter().next() else {
        return refuse("is not there");
    };
    let (data, missing) = match column {
        Column::Categorical(c) => {
            let codes = c.codes.iter().map(|&code| i64::from(code)).collect();
            let Some(names) = words(&c.categories) else {
                return refuse("holds numbers that are not whole, and labels are expected");
            };
            return Ok((codes, names.into_iter().map(|(_, name)| name).collect()));
        }
        Column::Plain(data) => (data, Vec::new()),
        Column::Nullable { values, mask } => (values, mask),
    };
    let Some(words) = words(&data) else {
        return refuse("holds numbers that are not whole, and labels are expected");
    };
    let is_missing = |cell: usize| missing.get(cell).copied().unwrap_or(false);
    let mut place = BTreeMap::new();
    for (cell, word) in words.iter().enumerate() {
        if !is_missing(cell) {
            place.entry(word).or_insert(0);
        }
    }
    for (i, at) in place.values_mut().enumerate() {
        *at = i as i64;
    }
    let codes = (0..words.len())
        .map(|cell| {
            if is_missing(cell) {
                -1
            } else {
                place[&words[cell]]
            }
        })
        .collect();
    let names = place.keys().map(|(_, name)| name.clone()).collect();
    Ok((codes, names))
}

/// Values as words that sort as the values do; `None` for numbers that are not whole.
fn words(data: &ArrayData) -> Option<Vec<(i128, String)>> {
    fn whole<T: Copy + Into<i128>>(values: &[T]) -> Vec<(i128, String)> {
        let word = |&x: &T| (x.into(), Into::<i128>::into(x).to_string());
        values.iter().map(word).collect()
    }
    Some(match data {
        ArrayData::Str(v) => v.iter().map(|s| (0, s.clone())).collect(),
        ArrayData::Bool(v) => v
            .iter()
            .map(|&b| (i128::from(b), if b { "True" } else { "False" }.to_owned()))
            .collect(),
        ArrayData::I8(v) => whole(v),
        ArrayData::I16(v) => whole(v),
        ArrayData::I32(v) => whole(v),
        ArrayData::I64(v) => whole(v),
        ArrayData::U8(v) => whole(v),
        ArrayData::U16(v) => whole(v),
        ArrayData::U32(v) => whole(v),
        ArrayData::U64(v) => whole(v),
        ArrayData::F32(_) | ArrayData::F64(_) => return None,
    })
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
