//! A graph as its layout walks it.

use super::{check_graph, order};
use crate::relabel::{back_from, relabelled};
use crate::spectral::{self, Hierarchy};
use crate::{Handed, Rows, WeightedGraph};
use cellmill_engine::{Context, Reservation, Result};

/// A graph whose vertices are in an order of its own, in which neighbours are near in memory and
/// connected vertices follow each other, and without the entries that do not count.
///
/// The order depends on the graph alone, neither on communities nor on an initial layout.
pub struct Ordered {
    pub(super) graph: Handed<'static>,
    /// The vertex at each place.
    pub(super) order: Vec<u32>,
    hierarchy: Hierarchy,
    pub(super) memory: Reservation,
    /// The smallest weight that counts.
    pub(super) least: f32,
}

impl Ordered {
    /// Orders a graph; entries below what `least` says of it do not count. One that is given away is
    /// dropped.
    ///
    /// # Errors
    /// [`cellmill_engine::Error::Data`] when the graph is not a CSR matrix of finite weights;
    /// [`cellmill_engine::Error::Budget`]; [`cellmill_engine::Error::Cancelled`].
    pub(crate) fn new<'a>(
        ctx: &Context,
        graph: impl Into<Handed<'a>>,
        least: impl FnOnce(&WeightedGraph) -> f32,
    ) -> Result<Self> {
        let graph = graph.into();
        check_graph(&graph)?;
        let least = least(&graph);
        let (n, nnz) = (graph.n() as u64, graph.nnz());
        let reserve = |bytes| ctx.budget().reserve(bytes, "the layout's graph");
        let (copy, memory) = (reserve(WeightedGraph::bytes(n, nnz))?, reserve(PLACES * n)?);
        let (order, hierarchy) = order::order(ctx, &graph, least)?;
        let mut ordered = relabelled(ctx, &graph, &order)?;
        drop(graph);
        ordered.keep(|weight| weight >= least);
        Ok(Self {
            graph: Handed::given(ordered, Some(copy)),
            order,
            hierarchy,
            memory,
            least,
        })
    }

    /// The number of vertices.
    pub fn n(&self) -> usize {
        self.order.len()
    }

    /// [`spectral::layout`], its rows as the vertices came.
    pub(crate) fn spectral_layout(
        &self,
        ctx: &Context,
        points: Option<&dyn Rows>,
        dim: usize,
        seed: u64,
    ) -> Result<Vec<f32>> {
        let order = (&self.order[..], &self.hierarchy);
        let layout = spectral::layout(ctx, &self.graph, order, points, dim, seed)?;
        Ok(back_from(&self.order, &layout, dim))
    }
}

/// Bytes of a vertex's place, once more while the graph is ordered, and of the hierarchy.
const PLACES: u64 = 12;

/// Bytes that [`super::ordered`] reserves for a graph of `n` vertices and `nnz` entries, the graph
/// itself not counted.
pub fn bytes(n: u64, nnz: u64) -> u64 {
    WeightedGraph::bytes(n, nnz) + PLACES * n
}
