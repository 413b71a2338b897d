//! `cellmill hvg|pca|neighbors|leiden|umap`: one step on a file that has what it needs.

use crate::args::StepArgs;
use crate::output::say;
use crate::{config, machine};
use anyhow::Result;
use cellmill::step::{Request, Step};

pub fn step(args: StepArgs, step: Step) -> Result<()> {
    let (run, machine_args) = config::join(args.run, args.machine, args.config.config.as_deref())?;
    let machine = machine::prepare(&machine_args, Some(&args.output.output))?;
    let whole = run.write_x.is_none();
    let slots = cellmill::step::step(
        &machine.context,
        step,
        &Request {
            file: &args.file,
            target: &args.output.output,
            force: args.output.force,
            use_rep: args.use_rep.as_deref(),
            copy_matrices: whole,
            params: &run.to_params(),
        },
    )?;
    if !machine_args.quiet {
        say!(
            "written to {}: {}",
            args.output.output.display(),
            slots.join(", ")
        )?;
    }
    Ok(())
}
