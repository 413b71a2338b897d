//! A reduction as data.

use super::join;
use crate::Op;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A known reduction with its parameters, behind ops of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reduce", rename_all = "snake_case")]
pub enum ReduceSpec {
    /// [`crate::reduce::CellTotals`].
    CellTotals {
        /// Ops before it, after those of the stage.
        #[serde(default)]
        ops: Vec<Op>,
    },
    /// [`crate::reduce::CountCheck`].
    CountCheck {
        /// Ops before it, after those of the stage.
        #[serde(default)]
        ops: Vec<Op>,
    },
    /// [`crate::reduce::GeneMoments`].
    GeneMoments {
        /// Ops before it, after those of the stage.
        #[serde(default)]
        ops: Vec<Op>,
    },
    /// [`crate::reduce::Gram`].
    Gram {
        /// Ops before it, after those of the stage.
        #[serde(default)]
        ops: Vec<Op>,
    },
}

impl ReduceSpec {
    /// The ops before it, after those of the stage.
    pub fn ops(&self) -> &[Op] {
        match self {
            Self::CellTotals { ops }
            | Self::CountCheck { ops }
            | Self::GeneMoments { ops }
            | Self::Gram { ops } => ops,
        }
    }
}

impl fmt::Display for ReduceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CellTotals { .. } => "totals and numbers of genes of the cells",
            Self::CountCheck { .. } => "whether all values are counts",
            Self::GeneMoments { .. } => "mean and variance of the genes",
            Self::Gram { .. } => "the Gram matrix of the genes",
        })?;
        if self.ops().is_empty() {
            Ok(())
        } else {
            write!(f, ", after {}", join(self.ops()))
        }
    }
}
