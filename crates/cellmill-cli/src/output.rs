//! Standard output: a reader that stops reading (`| head`) ends the program without a word.

use anyhow::{Context as _, Result};
use std::io::Write;

/// Prints text and a line end.
pub fn line(text: &str) -> Result<()> {
    whole(&format!("{text}\n"))
}

/// Prints text as it is.
pub fn whole(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.context("standard output could not be written"),
    }
}

/// `println!` that returns an error in place of a panic.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::output::line(&format!($($argument)*))
    };
}
pub(crate) use say;
