//! An open file: the library's handle, a descriptor of our own, and what it was when opened.

use crate::error::{Error, Result};
use crate::store::hdf5::{Fault, File, Object, Opening};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What makes a file the same file: a plan holds it, and a reader refuses another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileIdentity {
    /// The path, absolute.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Time of the last change, nanoseconds since 1970.
    pub mtime_ns: i64,
}

/// Where bytes come from: for errors, and for plans.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The path that was opened.
    pub(crate) path: PathBuf,
    pub(crate) identity: FileIdentity,
}

impl Origin {
    /// Refuses bytes that lie beyond the end of the file.
    pub(crate) fn inside(&self, address: &str, at: u64, bytes: u64) -> Result<()> {
        match at.checked_add(bytes) {
            Some(end) if end <= self.identity.size => Ok(()),
            _ => Err(Error::Truncated {
                path: self.path.clone(),
                element: address.into(),
                what: format!(
                    "{bytes} bytes at offset {at} were expected and the file has {}",
                    self.identity.size
                ),
            }),
        }
    }

    /// A contradiction in an element.
    pub(crate) fn malformed(&self, address: &str, what: impl Into<String>) -> Error {
        Error::Malformed {
            path: self.path.clone(),
            element: address.trim_matches('/').into(),
            rows: None,
            what: what.into(),
        }
    }
}

/// An HDF5 file that is open for reading.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) origin: Arc<Origin>,
    /// The library's file. It holds the shared lock as long as anything reads.
    hdf5: File,
    /// Our own descriptor, for bulk data.
    pub(crate) data: std::fs::File,
    /// The library's number of the file.
    pub(crate) number: u64,
    pub(crate) warnings: Vec<String>,
}

/// The bytes that begin an HDF5 file, at offset 0, 512, 1024, 2048, …
const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

impl std::ops::Deref for Opened {
    type Target = Origin;

    fn deref(&self) -> &Origin {
        &self.origin
    }
}

impl Opened {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let io = |what: &str| {
            let what = what.to_owned();
            let path = path.to_owned();
            move |source: std::io::Error| match source.kind() {
                std::io::ErrorKind::NotFound => Error::NotFound { path },
                _ => Error::Io { path, what, source },
            }
        };
        let data = std::fs::File::open(path).map_err(io("it could not be opened for reading"))?;
        let facts = data.metadata().map_err(io("its size could not be read"))?;
        if !facts.is_file() {
            return Err(Error::NotHdf5 {
                path: path.into(),
                what: if facts.is_dir() {
                    "it is a folder, and there is neither zarr (zarr.json, .zgroup) nor a \
                     matrix.mtx in it"
                } else {
                    "it is not a regular file"
                }
                .into(),
            });
        }
        if !has_signature(&data, facts.len()) {
            let what = if facts.len() == 0 {
                "it is empty"
            } else {
                "the bytes that begin every HDF5 file are missing"
            };
            return Err(Error::NotHdf5 {
                path: path.into(),
                what: what.into(),
            });
        }
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let identity = identity(absolute, &facts);
        let mut warnings = Vec::new();
        let hdf5 = match File::open(path, Opening::Locked) {
            Ok(file) => file,
            Err(fault) if is_lock(&fault) && !is_held(&fault) => {
                warnings.push(format!(
                    "{}: the file system has no file locks, so nobody watches whether another \
                     program writes to the file while it is read",
                    path.display()
                ));
                File::open(path, Opening::Unlocked).map_err(|fault| refusal(path, fault))?
            }
            Err(fault) => return Err(refusal(path, fault)),
        };
        let number = hdf5
            .root()
            .and_then(|root| Object::open(root.id(), ""))
            .map_err(|fault| refusal(path, fault))?
            .map_or(0, |root| root.file_number());
        let path = path.to_owned();
        Ok(Self {
            origin: Arc::new(Origin { path, identity }),
            hdf5,
            data,
            number,
            warnings,
        })
    }

    /// Checks that nobody has written to the file since it was opened.
    pub(crate) fn unchanged(&self) -> Result<()> {
        let facts = self.data.metadata().map_err(|source| Error::Io {
            path: self.path.clone(),
            what: "its size could not be read".into(),
            source,
        })?;
        let now = identity(self.identity.path.clone(), &facts);
        if now == self.identity {
            return Ok(());
        }
        let what = if now.size == self.identity.size {
            "it was written to".into()
        } else {
            format!("it had {} bytes and has {}", self.identity.size, now.size)
        };
        Err(Error::Changed {
            path: self.path.clone(),
            what,
        })
    }

    /// What stands at `address`, or nothing. `raw/X` of old files stands at `raw.X`.
    pub(crate) fn find(&self, address: &str) -> Result<Option<Object>> {
        let open = |address: &str| {
            Object::open(self.hdf5.id(), address).map_err(|fault| self.fault(address, fault))
        };
        let address = address.trim_matches('/');
        let found = open(address)?;
        match address.strip_prefix("raw/") {
            Some(rest) if found.is_none() => open(&format!("raw.{rest}")),
            _ => Ok(found),
        }
    }

    /// What stands at `address`, which has to be there.
    pub(crate) fn object(&self, address: &str) -> Result<Object> {
        self.find(address)?.ok_or_else(|| self.missing(address))
    }

    /// The address at which the element really stands in this file.
    pub(crate) fn resolve(&self, address: &str) -> Result<String> {
        let address = address.trim_matches('/');
        self.object(address)?;
        match address.strip_prefix("raw/") {
            Some(rest) => {
                let plain = Object::open(self.hdf5.id(), address);
                let there = plain.map_err(|fault| self.fault(address, fault))?.is_some();
                Ok(if there {
                    address.to_owned()
                } else {
                    format!("raw.{rest}")
                })
            }
            None => Ok(address.to_owned()),
        }
    }

    fn missing(&self, address: &str) -> Error {
        let address = address.trim_matches('/');
        let parent = address.rsplit_once('/').map_or("", |(parent, _)| parent);
        let place = if parent.is_empty() {
            "the file"
        } else {
            parent
        };
        let instead = match self.find(parent).ok().flatten().map(|o| o.names()) {
            Some(Ok(names)) if names.is_empty() => format!("{place} is empty"),
            Some(Ok(names)) => {
                let more = if names.len() > 20 { ", …" } else { "" };
                let shown: Vec<&str> = names.iter().take(20).map(String::as_str).collect();
                format!("{place} holds {}{more}", shown.join(", "))
            }
            _ => format!("{place} is not there either"),
        };
        Error::MissingElement {
            path: self.path.clone(),
            element: address.into(),
            instead,
        }
    }

    /// A library's refusal as an error with an address.
    pub(crate) fn fault(&self, address: &str, fault: Fault) -> Error {
        let path = self.path.clone();
        let text = fault.0.to_ascii_lowercase();
        let cut = text.contains("truncated")
            || text.contains("file has been truncated")
            || text.contains("eof")
            || text.contains("end of file")
            || text.contains("addr overflow");
        if cut {
            Error::Truncated {
                path,
                element: address.into(),
                what: fault.0,
            }
        } else {
            Error::Malformed {
                path,
                element: address.into(),
                rows: None,
                what: fault.0,
            }
        }
    }

    /// Says that these bytes will be read soon.
    pub(crate) fn advise(&self, range: std::ops::Range<u64>) {
        advise(&self.data, range);
    }

    /// Reads exactly these bytes of the file, for the element at `address`, and counts them.
    pub(crate) fn read_at(
        &self,
        address: &str,
        buffer: &mut [u8],
        offset: u64,
        counter: &AtomicU64,
    ) -> Result<()> {
        self.data.read_exact_at(buffer, offset).map_err(|source| {
            let path = self.path.clone();
            if source.kind() == std::io::ErrorKind::UnexpectedEof {
                Error::Truncated {
                    path,
                    element: address.into(),
                    what: format!(
                        "{} bytes at offset {offset} were expected and the file ended before them",
                        buffer.len()
                    ),
                }
            } else {
                Error::Io {
                    path,
                    what: format!("{address} could not be read"),
                    source,
                }
            }
        })?;
        counter.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

fn identity(path: PathBuf, facts: &std::fs::Metadata) -> FileIdentity {
    FileIdentity {
        path,
        size: facts.len(),
        mtime_ns: facts
            .mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(facts.mtime_nsec()),
    }
}

fn has_signature(file: &std::fs::File, size: u64) -> bool {
    let mut offset = 0u64;
    while offset + 8 <= size {
        let mut bytes = [0u8; 8];
        if file.read_exact_at(&mut bytes, offset).is_ok() && bytes == SIGNATURE {
            return true;
        }
        offset = if offset == 0 { 512 } else { offset * 2 };
    }
    false
}

fn is_lock(fault: &Fault) -> bool {
    fault.0.contains("lock file")
        || fault.0.contains("lock the file")
        || fault.0.contains("locking")
}

/// Whether the lock is held by somebody, rather than impossible.
fn is_held(fault: &Fault) -> bool {
    // EAGAIN and EACCES; Linux, then macOS.
    matches!(fault.errno(), Some(11 | 35 | 13)) || fault.0.contains("temporarily unavailable")
}

/// Why the library did not open a file.
fn refusal(path: &Path, fault: Fault) -> Error {
    let path = path.to_owned();
    let text = fault.0.to_ascii_lowercase();
    if is_lock(&fault) || text.contains("already open for write") || text.contains("h5clear") {
        Error::Locked {
            path,
            what: fault.0,
        }
    } else if text.contains("truncated") || text.contains("eof") {
        Error::Truncated {
            path,
            element: String::new(),
            what: fault.0,
        }
    } else if text.contains("signature") {
        Error::NotHdf5 {
            path,
            what: fault.0,
        }
    } else {
        Error::Malformed {
            path,
            element: "the file's header".into(),
            rows: None,
            what: fault.0,
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn advise(file: &std::fs::File, range: std::ops::Range<u64>) {
    let length = std::num::NonZeroU64::new(range.end - range.start);
    // Advice may be refused; nothing depends on it.
    let _ = rustix::fs::fadvise(file, range.start, length, rustix::fs::Advice::WillNeed);
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn advise(_file: &std::fs::File, _range: std::ops::Range<u64>) {}
