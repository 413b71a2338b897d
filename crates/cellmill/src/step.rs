//! Single steps on a file that has what they need. The result is the input with new slots.

use crate::input::Input;
use crate::params::RunParams;
use crate::result::{Keep, ResultFile, suffix};
use crate::run::{QualityControl, leading, read_counts, read_genes};
use crate::slot::Patch;
use crate::{Error, Result, keys, pp, tl};
use cellmill_engine::{Context, Event, Source};
use cellmill_graph::{Points, Rows, WeightedGraph};
use cellmill_io::{ArrayData, Column, Elem, H5ad, Scalar};
use std::path::Path;

/// A step of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Quality control of cells and genes, from counts.
    Qc,
    /// Highly variable genes, from counts.
    Hvg,
    /// Principal components of the highly variable genes, from counts.
    Pca,
    /// Neighbours and their fuzzy set, from obsm.
    Neighbors,
    /// Clusters, from the neighbour graph.
    Leiden,
    /// A layout, from the neighbour graph.
    Umap,
}

/// What a step is asked to do.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The input.
    pub file: &'a Path,
    /// The result.
    pub target: &'a Path,
    /// Replaces the result file if it exists.
    pub force: bool,
    /// The representation that neighbours are found in; `None`: the principal components.
    pub use_rep: Option<&'a str>,
    /// Whether X, raw and layers are copied to the result.
    pub copy_matrices: bool,
    /// The parameters.
    pub params: &'a RunParams,
}

/// Runs one step and writes the input with its slots to the target. Returns the new slots.
///
/// Neighbours, clusters and layouts never open X; it is copied byte for byte.
///
/// # Errors
/// When the file lacks what the step needs (says which step makes it), or on any error of the step.
pub fn step(ctx: &Context, step: Step, request: &Request<'_>) -> Result<Vec<String>> {
    request.params.validate()?;
    if !request.params.filters.is_empty() {
        return Err(Error::Parameter(format!(
            "filters ({}) are options of `cellmill run`; a single step keeps every cell and gene",
            request.params.filters
        )));
    }
    let file = H5ad::open_in(request.file, &ctx.into())?;
    for text in file.warnings() {
        ctx.emit(Event::Warning { text: text.clone() });
    }
    match step {
        Step::Qc | Step::Hvg | Step::Pca => from_counts(ctx, step, file, request),
        Step::Neighbors => {
            let result = ResultFile::create(&file, request.target, request.force)?;
            let patch = neighbors(ctx, &file, request)?;
            finish(ctx, result, Keep::everything(request.copy_matrices), patch)
        }
        Step::Leiden | Step::Umap => {
            let result = ResultFile::create(&file, request.target, request.force)?;
            let graph = connectivities(&file)?;
            let patch = if step == Step::Leiden {
                leiden(ctx, &file, &graph, request.params)?
            } else {
                umap(ctx, &file, &graph, request.params)?
            };
            finish(ctx, result, Keep::everything(request.copy_matrices), patch)
        }
    }
}

fn finish(
    ctx: &Context,
    result: ResultFile<'_>,
    keep: Keep<'_>,
    patch: Patch,
) -> Result<Vec<String>> {
    let slots = patch
        .entries()
        .iter()
        .map(|(slot, _)| slot.to_string())
        .collect();
    for text in crate::staged(ctx, "writing the result", || result.finish(keep, patch))? {
        ctx.emit(Event::Note { text });
    }
    Ok(slots)
}

fn from_counts(
    ctx: &Context,
    step: Step,
    file: H5ad,
    request: &Request<'_>,
) -> Result<Vec<String>> {
    let params = request.params;
    let mut input = Input::open(
        file.clone(),
        params.matrix.as_deref(),
        params.fractional,
        params.block_rows,
    )?;
    let qc = QualityControl::prepare(&mut input, params)?;
    if !input.source.is_whole() {
        return Err(Error::Data(format!(
            "{}: var/feature_types holds features that are no genes; single steps take genes only: run \
             `cellmill run`, which keeps the others aside, or select the genes first",
            input.file.path().display()
        )));
    }
    let note = qc.note().filter(|_| step == Step::Qc);
    for text in input.notes.iter().cloned().chain(note) {
        ctx.emit(Event::Note { text });
    }
    let mut result = ResultFile::create(&file, request.target, request.force)?;
    let _held = crate::run::hold_input(ctx, &input)?;
    let patch = if step == Step::Qc {
        qc.of_all(ctx, &input, params)?
            .into_patch(&input, params.overwrite)
    } else if step == Step::Hvg {
        let counts = read_counts(ctx, &input, params, None, "totals and moments")?.0;
        let hvg = counts.highly_variable_genes(ctx, &input, params)?;
        for text in counts
            .warnings()
            .into_iter()
            .chain(hvg.warnings.iter().cloned())
        {
            ctx.emit(Event::Warning { text });
        }
        hvg.patch()
    } else {
        pca(ctx, &input, params)?
    };
    // Genes of raw/X that are not those of var cannot stand beside the input's X: the counts become
    // X, and their genes var.
    let same_var =
        !input.is_raw() || input.file.read_dataframe("var", Some(&[]))?.index == input.var.index;
    if same_var {
        return finish(ctx, result, Keep::everything(request.copy_matrices), patch);
    }
    if request.copy_matrices {
        result.writer().copy_from(&input.file, &input.matrix, "X")?;
    }
    ctx.emit(Event::Note {
        text:
            "the genes of raw/X are not those of var: X of the result is raw/X, and var is raw/var"
                .to_owned(),
    });
    let keep = Keep::Genes {
        var: &input.var,
        selected: None,
        same_var: false,
        write_x: crate::params::WriteX::Counts,
    };
    finish(ctx, result, keep, patch)
}

fn pca(ctx: &Context, input: &Input, params: &RunParams) -> Result<Patch> {
    let selected = selected_genes(input)?;
    let n_comps = pp::pca::n_comps(params.n_comps, input.source.n_rows(), selected.len() as u64)?;
    let target = match params.target_sum {
        crate::params::TargetSum::Fixed(target) => target,
        crate::params::TargetSum::Median => read_counts(ctx, input, params, None, "totals")?
            .0
            .target_sum(params),
    };
    let genes = read_genes(
        ctx,
        input,
        params,
        target,
        &selected,
        n_comps,
        None,
        "selected genes",
    )?;
    let suffix = suffix(
        &input.file,
        &format!("obsm/{}", keys::X_PCA),
        params.overwrite,
    );
    Ok(genes
        .pca
        .into_patch(input.source.n_cols() as usize, &selected, suffix))
}

fn selected_genes(input: &Input) -> Result<Vec<u32>> {
    let column = input
        .var
        .columns
        .iter()
        .find(|(name, _)| name == keys::HIGHLY_VARIABLE);
    let missing = || {
        Error::Data(format!(
            "{} has no boolean column highly_variable in var; run `cellmill hvg` first",
            input.file.path().display()
        ))
    };
    let mask: Vec<bool> = match column {
        Some((_, Column::Plain(ArrayData::Bool(mask)))) => mask.clone(),
        Some((
            _,
            Column::Nullable {
                values: ArrayData::Bool(values),
                mask,
            },
        )) => values
            .iter()
            .zip(mask)
            .map(|(&v, &missing)| v && !missing)
            .collect(),
        _ => return Err(missing()),
    };
    let selected: Vec<u32> = (0u32..)
        .zip(&mask)
        .filter(|&(_, &m)| m)
        .map(|(i, _)| i)
        .collect();
    if selected.len() < 2 {
        return Err(Error::Data(format!(
            "{}: var/highly_variable selects {} genes; principal components need at least 2",
            input.file.path().display(),
            selected.len()
        )));
    }
    Ok(selected)
}

/// A matrix of obsm as f32, row-major, with its number of columns.
fn representation(file: &H5ad, key: &str) -> Result<(Vec<f32>, usize)> {
    let address = format!("obsm/{key}");
    if !file.exists(&address) {
        let known = if file.exists("obsm") {
            file.keys("obsm")?
        } else {
            Vec::new()
        };
        let has = if known.is_empty() {
            "nothing".to_owned()
        } else {
            known.join(", ")
        };
        return Err(Error::Data(format!(
            "{} has no {address} (obsm holds {has}); run `cellmill pca`, or name a representation \
             with --use-rep",
            file.path().display()
        )));
    }
    let wrong = |found: &str| {
        Error::Data(format!(
            "{}: {address} is {found}, and a numeric matrix of cells x components was expected",
            file.path().display()
        ))
    };
    let Elem::Array(array) = file.read(&address)? else {
        return Err(wrong("not a dense array"));
    };
    let &[_, width] = array.shape.as_slice() else {
        return Err(wrong("not two-dimensional"));
    };
    let values = match array.data {
        ArrayData::F32(v) => v,
        ArrayData::F64(v) => v.into_iter().map(|x| x as f32).collect(),
        _ => return Err(wrong("not of floats")),
    };
    Ok((values, width as usize))
}

fn neighbors(ctx: &Context, file: &H5ad, request: &Request<'_>) -> Result<Patch> {
    let params = request.params;
    let key = request.use_rep.unwrap_or(keys::X_PCA);
    let (values, width) = representation(file, key)?;
    let used = params.n_pcs.unwrap_or(width);
    if used > width {
        return Err(Error::Parameter(format!(
            "n_pcs is {used}, and obsm/{key} has only {width} columns"
        )));
    }
    let values = leading(&values, width, used);
    let points = Points::new(&values, values.len() / used.max(1), used)
        .map_err(|e| Error::Data(format!("{}: obsm/{key}: {e}", file.path().display())))?;
    let (knn, graph) = pp::neighbors::neighbors(ctx, points, params)?;
    let info = pp::neighbors::NeighborsInfo {
        n_neighbors: knn.k + 1,
        metric: params.metric.name().to_owned(),
        random_state: params.seed,
        use_rep: request.use_rep.map(str::to_owned),
        n_pcs: params.n_pcs,
    };
    Ok(pp::neighbors::patch(
        pp::neighbors::distances(knn),
        graph,
        &info,
        "",
    ))
}

/// An entry of a nested `uns` dictionary.
fn entry<'a>(elem: &'a Elem, key: &str) -> Option<&'a Elem> {
    match elem {
        Elem::Dict(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
        _ => None,
    }
}

fn string(elem: Option<&Elem>) -> Option<String> {
    match elem {
        Some(Elem::Scalar(Scalar::Str(s))) => Some(s.clone()),
        _ => None,
    }
}

/// The weights of the neighbour graph, from the key that `uns/neighbors` names.
fn connectivities(file: &H5ad) -> Result<WeightedGraph> {
    let path = file.path().display();
    let uns = format!("uns/{}", keys::NEIGHBORS);
    let named = if file.exists(&uns) {
        string(entry(&file.read(&uns)?, "connectivities_key"))
    } else {
        None
    };
    let address = format!("obsp/{}", named.as_deref().unwrap_or(keys::CONNECTIVITIES));
    if !file.exists(&address) {
        return Err(Error::Data(format!(
            "{path} has no {address}; run `cellmill neighbors` first"
        )));
    }
    let Elem::Sparse(matrix) = file.read(&address)? else {
        return Err(Error::Data(format!(
            "{path}: {address} is not a sparse matrix"
        )));
    };
    let weights = match matrix.data {
        ArrayData::F32(v) => v,
        ArrayData::F64(v) => v.into_iter().map(|x| x as f32).collect(),
        _ => {
            return Err(Error::Data(format!(
                "{path}: {address} does not hold floats"
            )));
        }
    };
    WeightedGraph::from_parts(matrix.indptr, matrix.indices, weights)
        .map_err(|e| Error::Data(format!("{path}: {address}: {e}")))
}

fn leiden(ctx: &Context, file: &H5ad, graph: &WeightedGraph, params: &RunParams) -> Result<Patch> {
    let taken = |name: &str| !suffix(file, &format!("obs/{name}"), params.overwrite).is_empty();
    Ok(tl::leiden::columns(ctx, &mut &*graph, params, taken)?.0)
}

fn umap(ctx: &Context, file: &H5ad, graph: &WeightedGraph, params: &RunParams) -> Result<Patch> {
    let there = file.exists(&format!("obsm/{}", keys::X_PCA));
    let scores = match params.init {
        crate::params::Init::Random => None,
        crate::params::Init::Spectral if !there => None,
        _ => Some(representation(file, keys::X_PCA)?),
    };
    let points = scores
        .as_ref()
        .map(|(values, width)| Points::new(values, values.len() / (*width).max(1), *width))
        .transpose()?;
    let points = points.as_ref().map(|points| points as &dyn Rows);
    let curve = tl::umap::curve(params)?;
    let (ordered, begin) = tl::umap::begin(ctx, graph, points, params)?;
    let coordinates = tl::umap::umap(ctx, ordered, &begin, curve, params)?;
    let suffix = suffix(file, &format!("obsm/{}", keys::X_UMAP), params.overwrite);
    Ok(tl::umap::patch(coordinates, 2, curve, params.seed, suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_nested_dictionaries() {
        let uns = crate::slot::dict(vec![("a", crate::slot::text("x"))]);
        assert_eq!(string(entry(&uns, "a")), Some("x".to_owned()));
        assert_eq!(string(entry(&uns, "b")), None);
        assert_eq!(string(entry(&Elem::Null, "a")), None);
    }
}
