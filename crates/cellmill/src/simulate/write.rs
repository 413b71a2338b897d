//! Writes a synthetic atlas to a file.

use super::arith::ln;
use super::params::{Layout, SimulateFrom, SimulateParams};
use super::resample::Resampler;
use super::simulator::Simulator;
use cellmill_engine::run::abandonable;
use cellmill_engine::{Block, Context, Error, Reduce, Result, Sink, Source, Values, run_stage};
use cellmill_io::{CsrSinkOptions, DataFrame, Elem, H5adWriter, Scalar, WriteOptions};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;

/// What a log-normalised X is normalised to.
const TARGET_SUM: f64 = 1e4;

/// What was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimulateSummary {
    /// The number of cells.
    pub n_cells: u64,
    /// The number of genes.
    pub n_genes: u32,
    /// Entries of the count matrix.
    pub entries: u64,
    /// The sum of all counts.
    pub molecules: u64,
    /// The address of the counts.
    pub matrix: String,
    /// The size of the file in bytes.
    pub file_bytes: u64,
    /// Wall seconds.
    pub seconds: f64,
}

/// Writes a synthetic atlas: counts in the layout of `params`, obs and var of
/// [`Simulator::obs`] and [`Simulator::var`], and the parameters in `uns/simulate`.
///
/// The target appears whole or not at all.
///
/// # Errors
/// [`Error::Parameter`] as [`SimulateParams::check`]; [`Error::Budget`]; [`Error::Cancelled`];
/// where the target exists (without `overwrite`) or cannot be written.
pub fn simulate_to_file(
    ctx: &Context,
    params: &SimulateParams,
    target: &Path,
    overwrite: bool,
) -> Result<SimulateSummary> {
    let started = Instant::now();
    params.check()?;
    // The writer first: a target that cannot be is refused before the work.
    let writer = H5adWriter::create(target, overwrite).map_err(Error::outside)?;
    let asked = params.clone();
    let atlas = abandonable(ctx, "the tables of types", move || Simulator::new(asked))??;
    let _tables = ctx.budget().reserve(
        atlas.bytes() + atlas.annotation_bytes(),
        "tables of types, obs and var",
    )?;
    let parts = Parts {
        source: &atlas,
        entries_at_most: atlas.entries_at_most(),
        obs: &|| atlas.obs(),
        var: atlas.var(),
        settings: settings(params, None)?,
    };
    write(ctx, writer, parts, params, started)
}

/// Writes an atlas drawn from real cells, as [`simulate_to_file`] writes a synthetic one.
///
/// # Errors
/// As [`Resampler::new`] and [`simulate_to_file`].
pub fn resample_to_file(
    ctx: &Context,
    from: &SimulateFrom,
    params: &SimulateParams,
    target: &Path,
    overwrite: bool,
) -> Result<SimulateSummary> {
    let started = Instant::now();
    let writer = H5adWriter::create(target, overwrite).map_err(Error::outside)?;
    let atlas = Resampler::new(ctx, from, params)?;
    let _table = ctx.budget().reserve(atlas.annotation_bytes(), "obs")?;
    let parts = Parts {
        source: &atlas,
        entries_at_most: atlas.entries_at_most(),
        obs: &|| atlas.obs(),
        var: atlas.var(),
        settings: settings(params, Some(from))?,
    };
    write(ctx, writer, parts, params, started)
}

/// What goes into a file.
struct Parts<'a> {
    source: &'a dyn Source,
    entries_at_most: u64,
    obs: &'a dyn Fn() -> DataFrame,
    var: DataFrame,
    settings: Elem,
}

/// The options that change numbers.
fn settings(params: &SimulateParams, from: Option<&SimulateFrom>) -> Result<Elem> {
    let text = |what: &'static str, json: serde_json::Result<String>| match json {
        Ok(json) => Ok(Elem::Scalar(Scalar::Str(json))),
        Err(e) => Err(Error::Wire {
            what,
            reason: e.to_string(),
        }),
    };
    let mut entries = vec![(
        "params".to_owned(),
        text("parameters", serde_json::to_string(params))?,
    )];
    if let Some(from) = from {
        // The file's name, not its folder: the same cells give the same bytes anywhere.
        let name = from.path.file_name().map(Into::into).unwrap_or_default();
        let from = SimulateFrom {
            path: name,
            ..from.clone()
        };
        entries.push((
            "from".to_owned(),
            text("parameters", serde_json::to_string(&from))?,
        ));
    }
    Ok(Elem::Dict(entries))
}

fn write(
    ctx: &Context,
    mut writer: H5adWriter,
    parts: Parts,
    params: &SimulateParams,
    started: Instant,
) -> Result<SimulateSummary> {
    let source = parts.source;
    let compression = (params.compression > 0).then_some(u32::from(params.compression));
    let options = CsrSinkOptions {
        compression,
        ..CsrSinkOptions::new(
            [source.n_rows(), u64::from(source.n_cols())],
            parts.entries_at_most,
        )
    };
    writer.set_options(WriteOptions { compression });
    let outside = Error::outside;
    let var = Elem::DataFrame(parts.var);
    writer.write("var", &var).map_err(outside)?;
    let matrix = match params.layout {
        Layout::Cellxgene => {
            writer.write("raw/var", &var).map_err(outside)?;
            "raw/X"
        }
        Layout::Plain => "X",
    };
    writer
        .write("uns/simulate", &parts.settings)
        .map_err(outside)?;
    // obs is written and gone before the counts are made.
    writer
        .write("obs", &Elem::DataFrame((parts.obs)()))
        .map_err(outside)?;
    let counts = writer.csr_sink(matrix, options.clone()).map_err(outside)?;
    let total = if params.with_x {
        let normalised = LogNormalised {
            inner: writer.csr_sink("X", options).map_err(outside)?,
        };
        let total = run_stage(
            ctx,
            "simulate",
            source,
            &[],
            &Total,
            &(&counts, &normalised),
        )?;
        normalised.inner.finish().map_err(outside)?;
        total
    } else {
        run_stage(ctx, "simulate", source, &[], &Total, &counts)?
    };
    counts.finish().map_err(outside)?;
    let target = writer.target().to_owned();
    writer.commit().map_err(outside)?;
    let file_bytes = std::fs::metadata(&target).map(|m| m.len()).unwrap_or(0);
    Ok(SimulateSummary {
        n_cells: source.n_rows(),
        n_genes: source.n_cols(),
        entries: total.0,
        molecules: total.1,
        matrix: matrix.to_owned(),
        file_bytes,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Counts entries and molecules.
struct Total;

impl Reduce for Total {
    type State = (u64, u64);
    type Output = (u64, u64);

    fn start(&self) -> (u64, u64) {
        (0, 0)
    }

    fn fold(&self, state: &mut (u64, u64), block: &Block) -> Result<()> {
        state.0 += block.nnz() as u64;
        state.1 += (0..block.nnz())
            .map(|e| block.values.get(e) as u64)
            .sum::<u64>();
        Ok(())
    }

    fn merge(&self, left: (u64, u64), right: (u64, u64)) -> Result<(u64, u64)> {
        Ok((left.0 + right.0, left.1 + right.1))
    }

    fn finish(&self, state: (u64, u64)) -> Result<(u64, u64)> {
        Ok(state)
    }

    fn state_bytes(&self, _rows: u64) -> u64 {
        16
    }
}

/// Log-normalises each block of counts before the sink behind it takes it: ln(1 + 10,000 x /
/// total), in f64, rounded to f32.
struct LogNormalised<S> {
    inner: S,
}

impl<S: Sink> Sink for LogNormalised<S> {
    type Part = (S::Part, Block);

    fn start(&self, span: usize) -> Self::Part {
        (self.inner.start(span), Block::new(0))
    }

    fn push(&self, (part, seen): &mut Self::Part, block: &Block) -> Result<()> {
        seen.first_row = block.first_row;
        seen.n_cols = block.n_cols;
        seen.indptr.clone_from(&block.indptr);
        seen.indices.clone_from(&block.indices);
        let mut values = Vec::with_capacity(block.nnz());
        for r in 0..block.n_rows() {
            let total: f64 = block.row(r).map(|e| block.values.get(e)).sum();
            let scale = if total > 0.0 { TARGET_SUM / total } else { 0.0 };
            values.extend(
                block
                    .row(r)
                    .map(|e| ln(1.0 + scale * block.values.get(e)) as f32),
            );
        }
        seen.values = Values::F32(values);
        self.inner.push(part, seen)
    }

    fn accept(&self, (part, _): Self::Part) -> Result<()> {
        self.inner.accept(part)
    }

    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
        self.inner.part_bytes(span_entries, span_rows) + span_entries * 8 + span_rows * 8
    }
}
