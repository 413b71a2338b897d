//! What a task of a cluster runs in: one thread, a budget, a flag that ends it.

use crate::failure::Failure;
use cellmill_engine::{Budget, Cancel, Context};
use pyo3::prelude::*;
use std::sync::Arc;

/// The surroundings of one task: it runs on the calling thread, and `cancel`, which another thread
/// may call, ends it after the block that it is at.
#[pyclass(frozen, module = "cellmill._native")]
pub struct Task {
    cancel: Cancel,
    budget: Budget,
}

#[pymethods]
impl Task {
    /// A task that may reserve so many bytes; `None`: any number.
    #[new]
    #[pyo3(signature = (memory=None))]
    fn new(memory: Option<u64>) -> Self {
        Self {
            cancel: Cancel::default(),
            budget: memory.map_or_else(Budget::unlimited, Budget::new),
        }
    }

    /// Asks the work to end: it raises `KeyboardInterrupt`.
    fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl Task {
    /// The flag.
    pub fn flag(&self) -> Cancel {
        self.cancel.clone()
    }

    /// The budget.
    pub fn budget(&self) -> Budget {
        self.budget.clone()
    }
}

/// A context of one thread for work of a task.
///
/// # Errors
/// When no thread can be started.
pub fn context(cancel: &Cancel, budget: Budget) -> Result<Context, Failure> {
    let scratch = std::env::temp_dir();
    Ok(Context::new(1, budget, Arc::new(()), scratch)?.watching(cancel))
}
