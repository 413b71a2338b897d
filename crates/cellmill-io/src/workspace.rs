//! What a matrix that has to be turned around first may use for that.

use cellmill_engine::{Budget, Cancel, Context};
use std::path::PathBuf;

/// A scratch folder, a memory budget and a cancel flag. No result depends on them.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Where scratch files are made; they have no name and go when the program ends.
    pub scratch: PathBuf,
    /// The memory that may be used.
    pub budget: Budget,
    /// Asks long work to stop.
    pub cancel: Cancel,
}

impl Default for Workspace {
    /// The system's folder for temporary files, and no limit.
    fn default() -> Self {
        Self {
            scratch: std::env::temp_dir(),
            budget: Budget::unlimited(),
            cancel: Cancel::default(),
        }
    }
}

impl From<&Context> for Workspace {
    fn from(ctx: &Context) -> Self {
        Self {
            scratch: ctx.scratch().to_owned(),
            budget: ctx.budget().clone(),
            cancel: ctx.cancel().clone(),
        }
    }
}
