//! The counts of a file as a folder of 10x Genomics.

use super::{Convert, Converted, Kept, names};
use crate::Result;
use crate::identity::{Identity, column, strings};
use crate::input::Input;
use cellmill_engine::{Context, Event, Source as _, run_stage};
use cellmill_io::{H5ad, MtxWriter};

/// Writes the count matrix, the names of its cells and its genes.
pub(super) fn write(ctx: &Context, file: H5ad, what: &Convert<'_>) -> Result<Converted> {
    let mut input = Input::open(file, what.matrix, false, None)?;
    for text in &input.notes {
        ctx.emit(Event::Note { text: text.clone() });
    }
    let genes_of = if input.is_raw() { "raw/var" } else { "var" };
    let cells = names::kept(&input.file, "obs", what.cells)?;
    let genes = names::kept(&input.file, genes_of, what.genes)?;
    let resident = input.source.inner().resident_bytes();
    let held = ctx
        .budget()
        .reserve(resident, "row starts and chunk tables")?;
    if input.source.inner().to_turn().is_some() {
        let stage = format!("turning {} around", input.matrix);
        crate::staged(ctx, &stage, || Ok(input.source.inner().turn()?))?;
    }
    input.select(cells.mask().as_deref(), genes.rows.as_deref())?;
    let barcodes = barcodes(&input.file, &cells)?;
    let identity = Identity::of(&input.var, None)?;
    let types = column(&input.var, "feature_types").and_then(strings);
    let kind = |gene: usize| match &types {
        Some(types) => types[gene]
            .as_deref()
            .unwrap_or(crate::identity::GENE_EXPRESSION),
        None => crate::identity::GENE_EXPRESSION,
    };
    let writer = MtxWriter::create(what.target, what.force, what.gzip.unwrap_or(4))?;
    writer.barcodes(&barcodes)?;
    writer.features(
        (0..identity.len()).map(|g| [identity.stable_id(g), identity.name(g), kind(g)]),
    )?;
    let shape = [input.source.n_rows(), input.source.n_cols().into()];
    let sink = writer.matrix(shape)?;
    let stage = format!("writing {}", input.matrix);
    run_stage(ctx, &stage, &input.source, &[], &(), &sink)?;
    sink.finish()?;
    writer.commit()?;
    drop(held);
    Ok(Converted {
        n_cells: shape[0],
        n_genes: shape[1],
        dense_bytes: 0,
    })
}

fn barcodes(file: &H5ad, cells: &Kept) -> Result<Vec<String>> {
    let names = file.read_dataframe("obs", Some(&[]))?.index;
    Ok(match &cells.rows {
        Some(rows) => rows.iter().map(|&r| names[r as usize].clone()).collect(),
        None => names,
    })
}
