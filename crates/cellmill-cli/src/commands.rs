//! One file for each command.

mod aggregate;
mod convert;
mod info;
mod plan;
mod plot;
mod run;
mod simulate;
mod step;

use crate::Connect;
use crate::args::Command;
use anyhow::Result;

/// Does what the command says.
pub fn dispatch(command: Command, connect: Option<Connect<'_>>) -> Result<()> {
    match command {
        Command::Aggregate(args) => aggregate::aggregate(&args),
        Command::Convert(args) => convert::convert(&args),
        Command::Info(args) => info::info(&args),
        Command::Plan(args) => plan::plan(args),
        Command::Run(args) => run::run(args, connect),
        Command::Qc(args) => step::step(args, cellmill::step::Step::Qc),
        Command::Hvg(args) => step::step(args, cellmill::step::Step::Hvg),
        Command::Pca(args) => step::step(args, cellmill::step::Step::Pca),
        Command::Neighbors(args) => step::step(args, cellmill::step::Step::Neighbors),
        Command::Leiden(args) => step::step(args, cellmill::step::Step::Leiden),
        Command::Umap(args) => step::step(args, cellmill::step::Step::Umap),
        Command::Simulate(args) => simulate::simulate(args),
        Command::Plot(args) => plot::plot(args),
    }
}
