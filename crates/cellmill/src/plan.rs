//! The plan of a run: stages, reads, memory and scratch, without running it.

use crate::input::Input;
use crate::needs::{self, Need};
use crate::params::{RunParams, WriteX};
use crate::pp::highly_variable_genes::{Flavor, Selection};
use crate::run::{self, QualityControl, ReadNames};
use crate::{Result, pp};
use cellmill_engine::error::human_bytes;
use cellmill_engine::grid::BLOCK_ENTRIES;
use cellmill_engine::keep::{KeptColumns, Precision};
use cellmill_engine::linalg::{BlockKrylov, MOST_GRAM};
use cellmill_engine::{Context, Op, Source};
use cellmill_graph::knn;
use cellmill_io::H5ad;
use serde::Serialize;
use std::path::Path;

/// A stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedStage {
    /// Its name, as the progress shows it.
    pub name: String,
    /// How often it reads the matrix: 1 or 0.
    pub reads: u32,
    /// The ops on each block, in order.
    pub ops: Vec<String>,
    /// What it computes, and where it goes.
    pub computes: Vec<String>,
    /// Memory that it needs, in bytes: of the reads and the components beside what earlier stages
    /// hold, of the graph's steps in all, what can wait in scratch not counted.
    pub memory: u64,
}

/// The plan of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunPlan {
    /// File and matrix.
    pub source: String,
    /// Cells.
    pub n_cells: u64,
    /// Genes.
    pub n_genes: u32,
    /// Stored entries.
    pub nnz: u64,
    /// Blocks of the grid.
    pub blocks: usize,
    /// Spans of the grid.
    pub spans: usize,
    /// The stages, in order.
    pub stages: Vec<PlannedStage>,
    /// How often the matrix is read.
    pub reads: u32,
    /// The budget, in bytes.
    pub budget: u64,
    /// The most memory that a stage holds, in bytes; what does not fit goes to scratch.
    pub memory: u64,
    /// The least memory of each stage, what earlier ones hold included, in bytes.
    pub needs: Vec<Need>,
    /// The smallest budget with which the run ends, in bytes.
    pub smallest_budget: u64,
    /// Upper bound of the scratch file, in bytes; 0 where everything fits.
    pub scratch: u64,
    /// Why this matrix.
    pub notes: Vec<String>,
}

/// Share of the entries that the selected genes are taken to hold, where nothing is known yet.
/// Selected genes are of middling expression: 4 to 12 % of the entries in the files tried.
const SELECTED_SHARE: f64 = 0.12;

/// Plans a run of a file: looks at its structure and samples its matrices, and computes nothing.
///
/// # Errors
/// As the run would fail before its first read.
pub fn plan(ctx: &Context, file: &Path, params: &RunParams) -> Result<RunPlan> {
    params.validate()?;
    let mut input = Input::open(
        H5ad::open_in(file, &ctx.into())?,
        params.matrix.as_deref(),
        params.fractional,
        params.block_rows,
    )?;
    let qc = QualityControl::prepare(&mut input, params)?;
    let source = &input.source;
    let n = source.n_rows();
    let n_genes = source.n_cols();
    let most = n.saturating_mul(n_genes.into());
    let nnz = source.entries_at_most().min(most);
    let threads = ctx.threads() as u64;
    let selected = match params.hvg.selection {
        Selection::Top(k) => k.min(u64::from(n_genes)),
        Selection::Cutoffs { .. } => u64::from(n_genes).min(2000),
    };
    let n_comps = pp::pca::n_comps(params.n_comps, n, selected)? as u64;
    let in_flight = threads * (source.reader_bytes() + 16 * BLOCK_ENTRIES);
    let labels = crate::input::labels::of_run(&input, params)?;
    let batches = labels.groups.len() as u64;
    let per_gene = 24 * u64::from(n_genes) * batches * (threads + 7);
    let entries = ((nnz as f64 * SELECTED_SHARE) as u64).min(n.saturating_mul(selected));
    let kept = KeptColumns::estimate(selected as u32, Precision::F32, entries, n);
    let krylov = selected > u64::from(MOST_GRAM);
    let gram = if krylov {
        BlockKrylov::bytes(selected, n_comps)
            + BlockKrylov::state_bytes(selected, n_comps) * (threads + 7)
    } else {
        8 * selected * (selected + 1) / 2 * (threads + 7) + 3 * 8 * selected * selected
    };
    let scores = 4 * n * n_comps;
    let needs = needs::needs(ctx, &input, &qc, params)?;
    let asked = pp::neighbors::asked(params);
    let exact = knn::is_exact(n as usize, asked.method, asked.metric);
    let of_graph = |names: &[&str]| {
        let found = needs
            .stages
            .iter()
            .filter(|need| names.contains(&need.stage));
        found.map(|need| need.bytes).max().unwrap_or(0)
    };

    let base = params
        .log_base
        .map_or("log1p".to_owned(), |b| format!("log1p(base={b})"));
    let normalise = match params.target_sum {
        crate::params::TargetSum::Fixed(t) => format!("normalize_total({t})"),
        crate::params::TargetSum::Median => "normalize_total(median of read 1)".to_owned(),
    };
    let mut by = match (&params.batch_key, params.hvg.flavor.name()) {
        (None, flavor) => format!("flavour {flavor}"),
        (Some(key), flavor) => format!("flavour {flavor}, {batches} batches of obs/{key}"),
    };
    if input.n_excluded() > 0 {
        by += &format!("; {} genes excluded", input.n_excluded());
    }
    let chosen = match params.hvg.selection {
        Selection::Top(k) => format!("var/highly_variable: {k} genes ({by})"),
        Selection::Cutoffs { .. } => {
            format!("var/highly_variable: genes within the cut-offs ({by})")
        }
    };
    let mut second = vec![format!(
        "kept columns of the selected genes, about {}",
        human_bytes(kept)
    )];
    if !krylov {
        second.push("Gram matrix of the kept columns".to_owned());
    }
    match params.write_x {
        WriteX::Lognorm => {
            second.push("X of the result, log-normalised f32, gzip".to_owned());
            second.push(if params.filters.is_empty() && source.is_whole() {
                "layers/counts, its compressed chunks copied".to_owned()
            } else {
                "layers/counts: the counts of what stays".to_owned()
            });
        }
        WriteX::Counts => second.push(if params.filters.is_empty() && source.is_whole() {
            "X of the result: the counts, compressed chunks copied".to_owned()
        } else {
            "X of the result: the counts of what stays".to_owned()
        }),
        WriteX::Hvg => {
            second.push("X of the result: the selected genes, log-normalised".to_owned())
        }
        WriteX::None => {}
    }
    let stage = |name: &str, reads, ops: Vec<String>, computes: Vec<String>, memory| PlannedStage {
        name: name.to_owned(),
        reads,
        ops,
        computes,
        memory,
    };
    let select = format!("select_genes({selected})");
    let reads = ReadNames::of(params);
    let words = |ops: &[Op]| ops.iter().map(Op::to_string).collect::<Vec<_>>();
    let mut first_ops = words(&run::moments_ops(params));
    if params.hvg.flavor == Flavor::Seurat {
        first_ops =
            vec!["normalize_total(1) for the moments; the flavour undoes the log".to_owned()];
    }
    let mut found = vec!["totals of cells; the check that values are counts".to_owned()];
    let extra = reads.extra.map(|name| {
        let (ops, what) = if params.hvg.flavor.of_counts() {
            let what = "sums of clipped values, from the moments of the first read";
            (Vec::new(), what)
        } else {
            (vec![normalise.clone(), base.clone()], "moments of genes")
        };
        let memory = in_flight + 2 * per_gene + 12 * n;
        stage(name, 1, ops, vec![what.to_owned(), chosen.clone()], memory)
    });
    if extra.is_none() {
        found.push(chosen);
    }
    let quality = format!(
        "quality of cells and genes into obs and var{}",
        qc.params
            .qc_vars
            .iter()
            .map(|(name, genes)| format!(", {name}: {} genes", genes.len()))
            .collect::<String>()
    );
    let mut stages = Vec::new();
    match reads.quality {
        None => found.push(quality),
        Some(name) => stages.push(stage(
            name,
            1,
            Vec::new(),
            vec![
                quality,
                format!(
                    "which cells and genes stay ({}): a read of its own, since totals and moments are \
                     those of what stays",
                    params.filters
                ),
            ],
            in_flight + 2 * per_gene + run::quality_bytes(n, u64::from(n_genes), &qc.params),
        )),
    }
    stages.push(stage(
        reads.counts,
        1,
        first_ops,
        found,
        in_flight + 2 * per_gene + 12 * n,
    ));
    stages.extend(extra);
    stages.extend([
        stage(
            reads.genes,
            1,
            vec![normalise, base, select],
            second,
            in_flight + kept.max(gram),
        ),
        stage(
            "principal components",
            0,
            Vec::new(),
            vec![format!(
                "obsm/X_pca: {n_comps} components from the kept columns, {}",
                if krylov {
                    "by block Krylov: some twenty to fifty passes over them"
                } else {
                    "by the eigenvectors of their Gram matrix"
                }
            )],
            gram + scores,
        ),
        stage(
            "neighbours",
            0,
            Vec::new(),
            vec![format!(
                "obsp/distances, obsp/connectivities: {} neighbours, {}",
                params.n_neighbors,
                if exact { "exact" } else { "approximate" }
            )],
            of_graph(&["neighbours", "connectivities"]),
        ),
        stage(
            "leiden",
            0,
            Vec::new(),
            vec![format!("obs/leiden: resolution {:?}", params.resolutions)],
            of_graph(&["clusters"]),
        ),
        stage(
            "umap",
            0,
            Vec::new(),
            vec![format!(
                "obsm/X_umap: {} initialisation",
                params.init.name()
            )],
            of_graph(&["layout"]),
        ),
    ]);
    let turned = source.inner().to_turn();
    if let Some(bytes) = turned {
        let what = format!("{} as CSR in scratch, {}", input.matrix, human_bytes(bytes));
        stages.insert(
            0,
            stage("turning the matrix around", 1, Vec::new(), vec![what], 0),
        );
    }
    let smallest_budget = needs
        .stages
        .iter()
        .map(|need| need.bytes)
        .max()
        .unwrap_or(0);
    let memory = stages.iter().map(|s| s.memory).max().unwrap_or(0);
    let budget = ctx.budget().limit();
    let spilled = if in_flight + kept > budget / 2 {
        kept
    } else {
        0
    };
    // What is turned around is in scratch twice: dealt out, and sorted.
    let waits = if budget < needs.in_memory {
        needs.waits
    } else {
        0
    };
    let turned = turned.unwrap_or(0);
    let scratch = (spilled + 3 * turned).max(turned + waits);
    Ok(RunPlan {
        source: source.describe(),
        n_cells: n,
        n_genes,
        nnz,
        blocks: source.grid().n_blocks(),
        spans: source.grid().n_spans(),
        reads: stages.iter().map(|s| s.reads).sum(),
        stages,
        budget,
        memory: memory.max(smallest_budget.min(budget)),
        needs: needs.stages,
        smallest_budget,
        scratch,
        notes: input.notes.iter().cloned().chain(qc.note()).collect(),
    })
}

impl std::fmt::Display for RunPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.source)?;
        writeln!(
            f,
            "{} cells x {} genes, {} entries; grid of {} blocks in {} spans",
            self.n_cells, self.n_genes, self.nnz, self.blocks, self.spans
        )?;
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        for (i, stage) in self.stages.iter().enumerate() {
            writeln!(
                f,
                "\n{}. {}  ({} of memory)",
                i + 1,
                stage.name,
                human_bytes(stage.memory)
            )?;
            if !stage.ops.is_empty() {
                writeln!(f, "   ops: {}", stage.ops.join(" -> "))?;
            }
            for what in &stage.computes {
                writeln!(f, "   {what}")?;
            }
        }
        let scratch = if self.scratch > 0 {
            format!("up to {} of scratch", human_bytes(self.scratch))
        } else {
            "no scratch".to_owned()
        };
        writeln!(
            f,
            "\nreads of the matrix: {}; memory about {} of {}, at least {}; {scratch}",
            self.reads,
            human_bytes(self.memory),
            human_bytes(self.budget),
            human_bytes(self.smallest_budget)
        )
    }
}
