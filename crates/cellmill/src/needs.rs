//! The least memory with which a run ends, known before it starts.

use crate::input::Input;
use crate::params::{RunParams, WriteX};
use crate::pp::highly_variable_genes::Selection;
use crate::{Result, pp, run};
use cellmill_engine::keep::{KeptColumns, Precision};
use cellmill_engine::linalg::{BlockKrylov, MOST_GRAM};
use cellmill_engine::op::{Op, Pipeline};
use cellmill_engine::reduce::{Gram, GroupMoments, GroupSums, Term};
use cellmill_engine::run::smallest_stage;
use cellmill_engine::{Block, Context, Error, Grid, Reduce, Sink, Source, sink};
use cellmill_graph::{KnnGraph, WeightedGraph, fuzzy, knn, leiden, umap};
use serde::Serialize;

/// Memory that the program itself takes: code, the HDF5 library's caches, threads.
pub(crate) const PROGRAM: u64 = 48_000_000;

/// A stage, and the least memory with which it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// The stage's name.
    pub stage: &'static str,
    /// Bytes.
    pub bytes: u64,
}

/// What a run needs.
pub(crate) struct Needs {
    /// The least memory of each stage.
    pub(crate) stages: Vec<Need>,
    /// What waits in scratch where the budget is below `in_memory`.
    pub(crate) waits: u64,
    /// The memory with which nothing of the graph's steps waits in scratch.
    pub(crate) in_memory: u64,
}

/// The least memory of each stage of a run, what earlier stages hold included. Kept columns are
/// taken to be in scratch. Exact for the reads; for the graph's stages, whose edges are not known
/// yet, an upper bound.
///
/// # Errors
/// When the parameters do not fit the matrix.
pub(crate) fn needs(
    ctx: &Context,
    input: &Input,
    qc: &run::QualityControl,
    params: &RunParams,
) -> Result<Needs> {
    let source: &dyn Source = &input.source;
    let (n, n_genes) = (source.n_rows(), source.n_cols());
    let k = match params.hvg.selection {
        Selection::Top(k) => k.min(u64::from(n_genes)),
        Selection::Cutoffs { .. } => u64::from(n_genes).min(TYPICAL_GENES),
    };
    let n_comps = pp::pca::n_comps(params.n_comps, n, k)? as u64;
    // And the donor of each cell.
    let program = PROGRAM + input.source.inner().resident_bytes() + 8 * n;

    let labels = crate::input::labels::of_run(input, params)?;
    let groups = || labels.groups.clone();
    let quality = Some(qc.reduction(input)?);
    let first = run::counts_walk(params, groups(), (n, n_genes), quality)?;
    let read_1 = smallest_stage(source, &[], &first, &())?;
    // The numbers of quality control, while their columns are made.
    let columns = run::quality_bytes(n, u64::from(n_genes), &qc.params);
    let numbers = qc.reduction(input)?.state_bytes(n);
    let held = program + columns;
    let scale = run::normalisation(1.0, params);
    let extra = match run::extra_read(params) {
        None => None,
        Some(stage) if params.hvg.flavor.of_counts() => {
            let numbers = vec![0.0; groups().len() * n_genes as usize];
            let sums = GroupSums::new(n_genes, groups(), Term::Clipped(numbers))?;
            Some((stage, smallest_stage(source, &[], &sums, &())?))
        }
        Some(stage) => Some((
            stage,
            smallest_stage(source, &scale, &GroupMoments::new(n_genes, groups()), &())?,
        )),
    };
    let select = Op::SelectGenes {
        genes: (0..k as u32).collect(),
    };
    let kept = KeptColumns::with_memory(ctx, source.grid(), k as u32, Precision::F32, 0);
    let select_all: Vec<Op> = scale.iter().cloned().chain([select.clone()]).collect();
    let read_2 = match params.write_x {
        WriteX::Lognorm => {
            let cut = Pipeline::new(&[select], n, n_genes)?;
            smallest_stage(source, &scale, &(), &(XSink, sink::Via::new(cut, &kept)))?
        }
        WriteX::Hvg => smallest_stage(source, &select_all, &(), &(XSink, &kept))?,
        WriteX::Counts | WriteX::None => smallest_stage(source, &select_all, &(), &kept)?,
    };
    // Totals and moments of the first read stay until the genes are chosen; row lengths of the
    // kept columns stay until the scores are there.
    let rows = 4 * n;
    let per_gene = 24 * u64::from(n_genes) * groups().len() as u64;
    let totals = 12 * n + per_gene + groups().bytes();
    let (gram_bytes, components) = of_components(source.grid(), n, k, n_comps);
    let mut needs = vec![Need {
        stage: "read 1",
        bytes: program + per_gene + groups().bytes() + read_1.max(numbers + columns),
    }];
    // Limits and deviations of each gene in each batch, or totals that are sorted.
    needs.extend(extra.map(|(stage, bytes)| Need {
        stage,
        bytes: held + totals + 2 * per_gene + 16 * n + bytes,
    }));
    needs.extend([
        Need {
            stage: run::ReadNames::of(params).genes,
            bytes: held + totals + rows + read_2,
        },
        Need {
            stage: if k > u64::from(MOST_GRAM) {
                "block Krylov"
            } else {
                "Gram matrix"
            },
            bytes: held + totals + rows + gram_bytes,
        },
        Need {
            stage: "principal components",
            bytes: held + totals + rows + components,
        },
    ]);
    Ok(of_graph(needs, held, n, n_comps, params, ctx.threads()))
}

/// The Gram matrix of `k` kept columns of `n` cells (of many columns, a pass of block Krylov); then
/// the eigenproblem and the projection.
pub(crate) fn of_components(grid: &Grid, n: u64, k: u64, n_comps: u64) -> (u64, u64) {
    let spans = grid.n_spans().max(1);
    let states = (u64::from(spans.ilog2()) + 3).min(spans as u64 + 1);
    let (folds, eigen) = if k > u64::from(MOST_GRAM) {
        let state = BlockKrylov::state_bytes(k, n_comps);
        let basis = BlockKrylov::bytes(k, n_comps);
        (basis + state * states + 32 * k + READER, basis)
    } else {
        let gram = Gram::new(k as u32);
        (
            gram.state_bytes(0) * states + gram.fold_bytes() + READER,
            8 * k * (k + 1) / 2 + 5 * 8 * k * k,
        )
    };
    let project = 4 * n * n_comps + READER + 16 * k * n_comps;
    (folds, eigen.max(project))
}

/// Genes that cut-offs are taken to select, before they are known.
const TYPICAL_GENES: u64 = 2000;

/// A block of kept columns, read back from scratch.
const READER: u64 = 24 << 20;

/// Neighbours, fuzzy set, clusters, layout and result, after the stages before: what the graph's
/// steps declare, with twice as many stored edges as neighbours, the most there can be, and with
/// everything in scratch that can wait there.
fn of_graph(
    mut stages: Vec<Need>,
    held: u64,
    n: u64,
    n_comps: u64,
    params: &RunParams,
    threads: usize,
) -> Needs {
    let asked = pp::neighbors::asked(params);
    let k = (params.n_neighbors as u64).min(n).saturating_sub(1);
    let nnz = 2 * n * k;
    let used = params.n_pcs.map_or(n_comps, |used| used as u64);
    let leading = if used < n_comps { 4 * n * used } else { 0 };
    let exact = knn::is_exact(n as usize, asked.method, asked.metric);
    let search = knn::bytes(n, used, k, asked.method, asked.metric);
    let scores = 4 * n * n_comps;
    let graph = WeightedGraph::bytes(n, nnz);
    let lists = KnnGraph::bytes(n, k);
    // Row starts of the distances stay; their entries wait.
    let starts = 8 * n;
    let distances = pp::neighbors::distance_bytes(exact) * n * k;
    // While the graph is copied it is there itself; afterwards it is not, but its levels are.
    let clusters = leiden::bytes(n, nnz).max(graph + leiden::copy_bytes(n, nnz));
    // So it is where it is put in another order.
    let layout = umap::bytes(n, nnz, 2, threads).max(graph + umap::ordered_bytes(n, nnz));
    let columns = starts + 4 * n * params.resolutions.len() as u64;
    let places = 8 * n;
    let fuzzy = lists + fuzzy::bytes(n, k).max(graph + distances + starts);
    let mut need = |stage, bytes: u64| {
        stages.push(Need {
            stage,
            bytes: held + bytes,
        });
    };
    need("neighbours", scores + leading + search);
    need("connectivities", fuzzy);
    need("clusters", columns + clusters);
    need("layout", columns + places + layout);
    need("result", columns + places + scores + distances + graph);
    let waits = scores + distances + graph;
    Needs {
        stages,
        waits,
        in_memory: held + columns + places + waits + clusters.max(layout).max(fuzzy),
    }
}

/// Refuses a budget that a run cannot end with.
///
/// # Errors
/// [`Error::Budget`] with the smallest budget that would do.
pub(crate) fn refuse_small_budget(
    ctx: &Context,
    input: &Input,
    qc: &run::QualityControl,
    params: &RunParams,
) -> Result<()> {
    let needs = needs(ctx, input, qc, params)?;
    let Some(most) = needs.stages.iter().max_by_key(|need| need.bytes) else {
        return Ok(());
    };
    let limit = ctx.budget().limit();
    if most.bytes <= limit {
        return Ok(());
    }
    Err(Error::Budget {
        what: format!("the stage \"{}\" of this run", most.stage),
        needed: most.bytes,
        limit,
        smallest: most.bytes,
    }
    .into())
}

/// Stands for X of the result, whose sink is there only once the result is begun.
struct XSink;

impl Sink for XSink {
    type Part = ();

    fn start(&self, _span: usize) {}

    fn push(&self, _part: &mut (), _block: &Block) -> cellmill_engine::Result<()> {
        Ok(())
    }

    fn accept(&self, _part: ()) -> cellmill_engine::Result<()> {
        Ok(())
    }

    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
        // As cellmill_io's sink of f32 with its default chunks and 8-byte indices.
        (span_entries * 8 + span_rows * 8) * 2 + 4 * 65_536 * 12
    }
}
