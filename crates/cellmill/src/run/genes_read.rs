//! The second read: the selected genes kept, their Gram matrix, and X of the result.

use crate::input::Input;
use crate::params::{RunParams, WriteX};
use crate::pp::pca::Pca;
use crate::result::ResultFile;
use crate::{Result, keys, pp};
use cellmill_engine::keep::{KeptColumns, Precision};
use cellmill_engine::op::{Op, Pipeline};
use cellmill_engine::run::run_stage;
use cellmill_engine::{Context, Reservation, Source, sink};
use cellmill_io::{CsrSink, CsrSinkOptions};

/// What the second read leads to.
pub struct GenesRead {
    /// The principal components of the selected genes.
    pub pca: Pca,
    /// The memory of the scores, declared.
    pub held: Reservation,
}

/// Reads the matrix once: normalises to `target_sum`, takes logarithms, keeps the `selected` genes,
/// folds their Gram matrix, and writes X of the result in passing. Then, from the kept columns
/// alone, the principal components and the scores.
///
/// # Errors
/// When the kept columns, the Gram matrix or the scores do not fit the budget, when the disk is
/// full, or whatever is wrong with the file.
#[allow(
    clippy::too_many_arguments,
    reason = "a stage's inputs are what they are"
)]
pub fn read_genes(
    ctx: &Context,
    input: &Input,
    params: &RunParams,
    target_sum: f64,
    selected: &[u32],
    n_comps: usize,
    result: Option<&mut ResultFile<'_>>,
    stage: &str,
) -> Result<GenesRead> {
    let source: &dyn Source = &input.source;
    let k = selected.len() as u32;
    let normalise = normalisation(target_sum, params);
    let select = Op::SelectGenes {
        genes: selected.to_vec(),
    };
    let kept = KeptColumns::new(ctx, source.grid(), k, Precision::F32);
    let write_x = result.as_ref().map_or(WriteX::None, |_| params.write_x);
    match (write_x, result) {
        (WriteX::Lognorm, Some(result)) if !input.source.is_whole() => {
            let counts = result.counts_sink(ctx, input, &format!("layers/{}", keys::COUNTS))?;
            let x = x_sink(result, input, source.n_cols())?;
            let (n, n_cols) = (source.n_rows(), source.n_cols());
            let cut = Pipeline::new(std::slice::from_ref(&select), n, n_cols)?;
            let normalise = Pipeline::new(&normalise, n, n_cols)?;
            let lognorm = sink::Via::new(normalise, (&x, sink::Via::new(cut, &kept)));
            run_stage(ctx, stage, source, &[], &(), &(&counts, lognorm))?;
            counts.finish()?;
            x.finish()?;
        }
        (WriteX::Counts, Some(result)) if !input.source.is_whole() => {
            let counts = result.counts_sink(ctx, input, "X")?;
            let ops = with(&normalise, select);
            let cut = Pipeline::new(&ops, source.n_rows(), source.n_cols())?;
            let sinks = (&counts, sink::Via::new(cut, &kept));
            run_stage(ctx, stage, source, &[], &(), &sinks)?;
            counts.finish()?;
        }
        (WriteX::Lognorm, Some(result)) => {
            result.copy_counts(ctx, input)?;
            let x = x_sink(result, input, source.n_cols())?;
            let cut = Pipeline::new(
                std::slice::from_ref(&select),
                source.n_rows(),
                source.n_cols(),
            )?;
            let sinks = (x, sink::Via::new(cut, &kept));
            run_stage(ctx, stage, source, &normalise, &(), &sinks)?;
            sinks.0.finish()?;
        }
        (WriteX::Hvg, Some(result)) => {
            result.leave_layers(input)?;
            let x = x_sink(result, input, k)?;
            let sinks = (x, &kept);
            run_stage(ctx, stage, source, &with(&normalise, select), &(), &sinks)?;
            sinks.0.finish()?;
        }
        (WriteX::Counts, Some(result)) => {
            result.copy_x(ctx, input)?;
            run_stage(ctx, stage, source, &with(&normalise, select), &(), &kept)?;
        }
        _ => run_stage(ctx, stage, source, &with(&normalise, select), &(), &kept)?,
    }
    let (pca, held) = pp::pca::of_kept(ctx, &kept, n_comps, true)?;
    Ok(GenesRead { pca, held })
}

/// X of the result alone, where the components come from elsewhere: one more read, unless nothing
/// is written or the counts are.
///
/// # Errors
/// When the disk is full, or whatever is wrong with the file.
pub fn write_genes(
    ctx: &Context,
    input: &Input,
    params: &RunParams,
    target_sum: f64,
    selected: &[u32],
    result: &mut ResultFile<'_>,
    stage: &str,
) -> Result<()> {
    let source: &dyn Source = &input.source;
    let mut ops = normalisation(target_sum, params).to_vec();
    let x = match params.write_x {
        WriteX::None => return Ok(()),
        WriteX::Counts => return result.copy_x(ctx, input),
        WriteX::Lognorm => {
            result.copy_counts(ctx, input)?;
            x_sink(result, input, source.n_cols())?
        }
        WriteX::Hvg => {
            result.leave_layers(input)?;
            let genes = selected.to_vec();
            ops.push(Op::SelectGenes { genes });
            x_sink(result, input, selected.len() as u32)?
        }
    };
    run_stage(ctx, stage, source, &ops, &(), &x)?;
    Ok(x.finish()?)
}

pub(crate) fn normalisation(target_sum: f64, params: &RunParams) -> [Op; 2] {
    let base = params.log_base;
    [Op::NormalizeTotal { target_sum }, Op::Log1p { base }]
}

fn with(ops: &[Op], last: Op) -> Vec<Op> {
    ops.iter().cloned().chain([last]).collect()
}

/// Compression of X: level 1 is what two cores can keep up with.
const LEVEL: u32 = 1;

fn x_sink(result: &mut ResultFile<'_>, input: &Input, n_cols: u32) -> Result<CsrSink> {
    let source = &input.source;
    let at_most = source.entries_at_most();
    let options = CsrSinkOptions {
        compression: Some(LEVEL),
        ..CsrSinkOptions::new([source.n_rows(), u64::from(n_cols)], at_most)
    };
    Ok(result.writer().csr_sink("X", options)?)
}
