//! The `cellmill` command, as the wheel carries it.

use pyo3::prelude::*;

/// Runs the command with these arguments (the first is the program's name); returns the exit code.
#[pyfunction]
pub fn run_command(py: Python<'_>, arguments: Vec<String>) -> u8 {
    py.detach(|| cellmill_cli::run(arguments))
}

/// The memory limit in bytes where the user gave none.
#[pyfunction]
pub fn default_memory() -> u64 {
    cellmill_cli::default_limit()
}
