//! Several files as one: their cells one below the other, in the genes that they have in common or
//! that any of them has, as `anndata.concat(label=…, index_unique=…)`.

mod frames;
mod matrix;

use super::Input;
use crate::matrix::{Join, join_genes};
use crate::params::RunParams;
use crate::{Error, Result};
use cellmill_engine::{Context, Event};
use cellmill_io::{H5ad, Together};
use matrix::{Concat, Part};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How files are put together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Several {
    /// The column of obs that says which file a cell is from.
    pub batch_column: Option<String>,
    /// Which genes stay.
    pub join: Join,
    /// Where it is given, a cell's name is followed by this and the name of its file.
    pub index_unique: Option<String>,
}

/// Opens files as one: obs, var and the counts of each, nothing else. Nothing is read but the
/// annotations; the counts are put together as they are read.
///
/// # Errors
/// When a file cannot be read, has no counts, or a gene stands twice in one whose genes differ from
/// those of the others.
pub fn open(ctx: &Context, files: &[PathBuf], how: &Several, params: &RunParams) -> Result<H5ad> {
    if let [one] = files {
        return Ok(H5ad::open_in(one, &ctx.into())?);
    }
    let keys = keys(files);
    let mut parts = Vec::new();
    for (file, key) in files.iter().zip(&keys) {
        let h5ad = H5ad::open_in(file, &ctx.into())?;
        for text in h5ad.warnings() {
            ctx.emit(Event::Warning { text: text.clone() });
        }
        let input = Input::open(
            h5ad,
            params.matrix.as_deref(),
            params.fractional,
            params.block_rows,
        )?;
        for text in &input.notes {
            ctx.emit(Event::Note {
                text: format!("{key}: {text}"),
            });
        }
        parts.push(input);
    }
    let names: Vec<&[String]> = parts.iter().map(|p| p.var.index.as_slice()).collect();
    let joined = join_genes(&names, how.join)?;
    if joined.genes.is_empty() {
        return Err(Error::Data(format!(
            "the {} files have no gene in common; --join outer keeps the genes of all of them",
            files.len()
        )));
    }
    let mut notes = Vec::new();
    let obs: Vec<_> = parts
        .iter()
        .map(|p| p.file.read_dataframe("obs", None))
        .collect::<std::result::Result<_, _>>()?;
    let obs = frames::obs(obs, &keys, how, &mut notes)?;
    let vars: Vec<_> = parts.iter().map(|p| &p.var).collect();
    let var = frames::var(&vars, &joined, &mut notes)?;
    for text in notes {
        ctx.emit(Event::Note { text });
    }
    let of_parts: Vec<Part> = parts
        .iter()
        .zip(joined.columns)
        .map(|(input, columns)| Part {
            matrix: input.source.inner().clone(),
            columns,
        })
        .collect();
    let source = Concat::new(of_parts, var.index.len() as u32, files)?;
    Ok(H5ad::together(Together {
        path: files[0].clone(),
        obs,
        var,
        x: Arc::new(source),
    }))
}

/// A name for each file: its own without the ending, or its path where two would be the same.
fn keys(files: &[PathBuf]) -> Vec<String> {
    let stem = |path: &Path| {
        path.file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let stems: Vec<String> = files.iter().map(|f| stem(f)).collect();
    let mut sorted = stems.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() == stems.len() {
        return stems;
    }
    files.iter().map(|f| f.display().to_string()).collect()
}
