//! Options that change no number: threads, memory, scratch, progress.

use super::Size;
use clap::Args;
use serde::Deserialize;
use std::path::PathBuf;

/// How the machine is used, and what is shown meanwhile.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MachineArgs {
    /// Threads; by default one for each core.
    #[arg(long, value_name = "N", help_heading = "Machine")]
    pub threads: Option<usize>,
    /// Memory that the run may use, such as 4G; by default 70 % of the machine's.
    #[arg(long, value_name = "SIZE", help_heading = "Machine")]
    pub memory: Option<Size>,
    /// Folder for scratch files; by default that of the result.
    #[arg(long, value_name = "DIR", help_heading = "Machine")]
    pub scratch: Option<PathBuf>,
    /// Shows no progress.
    #[arg(long, help_heading = "Machine")]
    pub quiet: bool,
    /// Writes what happens to this file, a JSON object a line.
    #[arg(long, value_name = "FILE", help_heading = "Machine")]
    pub events: Option<PathBuf>,
}

impl MachineArgs {
    /// These options, and `other`'s where these are silent.
    pub fn or(self, other: Self) -> Self {
        Self {
            threads: self.threads.or(other.threads),
            memory: self.memory.or(other.memory),
            scratch: self.scratch.or(other.scratch),
            quiet: self.quiet || other.quiet,
            events: self.events.or(other.events),
        }
    }
}
