//! Rows, and columns, of an element in memory.

use crate::input::{gather_rows, select_rows, take_rows};
use cellmill_io::{Array, Elem, SparseMatrix};

/// The rows of an element, and the columns of what has cells or genes along both dimensions.
pub(super) fn of(
    elem: Elem,
    rows: Option<&[u32]>,
    columns: Option<&[u32]>,
) -> Result<Elem, String> {
    Ok(match elem {
        Elem::DataFrame(frame) => match rows {
            Some(rows) => Elem::DataFrame(select_rows(&frame, rows).map_err(|e| e.to_string())?),
            None => Elem::DataFrame(frame),
        },
        Elem::Array(array) => Elem::Array(of_array(array, rows, columns)?),
        Elem::Sparse(matrix) => Elem::Sparse(of_sparse(matrix, rows, columns)),
        Elem::Column(column) => match rows {
            Some(rows) => Elem::Column(take_rows(&column, rows).map_err(|e| e.to_string())?),
            None => Elem::Column(column),
        },
        Elem::Dict(_) | Elem::Scalar(_) | Elem::Null | Elem::Foreign { .. } => {
            return Err("it has no rows, so none can be selected".into());
        }
    })
}

fn of_array(array: Array, rows: Option<&[u32]>, columns: Option<&[u32]>) -> Result<Array, String> {
    let Some((&n, inner)) = array.shape.split_first() else {
        return Err("it has no rows, so none can be selected".into());
    };
    let width: u64 = inner.iter().product();
    let all_rows: Vec<u32> = (0..n as u32).collect();
    let rows = rows.unwrap_or(&all_rows);
    let all_columns: Vec<u32> = (0..width as u32).collect();
    let columns = columns.unwrap_or(&all_columns);
    let places: Vec<usize> = rows
        .iter()
        .flat_map(|&r| {
            columns
                .iter()
                .map(move |&c| r as usize * width as usize + c as usize)
        })
        .collect();
    let mut shape = vec![rows.len() as u64];
    if columns.len() == width as usize {
        shape.extend(inner);
    } else {
        shape.push(columns.len() as u64);
    }
    Ok(Array {
        shape,
        data: gather_rows(&array.data, &places),
    })
}

fn of_sparse(matrix: SparseMatrix, rows: Option<&[u32]>, columns: Option<&[u32]>) -> SparseMatrix {
    let (major, minor) = if matrix.csr {
        (rows, columns)
    } else {
        (columns, rows)
    };
    let n_minor = matrix.shape[usize::from(matrix.csr)] as usize;
    let mut place: Vec<Option<u32>> = vec![None; n_minor];
    match minor {
        Some(kept) => {
            for (new, &old) in kept.iter().enumerate() {
                place[old as usize] = Some(new as u32);
            }
        }
        None => place = (0..n_minor as u32).map(Some).collect(),
    }
    let all: Vec<u32> = (0..matrix.indptr.len() as u32 - 1).collect();
    let (mut indptr, mut indices, mut places) = (vec![0], Vec::new(), Vec::new());
    for &line in major.unwrap_or(&all) {
        let line = line as usize;
        for entry in matrix.indptr[line] as usize..matrix.indptr[line + 1] as usize {
            if let Some(new) = place[matrix.indices[entry] as usize] {
                indices.push(new);
                places.push(entry);
            }
        }
        indptr.push(indices.len() as u64);
    }
    let length = |kept: Option<&[u32]>, n: u64| kept.map_or(n, |k| k.len() as u64);
    SparseMatrix {
        shape: [
            length(rows, matrix.shape[0]),
            length(columns, matrix.shape[1]),
        ],
        csr: matrix.csr,
        indptr,
        indices,
        data: gather_rows(&matrix.data, &places),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellmill_io::ArrayData;

    #[test]
    fn rows_and_columns_of_a_graph() {
        let graph = SparseMatrix {
            shape: [3, 3],
            csr: true,
            indptr: vec![0, 2, 3, 5],
            indices: vec![1, 2, 0, 0, 1],
            data: ArrayData::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0]),
        };
        let kept = [0, 2];
        let part = of_sparse(graph, Some(&kept), Some(&kept));
        assert_eq!((part.shape, part.indptr), ([2, 2], vec![0, 1, 2]));
        assert_eq!(part.indices, [1, 0]);
        assert_eq!(part.data, ArrayData::F32(vec![2.0, 4.0]));
    }

    #[test]
    fn rows_of_an_array() {
        let array = Array {
            shape: vec![3, 2],
            data: ArrayData::I32(vec![1, 2, 3, 4, 5, 6]),
        };
        let part = of_array(array.clone(), Some(&[2, 0]), None).unwrap();
        assert_eq!(
            (part.shape, part.data),
            (vec![2, 2], ArrayData::I32(vec![5, 6, 1, 2]))
        );
        let part = of_array(array, Some(&[1]), Some(&[1])).unwrap();
        assert_eq!(
            (part.shape, part.data),
            (vec![1, 1], ArrayData::I32(vec![4]))
        );
    }
}
