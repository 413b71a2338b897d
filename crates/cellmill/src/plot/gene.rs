//! A gene's values in every cell: found by name or symbol, read in one pass of the matrix.

use super::{EmbeddingPlot, column};
use crate::{Error, Result};
use cellmill_engine::Context;
use cellmill_io::{ArrayData, Column, DataFrame, H5ad};

/// Columns of var that hold symbols, in order of preference.
const SYMBOLS: [&str; 4] = ["feature_name", "gene_symbols", "gene_symbol", "gene_name"];

/// A title and the gene's value in each of `n` cells.
pub(super) fn values(
    ctx: &Context,
    result: &H5ad,
    plot: &EmbeddingPlot<'_>,
    key: &str,
    n: usize,
) -> Result<(String, Vec<f32>)> {
    let workspace = ctx.into();
    let open = |path| H5ad::open_in(path, &workspace);
    let other = plot.source.map(open).transpose()?;
    let file = other.as_ref().unwrap_or(result);
    let frame = if plot.matrix == "raw/X" {
        "raw/var"
    } else {
        "var"
    };
    let var = file.read_dataframe(frame, None)?;
    let Some(gene) = find(&var, key)? else {
        let columns = result.dataframe_columns("obs")?;
        return Err(Error::Data(format!(
            "{}: {key:?} is neither a column of obs ({}) nor a gene of {frame}",
            file.path().display(),
            columns.join(", ")
        )));
    };
    if !file.exists(plot.matrix) {
        return Err(Error::Data(format!(
            "{} has no {}, so the gene {key} cannot be drawn from it; name a matrix with --matrix, or \
             another file with --source",
            file.path().display(),
            plot.matrix
        )));
    }
    let source = file.source(plot.matrix, None)?;
    if source.n_rows() != n as u64 {
        return Err(Error::Data(format!(
            "{}: {} has {} cells, and the embedding has {n}",
            file.path().display(),
            plot.matrix,
            source.n_rows()
        )));
    }
    let values = crate::matrix::column(ctx, &*source, &[], gene, &format!("gene {key}"))?;
    let id = &var.index[gene as usize];
    let title = if id == key {
        key.to_owned()
    } else {
        format!("{key} ({id})")
    };
    Ok((title, values))
}

/// A gene by its name in the index, else by its symbol.
pub(super) fn find(var: &DataFrame, key: &str) -> Result<Option<u32>> {
    if let Some(i) = var.index.iter().position(|name| name == key) {
        return Ok(Some(i as u32));
    }
    for name in SYMBOLS {
        let Some(symbols) = column(var, name).and_then(strings) else {
            continue;
        };
        let rows: Vec<usize> = symbols
            .iter()
            .enumerate()
            .filter(|&(_, s)| s.as_deref() == Some(key))
            .map(|(i, _)| i)
            .collect();
        match rows.as_slice() {
            [] => {}
            &[row] => return Ok(Some(row as u32)),
            several => {
                let ids: Vec<&str> = several.iter().map(|&i| var.index[i].as_str()).collect();
                return Err(Error::Data(format!(
                    "the symbol {key} stands for several genes; name one of {}",
                    ids.join(", ")
                )));
            }
        }
    }
    Ok(None)
}

fn strings(column: &Column) -> Option<Vec<Option<String>>> {
    match column {
        Column::Plain(ArrayData::Str(v)) => Some(v.iter().cloned().map(Some).collect()),
        Column::Nullable {
            values: ArrayData::Str(v),
            mask,
        } => Some(
            v.iter()
                .zip(mask)
                .map(|(s, &missing)| (!missing).then(|| s.clone()))
                .collect(),
        ),
        Column::Categorical(c) => match &c.categories {
            ArrayData::Str(names) => Some(
                c.codes
                    .iter()
                    .map(|&code| {
                        usize::try_from(code)
                            .ok()
                            .and_then(|i| names.get(i).cloned())
                    })
                    .collect(),
            ),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn var() -> DataFrame {
        DataFrame {
            index_name: "_index".into(),
            index: vec!["E1".into(), "E2".into(), "E3".into()],
            columns: vec![(
                "feature_name".into(),
                Column::Plain(ArrayData::Str(vec![
                    "CD3E".into(),
                    "MS4A1".into(),
                    "CD3E".into(),
                ])),
            )],
        }
    }

    #[test]
    fn genes_are_found_by_id_or_symbol() {
        assert_eq!(find(&var(), "E3").unwrap(), Some(2));
        assert_eq!(find(&var(), "MS4A1").unwrap(), Some(1));
        assert_eq!(find(&var(), "NKG7").unwrap(), None);
    }

    #[test]
    fn an_ambiguous_symbol_lists_its_ids() {
        let message = find(&var(), "CD3E").unwrap_err().to_string();
        assert!(message.contains("E1, E3"), "{message}");
    }
}
