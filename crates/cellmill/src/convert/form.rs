//! What a file is converted to.

use crate::{Error, Result};
use std::path::Path;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An h5ad file.
    H5ad,
    /// A zarr folder of AnnData, version 3.
    Zarr,
    /// A folder of 10x Genomics: the counts, barcodes and features.
    Mtx,
}

impl Form {
    /// What the end of a name says: `.h5ad`, `.zarr`, `.mtx`.
    ///
    /// # Errors
    /// [`Error::Parameter`] where it says nothing.
    pub fn of(target: &Path) -> Result<Self> {
        let end = target.extension().and_then(|e| e.to_str());
        match end.map(str::to_ascii_lowercase).as_deref() {
            Some("h5ad") => Ok(Self::H5ad),
            Some("zarr") => Ok(Self::Zarr),
            Some("mtx") => Ok(Self::Mtx),
            _ => Err(Error::Parameter(format!(
                "the name {} does not say what to write; end it in .h5ad, .zarr or .mtx (a folder), or \
                 say --to h5ad, zarr or mtx",
                target.display()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_written() {
        let of = |name: &str| Form::of(Path::new(name)).ok();
        assert_eq!(of("a/b.h5ad"), Some(Form::H5ad));
        assert_eq!(of("b.ZARR/"), Some(Form::Zarr));
        assert_eq!(of("b.mtx"), Some(Form::Mtx));
        assert_eq!(of("b.h5"), None);
        assert_eq!(of("folder/"), None);
    }
}
