//! The `cellmill` command, as a library: arguments to calls, events to lines, errors to exit codes.
//!
//! No number is computed here. The binary and the Python wheel's entry point call [`run`].

pub mod args;
mod commands;
mod config;
mod interrupt;
mod machine;
mod output;
mod progress;

pub use machine::default_limit;

use cellmill::run::Elsewhere;
use clap::Parser;
use std::ffi::OsString;

/// Exit code of bad input and bad usage.
pub const BAD_INPUT: u8 = 2;
/// Exit code of a run that the user stopped.
pub const INTERRUPTED: u8 = 130;

/// Runs the command with these arguments (the first is the program's name) and returns the exit
/// code: 0, [`BAD_INPUT`] with one sentence on standard error, or [`INTERRUPTED`].
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    run_with(arguments, None)
}

/// Makes a cluster of the address that `--dask` gave.
pub type Connect<'a> = &'a dyn Fn(&str) -> anyhow::Result<Box<dyn Elsewhere>>;

/// As [`run`], with a way to reach a Dask cluster, which only the Python package has.
pub fn run_with(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    connect: Option<Connect<'_>>,
) -> u8 {
    let cli = match args::Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(e) => {
            // Writing help to a closed pipe is not worth a message.
            let _ = e.print();
            return if e.use_stderr() { BAD_INPUT } else { 0 };
        }
    };
    match commands::dispatch(cli.command, connect) {
        Ok(()) => 0,
        Err(e) if interrupt::was_interrupted(&e) => {
            eprintln!("stopped; nothing was written");
            INTERRUPTED
        }
        Err(e) => {
            eprintln!("error: {e:#}");
            BAD_INPUT
        }
    }
}
