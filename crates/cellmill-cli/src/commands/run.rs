//! `cellmill run`: the whole job.

use super::plot;
use crate::Connect;
use crate::args::WholeArgs;
use crate::output::say;
use crate::{config, machine};
use anyhow::{Result, bail};
use cellmill::input::open_files;

pub fn run(args: WholeArgs, connect: Option<Connect<'_>>) -> Result<()> {
    let (run, machine_args) = config::join(args.run, args.machine, args.config.config.as_deref())?;
    let machine = machine::prepare(&machine_args, Some(&args.output.output))?;
    let params = run.to_params();
    if args.dask.is_some() && args.files.len() > 1 {
        bail!(
            "--dask works on one file, and {} were given",
            args.files.len()
        );
    }
    let h5ad = open_files(&machine.context, &args.files, &args.several.how(), &params)?;
    cellmill::plot::check_colors(&h5ad, &params, &args.color)?;
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
        h5ad,
        &args.output.output,
        args.output.force,
        &params,
        cluster.as_deref(),
    )?;
    if !machine_args.quiet {
        eprintln!();
        eprint!("{}", machine.progress.table());
        say!(
            "{} cells x {} genes: {} highly variable genes{}, {} components",
            summary.n_cells,
            summary.n_genes,
            summary.n_highly_variable,
            match summary.n_hvg_excluded {
                0 => String::new(),
                n => format!(" ({n} excluded)"),
            },
            summary.n_comps
        )?;
        for (name, n, modularity) in &summary.clusters {
            say!("{name}: {n} clusters, modularity {modularity:.4}")?;
        }
        if let Some(mixing) = &summary.mixing {
            say!("{mixing}")?;
        }
        say!(
            "written to {}: {}",
            args.output.output.display(),
            summary.slots.join(", ")
        )?;
    }
    if !args.color.is_empty() {
        let folder = args.figs.unwrap_or_else(|| ".".into());
        plot::colours(
            &machine.context,
            &args.output.output,
            &args.color,
            params.gene_symbols.as_deref(),
            &folder,
        )?;
    }
    Ok(())
}
