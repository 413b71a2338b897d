//! Groups of cells: the combinations of values of obs columns that there are.

use super::{gather_rows, labels};
use crate::{Error, Result};
use cellmill_engine::reduce::Groups;
use cellmill_io::{Categorical, Column, DataFrame, H5ad};
use std::collections::{BTreeMap, BTreeSet};

/// The cells of a file in groups.
#[derive(Debug, Clone, PartialEq)]
pub struct CellGroups {
    /// The group of each cell; [`Groups::NONE`] where it has no value in one of the columns.
    pub ids: Vec<u32>,
    /// A row for each group: its values, categorical, without the categories that no cell has; the
    /// index joins them by `_`.
    pub labels: DataFrame,
    /// Cells of each group, at least 1.
    pub cells: Vec<u64>,
}

/// The groups of cells by obs columns, in the order of their categories, the last column fastest
/// (`sc.get.aggregate`). Columns that are not categorical are made so as pandas does it.
///
/// # Errors
/// [`Error::Data`] when there is no such column (says which there are), no cell has a value in all of
/// them, or two groups have the same name; [`Error::Parameter`] when a column is named twice or none is.
pub fn of_columns(file: &H5ad, by: &[String]) -> Result<CellGroups> {
    let mut named = BTreeSet::new();
    if let Some(twice) = by.iter().find(|&key| !named.insert(key)) {
        return Err(Error::Parameter(format!(
            "cells are to be grouped by {twice} twice; name it once"
        )));
    }
    let refuse = |what: String| Error::Data(format!("{}: {what}", file.path().display()));
    let columns: Vec<Categorical> = by
        .iter()
        .map(|key| Ok(used(labels::categorical(file, key)?)))
        .collect::<Result<_>>()?;
    let Some(n_cells) = columns.iter().map(|c| c.codes.len()).min() else {
        return Err(Error::Parameter(
            "cells are to be grouped by no column; name one".to_owned(),
        ));
    };
    let sizes: Vec<u128> = columns.iter().map(|c| c.categories.len() as u128).collect();
    if sizes
        .iter()
        .try_fold(1u128, |n, &m| n.checked_mul(m))
        .is_none()
    {
        return Err(refuse(format!(
            "the columns {} have more than 2^128 combinations; name fewer",
            by.join(", ")
        )));
    }
    let place = |cell: usize| {
        columns.iter().zip(&sizes).try_fold(0u128, |at, (c, &n)| {
            Some(at * n + u128::try_from(c.codes[cell]).ok()?)
        })
    };
    let mut groups: BTreeMap<u128, u32> =
        (0..n_cells).filter_map(place).map(|at| (at, 0)).collect();
    (0..).zip(groups.values_mut()).for_each(|(i, id)| *id = i);
    if groups.is_empty() {
        return Err(refuse(format!(
            "no cell has a value in {}, and there are no groups",
            by.join(" and ")
        )));
    }
    let ids: Vec<u32> = (0..n_cells)
        .map(|cell| place(cell).map_or(Groups::NONE, |at| groups[&at]))
        .collect();
    let mut cells = vec![0; groups.len()];
    for &id in ids.iter().filter(|&&id| id != Groups::NONE) {
        cells[id as usize] += 1;
    }
    let labels = labels_of(by, columns, groups.into_keys().collect());
    let mut names = BTreeSet::new();
    if let Some(twice) = labels.index.iter().find(|&name| !names.insert(name)) {
        return Err(refuse(format!(
            "several groups of {} have the name {twice:?}; rename their values",
            by.join(" and ")
        )));
    }
    Ok(CellGroups { ids, labels, cells })
}

/// The values and names of groups, from their places among all combinations.
fn labels_of(by: &[String], columns: Vec<Categorical>, mut places: Vec<u128>) -> DataFrame {
    let mut index = vec![String::new(); places.len()];
    let mut labels = Vec::with_capacity(by.len());
    for (key, column) in by.iter().zip(columns).rev() {
        let names = labels::names(&column.categories);
        let n = names.len() as u128;
        let codes: Vec<i32> = places.iter().map(|at| (at % n) as i32).collect();
        for (name, &code) in index.iter_mut().zip(&codes) {
            let value = &names[code as usize];
            *name = if labels.is_empty() {
                value.clone()
            } else {
                format!("{value}_{name}")
            };
        }
        places.iter_mut().for_each(|at| *at /= n);
        let column = Column::Categorical(Categorical { codes, ..column });
        labels.push((key.clone(), column));
    }
    labels.reverse();
    DataFrame {
        index_name: "_index".to_owned(),
        index,
        columns: labels,
    }
}

/// Without the categories that no cell has, and without an order.
fn used(column: Categorical) -> Categorical {
    let mut code = vec![-1; column.categories.len()];
    let of = |c: i32| usize::try_from(c).ok();
    for place in column.codes.iter().filter_map(|&c| of(c)) {
        if let Some(code) = code.get_mut(place) {
            *code = 0;
        }
    }
    let kept: Vec<usize> = (0..code.len()).filter(|&place| code[place] == 0).collect();
    (0i32..).zip(&kept).for_each(|(i, &place)| code[place] = i);
    let codes = column.codes.iter();
    Categorical {
        codes: codes
            .map(|&c| {
                of(c)
                    .and_then(|place| code.get(place).copied())
                    .unwrap_or(-1)
            })
            .collect(),
        categories: gather_rows(&column.categories, &kept),
        ordered: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellmill_io::ArrayData;

    #[test]
    fn unused_categories_go() {
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let column = used(Categorical {
            codes: vec![2, -1, 0, 2],
            categories: ArrayData::Str(names),
            ordered: true,
        });
        assert_eq!(column.codes, [1, -1, 0, 1]);
        assert_eq!(
            column.categories,
            ArrayData::Str(vec!["a".into(), "c".into()])
        );
    }

    #[test]
    fn names_are_joined_the_last_column_fastest() {
        let column = |categories| Categorical {
            codes: vec![],
            categories,
            ordered: false,
        };
        let columns = vec![
            column(ArrayData::F64(vec![0.5, 1.0])),
            column(ArrayData::Bool(vec![false, true])),
        ];
        let by = ["x".to_owned(), "y".to_owned()];
        let frame = labels_of(&by, columns, vec![0, 1, 3]);
        assert_eq!(frame.index, ["0.5_False", "0.5_True", "1.0_True"]);
        assert_eq!(frame.columns[0].0, "x");
        let Column::Categorical(y) = &frame.columns[1].1 else {
            panic!("a categorical")
        };
        assert_eq!(y.codes, [0, 1, 1]);
    }
}
