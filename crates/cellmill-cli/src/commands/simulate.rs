//! `cellmill simulate`: a synthetic atlas.

use crate::args::SimulateArgs;
use crate::machine;
use anyhow::Result;

pub fn simulate(args: SimulateArgs) -> Result<()> {
    let machine = machine::prepare(&args.machine, Some(&args.output))?;
    let _ = machine;
    Ok(())
}
