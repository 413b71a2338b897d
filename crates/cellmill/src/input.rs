//! The file that a run begins with: which matrix holds the counts, and whose genes they are.

mod genes;
pub mod groups;
pub mod labels;
mod several;

pub use several::{Several, open as open_files};

pub(crate) use genes::{gather_rows, select as select_rows, take_elem, take_rows};

use crate::counts::{Kind, Sample};
use crate::identity::Identity;
use crate::{Error, Result};
use cellmill_engine::Source as _;
use cellmill_engine::source::Selected;
use cellmill_io::{ArrayData, DataFrame, Elem, FileMatrix, H5ad, MatrixInfo, Scalar};
use serde::Serialize;
use std::sync::Arc;

/// Where zellkonverter writes the name of the assay that is X.
const X_NAME: &str = "uns/X_name";

/// A matrix of the file, and what a sample of it shows.
#[derive(Debug, Clone, Serialize)]
pub struct Candidate {
    /// How it is stored.
    pub info: MatrixInfo,
    /// What was sampled; `None` where the matrix cannot be read as a stream of cells.
    pub sample: Option<Sample>,
    /// What it looks like; `None` where it was not sampled.
    pub kind: Option<Kind>,
    /// Why, in a phrase.
    pub why: String,
}

/// Looks at every matrix of a file: X, raw/X and the layers.
///
/// # Errors
/// When the file's structure or a sampled part of a matrix cannot be read.
pub fn candidates(file: &H5ad) -> Result<Vec<Candidate>> {
    file.matrices()?
        .into_iter()
        .map(|info| look(file, info))
        .collect()
}

fn look(file: &H5ad, info: MatrixInfo) -> Result<Candidate> {
    match file.source(&info.address, None) {
        Ok(source) => {
            let sample = Sample::of(&*source)?;
            let kind = Some(sample.kind());
            let why = why(file, &info.address, &sample);
            Ok(Candidate {
                info,
                sample: Some(sample),
                kind,
                why,
            })
        }
        Err(e @ cellmill_io::Error::Unsupported { .. }) => {
            let why = e.to_string();
            Ok(Candidate {
                info,
                sample: None,
                kind: None,
                why,
            })
        }
        Err(e) => Err(e.into()),
    }
}

/// What a sample of a matrix shows and, of X, what zellkonverter says that it is. Only the values
/// decide.
fn why(file: &H5ad, address: &str, sample: &Sample) -> String {
    let shown = sample.why();
    if address != "X" || !file.exists(X_NAME) {
        return shown;
    }
    let name = match file.read(X_NAME) {
        Ok(Elem::Scalar(Scalar::Str(name))) => name,
        Ok(Elem::Array(array)) => match array.data {
            ArrayData::Str(names) if names.len() == 1 => names.concat(),
            _ => return shown,
        },
        _ => return shown,
    };
    format!("{X_NAME} calls it {name}; {shown}")
}

/// The matrix that a run counts in, and why it was taken.
pub struct Input {
    /// The open file.
    pub file: H5ad,
    /// The matrix: `X`, `raw/X` or `layers/NAME`.
    pub matrix: String,
    /// The matrix as a stream of blocks: the cells and genes that are selected.
    pub source: Selected<Arc<dyn FileMatrix>>,
    /// The genes that are selected: `var`, or `raw/var` with the columns of `var` joined to it.
    pub var: DataFrame,
    /// Of the genes that are selected, those that are never highly variable; empty: none.
    pub(crate) excluded: Vec<bool>,
    /// Sentences for the user: which matrix was taken and why.
    pub notes: Vec<String>,
}

impl Input {
    /// Opens a file's count matrix: the one named, or the one that holds raw counts.
    ///
    /// # Errors
    /// When there is no such matrix, none or several different ones look like raw counts, the one
    /// named holds something else, or there are no cells or genes.
    pub fn open(
        file: H5ad,
        matrix: Option<&str>,
        fractional: bool,
        block_rows: Option<u64>,
    ) -> Result<Self> {
        let mut notes = Vec::new();
        let matrix = match matrix {
            Some(named) => named_matrix(&file, named, fractional, &mut notes)?,
            None => found_matrix(&file, fractional, &mut notes)?,
        };
        Self::of_matrix(file, matrix, block_rows, notes)
    }

    /// Opens the matrix that is named, whatever it holds.
    ///
    /// # Errors
    /// When there is no such matrix, or there are no cells or genes.
    pub fn open_any(file: H5ad, named: &str) -> Result<Self> {
        let matrix = there(&file, named)?;
        Self::of_matrix(file, matrix, None, Vec::new())
    }

    fn of_matrix(
        file: H5ad,
        matrix: String,
        block_rows: Option<u64>,
        mut notes: Vec<String>,
    ) -> Result<Self> {
        file.choose(&matrix);
        let source = file.source(&matrix, block_rows)?;
        refuse_empty(&file, &matrix, &*source)?;
        let var = genes::of_matrix(&file, &matrix, &mut notes)?;
        refuse_other_shape(&file, &matrix, source.shape(), var.index.len() as u64)?;
        Ok(Self {
            file,
            matrix,
            source: Selected::whole(source)?,
            var,
            excluded: Vec::new(),
            notes,
        })
    }

    /// Excludes genes from those that may be highly variable, by the words of
    /// [`Identity::named`]; they stay in every total.
    ///
    /// # Errors
    /// As [`Identity::named`], and [`Error::Data`] when no gene is left.
    pub(crate) fn exclude(&mut self, words: &[String], genes: &Identity) -> Result<()> {
        if words.is_empty() {
            return Ok(());
        }
        let named = genes.named(words)?;
        self.excluded = named.genes;
        let n = self.n_excluded();
        if n == genes.len() {
            return Err(Error::Data(format!(
                "hvg_exclude ({}) names all {n} genes, and none is left to be highly variable",
                words.join(", ")
            )));
        }
        let unknown = named.unknown.map_or(String::new(), |(n, first)| {
            format!("; {n} names of lists are not among the genes, {first} the first")
        });
        self.notes.push(format!(
            "hvg_exclude ({}): {n} genes are never highly variable, and stay in totals{unknown}",
            words.join(", ")
        ));
        Ok(())
    }

    /// How many genes are never highly variable.
    pub(crate) fn n_excluded(&self) -> usize {
        self.excluded.iter().filter(|&&excluded| excluded).count()
    }

    /// Selects among the cells and genes that are selected: a mask of the cells, and columns; `None`:
    /// all. Nothing is read.
    ///
    /// # Errors
    /// When they do not fit what is selected.
    pub fn select(&mut self, cells: Option<&[bool]>, genes: Option<&[u32]>) -> Result<()> {
        let n_rows = self.source.inner().n_rows();
        let before = self.source.cells();
        let cells = match cells {
            None => before.cloned(),
            Some(mask) => Some(crate::matrix::select_within(before, n_rows, mask)?),
        };
        let columns = match (self.source.genes(), genes) {
            (Some(before), Some(genes)) => Some(
                genes
                    .iter()
                    .filter_map(|&g| before.get(g as usize).copied())
                    .collect(),
            ),
            (before, genes) => genes.or(before).map(<[u32]>::to_vec),
        };
        self.source.select(cells, columns)?;
        if let Some(genes) = genes {
            self.var = select_rows(&self.var, genes)?;
            if !self.excluded.is_empty() {
                let of = |&gene: &u32| self.excluded.get(gene as usize).copied();
                self.excluded = genes.iter().filter_map(of).collect();
            }
        }
        Ok(())
    }

    /// Whether the counts stand in `raw/X`, with genes of their own.
    pub fn is_raw(&self) -> bool {
        self.matrix == "raw/X"
    }
}

/// The matrix must have a row for each cell of obs and a column for each gene.
fn refuse_other_shape(file: &H5ad, matrix: &str, shape: [u64; 2], n_vars: u64) -> Result<()> {
    let n_obs = file.shape_of("obs")?.first().copied().unwrap_or(0);
    let [rows, columns] = shape;
    if (rows, columns) == (n_obs, n_vars) {
        return Ok(());
    }
    let var = if matrix == "raw/X" { "raw/var" } else { "var" };
    Err(Error::Data(format!(
        "{}: {matrix} is {rows} x {columns}, while obs has {n_obs} cells and {var} has {n_vars} genes; \
         the file contradicts itself, write it again",
        file.path().display()
    )))
}

fn refuse_empty(file: &H5ad, matrix: &str, source: &dyn FileMatrix) -> Result<()> {
    let empty = match (source.n_rows(), source.n_cols(), source.nnz()) {
        (0, _, _) => "no cells",
        (_, 0, _) => "no genes",
        (_, _, Some(0)) => "no entry: every cell is empty",
        _ => return Ok(()),
    };
    Err(Error::Data(format!(
        "{}: {matrix} has {empty}; there is nothing to analyse",
        file.path().display()
    )))
}

/// `raw` means `raw/X`, and a layer may be named alone.
fn address(file: &H5ad, named: &str) -> String {
    let layer = format!("layers/{named}");
    match named.trim_matches('/') {
        "raw" => "raw/X".to_owned(),
        other if !other.contains('/') && other != "X" && file.exists(&layer) => layer,
        other => other.to_owned(),
    }
}

/// The address of the matrix that is named.
fn there(file: &H5ad, named: &str) -> Result<String> {
    let address = address(file, named);
    let infos = file.matrices()?;
    if infos.iter().any(|i| i.address == address) {
        return Ok(address);
    }
    let known: Vec<&str> = infos.iter().map(|i| i.address.as_str()).collect();
    Err(Error::Data(format!(
        "{} has no matrix {address}; it has {}",
        file.path().display(),
        if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        }
    )))
}

fn named_matrix(
    file: &H5ad,
    named: &str,
    fractional: bool,
    notes: &mut Vec<String>,
) -> Result<String> {
    let address = there(file, named)?;
    // A matrix that cannot be read as a stream is an error here, with the reason.
    let sample = Sample::of(&*file.source(&address, None)?)?;
    let fits = match sample.kind() {
        Kind::RawCounts => true,
        Kind::FractionalCounts | Kind::Normalised => fractional,
        Kind::Scaled => false,
        Kind::Empty => true,
    };
    if !fits {
        let hint = if sample.kind() == Kind::Scaled {
            "name a matrix of counts with --matrix"
        } else {
            "name a matrix of counts with --matrix, or say --fractional if these are counts"
        };
        return Err(Error::Data(format!(
            "{}: {address} does not hold raw counts ({}); {hint}",
            file.path().display(),
            why(file, &address, &sample)
        )));
    }
    let why = why(file, &address, &sample);
    notes.push(format!("counts: {address} ({why})"));
    Ok(address)
}

fn found_matrix(file: &H5ad, fractional: bool, notes: &mut Vec<String>) -> Result<String> {
    let candidates = candidates(file)?;
    let path = file.path().display();
    let of_kind = |kind| {
        candidates
            .iter()
            .filter(move |c| c.kind == Some(kind))
            .collect::<Vec<_>>()
    };
    let mut fitting = of_kind(Kind::RawCounts);
    if fitting.is_empty() && fractional {
        fitting = of_kind(Kind::FractionalCounts);
    }
    let list = |cs: &[&Candidate]| {
        cs.iter()
            .map(|c| format!("{}: {}", c.info.address, c.why))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let Some((&first, others)) = fitting.split_first() else {
        let all: Vec<&Candidate> = candidates.iter().collect();
        let hint = if of_kind(Kind::FractionalCounts).is_empty() {
            "--matrix names a matrix to use"
        } else {
            "--fractional takes counts with fractions"
        };
        return Err(Error::Data(if all.is_empty() {
            format!("{path} holds no matrix: there is no X, no raw/X and no layer")
        } else {
            format!(
                "{path}: no matrix holds raw counts ({}); {hint}",
                list(&all)
            )
        }));
    };
    let same = |c: &Candidate| {
        c.info.shape == first.info.shape
            && c.info.nnz == first.info.nnz
            && c.sample.as_ref().map(|s| s.hash) == first.sample.as_ref().map(|s| s.hash)
    };
    if !others.iter().all(|c| same(c)) {
        return Err(Error::Data(format!(
            "{path}: several different matrices hold raw counts ({}); choose one with --matrix",
            list(&fitting)
        )));
    }
    notes.push(format!("counts: {} ({})", first.info.address, first.why));
    for other in others {
        notes.push(format!("{} holds the same counts", other.info.address));
    }
    Ok(first.info.address.clone())
}
