//! The layout (`sc.tl.umap`): from coordinates to slots.

use crate::params::{Init, RunParams};
use crate::slot::{Patch, Slot, dict, float, integer, matrix};
use crate::{Error, Result, keys};
use cellmill_engine::Context;
use cellmill_graph::umap::{self, UmapParams, find_ab_params};
use cellmill_graph::{Points, WeightedGraph};
use cellmill_io::ArrayData;

/// Lays the graph out in the plane; returns n x 2 coordinates and the curve's `a` and `b`.
///
/// `scores` (row-major, with their number of columns) are needed for [`Init::Pca`]; otherwise they
/// place the parts of a graph that falls apart.
/// Matches `sc.tl.umap`.
///
/// # Errors
/// When the initialisation needs scores that are not there, the curve does not fit `min_dist` and
/// `spread`, or the layout does not fit the budget.
pub fn umap(
    ctx: &Context,
    graph: &WeightedGraph,
    scores: Option<(&[f32], usize)>,
    params: &RunParams,
) -> Result<(Vec<f32>, (f64, f64))> {
    let (a, b) = match params.curve {
        Some(curve) => curve,
        None => find_ab_params(params.spread, params.min_dist)?,
    };
    let points = scores
        .map(|(scores, width)| Points::new(scores, scores.len() / width.max(1), width))
        .transpose()?;
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
    let begin = umap::initial_layout(ctx, graph, init, 2, n_epochs, params.seed)?;
    let asked = UmapParams {
        a,
        b,
        n_epochs,
        alpha: params.alpha,
        gamma: params.gamma,
        negative_sample_rate: params.negative_sample_rate as usize,
        n_components: 2,
        seed: params.seed,
    };
    Ok((umap::umap(ctx, graph, &begin, &asked)?, (a, b)))
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
