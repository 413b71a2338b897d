//! `cellmill convert`: a file in another form.

use crate::args::{ConvertArgs, Form as Asked, Layout as AskedLayout};
use crate::machine;
use crate::output::say;
use anyhow::{Result, bail};
use cellmill::convert::{Convert, Form, Layout, convert as run};
use cellmill_engine::error::human_bytes;

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
    let layout = match args.layout {
        AskedLayout::Csr => Layout::Csr,
        AskedLayout::Csc => Layout::Csc,
        AskedLayout::Dense => Layout::Dense,
    };
    if form == Form::Mtx && layout != Layout::Csr {
        bail!(
            "--layout is for h5ad and zarr, a folder of 10x Genomics has one layout; leave it out"
        );
    }
    let machine = machine::prepare(&args.machine, Some(&args.output))?;
    let done = run(
        &machine.context,
        &Convert {
            file: &args.file,
            target: &args.output,
            form,
            layout,
            matrix: args.matrix.as_deref(),
            force: args.force,
            cells: args.cells.as_deref(),
            genes: args.genes.as_deref(),
            gzip: args.gzip,
            chunk: args.chunk,
        },
    )?;
    if !args.machine.quiet {
        let dense = match done.dense_bytes {
            0 => String::new(),
            n => format!("; dense matrices of {} before compression", human_bytes(n)),
        };
        say!(
            "written to {}: {} cells x {} genes{dense}",
            args.output.display(),
            done.n_cells,
            done.n_genes
        )?;
    }
    Ok(())
}
