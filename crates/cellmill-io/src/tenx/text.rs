//! Text files, plain or gzip, line by line.

use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the bytes that come from the file.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// The lines of a file.
pub(super) struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    /// The number of the line that was read last, from 1.
    pub(super) number: u64,
    pub(super) bytes: Arc<AtomicU64>,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound { path: path.into() },
            _ => Error::Io {
                path: path.into(),
                what: "it could not be opened for reading".into(),
                source,
            },
        })?;
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            file,
            bytes: bytes.clone(),
        };
        let mut plain = BufReader::with_capacity(1 << 16, counted);
        let start = plain.fill_buf().map_err(|e| unreadable(path, e))?;
        let reader: Box<dyn BufRead> = if start.starts_with(&[0x1f, 0x8b]) {
            Box::new(BufReader::with_capacity(
                1 << 18,
                MultiGzDecoder::new(plain),
            ))
        } else {
            Box::new(plain)
        };
        Ok(Self {
            path: path.into(),
            reader,
            line: Vec::new(),
            number: 0,
            bytes,
        })
    }

    /// The next line without its end; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>> {
        self.line.clear();
        let n = self
            .reader
            .read_until(b'\n', &mut self.line)
            .map_err(|e| unreadable(&self.path, e))?;
        if n == 0 {
            return Ok(None);
        }
        self.number += 1;
        while matches!(self.line.last(), Some(b'\n' | b'\r')) {
            self.line.pop();
        }
        Ok(Some(&self.line))
    }

    /// A contradiction in the line that was read last.
    pub(super) fn malformed(&self, what: impl Into<String>) -> Error {
        Error::Malformed {
            path: self.path.clone(),
            element: format!("line {}", self.number),
            rows: None,
            what: what.into(),
        }
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> Error {
    use std::io::ErrorKind;
    match source.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            Error::Truncated {
                path: path.into(),
                element: String::new(),
                what: format!("its gzip stream cannot be read to the end ({source})"),
            }
        }
        _ => Error::Io {
            path: path.into(),
            what: "it could not be read".into(),
            source,
        },
    }
}

/// The fields of a file of values between tabs, column by column; every line has as many.
pub(super) fn table(path: &Path) -> Result<Vec<Vec<String>>> {
    let mut lines = Lines::open(path)?;
    let mut columns: Vec<Vec<String>> = Vec::new();
    while let Some(line) = lines.next()? {
        let line = String::from_utf8_lossy(line).into_owned();
        if line.is_empty() {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        if columns.is_empty() {
            columns.resize(fields.len(), Vec::new());
        }
        if fields.len() != columns.len() {
            return Err(lines.malformed(format!(
                "it has {} fields, and the lines before have {}",
                fields.len(),
                columns.len()
            )));
        }
        for (column, field) in columns.iter_mut().zip(fields) {
            column.push(field.to_owned());
        }
    }
    Ok(columns)
}
