//! What can go wrong between a file and its result.

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a method or of a run: a sentence with an address.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] cellmill_io::Error),
    /// A fold, a graph step or the memory budget.
    #[error(transparent)]
    Engine(#[from] cellmill_engine::Error),
    /// A parameter is out of its range, or two exclude each other.
    #[error("{0}")]
    Parameter(String),
    /// The data does not allow what was asked for.
    #[error("{0}")]
    Data(String),
}

impl Error {
    /// Whether the run was stopped by the user.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Engine(cellmill_engine::Error::Cancelled))
    }
}
