//! What a long call borrows: pool, cancel flag, budget, observer, scratch folder.

use super::{Budget, Event, Observer};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that asks long calls to stop. Cheap to clone; clones share the flag.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks every call that watches this flag to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether a stop was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// An error if a stop was asked for; to be called at least every 100 ms of work.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// The surroundings of a run: threads, budget, cancel flag, observer and scratch folder.
///
/// No result depends on any of them.
pub struct Context {
    pool: rayon::ThreadPool,
    cancel: Cancel,
    budget: Budget,
    observer: Arc<dyn Observer>,
    scratch: PathBuf,
}

impl Context {
    /// A context with `threads` threads (0: one for each core).
    ///
    /// # Errors
    /// [`Error::Io`] when the threads cannot be started.
    pub fn new(
        threads: usize,
        budget: Budget,
        observer: Arc<dyn Observer>,
        scratch: PathBuf,
    ) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("cellmill-{i}"))
            .build()
            .map_err(|e| Error::Io {
                what: "starting the threads".to_owned(),
                source: std::io::Error::other(e),
            })?;
        Ok(Self {
            pool,
            cancel: Cancel::default(),
            budget,
            observer,
            scratch,
        })
    }

    /// A context for tests and examples: `threads` threads, no limit, nobody watching.
    ///
    /// # Errors
    /// As [`Context::new`].
    pub fn quiet(threads: usize) -> Result<Self> {
        Self::new(
            threads,
            Budget::unlimited(),
            Arc::new(()),
            std::env::temp_dir(),
        )
    }

    /// The same, stopped by a flag that someone else holds.
    #[must_use]
    pub fn watching(self, cancel: &Cancel) -> Self {
        Self {
            cancel: cancel.clone(),
            ..self
        }
    }

    /// The thread pool; `ctx.pool().install(|| …)` runs rayon code on it.
    pub fn pool(&self) -> &rayon::ThreadPool {
        &self.pool
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The cancel flag.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The memory budget.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The folder for scratch files.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Tells the observer.
    pub fn emit(&self, event: Event) {
        self.observer.event(&event);
    }
}
