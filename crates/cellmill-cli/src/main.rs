//! The `cellmill` command.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(cellmill_cli::run(std::env::args_os()))
}
