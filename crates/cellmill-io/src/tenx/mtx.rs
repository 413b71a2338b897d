//! Folders of Cell Ranger: `matrix.mtx`, `barcodes.tsv`, `features.tsv` (version 3) or `genes.tsv`
//! (version 2), plain or gzip.
//!
//! The matrix is text, and read once: its entries come cell by cell and go to scratch as they come.
//! Where a file has them in another order, they are read again and turned around.

use super::text::{Lines, table};
use super::{Counts, Table, Tables};
use crate::elem::{ArrayData, Column, DataFrame};
use crate::error::{Error, Result};
use crate::matrix::{MatrixInfo, ReadPath};
use crate::open::FileIdentity;
use crate::turned::{Entries, Entry, Number, Take, Turned, cached, hash_of, starts};
use crate::workspace::Workspace;
use cellmill_engine::run::scratch_file;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Entries that are handed on at once.
const BATCH: usize = 1 << 16;

/// A Matrix Market file, of which the header was read.
#[derive(Debug, Clone)]
pub(crate) struct Mtx {
    path: PathBuf,
    /// Genes and cells.
    shape: [u64; 2],
    nnz: u64,
    /// Whether values are integers by the header.
    integers: bool,
}

/// Opens the folder, or the folder of the matrix file, at `path`; `None` where there is no matrix.
pub(crate) fn open(path: &Path) -> Result<Option<Tables>> {
    let Some(matrix) = matrix_file(path)? else {
        return Ok(None);
    };
    let name = matrix.file_name().unwrap_or_default().to_string_lossy();
    let prefix = name.split("matrix.mtx").next().unwrap_or("").to_owned();
    let folder = matrix.parent().unwrap_or(Path::new("."));
    let beside = |names: &[&str]| -> Result<PathBuf> {
        let all: Vec<String> = names
            .iter()
            .flat_map(|name| [format!("{prefix}{name}"), format!("{prefix}{name}.gz")])
            .collect();
        all.iter()
            .map(|name| folder.join(name))
            .find(|p| p.is_file())
            .ok_or_else(|| Error::MissingElement {
                path: folder.into(),
                element: format!("{prefix}{}", names[0]),
                instead: format!("beside {name}, one of {} was expected", all.join(", ")),
            })
    };
    let mtx = header(&matrix)?;
    let features = beside(&["features.tsv", "genes.tsv"])?;
    let barcodes = beside(&["barcodes.tsv"])?;
    let var = var(&features)?;
    let mut barcode = table(&barcodes)?.into_iter();
    let obs = DataFrame {
        index_name: "_index".into(),
        index: barcode.next().unwrap_or_default(),
        columns: Vec::new(),
    };
    for (file, what, found, expected) in [
        (&features, "features", var.index.len() as u64, mtx.shape[0]),
        (&barcodes, "barcodes", obs.index.len() as u64, mtx.shape[1]),
    ] {
        if found != expected {
            return Err(Error::Malformed {
                path: file.clone(),
                element: what.into(),
                rows: None,
                what: format!("there are {found}, and {name} has {expected}"),
            });
        }
    }
    let facts = std::fs::metadata(&matrix).map_err(|source| Error::Io {
        path: matrix.clone(),
        what: "its size could not be read".into(),
        source,
    })?;
    let info = MatrixInfo {
        address: "X".into(),
        encoding: "mtx".into(),
        shape: [mtx.shape[1], mtx.shape[0]],
        nnz: Some(mtx.nnz),
        data_dtype: "float32".into(),
        indices_dtype: "text".into(),
        indptr_dtype: "text".into(),
        chunk_entries: None,
        filters: if name.ends_with(".gz") {
            vec!["gzip".into()]
        } else {
            Vec::new()
        },
        compressed_bytes: facts.len(),
        path: ReadPath::Library("text that is read once, into scratch".into()),
    };
    Ok(Some(Tables {
        path: path.into(),
        identity: FileIdentity {
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            size: facts.len(),
            mtime_ns: facts
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(facts.mtime_nsec()),
        },
        warnings: Vec::new(),
        all: vec![Table {
            address: "X".into(),
            obs,
            var,
            info,
            counts: Counts::Mtx(Box::new(mtx)),
        }],
        chosen: Mutex::new(None),
    }))
}

/// The matrix file: `path` itself, or the only one in the folder.
fn matrix_file(path: &Path) -> Result<Option<PathBuf>> {
    let is_matrix = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with("matrix.mtx") || name.ends_with("matrix.mtx.gz")
    };
    if path.is_file() {
        return Ok(is_matrix(path).then(|| path.to_owned()));
    }
    let Ok(folder) = std::fs::read_dir(path) else {
        return Ok(None);
    };
    let mut found: Vec<PathBuf> = folder
        .flatten()
        .map(|entry| entry.path())
        .filter(|p| is_matrix(p))
        .collect();
    found.sort();
    if found.len() > 1 {
        let names: Vec<String> = found.iter().map(|p| p.display().to_string()).collect();
        return Err(Error::Unsupported {
            path: path.into(),
            element: "matrix.mtx".into(),
            what: format!("the folder has {} of them", found.len()),
            instead: format!("name one: {}", names.join(", ")),
        });
    }
    Ok(found.pop())
}

fn header(path: &Path) -> Result<Mtx> {
    let mut lines = Lines::open(path)?;
    let (shape, nnz, integers) = sizes(&mut lines)?;
    Ok(Mtx {
        path: path.into(),
        shape,
        nnz,
        integers,
    })
}

/// Reads up to the line of sizes.
fn sizes(lines: &mut Lines) -> Result<([u64; 2], u64, bool)> {
    let first = lines
        .next()?
        .map(|l| String::from_utf8_lossy(l).to_lowercase());
    let banner = first.unwrap_or_default();
    let words: Vec<&str> = banner.split_whitespace().collect();
    let integers = match words[..] {
        [
            "%%matrixmarket",
            "matrix",
            "coordinate",
            "integer",
            "general",
        ] => true,
        ["%%matrixmarket", "matrix", "coordinate", "real", "general"] => false,
        _ => {
            return Err(lines.malformed(
                "%%MatrixMarket matrix coordinate integer (or real) general was expected",
            ));
        }
    };
    loop {
        let Some(line) = lines.next()? else {
            return Err(lines.malformed("the file ends before its sizes"));
        };
        if line.is_empty() || line[0] == b'%' {
            continue;
        }
        let text = String::from_utf8_lossy(line).into_owned();
        let numbers: Vec<u64> = text
            .split_whitespace()
            .filter_map(|w| w.parse().ok())
            .collect();
        let &[genes, cells, nnz] = numbers.as_slice() else {
            return Err(lines.malformed("three sizes were expected: genes, cells, entries"));
        };
        if u32::try_from(genes).is_err() {
            return Err(lines.malformed(format!("{genes} genes are more than {}", u32::MAX)));
        }
        return Ok(([genes, cells], nnz, integers));
    }
}

/// The genes, with scanpy's names of columns.
fn var(path: &Path) -> Result<DataFrame> {
    let mut columns = table(path)?;
    if columns.len() < 2 {
        return Err(Error::Malformed {
            path: path.into(),
            element: "its lines".into(),
            rows: None,
            what: "an id and a name were expected, with a tab between them".into(),
        });
    }
    columns.truncate(3);
    let types = (columns.len() == 3).then(|| columns.remove(2));
    let index = columns.remove(1);
    let ids = columns.remove(0);
    let mut frame = DataFrame {
        index_name: "_index".into(),
        index,
        columns: vec![("gene_ids".into(), Column::Plain(numbers_or_text(ids)))],
    };
    if let Some(types) = types {
        let types = Column::Plain(ArrayData::Str(types));
        frame.columns.push(("feature_types".into(), types));
    }
    Ok(frame)
}

/// Integers where all fields are, as pandas reads them.
fn numbers_or_text(fields: Vec<String>) -> ArrayData {
    let numbers: Option<Vec<i64>> = fields.iter().map(|f| f.parse().ok()).collect();
    match numbers {
        Some(numbers) if !numbers.is_empty() => ArrayData::I64(numbers),
        _ => ArrayData::Str(fields),
    }
}

impl Entries for Mtx {
    fn each(&self, bytes_read: &AtomicU64, take: &mut Take<'_>) -> cellmill_engine::Result<()> {
        let mut lines = Lines::open(&self.path)?;
        let (shape, nnz, integers) = sizes(&mut lines)?;
        if (shape, nnz, integers) != (self.shape, self.nnz, self.integers) {
            return Err(Error::Changed {
                path: self.path.clone(),
                what: "its sizes are others".into(),
            }
            .into());
        }
        let mut batch = Vec::with_capacity(BATCH);
        let mut found = 0;
        while let Some(line) = lines.next()? {
            let entry = match parse(line, shape) {
                Ok(Some(entry)) => entry,
                Ok(None) => continue,
                Err(what) => return Err(lines.malformed(what).into()),
            };
            found += 1;
            if found > nnz {
                let what = format!("the header says {nnz} entries, and here is one more");
                return Err(lines.malformed(what).into());
            }
            // scanpy reads 32-bit floats.
            let value = if integers {
                entry.value
            } else {
                f64::from(entry.value as f32)
            };
            batch.push(Entry { value, ..entry });
            if batch.len() == BATCH {
                take(&batch)?;
                batch.clear();
            }
        }
        take(&batch)?;
        bytes_read.fetch_add(lines.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        if found < nnz {
            return Err(Error::Truncated {
                path: self.path.clone(),
                element: String::new(),
                what: format!("the header says {nnz} entries, and there are {found}"),
            }
            .into());
        }
        Ok(())
    }
}

/// Gene, cell and value, numbered from 1; nothing on an empty line.
fn parse(line: &[u8], [genes, cells]: [u64; 2]) -> Result<Option<Entry>, String> {
    let mut words = line
        .split(|b| b.is_ascii_whitespace())
        .filter(|w| !w.is_empty());
    let Some(gene) = words.next() else {
        return Ok(None);
    };
    let (Some(cell), Some(value), None) = (words.next(), words.next(), words.next()) else {
        return Err(format!(
            "gene, cell and value were expected, not {:?}",
            String::from_utf8_lossy(line)
        ));
    };
    let place = |word: &[u8], what: &str, n: u64| match integer(word) {
        Some(i) if (1..=n).contains(&i) => Ok(i - 1),
        _ => Err(format!(
            "the {what} should be a number from 1 to {n} and is {}",
            String::from_utf8_lossy(word)
        )),
    };
    let column = place(gene, "gene", genes)? as u32;
    let row = place(cell, "cell", cells)?;
    let value = match integer(value) {
        Some(n) if n <= 1 << 53 => n as f64,
        _ => std::str::from_utf8(value)
            .ok()
            .and_then(|v| v.parse::<f64>().ok())
            .filter(|v| v.is_finite())
            .ok_or_else(|| {
                format!(
                    "the value should be a finite number and is {}",
                    String::from_utf8_lossy(value)
                )
            })?,
    };
    Ok(Some(Entry { row, column, value }))
}

fn integer(word: &[u8]) -> Option<u64> {
    if word.is_empty() || word.len() > 18 {
        return None;
    }
    word.iter().try_fold(0u64, |n, &b| {
        b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0'))
    })
}

impl Mtx {
    /// Reads the matrix, once: into scratch as CSR where cells come one after another.
    pub(super) fn turned(
        &self,
        identity: &FileIdentity,
        workspace: &Workspace,
    ) -> Result<Arc<Turned>> {
        cached(identity, "X", || {
            let (indptr, scratch) = self.load(workspace)?;
            Ok(Turned {
                path: identity.path.clone(),
                identity: identity.clone(),
                address: "X".into(),
                layout: "Matrix Market",
                stored_dtype: "float32".into(),
                n_cols: self.shape[0] as u32,
                table_hash: hash_of(&indptr),
                indptr,
                number: if self.integers {
                    Number::Wide
                } else {
                    Number::Single
                },
                entries: Box::new(self.clone()),
                scratch: Mutex::new(scratch.map(Arc::new)),
                bytes_read: AtomicU64::new(0),
            })
        })
    }

    fn load(&self, workspace: &Workspace) -> cellmill_engine::Result<(Vec<u64>, Option<File>)> {
        let cells = usize::try_from(self.shape[1]).unwrap_or(usize::MAX);
        let mut counts: Vec<u64> = Vec::new();
        counts
            .try_reserve_exact(cells)
            .map_err(|_| Error::Malformed {
                path: self.path.clone(),
                element: "its sizes".into(),
                rows: None,
                what: format!("{cells} cells do not fit in memory"),
            })?;
        counts.resize(cells, 0);
        let scratch = scratch_file(&workspace.scratch)?;
        let size = if self.integers { 8 } else { 4 };
        let (mut last, mut ordered, mut done) = (0, true, 0);
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        self.each(&AtomicU64::new(0), &mut |batch| {
            workspace.cancel.check()?;
            columns.clear();
            values.clear();
            for entry in batch {
                ordered &= entry.row >= last;
                last = entry.row;
                counts[entry.row as usize] += 1;
                columns.extend_from_slice(&entry.column.to_ne_bytes());
                if self.integers {
                    values.extend_from_slice(&entry.value.to_ne_bytes());
                } else {
                    values.extend_from_slice(&(entry.value as f32).to_ne_bytes());
                }
            }
            if ordered {
                let write = |bytes: &[u8], at: u64| {
                    scratch
                        .write_all_at(bytes, at)
                        .map_err(|source| cellmill_engine::Error::Io {
                            what: "writing a scratch file".into(),
                            source,
                        })
                };
                write(&columns, done * 4)?;
                write(&values, self.nnz * 4 + done * size)?;
            }
            done += batch.len() as u64;
            Ok(())
        })?;
        Ok((starts(counts), ordered.then_some(scratch)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_entries() {
        let shape = [5, 3];
        let entry = |row, column, value| Ok(Some(Entry { row, column, value }));
        assert_eq!(parse(b"1 1 1", shape), entry(0, 0, 1.0));
        assert_eq!(parse(b" 5\t3  2.5e1 ", shape), entry(2, 4, 25.0));
        assert_eq!(parse(b"", shape), Ok(None));
        for bad in [
            "6 1 1", "0 1 1", "1 4 1", "1 1", "1 1 1 1", "a 1 1", "1 1 nan", "1 -1 1",
        ] {
            assert!(parse(bad.as_bytes(), shape).is_err(), "{bad}");
        }
    }
}
