//! The temporary file, or folder, beside the target.

use crate::error::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// A file or folder `.NAME.cellmill-PID.tmp` in the target's folder, removed when dropped. Its lock
/// says that its program lives.
#[derive(Debug)]
pub(super) struct Temporary {
    target: PathBuf,
    path: PathBuf,
    /// Holds the lock; `None` once the file has its name.
    held: Option<File>,
    folder: bool,
}

impl Temporary {
    pub(super) fn create(target: &Path, overwrite: bool) -> Result<Self> {
        match std::fs::metadata(target) {
            Ok(facts) if facts.is_dir() => Err(Error::Io {
                path: target.into(),
                what: "it cannot be written".into(),
                source: std::io::ErrorKind::IsADirectory.into(),
            }),
            Ok(_) if !overwrite => Err(Error::Exists {
                path: target.into(),
            }),
            _ => Self::begin(target, |path| {
                OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(path)
            }),
        }
    }

    /// A folder. With `overwrite` it takes the place of a file, an empty folder, or one that is `ours`.
    pub(super) fn create_folder(
        target: &Path,
        overwrite: bool,
        ours: impl Fn(&Path) -> bool,
    ) -> Result<Self> {
        let exists = target.symlink_metadata().is_ok();
        if exists && !overwrite {
            return Err(Error::Exists {
                path: target.into(),
            });
        }
        let mut inside = std::fs::read_dir(target).into_iter().flatten();
        if inside.next().is_some() && !ours(target) {
            return Err(Error::Malformed {
                path: target.into(),
                element: "the target".into(),
                rows: None,
                what: "it is a folder with something else in it, which is not replaced; choose \
                       another name"
                    .into(),
            });
        }
        Self::begin(target, |path| {
            std::fs::create_dir(path)?;
            File::open(path)
        })
    }

    fn begin(target: &Path, make: impl Fn(&Path) -> std::io::Result<File>) -> Result<Self> {
        let io = |what: &str, source: std::io::Error| Error::Io {
            path: target.into(),
            what: what.into(),
            source,
        };
        let Some(name) = target.file_name() else {
            let source = std::io::Error::from(std::io::ErrorKind::InvalidInput);
            return Err(io("it is not the name of a file", source));
        };
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let begin = format!(".{}.cellmill-", name.to_string_lossy());
        remove_stale(folder, &begin);
        let pid = std::process::id();
        for attempt in 0u32.. {
            let suffix = if attempt == 0 {
                String::new()
            } else {
                format!("-{attempt}")
            };
            let path = folder.join(format!("{begin}{pid}{suffix}.tmp"));
            match make(&path) {
                Ok(file) => {
                    // A file system without locks only loses the tidying up after a kill.
                    let _ = file.try_lock();
                    return Ok(Self {
                        target: target.into(),
                        folder: path.is_dir(),
                        path,
                        held: Some(file),
                    });
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && attempt < 1000 => {}
                Err(source) => return Err(io("its folder cannot be written to", source)),
            }
        }
        Err(io(
            "no name for a temporary file is free",
            std::io::ErrorKind::AlreadyExists.into(),
        ))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the file on disk and gives it its name.
    pub(super) fn rename(&mut self, overwrite: bool) -> Result<()> {
        let io = |what: &str| {
            let (path, what) = (self.target.clone(), what.to_owned());
            move |source: std::io::Error| Error::Io { path, what, source }
        };
        if !overwrite && self.target.exists() {
            return Err(Error::Exists {
                path: self.target.clone(),
            });
        }
        if self.folder {
            sync(&self.path).map_err(io("its files could not be put on disk"))?;
        } else if let Some(file) = &self.held {
            file.sync_all()
                .map_err(io("the file could not be put on disk"))?;
        }
        if self.folder && self.target.symlink_metadata().is_ok() {
            // A folder is not replaced by a rename: the two change places, and the old one goes.
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            renameat_with(CWD, &self.path, CWD, &self.target, RenameFlags::EXCHANGE)
                .map_err(std::io::Error::from)
                .map_err(io("it could not take the place of the older one"))?;
            self.held = None;
            remove(&self.path);
        } else {
            std::fs::rename(&self.path, &self.target)
                .map_err(io("the file could not be renamed"))?;
            self.held = None;
        }
        let folder = self.target.parent().filter(|p| !p.as_os_str().is_empty());
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            // Some file systems cannot sync a folder; the rename itself has happened.
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(file) = self.held.take() {
            // Emptied first: should the library keep it open, it still gives its space back.
            let _ = file.set_len(0);
            remove(&self.path);
        }
    }
}

/// Removes a file or a folder. Nothing else can be done where that fails.
fn remove(path: &Path) {
    if path.is_dir() {
        // Again where a thread wrote meanwhile.
        let _ = (0..3).any(|_| std::fs::remove_dir_all(path).is_ok());
    } else {
        let _ = std::fs::remove_file(path);
    }
}

/// Puts a folder on disk, with all that is below.
fn sync(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    // Some file systems cannot sync a folder.
    let _ = File::open(folder)?.sync_all();
    Ok(())
}

/// Removes what this program has begun to write beside `target`, without waiting for its writers:
/// for a program that must end at once.
pub fn abandon(target: &Path) {
    let (Some(name), folder) = (target.file_name(), target.parent()) else {
        return;
    };
    let folder = folder
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let begin = format!(
        ".{}.cellmill-{}",
        name.to_string_lossy(),
        std::process::id()
    );
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let found = entry.file_name();
        let rest = found.to_string_lossy();
        let Some(rest) = rest.strip_prefix(&begin) else {
            continue;
        };
        if rest == ".tmp" || (rest.starts_with('-') && rest.ends_with(".tmp")) {
            remove(&entry.path());
        }
    }
}

/// Removes what killed programs left.
fn remove_stale(folder: &Path, begin: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Some(middle) = name
            .strip_prefix(begin)
            .and_then(|n| n.strip_suffix(".tmp"))
        else {
            continue;
        };
        let pid: String = middle.chars().take_while(char::is_ascii_digit).collect();
        let path = entry.path();
        // Some systems lock only what is open for writing, which a folder cannot be.
        let Ok(file) = OpenOptions::new()
            .read(true)
            .write(!path.is_dir())
            .open(&path)
        else {
            continue;
        };
        let dead = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            // No locks here: ask whether the process is there, where the system says so.
            Err(TryLockError::Error(_)) => {
                Path::new("/proc/self").exists() && !Path::new("/proc").join(&pid).exists()
            }
        };
        if dead && !pid.is_empty() {
            remove(&path);
        }
    }
}
