//! The result file: what the input had, what the run found, and nothing that went stale.

mod counts;

use crate::input::{Input, select_rows, take_elem};
use crate::params::WriteX;
use crate::slot::{Patch, Slot, Value};
use crate::{Error, Result, keys};
use cellmill_io::{Array, ArrayData, Column, DataFrame, Elem, H5ad, H5adWriter};
use std::collections::BTreeSet;
use std::path::Path;

/// Appended to a new key where the input holds an entry of that name which must stay.
pub const SUFFIX: &str = "_cellmill";

/// The suffix for a new slot: none where it is free or may be replaced.
pub fn suffix(file: &H5ad, slot: &str, overwrite: bool) -> &'static str {
    if overwrite || !file.exists(slot) {
        ""
    } else {
        SUFFIX
    }
}

/// A result that is being written beside its target.
pub struct ResultFile<'a> {
    file: &'a H5ad,
    writer: H5adWriter,
    notes: Vec<String>,
    /// The cells and the genes that stay, as rows of the input's obs and of its genes; `None`: all.
    cells: Option<Vec<u32>>,
    genes: Option<Vec<u32>>,
}

/// What of the input's matrices and genes a result keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keep<'a> {
    /// Everything: a single step adds slots.
    Everything,
    /// Every annotation, and no matrix.
    Annotations,
    /// The annotations of these genes; X and layers were written by the run.
    Genes {
        /// All genes of the counts, in order.
        var: &'a DataFrame,
        /// The genes that stay, where not all do.
        selected: Option<&'a [u32]>,
        /// Whether the genes are those of the input's var.
        same_var: bool,
        /// Which matrix the result holds.
        write_x: WriteX,
    },
}

impl Keep<'_> {
    /// Everything, with the matrices or without them.
    pub fn everything(matrices: bool) -> Self {
        if matrices {
            Self::Everything
        } else {
            Self::Annotations
        }
    }
}

/// Refuses to write to what is read.
pub(crate) fn refuse_input_as_target(file: &H5ad, target: &Path) -> Result<()> {
    let input = std::fs::canonicalize(file.path()).ok();
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let is = |path: &Path, whole: bool| match (std::fs::canonicalize(path), &input) {
        (Ok(path), Some(input)) if whole => path == *input,
        (Ok(path), Some(input)) => input.is_dir() && path.starts_with(input),
        _ => false,
    };
    if is(target, true) || is(folder, false) {
        return Err(Error::Parameter(format!(
            "the result {} is the input, or in it; an input is never written to, choose another name",
            target.display()
        )));
    }
    Ok(())
}

impl<'a> ResultFile<'a> {
    /// Opens the result for writing, beside `target`.
    ///
    /// # Errors
    /// When `target` is the input, exists and `force` is not set, or cannot be written.
    pub fn create(file: &'a H5ad, target: &Path, force: bool) -> Result<Self> {
        refuse_input_as_target(file, target)?;
        let writer = H5adWriter::create(target, force)?;
        Ok(Self {
            file,
            writer,
            notes: Vec::new(),
            cells: None,
            genes: None,
        })
    }

    /// Keeps the annotations of the cells and genes that are selected in the input.
    pub fn select(&mut self, input: &Input) {
        self.cells = input.source.cells().map(|cells| {
            let rows = cells.within(0..cells.end());
            rows.map(|row| row as u32).collect()
        });
        self.genes = input.source.genes().map(<[u32]>::to_vec);
    }

    /// The writer, for X and layers.
    pub fn writer(&mut self) -> &mut H5adWriter {
        &mut self.writer
    }

    /// Writes everything else and puts the file in its place. Returns what the user should know:
    /// what was dropped, and why.
    ///
    /// # Errors
    /// When the input cannot be read or the result cannot be written.
    pub fn finish(mut self, keep: Keep<'_>, patch: Patch) -> Result<Vec<String>> {
        let patch = match keep {
            Keep::Genes {
                selected: Some(genes),
                ..
            } => cut_genes(patch, genes)?,
            _ => patch,
        };
        if keep == Keep::Everything {
            self.matrices()?;
        }
        self.groups(keep, &patch)?;
        // Each is dropped once it is written: the frames of a large atlas take memory too.
        let mut columns = Patch::new();
        for (slot, value) in patch.into_entries() {
            match value {
                Value::Elem(elem) => self.writer.write(&slot.to_string(), &elem)?,
                Value::Column(_) => columns = columns.with(slot, value),
            }
        }
        self.frames(keep, &columns)?;
        self.writer.commit()?;
        Ok(self.notes)
    }

    /// obs and var, with the patch's columns.
    fn frames(&mut self, keep: Keep<'_>, patch: &Patch) -> Result<()> {
        let mut obs = self.file.read_dataframe("obs", None)?;
        if let Some(cells) = &self.cells {
            obs = select_rows(&obs, cells)?;
        }
        let mut var = match keep {
            Keep::Everything | Keep::Annotations => self.file.read_dataframe("var", None)?,
            Keep::Genes {
                var,
                selected: None,
                ..
            } => var.clone(),
            Keep::Genes {
                var,
                selected: Some(genes),
                ..
            } => select_rows(var, genes)?,
        };
        let fresh_genes = patch
            .entries()
            .iter()
            .any(|(s, _)| matches!(s, Slot::Var(_)));
        if fresh_genes {
            let before = var.columns.len();
            var.columns
                .retain(|(name, _)| !keys::STALE_VAR.contains(&name.as_str()));
            if var.columns.len() < before {
                self.notes.push(format!(
                    "dropped {} columns of var that an older highly_variable_genes left",
                    before - var.columns.len()
                ));
            }
        }
        for (slot, value) in patch.entries() {
            let (frame, name) = match slot {
                Slot::Obs(name) => (&mut obs, name),
                Slot::Var(name) => (&mut var, name),
                _ => continue,
            };
            if let Value::Column(column) = value {
                put(frame, name, column.clone());
            }
        }
        self.writer.write("obs", &Elem::DataFrame(obs))?;
        self.writer.write("var", &Elem::DataFrame(var))?;
        Ok(())
    }

    /// X, raw and layers as they are.
    fn matrices(&mut self) -> Result<()> {
        // Files before anndata 0.7 have no group `raw`, but elements that stand for its members.
        let raw: &[&str] = if self.file.exists("raw") {
            &["raw"]
        } else {
            &["raw/X", "raw/var", "raw/varm"]
        };
        for element in ["X", "layers"].iter().chain(raw) {
            if self.file.exists(element) {
                self.writer.copy_from(self.file, element, element)?;
            }
        }
        Ok(())
    }

    /// obsm, varm, obsp, varp, uns: what still holds.
    fn groups(&mut self, keep: Keep<'_>, patch: &Patch) -> Result<()> {
        let replaced: BTreeSet<String> =
            patch.entries().iter().map(|(s, _)| s.to_string()).collect();
        let fresh_neighbors = replaced.iter().any(|s| s.starts_with("obsp/"));
        let whole_run = matches!(keep, Keep::Genes { .. });
        let genes_differ = matches!(
            keep,
            Keep::Genes { same_var, selected, .. } if !same_var || selected.is_some()
        );
        let mut dropped = Vec::new();
        for group in ["obsm", "varm", "obsp", "varp", "uns"] {
            if !self.file.exists(group) {
                continue;
            }
            for key in self.file.keys(group)? {
                let slot = format!("{group}/{key}");
                let older_graph = group == "obsp"
                    && fresh_neighbors
                    && [keys::DISTANCES, keys::CONNECTIVITIES].contains(&key.as_str());
                let older_run =
                    group == "uns" && whole_run && keys::STALE_UNS.contains(&key.as_str());
                let other_genes = (group == "varm" || group == "varp") && genes_differ;
                let old_colors = group == "uns"
                    && key
                        .strip_suffix("_colors")
                        .is_some_and(|column| replaced.contains(&format!("obs/{column}")));
                if replaced.contains(&slot) {
                    continue;
                }
                if older_graph || older_run || other_genes || old_colors {
                    dropped.push(slot);
                    continue;
                }
                let rows = match group {
                    "obsm" | "obsp" => &self.cells,
                    "varm" | "varp" => &self.genes,
                    _ => &None,
                };
                match rows.clone() {
                    None => self.copy_slot(group, &slot)?,
                    Some(rows) => self.cut_slot(&slot, &rows)?,
                }
            }
        }
        if !dropped.is_empty() {
            self.notes.push(format!(
                "dropped what belongs to an older run or another set of genes: {}",
                dropped.join(", ")
            ));
        }
        Ok(())
    }

    /// Writes the rows of an entry whose cells or genes stay. Graphs are dropped: they are of all.
    fn cut_slot(&mut self, slot: &str, rows: &[u32]) -> Result<()> {
        let graph = slot.starts_with("obsp/") || slot.starts_with("varp/");
        let cut = if graph {
            None
        } else {
            take_elem(&self.file.read(slot)?, rows)?
        };
        match cut {
            Some(elem) => Ok(self.writer.write(slot, &elem)?),
            None => {
                self.notes.push(format!(
                    "dropped {slot}: it is of all cells or genes, and some were filtered out"
                ));
                Ok(())
            }
        }
    }

    /// Copies an entry as it is stored, without the nulls in uns that old anndata cannot read.
    fn copy_slot(&mut self, group: &str, slot: &str) -> Result<()> {
        if group == "uns" {
            let mut elem = self.file.read(slot)?;
            if matches!(elem, Elem::Null) {
                return Ok(());
            }
            if drop_nulls(&mut elem) {
                return Ok(self.writer.write(slot, &elem)?);
            }
        }
        Ok(self.writer.copy_from(self.file, slot, slot)?)
    }
}

/// Drops the None-valued entries of nested dictionaries; whether there were any.
fn drop_nulls(elem: &mut Elem) -> bool {
    let Elem::Dict(entries) = elem else {
        return false;
    };
    let before = entries.len();
    entries.retain(|(_, e)| !matches!(e, Elem::Null));
    let mut found = entries.len() < before;
    for (_, e) in entries {
        found |= drop_nulls(e);
    }
    found
}

/// Puts a column into a frame, in place of one of that name.
fn put(frame: &mut DataFrame, name: &str, column: Column) {
    match frame.columns.iter_mut().find(|(have, _)| have == name) {
        Some((_, old)) => *old = column,
        None => frame.columns.push((name.to_owned(), column)),
    }
}

/// The patch for a result that holds only `genes`.
fn cut_genes(patch: Patch, genes: &[u32]) -> Result<Patch> {
    let mut cut = Patch::new();
    for (slot, value) in patch.into_entries() {
        cut = match (slot, value) {
            (Slot::Var(name), Value::Column(column)) => {
                let frame = DataFrame {
                    index_name: String::new(),
                    index: vec![String::new(); column_len(&column)],
                    columns: vec![(name, column)],
                };
                let mut taken = select_rows(&frame, genes)?;
                match taken.columns.pop() {
                    Some((name, column)) => cut.var(&name, column),
                    None => cut,
                }
            }
            (Slot::Varm(name), Value::Elem(Elem::Array(array))) => {
                cut.elem(Slot::Varm(name), Elem::Array(cut_rows(array, genes)))
            }
            (Slot::Obs(name), Value::Column(column)) => cut.obs(&name, column),
            (slot, Value::Elem(elem)) => cut.elem(slot, elem),
            (_, Value::Column(_)) => cut,
        };
    }
    Ok(cut)
}

fn column_len(column: &Column) -> usize {
    match column {
        Column::Plain(data) => data.len(),
        Column::Categorical(c) => c.codes.len(),
        Column::Nullable { mask, .. } => mask.len(),
    }
}

/// Rows of a row-major f64 matrix (the loadings are the only varm that a run makes).
fn cut_rows(array: Array, rows: &[u32]) -> Array {
    let (&[_, width], ArrayData::F64(values)) = (array.shape.as_slice(), &array.data) else {
        return array;
    };
    let n = width as usize;
    let taken = rows
        .iter()
        .flat_map(|&r| values[r as usize * n..][..n].iter().copied())
        .collect();
    Array {
        shape: vec![rows.len() as u64, width],
        data: ArrayData::F64(taken),
    }
}

/// What will not work with a result that holds no log-normalised X, for the user to know.
pub fn without_x(write_x: WriteX) -> Option<&'static str> {
    match write_x {
        WriteX::Lognorm => None,
        WriteX::Counts => Some(
            "X of the result is the counts: gene colours and tests for marker genes need \
             sc.pp.normalize_total and sc.pp.log1p first",
        ),
        WriteX::Hvg => Some(
            "the result holds the highly variable genes only: other genes cannot be drawn or tested",
        ),
        WriteX::None => Some(
            "the result holds no X: genes cannot be drawn and tests for marker genes cannot run on it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::{dict, text};

    #[test]
    fn nulls_go_from_nested_dictionaries() {
        let inner = dict(vec![("layer", Elem::Null), ("method", text("t-test"))]);
        let mut elem = dict(vec![("params", inner)]);
        assert!(drop_nulls(&mut elem));
        assert_eq!(
            elem,
            dict(vec![("params", dict(vec![("method", text("t-test"))]))])
        );
        assert!(!drop_nulls(&mut elem));
    }

    #[test]
    fn a_result_of_selected_genes_has_their_rows_only() {
        let loadings = crate::slot::matrix(3, 2, ArrayData::F64(vec![1., 2., 3., 4., 5., 6.]));
        let patch = Patch::new()
            .var("means", Column::Plain(ArrayData::F64(vec![0.1, 0.2, 0.3])))
            .elem(Slot::Varm("PCs".into()), loadings);
        let cut = cut_genes(patch, &[0, 2]).unwrap();
        assert_eq!(
            cut.entries()[0].1,
            Value::Column(Column::Plain(ArrayData::F64(vec![0.1, 0.3])))
        );
        let Value::Elem(Elem::Array(array)) = &cut.entries()[1].1 else {
            panic!("an array")
        };
        assert_eq!(array.shape, [2, 2]);
        assert_eq!(array.data, ArrayData::F64(vec![1., 2., 5., 6.]));
    }
}
