//! `cellmill simulate`: a synthetic atlas.

use crate::args::SimulateArgs;
use crate::machine;
use crate::output::say;
use anyhow::Result;
use cellmill::simulate::{
    Layout, SimulateFrom, SimulateParams, resample_to_file, simulate_to_file,
};
use cellmill_engine::error::human_bytes;

pub fn simulate(args: SimulateArgs) -> Result<()> {
    let machine = machine::prepare(&args.machine, Some(&args.output))?;
    let default = SimulateParams::default();
    let params = SimulateParams {
        n_cells: args.cells,
        n_genes: args.genes,
        n_types: args.types,
        n_batches: args.batches.unwrap_or(default.n_batches),
        entries_per_cell: args.entries_per_cell,
        seed: args.seed,
        layout: if args.plain {
            Layout::Plain
        } else {
            Layout::Cellxgene
        },
        ..default
    };
    let ctx = &machine.context;
    let summary = match args.from {
        Some(path) => {
            let from = SimulateFrom {
                path,
                matrix: args.matrix,
                label: args.label,
            };
            resample_to_file(ctx, &from, &params, &args.output, args.force)?
        }
        None => simulate_to_file(ctx, &params, &args.output, args.force)?,
    };
    if !args.machine.quiet {
        say!(
            "{}: {} cells x {} genes, {} entries in {}, {}",
            args.output.display(),
            summary.n_cells,
            summary.n_genes,
            summary.entries,
            summary.matrix,
            human_bytes(summary.file_bytes)
        )?;
    }
    Ok(())
}
