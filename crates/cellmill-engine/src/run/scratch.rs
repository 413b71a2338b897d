//! Scratch files: mode 0600, without a name.

use crate::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Opens an empty file in `folder` that has no name (or loses it at once), so that nothing is
/// left behind however the run ends.
///
/// # Errors
/// [`Error::Io`] with the folder.
pub fn scratch_file(folder: &Path) -> Result<File> {
    nameless(folder)
        .or_else(|_| unlinked(folder))
        .map_err(|source| Error::Io {
            what: format!(
                "opening a scratch file in {} (choose another scratch folder)",
                folder.display()
            ),
            source,
        })
}

#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC | OFlags::EXCL;
    Ok(File::from(open(folder, flags, Mode::RUSR | Mode::WUSR)?))
}

#[cfg(not(target_os = "linux"))]
fn nameless(_folder: &Path) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// For file systems that cannot make a file without a name.
fn unlinked(folder: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".cellmill-scratch-{}-{n}", std::process::id()));
        match OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, PermissionsExt};

    #[test]
    fn leaves_no_name_and_is_private() {
        let folder =
            std::env::temp_dir().join(format!("cellmill-scratch-test-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        for file in [scratch_file(&folder).unwrap(), unlinked(&folder).unwrap()] {
            file.write_all_at(b"abc", 5).unwrap();
            let mut back = [0; 3];
            file.read_exact_at(&mut back, 5).unwrap();
            assert_eq!(&back, b"abc");
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        }
        std::fs::remove_dir(&folder).unwrap();
        let error = scratch_file(&folder).unwrap_err().to_string();
        assert!(error.contains(folder.to_str().unwrap()), "{error}");
    }
}
