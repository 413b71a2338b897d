//! UMAP's layout of a weighted graph (McInnes, Healy and Melville 2018; umap-learn 0.5.12).
//!
//! [`initial_layout`] gives the coordinates to begin with, [`umap`] improves them by stochastic
//! gradient descent on the cross-entropy between the graph and the layout.

mod ab;
mod edges;
mod init;
mod order;
mod ordered;
mod parallel;
pub(crate) mod random;
mod sequential;

pub use ab::find_ab_params;
pub use init::{Init, initial_layout};
pub use ordered::{Ordered, bytes as ordered_bytes};

use crate::relabel::{back_from, in_order};
use crate::{Handed, WeightedGraph, spectral};
use cellmill_engine::{Context, Error, Event, Result};
use std::time::Instant;

/// Up to this many vertices the number of epochs is 500 by default, as umap-learn has it.
const SMALL: usize = 10_000;

/// Up to this many vertices the events run one by one: 32 lanes would often share an end.
const SEQUENTIAL: usize = 2_048;

/// The name of the stage in events.
const STAGE: &str = "umap";

/// How a layout is made; the defaults are those of scanpy's `tl.umap`.
#[derive(Debug, Clone, PartialEq)]
pub struct UmapParams {
    /// The curve's a, of [`find_ab_params`].
    pub a: f64,
    /// The curve's b, of [`find_ab_params`].
    pub b: f64,
    /// Epochs (scanpy's `maxiter`); `None`: 500 up to 10,000 vertices, 200 above.
    pub n_epochs: Option<usize>,
    /// The initial learning rate, which falls linearly to 0.
    pub alpha: f64,
    /// The weight of repulsion.
    pub gamma: f64,
    /// Repulsions for each attraction.
    pub negative_sample_rate: usize,
    /// Dimensions of the layout.
    pub n_components: usize,
    /// Seed of the negative samples (scanpy's `random_state`).
    pub seed: u64,
}

impl Default for UmapParams {
    fn default() -> Self {
        Self {
            a: 0.583_030_020_341_442_5,
            b: 1.334_166_992_431_491_4,
            n_epochs: None,
            alpha: 1.0,
            gamma: 1.0,
            negative_sample_rate: 5,
            n_components: 2,
            seed: 0,
        }
    }
}

impl UmapParams {
    /// The number of epochs for a graph of `n` vertices.
    pub fn epochs(&self, n: usize) -> usize {
        self.n_epochs.unwrap_or(default_epochs(n))
    }

    fn check(&self) -> Result<()> {
        let positive = [("a", self.a), ("b", self.b)];
        for (name, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::Parameter(format!(
                    "{name} is {value}; it must be a positive number"
                )));
            }
        }
        for (name, value) in [("alpha", self.alpha), ("gamma", self.gamma)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::Parameter(format!(
                    "{name} is {value}; it must be a number that is not negative"
                )));
            }
        }
        if self.n_components == 0 {
            return Err(Error::Parameter(
                "n_components is 0; a layout has at least one dimension".to_owned(),
            ));
        }
        for (name, value) in [
            ("n_epochs", self.n_epochs.unwrap_or(0)),
            ("negative_sample_rate", self.negative_sample_rate),
        ] {
            if u32::try_from(value).is_err() {
                return Err(Error::Parameter(format!(
                    "{name} is {value}; it must be below 2^32"
                )));
            }
        }
        Ok(())
    }
}

fn default_epochs(n: usize) -> usize {
    if n <= SMALL { 500 } else { 200 }
}

/// The layout of `graph` (n x `n_components`, row-major) that begins at `init`.
///
/// umap-learn's `optimize_layout_euclidean` as `scanpy.tl.umap` calls it: entries below
/// max / n_epochs are dropped, an edge fires in proportion to its weight, pulls both its ends
/// together and pushes its head from random vertices. `init` is used as it is: [`initial_layout`]
/// gives it umap-learn's scale.
///
/// Up to 2,048 vertices, and in other than 2 or 3 dimensions, the events run one by one, as
/// umap-learn's. Above, they run in fixed parts, 32 lanes at a time. The result has the
/// same bits for any number of threads and on every instruction set.
///
/// Where the initial layout is made of the same graph, [`ordered`] does once what both begin with.
///
/// # Errors
/// [`Error::Parameter`] when a parameter is out of range or `init` is not n x `n_components`;
/// [`Error::Data`] when a coordinate or a weight is not finite, or the graph is not a CSR matrix;
/// [`Error::Budget`] when the edges do not fit; [`Error::Cancelled`].
pub fn umap<'a>(
    ctx: &Context,
    graph: impl Into<Handed<'a>>,
    init: &[f32],
    parameters: &UmapParams,
) -> Result<Vec<f32>> {
    parameters.check()?;
    ordered(ctx, graph, parameters.n_epochs)?.umap(ctx, init, parameters)
}

/// The graph as a layout of `n_epochs` walks it: in an order of its own, without the entries that
/// would never fire. One that is given away is dropped.
///
/// # Errors
/// As [`umap`].
///
/// ```
/// use cellmill_engine::Context;
/// use cellmill_graph::umap::ordered;
/// use cellmill_graph::{Init, UmapParams, WeightedGraph};
/// let path = WeightedGraph {
///     indptr: vec![0, 1, 3, 4],
///     indices: vec![1, 0, 2, 1],
///     weights: vec![1.0; 4],
/// };
/// let ctx = Context::quiet(1)?;
/// let graph = ordered(&ctx, &path, None)?;
/// let begin = graph.initial_layout(&ctx, Init::Spectral { points: None }, 2, 0)?;
/// let layout = graph.umap(&ctx, &begin, &UmapParams::default())?;
/// assert_eq!(layout.len(), 6);
/// # Ok::<(), cellmill_engine::Error>(())
/// ```
pub fn ordered<'a>(
    ctx: &Context,
    graph: impl Into<Handed<'a>>,
    n_epochs: Option<usize>,
) -> Result<Ordered> {
    Ordered::new(ctx, graph, |graph| {
        least(graph, n_epochs.unwrap_or(default_epochs(graph.n())))
    })
}

impl Ordered {
    /// As [`umap`], of a graph that was ordered for as many epochs.
    ///
    /// # Errors
    /// As there; [`Error::Parameter`] when other entries count in as many epochs as are asked for.
    pub fn umap(self, ctx: &Context, init: &[f32], parameters: &UmapParams) -> Result<Vec<f32>> {
        parameters.check()?;
        let (n, d) = (self.n(), parameters.n_components);
        let n_epochs = parameters.epochs(n);
        if n.checked_mul(d) != Some(init.len()) {
            return Err(Error::Parameter(format!(
                "the initial layout has {} coordinates; {n} vertices in {d} dimensions need {}",
                init.len(),
                n * d
            )));
        }
        init::check_finite("initial", init, d)?;
        if self.graph.nnz() == 0 {
            return Ok(init.to_vec());
        }
        let least = least(&self.graph, n_epochs);
        if self.least != least {
            return Err(Error::Parameter(format!(
                "the graph was ordered with its entries from {} on; in {n_epochs} epochs those from \
                 {least} on count: order it for as many epochs as it is laid out in",
                self.least
            )));
        }
        ctx.emit(Event::StageStarted {
            stage: STAGE.to_owned(),
            total: n_epochs as u64,
            unit: "epochs".to_owned(),
        });
        let started = Instant::now();
        let _positions = ctx
            .budget()
            .reserve(POSITION * init.len() as u64, "the positions of the layout")?;
        let Self {
            graph,
            order,
            hierarchy,
            memory: _places,
            ..
        } = self;
        drop(hierarchy);
        let begin = in_order(&order, init, d);
        let layout = match d {
            2 if n > SEQUENTIAL => parallel::layout::<2>(ctx, graph, &begin, parameters, n_epochs)?,
            3 if n > SEQUENTIAL => parallel::layout::<3>(ctx, graph, &begin, parameters, n_epochs)?,
            _ => sequential::layout(ctx, graph, begin, parameters, n_epochs)?,
        };
        let layout = back_from(&order, &layout, d);
        ctx.emit(Event::StageFinished {
            stage: STAGE.to_owned(),
            seconds: started.elapsed().as_secs_f64(),
            bytes_read: 0,
        });
        Ok(layout)
    }
}

/// Bytes of a coordinate while its vertex moves: in two orders, and once more while it is taken
/// from the one into the other.
const POSITION: u64 = 12;

/// The part in which each vertex of `graph` moves in the layout of a large graph.
///
/// Parts follow the graph, so a good layout tells them apart to some degree; `compare_umap.py`
/// uses this to test that ours tells them no better than umap-learn's.
///
/// # Errors
/// As [`umap`].
pub fn layout_parts(
    ctx: &Context,
    graph: &WeightedGraph,
    n_epochs: Option<usize>,
) -> Result<Vec<u32>> {
    let ordered = ordered(ctx, graph, n_epochs)?;
    let parts = edges::cut(&ordered.graph).into_iter().enumerate();
    let places: Vec<u32> = parts
        .flat_map(|(part, range)| range.map(move |_| part as u32))
        .collect();
    Ok(back_from(&ordered.order, &places, 1))
}

/// The largest weight.
fn largest(graph: &WeightedGraph) -> f32 {
    graph.weights.iter().copied().fold(0.0, f32::max)
}

/// The smallest weight that counts. umap-learn drops entries below max / n_epochs, which would never
/// fire; with 10 epochs or fewer it takes the default number of epochs there.
fn least(graph: &WeightedGraph, n_epochs: usize) -> f32 {
    let epochs = if n_epochs > 10 {
        n_epochs
    } else {
        default_epochs(graph.n())
    };
    // What weighs nothing never counts.
    (largest(graph) / epochs as f32).max(f32::MIN_POSITIVE)
}

/// Bytes that [`ordered`], [`Ordered::initial_layout`] with [`Init::Spectral`] and then
/// [`Ordered::umap`] reserve at once, at most, beside the graph where it is lent, or has not been
/// dropped yet.
pub fn bytes(n: u64, nnz: u64, n_components: usize, threads: usize) -> u64 {
    let spectral = spectral::bytes(n, nnz, n_components);
    let edges = if n <= SEQUENTIAL as u64 || !matches!(n_components, 2 | 3) {
        sequential::bytes(n, nnz)
    } else {
        edges::Edges::bytes(nnz, n as usize, threads)
    };
    let moving = edges + POSITION * n * n_components as u64;
    ordered_bytes(n, nnz) + spectral.max(moving)
}

/// Refuses what is not a square CSR matrix with finite weights that are not negative.
pub(crate) fn check_graph(graph: &WeightedGraph) -> Result<()> {
    let damaged = |what: String| {
        Err(Error::Data(format!(
            "the graph is not a CSR matrix: {what}"
        )))
    };
    if graph.indptr.first() != Some(&0) {
        return damaged("indptr does not begin with 0".to_owned());
    }
    let n = graph.n();
    if n as u64 >= u64::from(u32::MAX) {
        return damaged(format!("{n} vertices are more than 2^32 - 2"));
    }
    if let Some(row) = graph.indptr.windows(2).position(|pair| pair[0] > pair[1]) {
        return damaged(format!("indptr falls after row {row}"));
    }
    if graph.nnz() != graph.indices.len() as u64 || graph.indices.len() != graph.weights.len() {
        return damaged(format!(
            "indptr ends at {}, there are {} indices and {} weights",
            graph.nnz(),
            graph.indices.len(),
            graph.weights.len()
        ));
    }
    if let Some(e) = graph.indices.iter().position(|&j| j as usize >= n) {
        return damaged(format!(
            "entry {e} is in column {} of {n}",
            graph.indices[e]
        ));
    }
    if let Some(e) = graph
        .weights
        .iter()
        .position(|&w| !(w >= 0.0 && w.is_finite()))
    {
        return damaged(format!(
            "entry {e} weighs {}; weights must be finite and not negative",
            graph.weights[e]
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
