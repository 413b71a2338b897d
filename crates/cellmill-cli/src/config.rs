//! The TOML file of options: the command line's names, hyphens or underscores.

use crate::args::{MachineArgs, RunArgs};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Names that belong to [`MachineArgs`]; every other one to [`RunArgs`].
const MACHINE: [&str; 5] = ["threads", "memory", "scratch", "quiet", "events"];

/// Joins the command line's options with those of a TOML file, which the command line overrules.
pub fn join(
    run: RunArgs,
    machine: MachineArgs,
    file: Option<&Path>,
) -> Result<(RunArgs, MachineArgs)> {
    let Some(path) = file else {
        return Ok((run, machine));
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the options file {} could not be read", path.display()))?;
    let (file_run, file_machine) =
        parse(&text).with_context(|| format!("the options file {}", path.display()))?;
    Ok((run.or(file_run), machine.or(file_machine)))
}

fn parse(text: &str) -> Result<(RunArgs, MachineArgs)> {
    let table: toml::Table = text.parse()?;
    let mut run = toml::Table::new();
    let mut machine = toml::Table::new();
    for (key, value) in table {
        let key = key.replace('_', "-");
        let to = if MACHINE.contains(&key.as_str()) {
            &mut machine
        } else {
            &mut run
        };
        to.insert(key, value);
    }
    let run: RunArgs = run.try_into()?;
    let machine: MachineArgs = machine.try_into()?;
    let cutoffs = run
        .min_mean
        .or(run.max_mean)
        .or(run.min_disp)
        .or(run.max_disp);
    if run.n_top_genes.is_some() && cutoffs.is_some() {
        bail!("it gives n-top-genes and cut-offs; they exclude each other");
    }
    Ok((run, machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_and_both_kinds() {
        let (run, machine) = parse("n_neighbors = 20\nmin-dist = 0.3\nmemory = \"2G\"").unwrap();
        assert_eq!(run.n_neighbors, Some(20));
        assert_eq!(run.min_dist, Some(0.3));
        assert_eq!(machine.memory.unwrap().0, 2_000_000_000);
    }

    #[test]
    fn unknown_names_and_contradictions_are_refused() {
        assert!(
            parse("n_neighbours = 20")
                .unwrap_err()
                .to_string()
                .contains("n-neighbours")
        );
        assert!(parse("n-top-genes = 5\nmin-mean = 0.1").is_err());
    }
}
