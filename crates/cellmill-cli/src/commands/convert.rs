//! `cellmill convert`: a file in another form.

use crate::args::ConvertArgs;
use crate::machine;
use crate::output::say;
use anyhow::Result;
use cellmill::convert::{Convert, convert as run};

pub fn convert(args: &ConvertArgs) -> Result<()> {
    let machine = machine::prepare(&args.machine, Some(&args.output.output))?;
    let done = run(
        &machine.context,
        &Convert {
            file: &args.file,
            target: &args.output.output,
            force: args.output.force,
            cells: args.cells.as_deref(),
            genes: args.genes.as_deref(),
            gzip: args.gzip,
            chunk: args.chunk,
        },
    )?;
    if !args.machine.quiet {
        say!(
            "written to {}: {} cells x {} genes",
            args.output.output.display(),
            done.n_cells,
            done.n_genes
        )?;
    }
    Ok(())
}
