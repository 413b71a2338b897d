//! obs and var of several files.

use super::Several;
use crate::input::select_rows;
use crate::matrix::Joined;
use crate::{Error, Result};
use cellmill_io::{ArrayData, Categorical, Column, DataFrame};

/// The cells of all files, with the columns that all have and the one that names the file.
pub(super) fn obs(
    parts: Vec<DataFrame>,
    keys: &[String],
    how: &Several,
    notes: &mut Vec<String>,
) -> Result<DataFrame> {
    let rows: Vec<usize> = parts.iter().map(|p| p.index.len()).collect();
    let mut all = DataFrame {
        index_name: "_index".to_owned(),
        ..DataFrame::default()
    };
    for (part, key) in parts.iter().zip(keys) {
        match &how.index_unique {
            None => all.index.extend(part.index.iter().cloned()),
            Some(between) => {
                let named = part
                    .index
                    .iter()
                    .map(|name| format!("{name}{between}{key}"));
                all.index.extend(named);
            }
        }
    }
    let mut names: Vec<&String> = all.index.iter().collect();
    names.sort_unstable();
    let twice = names.windows(2).filter(|w| w[0] == w[1]).count();
    if twice > 0 {
        notes.push(format!(
            "{twice} names of cells stand in more than one place; --index-unique - appends the file's \
             name to each"
        ));
    }
    let mut left_out = Vec::new();
    for (name, _) in &parts[0].columns {
        let columns: Option<Vec<&Column>> = parts
            .iter()
            .map(|p| p.columns.iter().find(|(n, _)| n == name).map(|(_, c)| c))
            .collect();
        match columns.and_then(|columns| stacked(&columns)) {
            Some(column) => all.columns.push((name.clone(), column)),
            None => left_out.push(name.as_str()),
        }
    }
    if !left_out.is_empty() {
        notes.push(format!(
            "columns of obs that not all files have, or not of one type, are left out: {}",
            left_out.join(", ")
        ));
    }
    if let Some(name) = &how.batch_column {
        if all.columns.iter().any(|(have, _)| have == name) {
            return Err(Error::Parameter(format!(
                "obs of the files has a column {name} already; choose another --batch-column"
            )));
        }
        let codes = (0i32..)
            .zip(&rows)
            .flat_map(|(code, &n)| std::iter::repeat_n(code, n))
            .collect();
        let column = Column::Categorical(Categorical {
            codes,
            categories: ArrayData::Str(keys.to_vec()),
            ordered: false,
        });
        all.columns.push((name.clone(), column));
    }
    Ok(all)
}

/// Columns one below the other; `None` where they are not of one type.
fn stacked(columns: &[&Column]) -> Option<Column> {
    if let Some(parts) = columns
        .iter()
        .map(|c| categories(c))
        .collect::<Option<Vec<_>>>()
    {
        return Some(united(&parts));
    }
    let mut data: Option<ArrayData> = None;
    let (mut mask, mut nullable) = (Vec::new(), false);
    for column in columns {
        let values = match column {
            Column::Plain(values) => {
                mask.resize(mask.len() + values.len(), false);
                values
            }
            Column::Nullable { values, mask: own } => {
                mask.extend(own);
                nullable = true;
                values
            }
            Column::Categorical(_) => return None,
        };
        data = Some(match data {
            None => values.clone(),
            Some(before) => appended(before, values)?,
        });
    }
    data.map(|values| {
        if nullable {
            Column::Nullable { values, mask }
        } else {
            Column::Plain(values)
        }
    })
}

/// A categorical of strings, where the column is one.
fn categories(column: &Column) -> Option<(&[i32], &[String], bool)> {
    match column {
        Column::Categorical(c) => match &c.categories {
            ArrayData::Str(names) => Some((&c.codes, names, c.ordered)),
            _ => None,
        },
        _ => None,
    }
}

/// The union of the categories, in the order in which they appear.
fn united(parts: &[(&[i32], &[String], bool)]) -> Column {
    let mut names: Vec<String> = Vec::new();
    let mut codes = Vec::new();
    for (own, labels, _) in parts {
        let places: Vec<i32> = labels
            .iter()
            .map(|label| {
                let at = names.iter().position(|n| n == label);
                at.unwrap_or_else(|| {
                    names.push(label.clone());
                    names.len() - 1
                }) as i32
            })
            .collect();
        codes.extend(own.iter().map(|&code| match usize::try_from(code) {
            Ok(code) => places[code],
            Err(_) => -1,
        }));
    }
    let same = parts.windows(2).all(|w| w[0].1 == w[1].1);
    Column::Categorical(Categorical {
        codes,
        categories: ArrayData::Str(names),
        ordered: same && parts.iter().all(|p| p.2),
    })
}

fn appended(before: ArrayData, after: &ArrayData) -> Option<ArrayData> {
    macro_rules! same {
        ($($kind:ident),*) => {
            match (before, after) {
                $((ArrayData::$kind(mut a), ArrayData::$kind(b)) => {
                    a.extend(b.iter().cloned());
                    Some(ArrayData::$kind(a))
                })*
                _ => None,
            }
        };
    }
    same!(Bool, I8, I16, I32, I64, U8, U16, U32, U64, F32, F64, Str)
}

/// The genes of the whole, with the columns of strings that say the same of a gene in every file that
/// has it.
pub(super) fn var(
    parts: &[&DataFrame],
    joined: &Joined,
    notes: &mut Vec<String>,
) -> Result<DataFrame> {
    if joined.columns.iter().all(Option::is_none) {
        let mut same = parts[0].clone();
        let in_all = |(name, column): &(String, Column)| {
            parts
                .iter()
                .all(|p| p.columns.iter().any(|(n, c)| n == name && c == column))
        };
        same.columns.retain(in_all);
        return Ok(same);
    }
    let mut whole = DataFrame {
        index_name: "_index".to_owned(),
        index: joined.genes.clone(),
        columns: Vec::new(),
    };
    let mut left_out = Vec::new();
    for (name, _) in &parts[0].columns {
        match agreed(parts, joined, name)? {
            Some(values) => whole
                .columns
                .push((name.clone(), Column::Plain(ArrayData::Str(values)))),
            None => left_out.push(name.as_str()),
        }
    }
    if !left_out.is_empty() {
        notes.push(format!(
            "columns of var in which the files differ are left out: {}",
            left_out.join(", ")
        ));
    }
    Ok(whole)
}

/// What a column of strings says of each gene, where the files agree.
fn agreed(parts: &[&DataFrame], joined: &Joined, name: &str) -> Result<Option<Vec<String>>> {
    let mut values: Vec<Option<String>> = vec![None; joined.genes.len()];
    for (part, columns) in parts.iter().zip(&joined.columns) {
        let Some(column) = part.columns.iter().find(|(n, _)| n == name).map(|(_, c)| c) else {
            return Ok(None);
        };
        let one = DataFrame {
            index_name: String::new(),
            index: part.index.clone(),
            columns: vec![(name.to_owned(), column.clone())],
        };
        let rows: Vec<u32> = match columns {
            None => (0..part.index.len() as u32).collect(),
            Some(columns) => columns.iter().flatten().copied().collect(),
        };
        let taken = select_rows(&one, &rows)?;
        let Some(texts) = taken.columns.first().and_then(|(_, c)| strings(c)) else {
            return Ok(None);
        };
        let present =
            (0..joined.genes.len()).filter(|&g| columns.as_ref().is_none_or(|c| c[g].is_some()));
        for (gene, text) in present.zip(texts) {
            match &values[gene] {
                Some(have) if *have != text => return Ok(None),
                _ => values[gene] = Some(text),
            }
        }
    }
    Ok(Some(
        values.into_iter().map(Option::unwrap_or_default).collect(),
    ))
}

fn strings(column: &Column) -> Option<Vec<String>> {
    match column {
        Column::Plain(ArrayData::Str(values)) => Some(values.clone()),
        Column::Nullable {
            values: ArrayData::Str(values),
            mask,
        } => (!mask.contains(&true)).then(|| values.clone()),
        Column::Categorical(c) => {
            let ArrayData::Str(names) = &c.categories else {
                return None;
            };
            let text =
                |&code: &i32| usize::try_from(code).map_or(String::new(), |c| names[c].clone());
            Some(c.codes.iter().map(text).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_united_in_the_order_in_which_they_appear() {
        let column = |codes: &[i32], names: &[&str]| {
            Column::Categorical(Categorical {
                codes: codes.to_vec(),
                categories: ArrayData::Str(names.iter().map(|n| (*n).to_owned()).collect()),
                ordered: false,
            })
        };
        let (a, b) = (column(&[1, -1], &["x", "y"]), column(&[0, 1], &["z", "y"]));
        assert_eq!(
            stacked(&[&a, &b]),
            Some(column(&[1, -1, 2, 1], &["x", "y", "z"]))
        );
        let numbers = Column::Plain(ArrayData::I64(vec![1]));
        assert_eq!(stacked(&[&a, &numbers]), None);
        let both = stacked(&[&numbers, &numbers]);
        assert_eq!(both, Some(Column::Plain(ArrayData::I64(vec![1, 1]))));
    }
}
