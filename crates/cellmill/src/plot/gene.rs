//! A gene's values in every cell: found by name or symbol, read in one pass of the matrix.

use super::EmbeddingPlot;
use crate::identity::Identity;
use crate::{Error, Result};
use cellmill_engine::Context;
use cellmill_io::H5ad;

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
    let genes = Identity::of(&file.read_dataframe(frame, None)?, plot.gene_symbols)?;
    let Some(gene) = genes.find(key)? else {
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
    let id = genes.id(gene as usize);
    let title = if id == key {
        key.to_owned()
    } else {
        format!("{key} ({id})")
    };
    Ok((title, values))
}
