//! What can go wrong with a file.

use std::ops::Range;
use std::path::PathBuf;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a file: a sentence with the file, the element, the rows and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("{}: no such file", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The file is not an HDF5 file.
    #[error(
        "{}: not an HDF5 file, so not an h5ad: {what}; what is read are h5ad files, AnnData zarr \
         folders, and 10x Genomics' HDF5 files and folders with a matrix.mtx, unpacked",
        path.display()
    )]
    NotHdf5 {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Another program holds the file open for writing.
    #[error(
        "{}: another program holds this file open for writing ({what}); close it there (in Python \
         adata.file.close()) and try again", path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// What the HDF5 library said.
        what: String,
    },
    /// The file ends before its contents do.
    #[error(
        "{}: the file is truncated{}: {what}; copy or download it again",
        path.display(), in_element(.element)
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The element that is cut, empty where it is the file as a whole.
        element: String,
        /// What was expected and what was found.
        what: String,
    },
    /// The file has no such element.
    #[error("{}: there is no element {element}; {instead}", path.display())]
    MissingElement {
        /// The file.
        path: PathBuf,
        /// The address that was asked for.
        element: String,
        /// What there is in its place.
        instead: String,
    },
    /// The element is sound but this version does not read it.
    #[error("{}: {element}: {what}; {instead}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The element.
        element: String,
        /// The filter, encoding or layout that is not read.
        what: String,
        /// What to do.
        instead: String,
    },
    /// The element contradicts its own format.
    #[error("{}: {element}{}: {what}", path.display(), in_rows(.rows))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The element.
        element: String,
        /// The rows that are concerned, where they are known.
        rows: Option<Range<u64>>,
        /// What was expected and what was found.
        what: String,
    },
    /// The file is not the one that a plan was made for.
    #[error("{}: the file has changed since the plan was made ({what}); plan again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is different.
        what: String,
    },
    /// The target of a write is there already.
    #[error("{}: the file exists already; --force replaces it, or choose another name", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// Scratch space, memory, or the user's wish to stop.
    #[error(transparent)]
    Engine(cellmill_engine::Error),
    /// The operating system refused.
    #[error("{}: {what}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        what: String,
        /// The system's own error.
        source: std::io::Error,
    },
}

fn in_element(element: &str) -> String {
    if element.is_empty() {
        String::new()
    } else {
        format!(" in {element}")
    }
}

fn in_rows(rows: &Option<Range<u64>>) -> String {
    match rows {
        Some(r) if r.end == r.start + 1 => format!(", row {}", r.start),
        Some(r) => format!(", rows {} to {}", r.start, r.end.saturating_sub(1)),
        None => String::new(),
    }
}

impl From<Error> for cellmill_engine::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Engine(error) => error,
            other => cellmill_engine::Error::outside(other),
        }
    }
}

impl From<cellmill_engine::Error> for Error {
    /// An error of this crate that went through the engine is itself again.
    fn from(error: cellmill_engine::Error) -> Self {
        match error {
            cellmill_engine::Error::Outside(outside) => match outside.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Engine(cellmill_engine::Error::Outside(other)),
            },
            other => Self::Engine(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_file_element_and_rows() {
        let error = Error::Malformed {
            path: "a.h5ad".into(),
            element: "X/indices".into(),
            rows: Some(7..8),
            what: "entry 12 is column 99".into(),
        };
        assert_eq!(
            error.to_string(),
            "a.h5ad: X/indices, row 7: entry 12 is column 99"
        );
        let wrapped = cellmill_engine::Error::from(error);
        assert!(wrapped.to_string().starts_with("a.h5ad: X/indices, row 7"));
    }

    #[test]
    fn a_truncated_file_is_said_with_or_without_an_element() {
        let error = |element: &str| Error::Truncated {
            path: "a".into(),
            element: element.into(),
            what: "w".into(),
        };
        assert!(error("").to_string().contains("truncated: w"));
        assert!(
            error("X/data")
                .to_string()
                .contains("truncated in X/data: w")
        );
    }
}
