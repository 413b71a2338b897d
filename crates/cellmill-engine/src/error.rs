//! What can go wrong in a fold.

/// A result of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine, or one that passes through it from a source or a sink.
///
/// Every message is a sentence with an address: what was expected, what was found, where, and
/// what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run was cancelled (Ctrl-C, or the caller's flag).
    #[error("the run was cancelled")]
    Cancelled,
    /// The memory budget cannot hold what is needed.
    #[error(
        "{what} needs {} of memory and the budget is {}; the smallest budget that would do is {}",
        human_bytes(*.needed), human_bytes(*.limit), human_bytes(*.smallest)
    )]
    Budget {
        /// What the memory is for.
        what: String,
        /// Bytes that were asked for.
        needed: u64,
        /// The budget's limit in bytes.
        limit: u64,
        /// The smallest limit in bytes that would have been enough.
        smallest: u64,
    },
    /// The data does not allow what was asked for.
    #[error("{0}")]
    Data(String),
    /// A parameter is out of its range.
    #[error("{0}")]
    Parameter(String),
    /// A state or a plan in its wire form could not be read.
    #[error("a serialised {what} could not be read: {reason}")]
    Wire {
        /// What was being read.
        what: &'static str,
        /// Why it failed.
        reason: String,
    },
    /// The operating system refused a file operation on scratch space.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// The system's own error.
        source: std::io::Error,
    },
    /// A mistake in this program, not in the data.
    #[error("a bug in cellmill, please report it: {0}")]
    Bug(String),
    /// A source's or a sink's own error.
    #[error(transparent)]
    Outside(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps an error of a source or a sink.
    pub fn outside(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Outside(Box::new(error))
    }
}

/// Bytes as a person reads them: `1.5 GB`, powers of 1,000.
///
/// ```
/// assert_eq!(cellmill_engine::error::human_bytes(1_500_000_000), "1.50 GB");
/// assert_eq!(cellmill_engine::error::human_bytes(999), "999 B");
/// ```
pub fn human_bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    for unit in ["kB", "MB", "GB"] {
        if value < 999.5 {
            return if value < 10.0 {
                format!("{value:.2} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.2} TB")
}
