//! `cellmill convert`: a file in another form.

use crate::args::{ConvertArgs, Form as Asked};
use crate::machine;
use crate::output::say;
use anyhow::{Result, bail};
use cellmill::convert::{Convert, Form, convert as run};

pub fn convert(args: &ConvertArgs) -> Result<()> {
    let form = match args.to {
        Some(Asked::H5ad) => Form::H5ad,
        Some(Asked::Zarr) => Form::Zarr,
        Some(Asked::Mtx) => Form::Mtx,
        None => Form::of(&args.output)?,
    };
    if form == Form::Mtx && args.chunk.is_some() {
        bail!("--chunk has no meaning for a folder of 10x Genomics, which is text; leave it out");
    }
    if form != Form::Mtx && args.matrix.is_some() {
        bail!(
            "--matrix is for a folder of 10x Genomics, other forms keep every matrix; leave it out"
        );
    }
    let machine = machine::prepare(&args.machine, Some(&args.output))?;
    let done = run(
        &machine.context,
        &Convert {
            file: &args.file,
            target: &args.output,
            form,
            matrix: args.matrix.as_deref(),
            force: args.force,
            cells: args.cells.as_deref(),
            genes: args.genes.as_deref(),
            gzip: args.gzip,
            chunk: args.chunk,
        },
    )?;
    if !args.machine.quiet {
        say!(
            "written to {}: {} cells x {} genes",
            args.output.display(),
            done.n_cells,
            done.n_genes
        )?;
    }
    Ok(())
}
