//! The plan: what a run will read and compute, printable and sendable.

mod planned;
mod spec;

pub use planned::{Planned, PlannedOutput, PlannedState};
pub use spec::ReduceSpec;

use crate::error::human_bytes;
use crate::{Error, Grid, Op, Result, Source};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Version of the wire form; another version is refused.
pub const VERSION: u32 = 1;

/// One stage: one read of a source, in a form that travels to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagePlan {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// The stage's name.
    pub name: String,
    /// What to open: opaque here, the reader's own specification (path, element, identity).
    pub source: serde_json::Value,
    /// The source in words.
    pub reads: String,
    /// Whether the source is the file, and not something that an earlier stage kept.
    pub reads_file: bool,
    /// The number of columns of the source.
    pub n_cols: u32,
    /// Where blocks and spans begin.
    pub grid: Grid,
    /// What happens to every block.
    pub ops: Vec<Op>,
    /// What is computed.
    pub reduce: Vec<ReduceSpec>,
    /// What is stored, in words.
    pub stores: Vec<String>,
    /// Estimate of the memory it needs, in bytes.
    pub memory: u64,
    /// Estimate of the scratch space it needs, in bytes.
    pub scratch: u64,
}

impl StagePlan {
    /// A stage that reads `source`, with nothing to do yet.
    pub fn new(name: &str, source: &dyn Source, spec: serde_json::Value) -> Self {
        Self {
            version: VERSION,
            name: name.to_owned(),
            source: spec,
            reads: source.describe(),
            reads_file: true,
            n_cols: source.n_cols(),
            grid: source.grid().clone(),
            ops: Vec::new(),
            reduce: Vec::new(),
            stores: Vec::new(),
            memory: 0,
            scratch: 0,
        }
    }

    /// The reductions of the stage as one reduction, to be run behind [`StagePlan::ops`].
    ///
    /// # Errors
    /// [`Error::Parameter`] when an op does not fit the columns.
    pub fn planned(&self) -> Result<Planned> {
        Planned::new(&self.reduce, &self.ops, self.grid.n_rows(), self.n_cols)
    }

    /// The wire form (JSON).
    ///
    /// # Errors
    /// [`Error::Wire`].
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| wire(&e))
    }

    /// A stage from its wire form, checked.
    ///
    /// # Errors
    /// [`Error::Wire`] when it is no plan of this version; [`Error::Parameter`] when its grid or
    /// its ops do not fit each other.
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_str(text).map_err(|e| wire(&e))?;
        if version != VERSION {
            return Err(Error::Wire {
                what: "plan",
                reason: format!(
                    "it is of version {version} and this program reads version {VERSION}"
                ),
            });
        }
        let plan: Self = serde_json::from_str(text).map_err(|e| wire(&e))?;
        plan.grid.check(plan.grid.n_rows())?;
        plan.planned()?;
        Ok(plan)
    }

    /// Checks that a source is the one that the plan was made for.
    ///
    /// # Errors
    /// [`Error::Data`] when columns or grid differ.
    pub fn check(&self, source: &dyn Source) -> Result<()> {
        if source.n_cols() != self.n_cols || *source.grid() != self.grid {
            return Err(Error::Data(format!(
                "{} is not what the plan was made for ({}); make the plan again",
                source.describe(),
                self.reads
            )));
        }
        Ok(())
    }

    /// The stage in words, a few lines.
    pub fn explain(&self) -> String {
        let mut text = format!("{}\n", self.name);
        let mut line = |what: &str, value: String| {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "   {what:<9}{value}");
        };
        line("reads", self.reads.clone());
        line(
            "in",
            format!(
                "{} blocks, {} spans",
                self.grid.n_blocks(),
                self.grid.n_spans()
            ),
        );
        if !self.ops.is_empty() {
            line("does", join(&self.ops));
        }
        for reduce in &self.reduce {
            line("computes", reduce.to_string());
        }
        for stored in &self.stores {
            line("stores", stored.clone());
        }
        line(
            "needs",
            format!(
                "{} of memory, {} of scratch space",
                human_bytes(self.memory),
                human_bytes(self.scratch)
            ),
        );
        text
    }
}

/// All stages of a run, in order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The stages.
    pub stages: Vec<StagePlan>,
}

impl Plan {
    /// How often the file is read.
    pub fn reads(&self) -> usize {
        self.stages.iter().filter(|stage| stage.reads_file).count()
    }

    /// The most memory that a stage needs, in bytes.
    pub fn memory(&self) -> u64 {
        self.stages
            .iter()
            .map(|stage| stage.memory)
            .max()
            .unwrap_or(0)
    }

    /// The plan in words: the number of reads, then each stage.
    pub fn explain(&self) -> String {
        let mut text = match self.reads() {
            1 => "1 read of the file\n".to_owned(),
            n => format!("{n} reads of the file\n"),
        };
        for (i, stage) in self.stages.iter().enumerate() {
            let _ = write!(text, "{}. {}", i + 1, stage.explain());
        }
        text
    }
}

/// Ops in a line.
pub(crate) fn join(ops: &[Op]) -> String {
    ops.iter()
        .map(Op::to_string)
        .collect::<Vec<_>>()
        .join(" > ")
}

fn wire(error: &serde_json::Error) -> Error {
    Error::Wire {
        what: "plan",
        reason: error.to_string(),
    }
}
