//! A matrix with ops to happen to it, as a shell holds it: nothing is read until a block is asked
//! for.

mod centred;
mod column;
mod dtype;
mod join;
mod needs;
mod recipe;
mod touched;
mod values;

pub use centred::dense_blocks;
pub(crate) use centred::dense_row;
pub use column::column;
pub use dtype::{promoted, result_dtype};
pub use join::{Join, Joined, join_genes};
pub use recipe::{Origin, Part, Recipe};
pub use touched::Touched;
pub use values::values_after;

use crate::{Error, Result};
use cellmill_engine::op::{CellSet, Pipeline, Scratch};
use cellmill_engine::source::{ConcatPart, ConcatSource, blocks_left};
use cellmill_engine::{Block, Op, Source, Values};
use cellmill_io::{FileMatrix, MatrixSpec};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// A matrix of one file or of several, and what is to happen to it.
#[derive(Clone)]
pub struct Matrix {
    source: Arc<dyn Source>,
    /// The files' matrices, each once.
    files: Vec<Arc<dyn FileMatrix>>,
    recipe: Recipe,
    /// The dtype before the ops.
    stored: &'static str,
    cells: Option<CellSet>,
    n_cols: u32,
    /// Blocks that are not empty after the selection of cells, and their rows.
    blocks: Vec<(usize, u64)>,
}

/// The matrices that are open, so that two of one file share its tables.
fn opened(spec: &MatrixSpec) -> Result<Arc<dyn FileMatrix>> {
    static OPEN: OnceLock<Mutex<HashMap<String, Weak<dyn FileMatrix>>>> = OnceLock::new();
    let key = format!("{spec:?}");
    let mut open = OPEN
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = open.get(&key).and_then(Weak::upgrade) {
        return Ok(file);
    }
    open.retain(|_, file| file.strong_count() > 0);
    let file = spec.open()?;
    open.insert(key, Arc::downgrade(&file));
    Ok(file)
}

impl Matrix {
    /// The matrix that `recipe` describes.
    ///
    /// # Errors
    /// When a file is not there, or no longer the one that the recipe was made for, and when the
    /// ops do not fit.
    pub fn new(recipe: Recipe) -> Result<Self> {
        let mut files = Vec::new();
        let (source, stored) = origin(&recipe.origin, &mut files)?;
        Self::make(recipe, source, stored, files)
    }

    /// The matrix at `spec`, as it is stored.
    ///
    /// # Errors
    /// As [`Matrix::new`].
    pub fn of_file(spec: MatrixSpec) -> Result<Self> {
        Self::new(Recipe {
            origin: Origin::File(spec),
            ops: Vec::new(),
        })
    }

    fn make(
        recipe: Recipe,
        source: Arc<dyn Source>,
        stored: &'static str,
        files: Vec<Arc<dyn FileMatrix>>,
    ) -> Result<Self> {
        let pipeline = Pipeline::new(&recipe.ops, source.n_rows(), source.n_cols())?;
        let cells = CellSet::of_ops(&recipe.ops);
        Ok(Self {
            n_cols: pipeline.n_cols(),
            blocks: blocks_left(source.grid(), cells.as_ref()),
            source,
            files,
            recipe,
            stored,
            cells,
        })
    }

    /// The matrix after one more op.
    ///
    /// # Errors
    /// [`cellmill_engine::Error::Parameter`] when it does not fit; [`Error::Parameter`] for other
    /// than a selection where columns were centred.
    pub fn with(&self, op: Op) -> Result<Self> {
        if self.is_centred() {
            centred::refuse(&op)?;
        }
        let mut recipe = self.recipe.clone();
        recipe.ops.push(op);
        Self::make(recipe, self.source.clone(), self.stored, self.files.clone())
    }

    /// The matrix with the rows only whose mask is true; the mask has an entry for each row of
    /// this matrix.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the mask has another length.
    pub fn select_cells(&self, mask: &[bool]) -> Result<Self> {
        let cells = select_within(self.cells.as_ref(), self.source.n_rows(), mask)?;
        self.with(Op::SelectCells { cells })
    }

    /// The matrix with a sample of the counts of each cell that has more than `counts`: one number
    /// for all cells, or one for each row of this matrix.
    ///
    /// # Errors
    /// [`Error::Parameter`] when there are neither one number nor as many as rows.
    pub fn downsample_counts(&self, counts: Vec<u64>, seed: u32, replace: bool) -> Result<Self> {
        let n_rows = self.shape().0;
        let counts = match &self.cells {
            Some(cells) if counts.len() != 1 && counts.len() as u64 == n_rows => {
                let n = self.source.n_rows();
                let mut placed = vec![0; n as usize];
                for (row, count) in cells.within(0..n).zip(counts) {
                    placed[row] = count;
                }
                placed
            }
            _ if counts.len() == 1 || counts.len() as u64 == n_rows => counts,
            _ => {
                return Err(Error::Parameter(format!(
                    "{} numbers of counts were given for {n_rows} cells",
                    counts.len()
                )));
            }
        };
        self.with(Op::DownsampleCounts {
            counts,
            seed,
            replace,
        })
    }

    /// The matrix whose column `j` is column `columns[j]` of this one, or has no entries where
    /// that is `None`.
    ///
    /// # Errors
    /// [`cellmill_engine::Error::Parameter`] when a column is outside the matrix or there twice.
    pub fn arrange_columns(&self, columns: &[Option<u32>]) -> Result<Self> {
        let kept: Vec<u32> = columns.iter().copied().flatten().collect();
        if kept.len() == columns.len() && kept.windows(2).all(|w| w[0] < w[1]) {
            return self.with(Op::SelectGenes { genes: kept });
        }
        if self.is_centred() {
            return Err(Error::Parameter(
                "columns that were centred cannot be put into another order".to_owned(),
            ));
        }
        let mut places: Vec<(u32, u32)> = (0u32..)
            .zip(columns)
            .filter_map(|(to, from)| from.map(|from| (from, to)))
            .collect();
        places.sort_unstable();
        let genes = places.iter().map(|&(from, _)| from).collect();
        let part = Part {
            matrix: self.with(Op::SelectGenes { genes })?.recipe,
            columns: Some(places.into_iter().map(|(_, to)| to).collect()),
        };
        Self::new(Recipe {
            origin: Origin::Concat {
                n_cols: columns.len() as u32,
                parts: vec![part],
            },
            ops: Vec::new(),
        })
    }

    /// The rows of all `matrices`, one below the other. Its dtype holds the values of all of them.
    ///
    /// # Errors
    /// [`Error::Parameter`] when there is none, or they differ in the number of columns.
    pub fn concat(matrices: &[&Self]) -> Result<Self> {
        let Some(first) = matrices.first() else {
            return Err(Error::Parameter(
                "there is no matrix to concatenate".to_owned(),
            ));
        };
        if matrices.iter().any(|m| m.is_centred()) {
            return Err(Error::Parameter(
                "matrices whose columns were centred cannot be put one below the other".to_owned(),
            ));
        }
        let n_cols = first.n_cols;
        if let Some(other) = matrices.iter().find(|m| m.n_cols != n_cols) {
            return Err(Error::Parameter(format!(
                "matrices of {n_cols} and {} columns cannot be put one below the other; join their \
                 genes first",
                other.n_cols
            )));
        }
        let dtype = matrices
            .iter()
            .fold(first.dtype(), |dtype, m| promoted(dtype, m.dtype()));
        let mut parts = Vec::new();
        for matrix in matrices {
            let mut recipe = matrix.recipe.clone();
            if matrix.dtype() == "float32" && dtype == "float64" {
                recipe.ops.push(Op::RoundF32);
            }
            match recipe.origin {
                Origin::Concat { parts: inner, .. } if recipe.ops.is_empty() => parts.extend(inner),
                _ => parts.push(Part {
                    matrix: recipe,
                    columns: None,
                }),
            }
        }
        Self::new(Recipe {
            origin: Origin::Concat { n_cols, parts },
            ops: Vec::new(),
        })
    }

    /// What another process needs to make the same matrix.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Rows and columns, after the selections.
    pub fn shape(&self) -> (u64, u32) {
        (self.blocks.iter().map(|b| b.1).sum(), self.n_cols)
    }

    /// The values' dtype after the ops, in numpy's words.
    pub fn dtype(&self) -> &'static str {
        result_dtype(self.stored, &self.recipe.ops)
    }

    /// Whether columns were centred, so that what has no entry is not 0: a fold sees the differences
    /// from that, and [`Matrix::read_dense`] the values.
    pub fn is_centred(&self) -> bool {
        centred::offset(&self.recipe.ops).is_some()
    }

    /// Rows of each block that has any.
    pub fn block_rows(&self) -> Vec<u64> {
        self.blocks.iter().map(|b| b.1).collect()
    }

    /// What a fold does to every block.
    pub fn ops(&self) -> &[Op] {
        &self.recipe.ops
    }

    /// What is read, before any op: a file's matrix, or a concatenation.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// The files' matrices that are read, each once.
    pub fn files(&self) -> &[Arc<dyn FileMatrix>] {
        &self.files
    }

    /// The source of a fold, which passes over blocks of which no cell is selected.
    pub fn touched(&self) -> Touched {
        Touched::new(self.source.clone(), self.cells.clone())
    }

    /// Block `i` of those that have rows, after the ops, rounded as the dtype asks for; `None`
    /// where there is no such block.
    ///
    /// # Errors
    /// Whatever the file has wrong, and values outside the domain of an op.
    pub fn read_block(&self, i: usize) -> Result<Option<Block>> {
        let Some(&(index, _)) = self.blocks.get(i) else {
            return Ok(None);
        };
        let mut ops = self.recipe.ops.clone();
        if self.dtype() == "float32" {
            ops.push(Op::RoundF32);
        }
        let pipeline = Pipeline::new(&ops, self.source.n_rows(), self.source.n_cols())?;
        let mut reader = self.source.open(index..index + 1)?;
        let mut block = Block::new(self.source.n_cols());
        reader.next_block(&mut block)?;
        if pipeline.is_identity() {
            return Ok(Some(block));
        }
        let mut out = Block::new(self.n_cols);
        pipeline.apply(&block, &mut Scratch::default(), &mut out)?;
        Ok(Some(out))
    }

    /// Block `i` of those that have rows of a matrix whose columns were centred, row-major, f32 or f64
    /// as the dtype says; `None` where there is no such block.
    ///
    /// # Errors
    /// As [`Matrix::read_block`].
    pub fn read_dense(&self, i: usize) -> Result<Option<Values>> {
        let Some(&(index, _)) = self.blocks.get(i) else {
            return Ok(None);
        };
        let (ops, narrow) = (&self.recipe.ops, self.dtype() == "float32");
        dense_blocks(&*self.source, ops, index..index + 1, narrow).map(Some)
    }
}

/// Opens what is read, and adds the files' matrices to `files`: the source and its dtype.
fn origin(
    origin: &Origin,
    files: &mut Vec<Arc<dyn FileMatrix>>,
) -> Result<(Arc<dyn Source>, &'static str)> {
    let (n_cols, parts) = match origin {
        Origin::File(spec) => {
            let file = opened(spec)?;
            if !files.iter().any(|have| Arc::ptr_eq(have, &file)) {
                files.push(file.clone());
            }
            let dtype = dtype::known(&file.stored_dtype());
            return Ok((file, dtype));
        }
        Origin::Concat { n_cols, parts } => (*n_cols, parts),
    };
    let mut dtype = None;
    let mut made = Vec::with_capacity(parts.len());
    for part in parts {
        let (source, stored) = self::origin(&part.matrix.origin, files)?;
        let own = result_dtype(stored, &part.matrix.ops);
        dtype = Some(dtype.map_or(own, |dtype| promoted(dtype, own)));
        made.push(ConcatPart::new(
            source,
            &part.matrix.ops,
            part.columns.clone(),
        )?);
    }
    let source = ConcatSource::new(made, n_cols)?;
    Ok((Arc::new(source), dtype.unwrap_or("float32")))
}

/// A selection among the rows that are left: the set of source rows, of `n_rows`, that `mask` (an
/// entry for each row of `before`) keeps.
///
/// # Errors
/// [`Error::Parameter`] when the mask has another length.
pub(crate) fn select_within(
    before: Option<&CellSet>,
    n_rows: u64,
    mask: &[bool],
) -> Result<CellSet> {
    let have = before.map_or(n_rows, CellSet::len);
    if have != mask.len() as u64 {
        return Err(Error::Parameter(format!(
            "a mask of {} cells was given for a matrix of {have}",
            mask.len()
        )));
    }
    let Some(before) = before else {
        return Ok(CellSet::from_mask(mask));
    };
    let mut full = vec![false; n_rows as usize];
    for (row, &keep) in before.within(0..n_rows).zip(mask) {
        full[row] = keep;
    }
    Ok(CellSet::from_mask(&full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_in_selections() {
        let first = CellSet::from_mask(&[true, false, true, true]);
        let second = select_within(Some(&first), 4, &[false, true, true]).unwrap();
        assert_eq!(second, CellSet::from_mask(&[false, false, true, true]));
        assert!(select_within(Some(&first), 4, &[true; 4]).is_err());
    }
}
