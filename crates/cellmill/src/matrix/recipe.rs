//! What another process needs to make the same matrix.

use cellmill_engine::Op;
use cellmill_io::MatrixSpec;
use serde::{Deserialize, Serialize};

/// A matrix as data: where it comes from, and what is to happen to it; never the values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// What is read.
    pub origin: Origin,
    /// What happens to every block.
    pub ops: Vec<Op>,
}

/// What is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A matrix of a file.
    File(MatrixSpec),
    /// Matrices one below the other, in a common set of columns.
    Concat {
        /// Columns of the whole.
        n_cols: u32,
        /// From the first cells to the last.
        parts: Vec<Part>,
    },
}

/// A matrix of a concatenation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The matrix.
    pub matrix: Recipe,
    /// Column of the whole for each of its columns; `None`: the same.
    pub columns: Option<Vec<u32>>,
}

impl Recipe {
    /// The files that it reads, each once.
    pub fn files(&self) -> Vec<&MatrixSpec> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a MatrixSpec>) {
        match &self.origin {
            Origin::File(spec) if !found.contains(&spec) => found.push(spec),
            Origin::File(_) => {}
            Origin::Concat { parts, .. } => {
                parts.iter().for_each(|part| part.matrix.collect(found));
            }
        }
    }
}
