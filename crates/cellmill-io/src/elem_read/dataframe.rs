//! Dataframes of versions 0.1.0 and 0.2.0.

use super::{column, join, legacy, plain};
use crate::elem::{ArrayData, Column, DataFrame};
use crate::error::{Error, Result};
use crate::open::Opened;
use crate::store::hdf5::values;
use crate::store::hdf5::{Kind, Object};
use std::collections::HashSet;
use std::path::Path;

/// Reads a dataframe, or some of its columns in the order asked for.
pub(crate) fn read(file: &Opened, address: &str, wanted: Option<&[String]>) -> Result<DataFrame> {
    let address = address.trim_matches('/');
    let object = file.object(address)?;
    if object.kind() == Kind::Dataset {
        let frame = legacy::read(file, address, object)?;
        return select(&file.path, address, frame, wanted);
    }
    let (index_name, order) = head(file, address, &object)?;
    let index_address = join(address, &index_name);
    let index = match column::read(file, &index_address, file.object(&index_address)?, None)? {
        Column::Plain(values) | Column::Nullable { values, .. } => plain::strings(values),
        Column::Categorical(c) => {
            let labels = plain::strings(c.categories);
            c.codes
                .iter()
                .map(|&code| labels.get(code as usize).cloned().unwrap_or_default())
                .collect()
        }
    };
    let names = match wanted {
        Some(names) => names.to_vec(),
        None => order.clone(),
    };
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        if wanted.is_some() && !order.contains(&name) {
            return Err(no_column(&file.path, address, &name, &order));
        }
        let inner = join(address, &name);
        let legacy_categories = format!("{address}/__categories/{name}");
        let has = file.find(&legacy_categories)?.is_some();
        let found = file.object(&inner)?;
        let column = column::read(file, &inner, found, has.then_some(&*legacy_categories))?;
        let column = match column {
            Column::Plain(values) if matches!(address, "obs" | "var") => {
                of_levels(file, &name, values)?
            }
            column => column,
        };
        let n = len(&column);
        if n != index.len() {
            return Err(file.malformed(
                &inner,
                format!("it has {n} rows and the index has {}", index.len()),
            ));
        }
        columns.push((name, column));
    }
    Ok(DataFrame {
        index_name,
        index,
        columns,
    })
}

/// Codes of a factor whose levels SeuratDisk left in `uns/NAME_levels`; where there are no texts that
/// fit the codes, the column is what it is.
fn of_levels(file: &Opened, name: &str, values: ArrayData) -> Result<Column> {
    let at = format!("uns/{name}_levels");
    if plain::codes(values.clone()).is_none() || file.find(&at)?.is_none() {
        return Ok(Column::Plain(values));
    }
    let factor = match column::data(file, &at) {
        Ok(ArrayData::Str(levels))
            if levels.iter().collect::<HashSet<_>>().len() == levels.len() =>
        {
            column::fitting(values.clone(), ArrayData::Str(levels), false).ok()
        }
        _ => None,
    };
    Ok(factor.map_or(Column::Plain(values), Column::Categorical))
}

/// Rows of a column.
pub(crate) fn len(column: &Column) -> usize {
    match column {
        Column::Plain(values) => values.len(),
        Column::Categorical(c) => c.codes.len(),
        Column::Nullable { mask, .. } => mask.len(),
    }
}

/// Some columns of a dataframe, in the order asked for.
pub(crate) fn select(
    path: &Path,
    address: &str,
    mut frame: DataFrame,
    wanted: Option<&[String]>,
) -> Result<DataFrame> {
    let Some(wanted) = wanted else {
        return Ok(frame);
    };
    let all = std::mem::take(&mut frame.columns);
    for name in wanted {
        match all.iter().find(|(label, _)| label == name) {
            Some(column) => frame.columns.push(column.clone()),
            None => {
                let order: Vec<String> = all.iter().map(|(label, _)| label.clone()).collect();
                return Err(no_column(path, address, name, &order));
            }
        }
    }
    Ok(frame)
}

pub(crate) fn no_column(path: &Path, address: &str, name: &str, order: &[String]) -> Error {
    Error::MissingElement {
        path: path.into(),
        element: join(address, name),
        instead: if order.is_empty() {
            format!("{address} has no columns")
        } else {
            format!("the columns of {address} are {}", order.join(", "))
        },
    }
}

/// The name of the index and the columns in order.
fn head(file: &Opened, address: &str, object: &Object) -> Result<(String, Vec<String>)> {
    let fault = |fault| file.fault(address, fault);
    let index = match object.text("_index").map_err(fault)? {
        Some(name) => name,
        None => ["_index", "index"]
            .into_iter()
            .find(|name| matches!(file.find(&join(address, name)), Ok(Some(_))))
            .ok_or_else(|| file.malformed(address, "the attribute _index is missing"))?
            .to_owned(),
    };
    let order = match object.attribute("column-order").map_err(fault)? {
        // Without columns, some writers leave an array of another type or of no value.
        Some(place) => match place.extent().map_err(fault)?.len() {
            Some(0) => Vec::new(),
            _ => values::texts(&place).map_err(fault)?,
        },
        None => object
            .names()
            .map_err(fault)?
            .into_iter()
            .filter(|name| *name != index && name != "__categories")
            .collect(),
    };
    Ok((index, order))
}

/// The columns, in order.
pub(crate) fn columns(file: &Opened, address: &str) -> Result<Vec<String>> {
    let address = address.trim_matches('/');
    let object = file.object(address)?;
    if object.kind() == Kind::Dataset {
        let frame = legacy::read(file, address, object)?;
        return Ok(frame.columns.into_iter().map(|(name, _)| name).collect());
    }
    head(file, address, &object).map(|(_, order)| order)
}

/// Rows and columns.
pub(crate) fn shape(file: &Opened, address: &str) -> Result<Vec<u64>> {
    let object = file.object(address)?;
    let (index, order) = head(file, address, &object)?;
    let rows = super::shape_of(file, &join(address, &index))?
        .first()
        .copied()
        .unwrap_or(0);
    Ok(vec![rows, order.len() as u64])
}
