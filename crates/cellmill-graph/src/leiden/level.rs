//! One level of the hierarchy: a graph whose vertices are sets of the input's vertices.
//!
//! Weights are integers in units of a power of two that is chosen from the input's total, so
//! that sums are exact and do not depend on their order.

use crate::WeightedGraph;
use crate::kernel::{self, prefetch};

/// The edges of a level, without self edges.
pub(super) trait Adjacency: Sync {
    /// The neighbours of `vertex` and the weights in units.
    fn row(&self, vertex: usize) -> impl Iterator<Item = (u32, i64)> + '_;

    /// The neighbours of `vertex`, itself perhaps among them.
    fn neighbours(&self, vertex: usize) -> &[u32];

    /// Asks for where the row of `vertex` begins before it is read, where that helps.
    fn expect_start(&self, _vertex: usize) {}

    /// Asks for the row of `vertex` before it is read.
    fn expect(&self, vertex: usize);

    /// Asks for what a walk along vertices will read, as [`kernel::expect_along`].
    #[inline]
    fn expect_along<T>(&self, ahead: impl Fn(usize) -> Option<u32>, table: &[T]) {
        let neighbours = |vertex| self.neighbours(vertex);
        let (start, row) = (|v| self.expect_start(v), |v| self.expect(v));
        kernel::expect_along(ahead, start, row, neighbours, table.as_ptr());
    }
}

/// The input itself, its weights turned into units as they are read.
pub(super) struct Weighted<'a> {
    pub(super) graph: &'a WeightedGraph,
    /// Units in a weight of one.
    pub(super) scale: f64,
}

impl Adjacency for Weighted<'_> {
    #[inline]
    fn row(&self, vertex: usize) -> impl Iterator<Item = (u32, i64)> + '_ {
        let row = self.graph.row(vertex);
        self.graph.indices[row.clone()]
            .iter()
            .zip(&self.graph.weights[row])
            .filter(move |(u, _)| **u as usize != vertex)
            .map(|(&u, &w)| (u, in_units(w, self.scale)))
    }

    #[inline]
    fn neighbours(&self, vertex: usize) -> &[u32] {
        &self.graph.indices[self.graph.row(vertex)]
    }

    #[inline]
    fn expect_start(&self, vertex: usize) {
        self.graph.expect_start(vertex);
    }

    #[inline]
    fn expect(&self, vertex: usize) {
        self.graph.expect(vertex);
    }
}

/// The input with every weight one.
pub(super) struct Unweighted<'a> {
    pub(super) graph: &'a WeightedGraph,
    /// Units in a weight of one.
    pub(super) scale: f64,
}

impl Adjacency for Unweighted<'_> {
    #[inline]
    fn row(&self, vertex: usize) -> impl Iterator<Item = (u32, i64)> + '_ {
        let one = self.scale as i64;
        let row = &self.graph.indices[self.graph.row(vertex)];
        row.iter()
            .filter(move |u| **u as usize != vertex)
            .map(move |&u| (u, one))
    }

    #[inline]
    fn neighbours(&self, vertex: usize) -> &[u32] {
        &self.graph.indices[self.graph.row(vertex)]
    }

    #[inline]
    fn expect_start(&self, vertex: usize) {
        self.graph.expect_start(vertex);
    }

    #[inline]
    fn expect(&self, vertex: usize) {
        prefetch(self.neighbours(vertex));
    }
}

/// A weight in units, rounded to the nearest.
#[inline]
pub(super) fn in_units(weight: f32, scale: f64) -> i64 {
    (f64::from(weight) * scale + 0.5) as i64
}

/// Vertices of a piece of an [`Aggregate`].
pub(super) const PIECE: usize = 512;

/// The graph between the communities of a finer level, in pieces of [`PIECE`] vertices as they
/// were made: put together they would be there twice for a while.
pub(super) struct Aggregate {
    pub(super) pieces: Vec<Rows>,
}

/// Rows of a piece.
#[derive(Default)]
pub(super) struct Rows {
    /// Where each row ends.
    pub(super) ends: Vec<u32>,
    pub(super) indices: Vec<u32>,
    pub(super) weights: Vec<i64>,
}

impl Aggregate {
    /// Bytes of the rows.
    pub(super) fn bytes(&self) -> u64 {
        let piece = |rows: &Rows| 12 * rows.indices.len() + 4 * rows.ends.len();
        self.pieces.iter().map(piece).sum::<usize>() as u64
    }

    #[inline]
    fn entries(&self, vertex: usize) -> (&Rows, std::ops::Range<usize>) {
        let rows = &self.pieces[vertex / PIECE];
        let at = vertex % PIECE;
        let start = if at == 0 { 0 } else { rows.ends[at - 1] };
        (rows, start as usize..rows.ends[at] as usize)
    }
}

impl Adjacency for Aggregate {
    #[inline]
    fn row(&self, vertex: usize) -> impl Iterator<Item = (u32, i64)> + '_ {
        let (rows, range) = self.entries(vertex);
        rows.indices[range.clone()]
            .iter()
            .copied()
            .zip(rows.weights[range].iter().copied())
    }

    #[inline]
    fn neighbours(&self, vertex: usize) -> &[u32] {
        let (rows, range) = self.entries(vertex);
        &rows.indices[range]
    }

    #[inline]
    fn expect(&self, vertex: usize) {
        let (rows, range) = self.entries(vertex);
        prefetch(&rows.indices[range.clone()]);
        prefetch(&rows.weights[range]);
    }
}

/// What is maximised, for one call.
///
/// A community is worth the weight inside it minus `rho` times half the square of the sum of its
/// vertices' node weights: strengths for modularity, counts for CPM.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// Units of edge weight that a product of two node weights must be worth.
    pub(super) rho: f64,
    /// Gains up to this many units are rounding, not gains.
    pub(super) least: f64,
    /// The temperature of the refinement, in units.
    pub(super) theta: f64,
}

impl Rule {
    /// What a vertex of node weight `own` would add to a community of node weight `others`, to
    /// which it has edges of weight `edges`.
    #[inline]
    pub(super) fn gain(&self, edges: i64, own: i64, others: i64) -> f64 {
        edges as f64 - self.rho * own as f64 * others as f64
    }
}
