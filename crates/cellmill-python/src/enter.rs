//! Into Rust and back: without the GIL, with Ctrl-C, with events.

use crate::failure::{Failure, panicked};
use cellmill_engine::{Budget, Context, Event, Observer};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often the calling thread looks for Ctrl-C.
const LOOK: Duration = Duration::from_millis(50);

/// What a long call runs in; read from `cellmill.settings`.
#[derive(FromPyObject)]
pub struct Machine {
    /// Bytes that the call may reserve.
    memory: u64,
    /// Threads; 0: one for each core.
    threads: usize,
    /// The folder for scratch files.
    scratch: PathBuf,
    /// Called with each event as a JSON string; `None`: nobody is watching.
    observe: Option<Py<PyAny>>,
}

enum Message {
    Event(Event),
    Done,
}

struct Sends(Mutex<Sender<Message>>);

impl Observer for Sends {
    fn event(&self, event: &Event) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens any more once the call has ended.
        let _ = sender.send(Message::Event(event.clone()));
    }
}

/// Runs `work` on a thread of its own without the GIL. Meanwhile the calling thread hands events
/// to Python and looks for signals: Ctrl-C cancels the work and raises when it has stopped.
///
/// # Errors
/// The work's own error, what a signal handler or the observer raised, or the panic of the work.
pub fn enter<T: Send>(
    py: Python<'_>,
    machine: Machine,
    work: impl FnOnce(&Context) -> Result<T, Failure> + Send,
) -> PyResult<T> {
    let (sender, receiver) = channel();
    let observer = Arc::new(Sends(Mutex::new(sender.clone())));
    let ctx = Context::new(
        machine.threads,
        Budget::new(machine.memory),
        observer,
        machine.scratch,
    )
    .map_err(Failure::from)?;
    let watch = machine.observe;
    py.detach(move || {
        std::thread::scope(|scope| {
            let ctx = &ctx;
            let worker = scope.spawn(move || {
                let result = catch_unwind(AssertUnwindSafe(|| work(ctx)));
                // The caller waits for this message, so it is there to take it.
                let _ = sender.send(Message::Done);
                result
            });
            let mut raised = None;
            loop {
                let seen = match receiver.recv_timeout(LOOK) {
                    Ok(Message::Done) | Err(RecvTimeoutError::Disconnected) => break,
                    Ok(Message::Event(event)) => Some(event),
                    Err(RecvTimeoutError::Timeout) => None,
                };
                if raised.is_none()
                    && let Err(error) = look(seen, watch.as_ref())
                {
                    ctx.cancel().cancel();
                    raised = Some(error);
                }
            }
            let result = worker.join().unwrap_or_else(Err);
            match (raised, result) {
                (Some(error), _) => Err(error),
                (None, Ok(result)) => result.map_err(PyErr::from),
                (None, Err(panic)) => Err(panicked(&*panic)),
            }
        })
    })
}

fn look(event: Option<Event>, watch: Option<&Py<PyAny>>) -> PyResult<()> {
    Python::attach(|py| {
        if let (Some(event), Some(watch)) = (event, watch) {
            let text = serde_json::to_string(&event).unwrap_or_default();
            watch.call1(py, (text,))?;
        }
        py.check_signals()
    })
}

/// Runs short work, or a task of Dask's, on the calling thread without the GIL.
///
/// # Errors
/// The work's own error, or its panic.
pub fn detached<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> PyResult<T> {
    match py.detach(|| catch_unwind(AssertUnwindSafe(work))) {
        Ok(result) => result.map_err(PyErr::from),
        Err(panic) => Err(panicked(&*panic)),
    }
}
