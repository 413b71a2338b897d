//! What an observer sees.

use serde::{Deserialize, Serialize};

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A stage began: one read of the file, or one step of the graph.
    StageStarted {
        /// The stage's name, as in the plan.
        stage: String,
        /// How much there is to do, in `unit`s (0 where it is not known).
        total: u64,
        /// What is counted: `cells`, `epochs`, …
        unit: String,
    },
    /// Part of the stage is done.
    Progress {
        /// The stage's name.
        stage: String,
        /// Units done so far.
        done: u64,
        /// Bytes read from the file in this stage so far.
        bytes_read: u64,
    },
    /// A stage is done.
    StageFinished {
        /// The stage's name.
        stage: String,
        /// Wall seconds.
        seconds: f64,
        /// Bytes read from the file.
        bytes_read: u64,
    },
    /// Something that the user should know.
    Note {
        /// A sentence.
        text: String,
    },
    /// Something that the user should look at.
    Warning {
        /// A sentence.
        text: String,
    },
}

/// Watches a run. Called from any thread; must return at once.
pub trait Observer: Send + Sync {
    /// Takes an event.
    fn event(&self, event: &Event);
}

/// Nobody is watching.
impl Observer for () {
    fn event(&self, _event: &Event) {}
}
