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
    /// The aggregates of the order, for the spectral layout.
    pub(super) hierarchy: Hierarchy,
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

/// Bytes of a vertex's place, once more while the graph is ordered, and of the hierarchy: each level of
/// it has at most half the vertices of the one before, but for those without entries, of which a
/// neighbour graph has hardly any.
const PLACES: u64 = 12;

/// Bytes that [`super::ordered`] reserves for a graph of `n` vertices and `nnz` entries, the graph
/// itself not counted.
pub fn bytes(n: u64, nnz: u64) -> u64 {
    WeightedGraph::bytes(n, nnz) + PLACES * n
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral::tests::symmetric;
    use std::ops::Range;

    #[test]
    fn every_part_has_connected_aggregates_down_to_a_few() {
        // Three strips and many vertices of their own, dealt over the numbers like cards.
        let sizes = [3000, 900, 120];
        let n = 9000;
        let name = |v: usize| v * 7919 % n;
        let mut edges = Vec::new();
        let mut first = 0;
        for size in sizes {
            let strip = |i: usize| name(first + i);
            edges.extend((1..size).map(|i| (strip(i - 1), strip(i), 1.0 - (i % 5) as f32 / 10.0)));
            edges.extend((4..size).map(|i| (strip(i - 4), strip(i), 0.3)));
            first += size;
        }
        let graph = symmetric(n, edges);
        let ctx = Context::quiet(2).unwrap();
        let ordered = Ordered::new(&ctx, &graph, |_| f32::MIN_POSITIVE).unwrap();
        let mut found = Vec::new();
        let mut start = 0;
        while start < n {
            let mut end = start + 1;
            while reach(&ordered.graph, start..end) > end {
                end = reach(&ordered.graph, start..end);
            }
            found.push(end - start);
            down(&ordered, start..end);
            start = end;
        }
        found.sort_unstable();
        assert_eq!(found[found.len() - 3..], [120, 900, 3000]);
        assert_eq!(found.len(), 3 + n - 4020);
    }

    /// One more than the last vertex that the rows lead to.
    fn reach(graph: &WeightedGraph, rows: Range<usize>) -> usize {
        let entries = graph.indptr[rows.start] as usize..graph.indptr[rows.end] as usize;
        let last = graph.indices[entries].iter().max();
        last.map_or(0, |&last| last as usize + 1).max(rows.end)
    }

    /// Goes down the levels of a part: each aggregate is connected, and few are left at last.
    fn down(ordered: &Ordered, part: Range<usize>) {
        let first = part.start;
        // Where the vertices of the level begin among those of the graph, and the end.
        let mut starts: Vec<usize> = part.clone().chain([part.end]).collect();
        let (mut level, mut vertices) = (0, part);
        while vertices.len() > 64 {
            let (aggregates, coarser) = ordered.hierarchy.aggregates(level, &vertices).unwrap();
            let place = |&vertex: &u32| starts[vertex as usize];
            starts = aggregates.starts.iter().map(place).collect();
            for ends in starts.windows(2) {
                assert!(is_connected(&ordered.graph, ends[0]..ends[1]), "{ends:?}");
            }
            assert!(coarser.len() < vertices.len());
            (level, vertices) = (level + 1, coarser);
        }
        assert_eq!(starts[0], first);
    }

    fn is_connected(graph: &WeightedGraph, rows: Range<usize>) -> bool {
        let mut seen = vec![false; rows.len()];
        let mut stack = vec![rows.start];
        while let Some(v) = stack.pop() {
            if !std::mem::replace(&mut seen[v - rows.start], true) {
                let row = graph.indices[graph.row(v)].iter().map(|&u| u as usize);
                stack.extend(row.filter(|u| rows.contains(u)));
            }
        }
        seen.into_iter().all(|seen| seen)
    }
}
