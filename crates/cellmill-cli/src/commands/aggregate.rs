//! `cellmill aggregate`: pseudobulk, groups of cells x genes.

use crate::args::AggregateArgs;
use crate::machine;
use crate::output::say;
use anyhow::Result;
use cellmill::get::aggregate::file::{Request, to_file};

pub fn aggregate(args: &AggregateArgs) -> Result<()> {
    let machine = machine::prepare(&args.machine, Some(&args.output))?;
    let [groups, genes] = to_file(
        &machine.context,
        &Request {
            file: &args.file,
            target: &args.output,
            force: args.force,
            by: &args.by,
            funcs: &args.func,
            matrix: args.matrix.as_deref(),
            fractional: args.fractional,
            dof: args.dof,
        },
    )?;
    if !args.machine.quiet {
        say!(
            "written to {}: {groups} groups x {genes} genes",
            args.output.display()
        )?;
    }
    Ok(())
}
