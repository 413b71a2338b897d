//! Ctrl-C: asks the run to stop, and ends the program if it does not within a second.

use cellmill_engine::{Cancel, Error};
use std::time::Duration;

/// How long a run has to stop by itself.
const PATIENCE: Duration = Duration::from_millis(800);

/// Cancels when the user presses Ctrl-C or the system asks the program to end.
///
/// A step that cannot be interrupted (an eigenproblem) is abandoned: `clean_up` is called and the
/// program ends.
pub fn cancel_on_signal(
    cancel: Cancel,
    clean_up: impl Fn() + Send + 'static,
) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new()
        .name("cellmill-signals".to_owned())
        .spawn(move || {
            if signals.forever().next().is_some() {
                cancel.cancel();
                std::thread::sleep(PATIENCE);
                clean_up();
                eprintln!("stopped; nothing was written");
                std::process::exit(i32::from(crate::INTERRUPTED));
            }
        })?;
    Ok(())
}

/// Whether an error says that the user stopped the run.
pub fn was_interrupted(error: &anyhow::Error) -> bool {
    error.chain().any(|e| {
        matches!(e.downcast_ref::<Error>(), Some(Error::Cancelled))
            || e.downcast_ref::<cellmill::Error>()
                .is_some_and(cellmill::Error::is_cancelled)
    })
}
