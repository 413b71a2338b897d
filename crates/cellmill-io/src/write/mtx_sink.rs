//! Writing a folder of 10x Genomics: `matrix.mtx.gz`, `barcodes.tsv.gz`, `features.tsv.gz`.
//!
//! The files are gzip members one after the other, so that spans are compressed on all cores. The
//! number of entries stands in the head and is known at the end: the head is a member of a fixed
//! size, written last.

use super::temporary::Temporary;
use crate::error::{Error, Result};
use crate::store::zarr::create::gzip;
use cellmill_engine::{Block, Sink};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const MATRIX: &str = "matrix.mtx.gz";
/// Bytes of text that are compressed together.
const TEXT: usize = 1 << 20;
/// Digits of the largest u64.
const DIGITS: usize = 20;

/// Writes a folder of 10x Genomics. The target appears whole at [`MtxWriter::commit`]; without it
/// nothing is left.
#[derive(Debug)]
pub struct MtxWriter {
    temporary: Temporary,
    target: PathBuf,
    overwrite: bool,
    level: u32,
}

impl MtxWriter {
    /// Begins a folder whose files have this gzip level. With `overwrite`, a folder with a matrix of
    /// 10x Genomics or a file may stand at the target.
    ///
    /// # Errors
    /// [`Error::Exists`] where the target is there and may not be replaced; [`Error::Malformed`]
    /// where it is a folder of something else; [`Error::Io`] where it cannot be written.
    pub fn create(target: &Path, overwrite: bool, level: u32) -> Result<Self> {
        let ours = |folder: &Path| folder.join(MATRIX).exists();
        Ok(Self {
            temporary: Temporary::create_folder(target, overwrite, ours)?,
            target: target.into(),
            overwrite,
            level,
        })
    }

    fn io(&self, name: &str) -> impl Fn(std::io::Error) -> Error {
        let (path, what) = (self.target.clone(), format!("{name} could not be written"));
        move |source| Error::Io {
            path: path.clone(),
            what: what.clone(),
            source,
        }
    }

    /// Writes the names of the cells.
    ///
    /// # Errors
    /// [`Error::Malformed`] where a name holds a tab or a line end; [`Error::Io`].
    pub fn barcodes(&self, names: &[String]) -> Result<()> {
        self.table("barcodes.tsv.gz", names.iter().map(|name| [name.as_str()]))
    }

    /// Writes identifier, symbol and type of each gene.
    ///
    /// # Errors
    /// As [`MtxWriter::barcodes`].
    pub fn features<'a>(&self, rows: impl Iterator<Item = [&'a str; 3]>) -> Result<()> {
        self.table("features.tsv.gz", rows)
    }

    fn table<'a, const N: usize>(
        &self,
        name: &str,
        rows: impl Iterator<Item = [&'a str; N]>,
    ) -> Result<()> {
        let io = self.io(name);
        let mut file = File::create(self.temporary.path().join(name)).map_err(&io)?;
        let mut text = Vec::new();
        let mut member = |text: &mut Vec<u8>| -> Result<()> {
            let bytes = self.packed(std::mem::take(text))?;
            file.write_all(&bytes).map_err(&io)
        };
        for (row, fields) in rows.enumerate() {
            if let Some(field) = fields.iter().find(|f| f.contains(['\t', '\n', '\r'])) {
                return Err(Error::Malformed {
                    path: self.target.clone(),
                    element: name.into(),
                    rows: Some(row as u64..row as u64 + 1),
                    what: format!("{field:?} holds a tab or a line end; rename it"),
                });
            }
            text.extend_from_slice(fields.join("\t").as_bytes());
            text.push(b'\n');
            if text.len() > TEXT {
                member(&mut text)?;
            }
        }
        member(&mut text)
    }

    fn packed(&self, text: Vec<u8>) -> Result<Vec<u8>> {
        gzip(text, Some(self.level)).map_err(|fault| Error::Malformed {
            path: self.target.clone(),
            element: MATRIX.into(),
            rows: None,
            what: fault.0,
        })
    }

    /// Begins the matrix, of cells x genes; on disk it is genes x cells.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn matrix(&self, shape: [u64; 2]) -> Result<MtxSink<'_>> {
        let path = self.temporary.path().join(MATRIX);
        let file = File::create(path).map_err(self.io(MATRIX))?;
        let sink = MtxSink {
            writer: self,
            file: Mutex::new((file, 0)),
            shape,
            entries: AtomicU64::new(0),
        };
        sink.append(&sink.head()?)?;
        Ok(sink)
    }

    /// Ends the folder: everything is on disk, and it has its name.
    ///
    /// # Errors
    /// [`Error::Io`] on a full disk, [`Error::Exists`] where the target has appeared meanwhile.
    pub fn commit(mut self) -> Result<()> {
        self.temporary.rename(self.overwrite)
    }
}

/// A [`Sink`] that writes counts as a Matrix Market file into an [`MtxWriter`]'s folder. Zeros are
/// left out, as 10x Genomics does.
#[derive(Debug)]
pub struct MtxSink<'a> {
    writer: &'a MtxWriter,
    /// The file, and its length.
    file: Mutex<(File, u64)>,
    shape: [u64; 2],
    entries: AtomicU64,
}

/// The text of one span.
#[derive(Debug, Default)]
pub struct MtxPart {
    packed: Vec<u8>,
    text: Vec<u8>,
    entries: u64,
}

impl MtxSink<'_> {
    /// The head, always of the same number of bytes: a comment takes up what the digits leave.
    fn head(&self) -> Result<Vec<u8>> {
        let [cells, genes] = self.shape;
        let entries = self.entries.load(Ordering::Relaxed).to_string();
        let text = format!(
            "%%MatrixMarket matrix coordinate integer general\n%written by cellmill{:width$}\n\
             {genes} {cells} {entries}\n",
            "",
            width = DIGITS - entries.len()
        );
        // Stored, not compressed.
        gzip(text.into_bytes(), Some(0)).map_err(|fault| self.refuse(None, fault.0))
    }

    fn refuse(&self, row: Option<u64>, what: String) -> Error {
        Error::Malformed {
            path: self.writer.target.clone(),
            element: MATRIX.into(),
            rows: row.map(|r| r..r + 1),
            what,
        }
    }

    fn append(&self, bytes: &[u8]) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.0.write_all(bytes).map_err(self.writer.io(MATRIX))?;
        file.1 += bytes.len() as u64;
        Ok(())
    }

    /// Ends the matrix: writes the number of entries.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<()> {
        let head = self.head()?;
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.0
            .write_all_at(&head, 0)
            .map_err(self.writer.io(MATRIX))
    }
}

impl Sink for MtxSink<'_> {
    type Part = MtxPart;

    fn start(&self, _span: usize) -> MtxPart {
        MtxPart::default()
    }

    fn push(&self, part: &mut MtxPart, block: &Block) -> cellmill_engine::Result<()> {
        for row in 0..block.n_rows() {
            let cell = block.first_row + row as u64;
            for entry in block.row(row) {
                let value = block.values.get(entry);
                if value == 0.0 {
                    continue;
                }
                let whole = value as i64;
                if whole as f64 != value {
                    let what = format!("the value {value} is no count, and mtx holds counts");
                    return Err(self.refuse(Some(cell), what).into());
                }
                let gene = u64::from(block.indices[entry]);
                // Writing to memory does not fail.
                let _ = writeln!(part.text, "{} {} {whole}", gene + 1, cell + 1);
                part.entries += 1;
            }
            if part.text.len() > TEXT {
                let text = std::mem::take(&mut part.text);
                part.packed.extend(self.writer.packed(text)?);
            }
        }
        Ok(())
    }

    fn accept(&self, mut part: MtxPart) -> cellmill_engine::Result<()> {
        let text = std::mem::take(&mut part.text);
        if !text.is_empty() {
            part.packed.extend(self.writer.packed(text)?);
        }
        self.entries.fetch_add(part.entries, Ordering::Relaxed);
        Ok(self.append(&part.packed)?)
    }

    fn part_bytes(&self, span_entries: u64, _span_rows: u64) -> u64 {
        let digits = |n: u64| u64::from(n.max(1).ilog10()) + 2;
        let line = digits(self.shape[0]) + digits(self.shape[1]) + DIGITS as u64;
        // Compressed text is held, and grows by doubling; beside it what is being compressed.
        span_entries * line * 2 + 4 * TEXT as u64
    }
}
