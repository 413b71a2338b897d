//! The genes of a matrix: `var`, or `raw/var` with the columns of `var` joined by index.

use crate::{Error, Result};
use cellmill_io::{Array, ArrayData, Categorical, Column, DataFrame, Elem, H5ad, SparseMatrix};
use std::collections::HashMap;

/// The genes of `matrix`, one row for each of its columns.
pub(super) fn of_matrix(file: &H5ad, matrix: &str, notes: &mut Vec<String>) -> Result<DataFrame> {
    let var = || -> Result<DataFrame> { Ok(file.read_dataframe("var", None)?) };
    if matrix != "raw/X" {
        return var();
    }
    let mut raw = file.read_dataframe("raw/var", None)?;
    let var = if file.exists("var") {
        var()?
    } else {
        DataFrame::default()
    };
    let missing: Vec<&(String, Column)> = var
        .columns
        .iter()
        .filter(|(name, _)| raw.columns.iter().all(|(have, _)| have != name))
        .collect();
    if missing.is_empty() {
        return Ok(raw);
    }
    let mut place = HashMap::with_capacity(var.index.len());
    for (i, name) in var.index.iter().enumerate() {
        place.entry(name.as_str()).or_insert(i);
    }
    let rows: Vec<Option<usize>> = raw
        .index
        .iter()
        .map(|name| place.get(name.as_str()).copied())
        .collect();
    let names: Vec<&str> = missing.iter().map(|(name, _)| name.as_str()).collect();
    notes.push(format!(
        "var is raw/var, with {} of var joined by gene name",
        names.join(", ")
    ));
    for (name, column) in missing {
        raw.columns.push((name.clone(), take(column, &rows)?));
    }
    Ok(raw)
}

/// Rows of a column, missing where there is no row: NaN for numbers, no category for the rest.
fn take(column: &Column, rows: &[Option<usize>]) -> Result<Column> {
    let complete = rows.iter().all(Option::is_some);
    Ok(match column {
        Column::Categorical(c) => Column::Categorical(Categorical {
            codes: rows.iter().map(|r| r.map_or(-1, |r| c.codes[r])).collect(),
            categories: c.categories.clone(),
            ordered: c.ordered,
        }),
        Column::Plain(data) if complete => Column::Plain(gather(data, rows)),
        Column::Plain(ArrayData::Str(values)) => Column::Categorical(categories(values, rows)?),
        Column::Plain(ArrayData::F32(v)) => Column::Plain(ArrayData::F32(
            rows.iter().map(|r| r.map_or(f32::NAN, |r| v[r])).collect(),
        )),
        Column::Plain(ArrayData::F64(v)) => Column::Plain(ArrayData::F64(
            rows.iter().map(|r| r.map_or(f64::NAN, |r| v[r])).collect(),
        )),
        Column::Plain(data) => Column::Nullable {
            values: gather(data, rows),
            mask: rows.iter().map(Option::is_none).collect(),
        },
        Column::Nullable { values, mask } => Column::Nullable {
            values: gather(values, rows),
            mask: rows.iter().map(|r| r.is_none_or(|r| mask[r])).collect(),
        },
    })
}

/// Strings with gaps as a categorical, which every version of anndata reads.
fn categories(values: &[String], rows: &[Option<usize>]) -> Result<Categorical> {
    let mut names: Vec<&String> = rows.iter().flatten().map(|&r| &values[r]).collect();
    names.sort_unstable();
    names.dedup();
    if i32::try_from(names.len()).is_err() {
        return Err(Error::Data(
            "a column of var has more than 2^31 different strings".to_owned(),
        ));
    }
    let codes = rows
        .iter()
        .map(|r| r.map_or(-1, |r| names.partition_point(|n| **n < values[r]) as i32))
        .collect();
    let categories = ArrayData::Str(names.into_iter().cloned().collect());
    Ok(Categorical {
        codes,
        categories,
        ordered: false,
    })
}

/// Rows of an array; the default value where there is no row.
fn gather(data: &ArrayData, rows: &[Option<usize>]) -> ArrayData {
    gather_wide(data, rows, 1)
}

/// Rows of a row-major matrix of `width` columns; default values where there is no row.
fn gather_wide(data: &ArrayData, rows: &[Option<usize>], width: usize) -> ArrayData {
    fn pick<T: Clone + Default>(values: &[T], (rows, width): (&[Option<usize>], usize)) -> Vec<T> {
        let mut taken = Vec::with_capacity(rows.len() * width);
        for row in rows {
            match row {
                Some(r) => taken.extend_from_slice(&values[r * width..][..width]),
                None => taken.resize(taken.len() + width, T::default()),
            }
        }
        taken
    }
    let rows = (rows, width);
    match data {
        ArrayData::Bool(v) => ArrayData::Bool(pick(v, rows)),
        ArrayData::I8(v) => ArrayData::I8(pick(v, rows)),
        ArrayData::I16(v) => ArrayData::I16(pick(v, rows)),
        ArrayData::I32(v) => ArrayData::I32(pick(v, rows)),
        ArrayData::I64(v) => ArrayData::I64(pick(v, rows)),
        ArrayData::U8(v) => ArrayData::U8(pick(v, rows)),
        ArrayData::U16(v) => ArrayData::U16(pick(v, rows)),
        ArrayData::U32(v) => ArrayData::U32(pick(v, rows)),
        ArrayData::U64(v) => ArrayData::U64(pick(v, rows)),
        ArrayData::F32(v) => ArrayData::F32(pick(v, rows)),
        ArrayData::F64(v) => ArrayData::F64(pick(v, rows)),
        ArrayData::Str(v) => ArrayData::Str(pick(v, rows)),
    }
}

/// Rows of a column, in the order of `rows`.
pub(crate) fn take_rows(column: &Column, rows: &[u32]) -> Result<Column> {
    let rows: Vec<Option<usize>> = rows.iter().map(|&r| Some(r as usize)).collect();
    take(column, &rows)
}

/// Values at these places.
pub(crate) fn gather_rows(data: &ArrayData, places: &[usize]) -> ArrayData {
    let places: Vec<Option<usize>> = places.iter().map(|&p| Some(p)).collect();
    gather(data, &places)
}

/// The rows of an element of obsm or varm that `rows` names, in that order; `None` where it is of a
/// kind that cannot be cut.
pub(crate) fn take_elem(elem: &Elem, rows: &[u32]) -> Result<Option<Elem>> {
    Ok(match elem {
        Elem::Array(array) => {
            let places: Vec<Option<usize>> = rows.iter().map(|&r| Some(r as usize)).collect();
            let width = array.shape.iter().skip(1).product::<u64>() as usize;
            let mut shape = array.shape.clone();
            if let Some(first) = shape.first_mut() {
                *first = rows.len() as u64;
            }
            Some(Elem::Array(Array {
                shape,
                data: gather_wide(&array.data, &places, width),
            }))
        }
        Elem::DataFrame(frame) => Some(Elem::DataFrame(select(frame, rows)?)),
        Elem::Column(column) => Some(Elem::Column(take_rows(column, rows)?)),
        Elem::Sparse(matrix) if matrix.csr => Some(Elem::Sparse(take_sparse(matrix, rows))),
        _ => None,
    })
}

fn take_sparse(matrix: &SparseMatrix, rows: &[u32]) -> SparseMatrix {
    let ranges = || {
        rows.iter()
            .map(|&r| matrix.indptr[r as usize] as usize..matrix.indptr[r as usize + 1] as usize)
    };
    let entries: Vec<Option<usize>> = ranges().flatten().map(Some).collect();
    let mut indptr = vec![0];
    let mut end = 0;
    for range in ranges() {
        end += range.len() as u64;
        indptr.push(end);
    }
    SparseMatrix {
        shape: [rows.len() as u64, matrix.shape[1]],
        csr: true,
        indptr,
        indices: entries
            .iter()
            .flatten()
            .map(|&e| matrix.indices[e])
            .collect(),
        data: gather(&matrix.data, &entries),
    }
}

/// The rows of a dataframe that `rows` names, in that order.
pub(crate) fn select(frame: &DataFrame, rows: &[u32]) -> Result<DataFrame> {
    let rows: Vec<Option<usize>> = rows.iter().map(|&r| Some(r as usize)).collect();
    let columns = frame
        .columns
        .iter()
        .map(|(name, column)| Ok((name.clone(), take(column, &rows)?)))
        .collect::<Result<_>>()?;
    let index = rows
        .iter()
        .flatten()
        .map(|&r| frame.index[r].clone())
        .collect();
    Ok(DataFrame {
        index_name: frame.index_name.clone(),
        index,
        columns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_joined_by_name_with_gaps() {
        let rows = [Some(1), None, Some(0)];
        let strings = Column::Plain(ArrayData::Str(vec!["b".into(), "a".into()]));
        let Column::Categorical(c) = take(&strings, &rows).unwrap() else {
            panic!("categorical")
        };
        assert_eq!(c.codes, [0, -1, 1]);
        let floats = take(&Column::Plain(ArrayData::F64(vec![1.0, 2.0])), &rows).unwrap();
        let Column::Plain(ArrayData::F64(v)) = floats else {
            panic!("floats")
        };
        assert!(v[0] == 2.0 && v[1].is_nan() && v[2] == 1.0);
        let ints = take(&Column::Plain(ArrayData::I32(vec![5, 6])), &rows).unwrap();
        assert_eq!(
            ints,
            Column::Nullable {
                values: ArrayData::I32(vec![6, 0, 5]),
                mask: vec![false, true, false]
            }
        );
    }

    #[test]
    fn rows_of_matrices() {
        let dense = Elem::Array(Array {
            shape: vec![3, 2],
            data: ArrayData::F32(vec![1., 2., 3., 4., 5., 6.]),
        });
        let Some(Elem::Array(cut)) = take_elem(&dense, &[0, 2]).unwrap() else {
            panic!("an array")
        };
        assert_eq!(cut.shape, [2, 2]);
        assert_eq!(cut.data, ArrayData::F32(vec![1., 2., 5., 6.]));
        let sparse = Elem::Sparse(SparseMatrix {
            shape: [3, 4],
            csr: true,
            indptr: vec![0, 2, 2, 3],
            indices: vec![1, 3, 0],
            data: ArrayData::I32(vec![7, 8, 9]),
        });
        let Some(Elem::Sparse(cut)) = take_elem(&sparse, &[1, 2]).unwrap() else {
            panic!("sparse")
        };
        assert_eq!((cut.indptr, cut.indices), (vec![0, 0, 1], vec![0]));
        assert_eq!(cut.data, ArrayData::I32(vec![9]));
        assert_eq!(take_elem(&Elem::Null, &[0]).unwrap(), None);
    }

    #[test]
    fn complete_columns_keep_their_dtype() {
        let taken = take(
            &Column::Plain(ArrayData::U8(vec![3, 4])),
            &[Some(1), Some(0)],
        )
        .unwrap();
        assert_eq!(taken, Column::Plain(ArrayData::U8(vec![4, 3])));
    }
}
