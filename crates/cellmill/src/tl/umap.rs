//! The layout (`sc.tl.umap`): from coordinates to slots.

use crate::params::{Init, RunParams};
use crate::slot::{Patch, Slot, dict, float, integer, matrix};
use crate::{Error, Result, keys};
use cellmill_engine::Context;
use cellmill_graph::umap::{self, UmapParams, find_ab_params};
use cellmill_graph::{Handed, Ordered, Rows};
use cellmill_io::ArrayData;

/// The parameters of the layout's curve.
///
/// # Errors
/// When spread and distance give none.
pub fn curve(params: &RunParams) -> Result<(f64, f64)> {
    match params.curve {
        Some(curve) => Ok(curve),
        None => Ok(find_ab_params(params.spread, params.min_dist)?),
    }
}

/// The graph as [`umap`] walks it, and the coordinates at which it begins, cells x 2. `points` are
/// the principal components of all cells: needed for [`Init::Pca`]; otherwise they say where the
/// parts of a graph in many parts lie. A graph that is given away is dropped on the way.
///
/// # Errors
/// When principal components are missing, or the graph does not fit the budget.
pub fn begin<'a>(
    ctx: &Context,
    graph: impl Into<Handed<'a>>,
    points: Option<&dyn Rows>,
    params: &RunParams,
) -> Result<(Ordered, Vec<f32>)> {
    let init = match (params.init, points) {
        (Init::Spectral, points) => umap::Init::Spectral { points },
        (Init::Random, _) => umap::Init::Random,
        (Init::Pca, Some(points)) => umap::Init::Pca(points),
        (Init::Pca, None) => {
            return Err(Error::Parameter(
                "--init pca needs principal components, and there are none".to_owned(),
            ));
        }
    };
    let n_epochs = params.epochs.map(|n| n as usize);
    let stage = format!("umap: {} initialisation", params.init.name());
    crate::staged(ctx, &stage, || {
        let graph = umap::ordered(ctx, graph, n_epochs)?;
        let begin = graph.initial_layout(ctx, init, 2, params.seed)?;
        Ok((graph, begin))
    })
}

/// Lays out a neighbour graph in two dimensions, as [`begin`] gives it and from where it says.
///
/// Matches `sc.tl.umap`.
///
/// # Errors
/// When a parameter is out of range or the graph does not fit the budget.
pub fn umap(
    ctx: &Context,
    graph: Ordered,
    begin: &[f32],
    (a, b): (f64, f64),
    params: &RunParams,
) -> Result<Vec<f32>> {
    let asked = UmapParams {
        a,
        b,
        n_epochs: params.epochs.map(|n| n as usize),
        alpha: params.alpha,
        gamma: params.gamma,
        negative_sample_rate: params.negative_sample_rate as usize,
        n_components: 2,
        seed: params.seed,
    };
    Ok(graph.umap(ctx, begin, &asked)?)
}

/// The slots that scanpy writes: obsm `X_umap` (f32, n x `n_components`), uns `umap` with the
/// curve's `a` and `b`, and the seed where it is not 0. `suffix` is appended to each key.
pub fn patch(
    coordinates: Vec<f32>,
    n_components: usize,
    (a, b): (f64, f64),
    random_state: u64,
    suffix: &str,
) -> Patch {
    let n = coordinates.len() / n_components;
    let mut params = vec![("a", float(a)), ("b", float(b))];
    if random_state != 0 {
        params.push(("random_state", integer(random_state as i64)));
    }
    Patch::new()
        .elem(
            Slot::Obsm(format!("{}{suffix}", keys::X_UMAP)),
            matrix(n, n_components, ArrayData::F32(coordinates)),
        )
        .elem(
            Slot::Uns(format!("{}{suffix}", keys::UMAP)),
            dict(vec![("params", dict(params))]),
        )
}
