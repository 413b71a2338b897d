//! A file in another form: h5ad or zarr, other compression and chunks, layout of the matrices, some of
//! the cells and genes; every element is kept, matrices and graphs are streamed. Or its counts alone
//! as a folder of 10x Genomics.

mod form;
mod matrix;
mod mtx;
mod names;
mod subset;

pub use form::Form;
pub use matrix::Layout;

use crate::{Error, Result};
use cellmill_engine::{Context, Event};
use cellmill_io::{Elem, H5ad, H5adWriter, WriteOptions};
use std::path::Path;

/// How a file is converted.
#[derive(Debug, Clone, Copy)]
pub struct Convert<'a> {
    /// An h5ad file, a zarr folder, or a file or folder of 10x Genomics.
    pub file: &'a Path,
    /// The file or folder to write.
    pub target: &'a Path,
    /// What to write.
    pub form: Form,
    /// How X and the layers lie in what is written; raw and graphs are CSR. Without a meaning for
    /// [`Form::Mtx`].
    pub layout: Layout,
    /// The count matrix for [`Form::Mtx`]; `None`: the one that holds raw counts.
    pub matrix: Option<&'a str>,
    /// Whether `target` may be replaced.
    pub force: bool,
    /// A text file with the names of the cells to keep, one a line.
    pub cells: Option<&'a Path>,
    /// The same for genes.
    pub genes: Option<&'a Path>,
    /// The gzip level of what is written anew, 0 for none; `None` copies compressed chunks where they
    /// can be copied, and takes 4 elsewhere.
    pub gzip: Option<u32>,
    /// Entries in a chunk of a matrix that is written anew.
    pub chunk: Option<u64>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// Cells.
    pub n_cells: u64,
    /// Genes.
    pub n_genes: u64,
    /// Bytes of the dense matrices that were written anew, before compression.
    pub dense_bytes: u64,
}

/// Which rows stay, of how many.
struct Kept {
    /// The rows in order; `None` where all stay.
    rows: Option<Vec<u32>>,
    n: u64,
}

impl Kept {
    fn len(&self) -> u64 {
        self.rows.as_ref().map_or(self.n, |rows| rows.len() as u64)
    }

    fn mask(&self) -> Option<Vec<bool>> {
        self.rows.as_ref().map(|rows| {
            let mut mask = vec![false; self.n as usize];
            rows.iter().for_each(|&r| mask[r as usize] = true);
            mask
        })
    }
}

/// Writes a file in another form. The target appears whole or not at all.
///
/// # Errors
/// When the file cannot be read, a name is not in it, or the target cannot be written.
pub fn convert(ctx: &Context, what: &Convert<'_>) -> Result<Converted> {
    let file = H5ad::open_in(what.file, &ctx.into())?;
    for text in file.warnings() {
        ctx.emit(Event::Warning { text: text.clone() });
    }
    crate::result::refuse_input_as_target(&file, what.target)?;
    let writer = match what.form {
        Form::H5ad => H5adWriter::create,
        Form::Zarr => H5adWriter::create_zarr,
        Form::Mtx => return mtx::write(ctx, file, what),
    };
    let cells = names::kept(&file, "obs", what.cells)?;
    let genes = names::kept(&file, "var", what.genes)?;
    let writer = writer(what.target, what.force)?;
    let mut work = Work {
        ctx,
        file: &file,
        writer,
        what,
        cells: &cells,
        genes: &genes,
        dense_bytes: 0,
    };
    if let Some(level) = what.gzip {
        work.writer.set_options(WriteOptions {
            compression: (level > 0).then_some(level),
        });
    }
    work.all()?;
    let dense_bytes = work.dense_bytes;
    work.writer.commit()?;
    Ok(Converted {
        n_cells: cells.len(),
        n_genes: genes.len(),
        dense_bytes,
    })
}

struct Work<'a> {
    ctx: &'a Context,
    file: &'a H5ad,
    writer: H5adWriter,
    what: &'a Convert<'a>,
    cells: &'a Kept,
    genes: &'a Kept,
    dense_bytes: u64,
}

impl Work<'_> {
    fn all(&mut self) -> Result<()> {
        let every = Kept { rows: None, n: 0 };
        self.element("obs", self.cells, &every)?;
        self.element("var", self.genes, &every)?;
        for info in self.file.matrices()? {
            // raw has genes of its own, as in anndata.
            let (genes, layout) = if info.address == "raw/X" {
                (&every, Layout::Csr)
            } else {
                (self.genes, self.what.layout)
            };
            self.matrix(&info, layout, self.cells, genes)?;
        }
        if self.file.exists("raw/var") {
            self.element("raw/var", &every, &every)?;
            self.members("raw/varm", &every, &every)?;
        }
        self.members("obsm", self.cells, &every)?;
        self.members("varm", self.genes, &every)?;
        self.members("obsp", self.cells, self.cells)?;
        self.members("varp", self.genes, self.genes)?;
        self.members("uns", &every, &every)
    }

    /// Whether everything is read and written anew.
    fn anew(&self) -> bool {
        self.what.gzip.is_some() || self.what.chunk.is_some() || self.what.form == Form::Zarr
    }

    fn members(&mut self, group: &str, rows: &Kept, columns: &Kept) -> Result<()> {
        let names = self.file.keys(group)?;
        if names.is_empty() && self.file.exists(group) {
            // Files of anndata before 0.7 have one compound in place of a group.
            if let Elem::Dict(all) = self.file.read(group)? {
                for (name, elem) in all {
                    let address = format!("{group}/{name}");
                    self.part(&address, elem, rows, columns)?;
                }
            }
        }
        let moved = match group {
            "uns" => self.file.categories_in_uns()?,
            _ => Vec::new(),
        };
        for name in names.into_iter().filter(|name| !moved.contains(name)) {
            self.element(&format!("{group}/{name}"), rows, columns)?;
        }
        Ok(())
    }

    /// An element of which these rows (and columns) stay.
    fn element(&mut self, address: &str, rows: &Kept, columns: &Kept) -> Result<()> {
        self.ctx.cancel().check()?;
        if !self.file.exists(address) {
            return Ok(());
        }
        let whole = rows.rows.is_none() && columns.rows.is_none();
        if whole && !self.anew() {
            return Ok(self.writer.copy_from(self.file, address, address)?);
        }
        let pair = address.starts_with("obsp/") || address.starts_with("varp/");
        if pair {
            let info = self.file.matrix_info(address)?;
            if ["csr", "csc"].contains(&info.encoding.as_str()) {
                return self.matrix(&info, Layout::Csr, rows, columns);
            }
        }
        let shape = self.file.shape_of(address).unwrap_or_default();
        let bytes = shape.iter().fold(8u64, |n, &d| n.saturating_mul(d.max(1)));
        let _held = self.ctx.budget().reserve(bytes, address)?;
        let elem = self.file.read(address)?;
        self.part(address, elem, rows, columns)
    }

    /// Writes the rows and columns of an element that stay.
    fn part(&mut self, address: &str, elem: Elem, rows: &Kept, columns: &Kept) -> Result<()> {
        let whole = rows.rows.is_none() && columns.rows.is_none();
        match elem {
            foreign @ Elem::Foreign { .. } if whole => Ok(self.writer.write(address, &foreign)?),
            Elem::Foreign { encoding, .. } => Err(Error::Data(format!(
                "{}: {address} is {encoding}, of which rows cannot be selected; remove it, or convert \
                 the file without --cells and --genes",
                self.file.path().display()
            ))),
            elem if whole => Ok(self.writer.write(address, &elem)?),
            elem => {
                let part = subset::of(elem, rows.rows.as_deref(), columns.rows.as_deref())
                    .map_err(|what| {
                        Error::Data(format!("{}: {address}: {what}", self.file.path().display()))
                    })?;
                Ok(self.writer.write(address, &part)?)
            }
        }
    }
}
