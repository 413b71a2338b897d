//! The whole job: counts to genes, components, neighbours, clusters and a layout, in two reads.

mod counts_read;
mod elsewhere;
mod genes_read;
mod quality;
mod waiting;

pub use counts_read::{CountsRead, counts_of_state, counts_reduction, read_counts};
pub(crate) use counts_read::{counts_walk, extra_read, median, moments_ops};
pub use elsewhere::Elsewhere;
pub(crate) use genes_read::normalisation;
pub use genes_read::{GenesRead, read_genes, write_genes};
pub(crate) use quality::{QualityControl, bytes as quality_bytes};

use crate::input::{Input, labels};
use crate::mixing::{self, Mixing};
use crate::params::{RunParams, WriteX};
use crate::result::{self, Keep, ResultFile};
use crate::slot::{Slot, dict, float};
use crate::{Error, Result, keys, needs, pp, tl};
use cellmill_engine::{Context, Event, Reservation, Source};
use cellmill_graph::{KnnGraph, Points, fuzzy, fuzzy_simplicial_set, give_back, leiden, umap};
use cellmill_io::H5ad;
use std::path::Path;
use tl::leiden::Keeper;
use waiting::{ScoreRows, Waiting, WaitingDistances, WaitingGraph};

/// What a run found, for the summary at the end.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Cells.
    pub n_cells: u64,
    /// Genes of the count matrix.
    pub n_genes: u64,
    /// Genes that were selected.
    pub n_highly_variable: u64,
    /// Genes that were not allowed to be.
    pub n_hvg_excluded: u64,
    /// Principal components.
    pub n_comps: usize,
    /// For each column of clusters: its name, the number of clusters, their modularity.
    pub clusters: Vec<tl::leiden::Clusters>,
    /// Donors among neighbours and clusters, where obs tells them apart.
    pub mixing: Option<Mixing>,
    /// Where the new slots are: slot names.
    pub slots: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Runs the whole job on a file and writes the result to `target`.
///
/// The file is read twice, or three times where cells or genes are filtered. The result holds the input's annotations without what went stale, and
/// in scanpy's slots what `sc.pp.normalize_total`, `log1p`, `highly_variable_genes`, `pca`,
/// `neighbors`, `sc.tl.leiden` and `umap` would write. It appears whole or not at all.
///
/// # Errors
/// See [`crate::Error`]; on any error `target` is as it was.
pub fn run(
    ctx: &Context,
    file: &Path,
    target: &Path,
    force: bool,
    params: &RunParams,
) -> Result<Summary> {
    let h5ad = H5ad::open_in(file, &ctx.into())?;
    run_on(ctx, h5ad, target, force, params, None)
}

/// As [`run`], of a file that is open already or several that were put together, and where a cluster
/// is given with the folds and the search there: the same bits. The client reads the file once more
/// where it writes X.
///
/// # Errors
/// As [`run`], and what went wrong on the cluster.
pub fn run_on(
    ctx: &Context,
    h5ad: H5ad,
    target: &Path,
    force: bool,
    params: &RunParams,
    cluster: Option<&dyn Elsewhere>,
) -> Result<Summary> {
    params.validate()?;
    for text in h5ad.warnings() {
        ctx.emit(Event::Warning { text: text.clone() });
    }
    let mut input = Input::open(
        h5ad.clone(),
        params.matrix.as_deref(),
        params.fractional,
        params.block_rows,
    )?;
    let qc = QualityControl::prepare(&mut input, params)?;
    for text in input.notes.iter().cloned().chain(qc.note()) {
        ctx.emit(Event::Note { text });
    }
    needs::refuse_small_budget(ctx, &input, &qc, params)?;
    let donors = donors(ctx, &input, params)?;
    let donor_bytes = donors
        .as_ref()
        .map_or(0, |(_, codes, _)| 8 * codes.len() as u64);
    let _donors_held = ctx
        .budget()
        .reserve(donor_bytes, "the donor of each cell")?;
    let mut result = ResultFile::create(&h5ad, target, force)?;
    let mut notes = Vec::new();
    let _held = hold_input(ctx, &input)?;

    let reads = ReadNames::of(params);
    let (counts, columns) = match (cluster, reads.quality) {
        (Some(_), quality) if quality.is_some() || !input.source.is_whole() => {
            return Err(Error::Parameter(
                "filters, and files with other features than genes, do not run on a cluster yet; run \
                 on one machine, or filter the file first"
                    .to_owned(),
            ));
        }
        (_, Some(stage)) => {
            let columns = qc.filter(ctx, &mut input, params, stage)?;
            let counts = read_counts(ctx, &input, params, None, reads.counts)?.0;
            (counts, columns)
        }
        (Some(cluster), None) if counts_read::is_default(params) => {
            let state = crate::staged(ctx, reads.counts, || cluster.counts(&input, params))?;
            let counts = counts_of_state(ctx, &input, params, &state)?;
            let found = qc.read(ctx, &input)?;
            (counts, qc.columns(ctx, &input, &found)?)
        }
        // On a cluster too, other flavours, and batches, are found on the threads of this process.
        (_, None) => {
            let quality = Some(qc.reduction(&input)?);
            let (counts, found) = read_counts(ctx, &input, params, quality, reads.counts)?;
            let found = found.ok_or_else(|| {
                cellmill_engine::Error::Bug("the read of the counts left out their quality".into())
            })?;
            (counts, qc.columns(ctx, &input, &found)?)
        }
    };
    let donors = donors.map(|(key, codes, names)| (key, labels::of_kept(&input, codes), names));
    result.select(&input);
    let hvg = counts.highly_variable_genes(ctx, &input, params)?;
    for text in counts
        .warnings()
        .into_iter()
        .chain(hvg.warnings.iter().cloned())
    {
        ctx.emit(Event::Warning { text });
    }
    let selected = hvg.selected();
    let n_cells = input.source.n_rows();
    let n_genes = input.source.n_cols();
    let n_comps = pp::pca::n_comps(params.n_comps, n_cells, selected.len() as u64)?;
    let used = params.n_pcs.unwrap_or(n_comps);
    if used > n_comps {
        return Err(Error::Parameter(format!(
            "n_pcs is {used}, and there are only {n_comps} components"
        )));
    }

    let target_sum = counts.target_sum(params);
    drop(counts);
    let (mut pca, scores_held) = if let Some(cluster) = cluster {
        let pca = crate::staged(ctx, "components", || {
            cluster.components(&input, params, target_sum, &selected, n_comps)
        })?;
        let bytes = pca.scores.len() as u64 * 4;
        let held = ctx
            .budget()
            .reserve(bytes, "the scores of the PCA (X_pca)")?;
        write_genes(
            ctx,
            &input,
            params,
            target_sum,
            &selected,
            &mut result,
            "X of the result",
        )?;
        (pca, held)
    } else {
        let genes = read_genes(
            ctx,
            &input,
            params,
            target_sum,
            &selected,
            n_comps,
            Some(&mut result),
            reads.genes,
        )?;
        (genes.pca, genes.held)
    };

    let mut patch = columns.into_patch(&input, params.overwrite);
    patch.extend(hvg.patch());
    let mut log1p = Vec::new();
    if let Some(base) = params.log_base {
        log1p.push(("base", float(base)));
    }
    if params.write_x != WriteX::Counts {
        patch = patch.elem(Slot::Uns(keys::LOG1P.to_owned()), dict(log1p));
    }
    let existing = |slot: &str| result::suffix(&input.file, slot, params.overwrite);
    let pca_suffix = existing(&format!("obsm/{}", keys::X_PCA));

    let n = n_cells;
    give_back();
    let knn = {
        let _leading = ctx.budget().reserve(
            if used < n_comps {
                4 * n * used as u64
            } else {
                0
            },
            "the leading components",
        )?;
        let scores = leading(&pca.scores, n_comps, used);
        let points = Points::new(&scores, n as usize, used)?;
        match cluster {
            None => pp::neighbors::search(ctx, points, params)?,
            Some(cluster) => crate::staged(ctx, "neighbors", || cluster.knn(ctx, points, params))?,
        }
    };
    let k = knn.k as u64;
    let lists_held = ctx
        .budget()
        .reserve(KnnGraph::bytes(n, k), "the neighbour lists")?;
    let mut scores = Waiting::new("X_pca", std::mem::take(&mut pca.scores), scores_held);
    scores.make_room(ctx, fuzzy::bytes(n, k))?;
    give_back();
    let graph = fuzzy_simplicial_set(ctx, &knn)?;
    let mut graph = WaitingGraph::new(ctx, graph)?;
    let mut mixing = donors
        .as_ref()
        .map(|(key, codes, names)| Mixing::of_neighbors(key, codes, names, &knn));
    let info = pp::neighbors::NeighborsInfo {
        n_neighbors: knn.k + 1,
        metric: params.metric.name().to_owned(),
        random_state: params.seed,
        use_rep: (!pca_suffix.is_empty()).then(|| format!("{}{pca_suffix}", keys::X_PCA)),
        n_pcs: params.n_pcs,
    };
    let distances_held = ctx.budget().reserve(
        pp::neighbors::distance_bytes(knn.exact) * n * k,
        "the distances",
    )?;
    let distances = pp::neighbors::distances(knn);
    drop((lists_held, distances_held));
    let mut distances = WaitingDistances::new(ctx, distances)?;

    let (_, nnz) = graph.size();
    let room = leiden::bytes(n, nnz);
    distances.make_room(ctx, room)?;
    scores.make_room(ctx, room)?;
    give_back();
    let taken = |name: &str| !existing(&format!("obs/{name}")).is_empty();
    let (columns, clusters) = tl::leiden::columns(ctx, &mut graph, params, taken)?;
    if let (Some(mixing), Some((_, codes, names))) = (&mut mixing, &donors) {
        mixing.add_clusters(codes, names, &columns);
    }
    patch.extend(columns);

    let umap_suffix = existing(&format!("obsm/{}", keys::X_UMAP));
    let curve = tl::umap::curve(params)?;
    let room = umap::bytes(n, nnz, 2, ctx.threads());
    distances.make_room(ctx, room)?;
    scores.make_room(ctx, room)?;
    give_back();
    let (ordered, begin) = {
        let points = ScoreRows {
            ctx,
            scores: &scores,
            d: n_comps,
        };
        tl::umap::begin(ctx, graph.hand(ctx, room)?, Some(&points), params)?
    };
    give_back();
    let coordinates = tl::umap::umap(ctx, ordered, &begin, curve, params)?;
    drop(begin);
    patch.extend(tl::umap::patch(
        coordinates,
        2,
        curve,
        params.seed,
        umap_suffix,
    ));
    patch = patch.elem(
        Slot::Uns(keys::CELLMILL.to_owned()),
        params.to_uns(&input.matrix),
    );
    give_back();
    let (values, _scores_held) = scores.take(ctx)?;
    pca.scores = values;
    let (graph, _graph_held) = graph.take(ctx)?;
    let (distances, _distances_held) = distances.take(ctx)?;
    patch.extend(pca.into_patch(n_genes as usize, &selected, pca_suffix));
    patch.extend(pp::neighbors::patch(distances, graph, &info, ""));

    let slots = patch
        .entries()
        .iter()
        .map(|(slot, _)| slot.to_string())
        .collect();
    let keep = Keep::Genes {
        var: &input.var,
        selected: (params.write_x == WriteX::Hvg).then_some(&selected),
        same_var: !input.is_raw(),
        write_x: params.write_x,
    };
    notes.extend(crate::staged(ctx, "writing the result", || {
        result.finish(keep, patch)
    })?);
    notes.extend(result::without_x(params.write_x).map(str::to_owned));
    for text in &notes {
        ctx.emit(Event::Note { text: text.clone() });
    }
    Ok(Summary {
        n_cells,
        n_genes: u64::from(n_genes),
        n_highly_variable: selected.len() as u64,
        n_hvg_excluded: input.n_excluded() as u64,
        n_comps,
        clusters,
        mixing,
        slots,
        notes,
    })
}

/// What the reads of a run are called.
pub(crate) struct ReadNames {
    /// Of the read that a filter needs.
    pub quality: Option<&'static str>,
    /// Of the totals and moments.
    pub counts: &'static str,
    /// Of what a flavour needs beside the moments.
    pub extra: Option<&'static str>,
    /// Of the selected genes.
    pub genes: &'static str,
}

impl ReadNames {
    /// Of a run with these parameters.
    pub fn of(params: &RunParams) -> Self {
        let filters = params.filters.need_a_read();
        let extra = extra_read(params);
        Self {
            quality: filters.then_some("read 1: quality control"),
            counts: if filters {
                "read 2: totals and moments"
            } else {
                "read 1: totals and moments"
            },
            genes: match usize::from(filters) + usize::from(extra.is_some()) {
                0 => "read 2: selected genes",
                1 => "read 3: selected genes",
                _ => "read 4: selected genes",
            },
            extra,
        }
    }
}

/// The column that tells donors apart, the donor of each cell, and the donors' names.
type Donors = (String, Vec<i64>, Vec<String>);

/// The donors of the batch key, or of a column that looks like it, which is then said.
fn donors(ctx: &Context, input: &Input, params: &RunParams) -> Result<Option<Donors>> {
    let key = match &params.batch_key {
        Some(key) => Some(key.clone()),
        None => mixing::find_column(&input.file)?,
    };
    let Some(key) = key else {
        return Ok(None);
    };
    let (codes, names) = labels::of_column(&input.file, &key)?;
    if params.batch_key.is_none() {
        ctx.emit(Event::Warning {
            text: format!(
                "obs/{key} tells {} samples apart, and genes are found in all cells together; \
                 --batch-key {key} finds those that vary within samples",
                names.len()
            ),
        });
    }
    Ok(Some((key, codes, names)))
}

/// Declares what stays in memory for as long as the input is open, and turns its matrix around where
/// the file does not hold it cell by cell.
pub(crate) fn hold_input(ctx: &Context, input: &Input) -> Result<[Reservation; 2]> {
    let held = [
        ctx.budget().reserve(needs::PROGRAM, "the program itself")?,
        ctx.budget().reserve(
            input.source.inner().resident_bytes(),
            "row starts and chunk tables of the matrix",
        )?,
    ];
    if input.source.inner().to_turn().is_some() {
        let stage = format!("turning {} around", input.matrix);
        crate::staged(ctx, &stage, || Ok(input.source.inner().turn()?))?;
    }
    Ok(held)
}

/// The first `used` of `width` columns of a row-major matrix; borrowed where that is all of them.
pub(crate) fn leading(scores: &[f32], width: usize, used: usize) -> std::borrow::Cow<'_, [f32]> {
    if used == width {
        return scores.into();
    }
    scores
        .chunks_exact(width)
        .flat_map(|row| row[..used].iter().copied())
        .collect::<Vec<_>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_columns() {
        let m = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(*leading(&m, 3, 2), [1.0, 2.0, 4.0, 5.0]);
        assert_eq!(*leading(&m, 3, 3), m);
    }
}
