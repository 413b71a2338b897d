//! The machine: its memory, and what this program took of it.

use crate::args::MachineArgs;
use crate::{interrupt, progress};
use anyhow::{Context as _, Result, bail};
use cellmill_engine::{Budget, Context, Observer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Share of the machine's memory that a run may use where no limit was given.
const DEFAULT_SHARE: f64 = 0.7;

/// What a command runs in: threads, budget, Ctrl-C, progress.
pub struct Machine {
    /// What the libraries borrow.
    pub context: Context,
    /// What was seen, for the table at the end.
    pub progress: Arc<progress::Progress>,
}

/// Prepares threads, budget, Ctrl-C and progress. `target` is the file that will be written: its
/// folder is the default for scratch, and its temporary file goes if the program must end.
pub fn prepare(args: &MachineArgs, target: Option<&Path>) -> Result<Machine> {
    if args.threads == Some(0) {
        bail!("--threads is 0; at least one thread is needed");
    }
    let limit = args.memory.map_or_else(default_limit, |size| size.0);
    let budget = Budget::new(limit);
    let progress = Arc::new(progress::Progress::new(
        args.quiet,
        args.events.as_deref(),
        budget.clone(),
    )?);
    let folder = |p: &Path| match p.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let scratch = args
        .scratch
        .clone()
        .or_else(|| target.map(folder))
        .unwrap_or_else(std::env::temp_dir);
    if !scratch.is_dir() {
        bail!("the scratch folder {} does not exist", scratch.display());
    }
    let observer: Arc<dyn Observer> = progress.clone();
    let context = Context::new(args.threads.unwrap_or(0), budget, observer, scratch)
        .context("the threads could not be started")?;
    let target = target.map(Path::to_owned);
    interrupt::cancel_on_signal(context.cancel().clone(), move || {
        if let Some(target) = &target {
            cellmill_io::abandon(target);
        }
    })
    .context("Ctrl-C could not be prepared for")?;
    Ok(Machine { context, progress })
}

/// The memory limit where none was given: a share of the machine's memory, in bytes.
pub fn default_limit() -> u64 {
    total_memory().map_or(4_000_000_000, |bytes| (bytes as f64 * DEFAULT_SHARE) as u64)
}

/// A number of kB from a file of `key: value kB` lines.
fn kilobytes(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|l| l.starts_with(key))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kb| kb * 1024)
}

/// Bytes of memory of this machine (Linux), or of the control group that the program is in.
fn total_memory() -> Option<u64> {
    let machine = kilobytes("/proc/meminfo", "MemTotal:")?;
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|s| s.trim().parse::<u64>().ok());
    Some(group.map_or(machine, |g| g.min(machine)))
}

/// Resident bytes of this program now (Linux).
pub fn resident() -> Option<u64> {
    kilobytes("/proc/self/status", "VmRSS:")
}

/// The most resident bytes that this program ever had (Linux).
pub fn peak_resident() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM:")
}
