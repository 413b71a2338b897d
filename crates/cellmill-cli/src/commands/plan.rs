//! `cellmill plan`: the plan of a run, without running it.

use crate::args::PlanArgs;
use crate::output::{self, say};
use crate::{config, machine};
use anyhow::Result;

pub fn plan(args: PlanArgs) -> Result<()> {
    let (run, machine_args) = config::join(args.run, args.machine, args.config.config.as_deref())?;
    let machine = machine::prepare(&machine_args, None)?;
    let plan = cellmill::plan::plan(&machine.context, &args.file, &run.to_params())?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&plan)?)?;
    } else {
        output::whole(&plan.to_string())?;
    }
    Ok(())
}
