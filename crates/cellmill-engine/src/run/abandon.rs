//! A step that cannot be interrupted, only abandoned.

use crate::{Context, Error, Result};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Runs `work` on a thread of its own and waits for it, or stops waiting when the run is
/// cancelled; the thread then ends by itself and its result is dropped.
///
/// # Errors
/// [`Error::Cancelled`]; [`Error::Bug`] when `work` panicked; [`Error::Io`] when no thread could
/// be started.
pub fn abandonable<T: Send + 'static>(
    ctx: &Context,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (send, receive) = channel();
    std::thread::Builder::new()
        .name("cellmill-long".to_owned())
        .spawn(move || {
            // Nobody listens any more when the run was cancelled.
            let _ = send.send(work());
        })
        .map_err(|source| Error::Io {
            what: format!("starting a thread for {what}"),
            source,
        })?;
    loop {
        match receive.recv_timeout(Duration::from_millis(20)) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => ctx.cancel().check()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::Bug(format!("{what} panicked")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_abandons_and_reports() {
        let ctx = Context::quiet(1).unwrap();
        assert_eq!(abandonable(&ctx, "a sum", || 2 + 2).unwrap(), 4);
        assert!(matches!(
            abandonable(&ctx, "a mistake", || panic!("on purpose")),
            Err::<(), _>(Error::Bug(_))
        ));
        let (hold, held) = channel::<()>();
        ctx.cancel().cancel();
        let result = abandonable(&ctx, "a long step", move || held.recv().is_ok());
        assert!(matches!(result, Err(Error::Cancelled)));
        drop(hold);
    }
}
