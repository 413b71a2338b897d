//! `cellmill plot`: pictures of a result.

use crate::args::{Format, PlotArgs, PlotKind};
use crate::machine;
use crate::output::say;
use anyhow::Result;
use cellmill::plot::{EmbeddingPlot, Formats, embedding, highly_variable_genes, pca_variance};
use cellmill_engine::Context;
use std::path::{Path, PathBuf};

pub fn plot(args: PlotArgs) -> Result<()> {
    let machine = machine::prepare(&args.machine, None)?;
    let ctx = &machine.context;
    let formats = Formats {
        png: args.format.contains(&Format::Png),
        svg: args.format.contains(&Format::Svg),
    };
    let written = match args.kind {
        PlotKind::Embedding => {
            let plot = EmbeddingPlot {
                file: &args.file,
                basis: &args.basis,
                colors: &args.color,
                matrix: &args.matrix,
                source: args.source.as_deref(),
                gene_symbols: args.gene_symbols.as_deref(),
                on_data: args.on_data,
                point_size: args.point_size,
            };
            embedding(ctx, &plot, &args.output, formats)?
        }
        PlotKind::PcaVariance => pca_variance(ctx, &args.file, &args.output, formats)?,
        PlotKind::Hvg => highly_variable_genes(ctx, &args.file, &args.output, formats)?,
    };
    print(&written)
}

/// The layout of a run's result, coloured.
pub fn colours(
    ctx: &Context,
    result: &Path,
    colors: &[String],
    gene_symbols: Option<&str>,
    folder: &Path,
) -> Result<()> {
    let plot = EmbeddingPlot {
        file: result,
        basis: "umap",
        colors,
        matrix: "X",
        source: None,
        gene_symbols,
        on_data: false,
        point_size: None,
    };
    print(&embedding(
        ctx,
        &plot,
        folder,
        Formats {
            png: true,
            svg: true,
        },
    )?)
}

fn print(written: &[PathBuf]) -> Result<()> {
    for path in written {
        say!("{}", path.display())?;
    }
    Ok(())
}
