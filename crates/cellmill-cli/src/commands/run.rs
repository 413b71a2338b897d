//! `cellmill run`: the whole job.

use super::plot;
use crate::Connect;
use crate::args::WholeArgs;
use crate::output::say;
use crate::{config, machine};
use anyhow::{Result, bail};

pub fn run(args: WholeArgs, connect: Option<Connect<'_>>) -> Result<()> {
    let (run, machine_args) = config::join(args.run, args.machine, args.config.config.as_deref())?;
    let machine = machine::prepare(&machine_args, Some(&args.output.output))?;
    let params = run.to_params();
    cellmill::plot::check_colors(&args.file, &params, &args.color)?;
    let cluster = match (&args.dask, connect) {
        (None, _) => None,
        (Some(address), Some(connect)) => Some(connect(address)?),
        (Some(_), None) => bail!(
            "--dask needs the Python package, whose `cellmill` command reaches Dask: \
             pip install \"cellmill[cluster]\""
        ),
    };
    let summary = cellmill::run::run_on(
        &machine.context,
        &args.file,
        &args.output.output,
        args.output.force,
        &params,
        cluster.as_deref(),
    )?;
    if !machine_args.quiet {
        eprintln!();
        eprint!("{}", machine.progress.table());
        say!(
            "{} cells x {} genes: {} highly variable genes, {} components",
            summary.n_cells,
            summary.n_genes,
            summary.n_highly_variable,
            summary.n_comps
        )?;
        for (name, n, modularity) in &summary.clusters {
            say!("{name}: {n} clusters, modularity {modularity:.4}")?;
        }
        say!(
            "written to {}: {}",
            args.output.output.display(),
            summary.slots.join(", ")
        )?;
    }
    if !args.color.is_empty() {
        let folder = args.figs.unwrap_or_else(|| ".".into());
        plot::colours(&machine.context, &args.output.output, &args.color, &folder)?;
    }
    Ok(())
}
