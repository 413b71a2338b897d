//! The cells or genes that stay, by name.

use super::Kept;
use crate::{Error, Result};
use cellmill_io::H5ad;
use std::collections::HashSet;
use std::path::Path;

/// The rows of `frame` whose names stand in `list`, in the frame's order; all where there is no list.
pub(super) fn kept(file: &H5ad, frame: &str, list: Option<&Path>) -> Result<Kept> {
    let n = file.shape_of(frame)?.first().copied().unwrap_or(0);
    let Some(list) = list else {
        return Ok(Kept { rows: None, n });
    };
    let text = std::fs::read_to_string(list).map_err(|e| {
        Error::Data(format!(
            "{}: the list of names could not be read ({e})",
            list.display()
        ))
    })?;
    let mut wanted: HashSet<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    let names = file.read_dataframe(frame, Some(&[]))?.index;
    let all = wanted.len();
    let rows: Vec<u32> = names
        .iter()
        .enumerate()
        .filter(|(_, name)| wanted.contains(name.as_str()))
        .map(|(row, _)| row as u32)
        .collect();
    for name in &names {
        wanted.remove(name.as_str());
    }
    if !wanted.is_empty() {
        let mut missing: Vec<&str> = wanted.into_iter().collect();
        missing.sort_unstable();
        let shown = missing
            .iter()
            .take(5)
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        let more = if missing.len() > 5 { ", …" } else { "" };
        return Err(Error::Data(format!(
            "{}: {} of the {all} names in {} are not in {frame}: {shown}{more}",
            file.path().display(),
            missing.len(),
            list.display()
        )));
    }
    if rows.is_empty() {
        return Err(Error::Data(format!(
            "{}: there is no name in it",
            list.display()
        )));
    }
    Ok(Kept {
        rows: Some(rows),
        n,
    })
}
