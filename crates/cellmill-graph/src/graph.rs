//! The two graphs that travel between the steps.

use crate::kernel::{expect_along, prefetch, prefetch_at};
use cellmill_engine::{Error, Result};
use std::ops::Range;

/// The k nearest neighbours of every point, the point itself not among them.
///
/// Row `i` holds `k` neighbours in order of (distance, index).
#[derive(Debug, Clone, PartialEq)]
pub struct KnnGraph {
    /// The number of points.
    pub n: usize,
    /// Neighbours a point (scanpy's `n_neighbors` minus one).
    pub k: usize,
    /// Neighbour indices, `n * k`, row-major.
    pub indices: Vec<u32>,
    /// Distances in the metric's own units (not squared), `n * k`, row-major. Exact search
    /// fills them with f64 precision, approximate search with f32 precision.
    pub distances: Vec<f64>,
    /// Whether the search was exact (then scanpy stores f64 distances, else f32).
    pub exact: bool,
}

impl KnnGraph {
    /// Heap bytes of a graph of `n` points with `k` neighbours each.
    pub const fn bytes(n: u64, k: u64) -> u64 {
        12 * n * k
    }
}

/// A symmetric weighted graph, CSR, each undirected edge stored in both rows, no self edges.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedGraph {
    /// Row starts, `n + 1`.
    pub indptr: Vec<u64>,
    /// Column of each entry, increasing within a row.
    pub indices: Vec<u32>,
    /// Weight of each entry, in (0, 1] for a fuzzy set.
    pub weights: Vec<f32>,
}

impl WeightedGraph {
    /// A graph from the parts of a CSR matrix, as a file holds them. Entries on the diagonal are
    /// left out, rows are put in order of column.
    ///
    /// # Errors
    /// [`Error::Data`] with the row when the parts are no square CSR matrix, a weight is negative or
    /// not finite, or the matrix is not symmetric.
    ///
    /// ```
    /// use cellmill_graph::WeightedGraph;
    /// let graph = WeightedGraph::from_parts(vec![0, 1, 2], vec![1, 0], vec![0.5, 0.5])?;
    /// assert_eq!(graph.nnz(), 2);
    /// assert!(WeightedGraph::from_parts(vec![0, 1, 1], vec![1], vec![0.5]).is_err());
    /// # Ok::<(), cellmill_engine::Error>(())
    /// ```
    pub fn from_parts(indptr: Vec<u64>, indices: Vec<u32>, weights: Vec<f32>) -> Result<Self> {
        let no = |what: String| {
            Err(Error::Data(format!(
                "not the graph of a neighbour search: {what}"
            )))
        };
        let ordered = indptr.windows(2).all(|w| w[0] <= w[1]);
        let nnz = indices.len() as u64;
        if indptr.first() != Some(&0)
            || !ordered
            || indptr.last() != Some(&nnz)
            || weights.len() as u64 != nnz
        {
            return no(format!("indptr does not lead from 0 to the {nnz} entries"));
        }
        let n = indptr.len() - 1;
        let mut graph = Self {
            indptr: vec![0],
            indices: Vec::new(),
            weights: Vec::new(),
        };
        let mut row: Vec<(u32, f32)> = Vec::new();
        for i in 0..n {
            let range = indptr[i] as usize..indptr[i + 1] as usize;
            row.clear();
            row.extend(
                indices[range.clone()]
                    .iter()
                    .copied()
                    .zip(weights[range].iter().copied()),
            );
            if let Some(&(j, w)) = row
                .iter()
                .find(|&&(j, w)| j as usize >= n || !w.is_finite() || w < 0.0)
            {
                return no(format!("row {i} has weight {w} at column {j}"));
            }
            row.retain(|&(j, _)| j as usize != i);
            row.sort_unstable_by_key(|&(j, _)| j);
            graph.indices.extend(row.iter().map(|&(j, _)| j));
            graph.weights.extend(row.iter().map(|&(_, w)| w));
            graph.indptr.push(graph.indices.len() as u64);
        }
        // Walking the rows in order meets the columns of each row in order.
        let mut next: Vec<usize> = graph.indptr.iter().map(|&p| p as usize).collect();
        for i in 0..n {
            for e in graph.row(i) {
                let j = graph.indices[e] as usize;
                let at = next[j];
                if at >= graph.indptr[j + 1] as usize
                    || graph.indices[at] as usize != i
                    || graph.weights[at] != graph.weights[e]
                {
                    return no(format!(
                        "it is not symmetric: entry ({i}, {j}) has no equal at ({j}, {i})"
                    ));
                }
                next[j] += 1;
            }
        }
        Ok(graph)
    }

    /// Heap bytes of a graph of `n` vertices and `nnz` entries.
    pub const fn bytes(n: u64, nnz: u64) -> u64 {
        8 * nnz + 8 * (n + 1)
    }

    /// The number of vertices.
    pub fn n(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    /// The number of stored entries (twice the number of undirected edges).
    pub fn nnz(&self) -> u64 {
        self.indptr[self.n()]
    }

    /// Asks for where row `i` begins before it is read.
    #[inline]
    pub(crate) fn expect_start(&self, i: usize) {
        prefetch(&self.indptr[i..=i]);
    }

    /// Asks for the entries of row `i` before they are read.
    #[inline]
    pub(crate) fn expect(&self, i: usize) {
        prefetch(&self.indices[self.row(i)]);
        prefetch(&self.weights[self.row(i)]);
    }

    /// Drops the entries whose weight `keep` refuses.
    pub(crate) fn keep(&mut self, keep: impl Fn(f32) -> bool) {
        let (mut end, mut start) = (0, 0);
        for i in 0..self.n() {
            let row = start..self.indptr[i + 1] as usize;
            start = row.end;
            for e in row {
                if keep(self.weights[e]) {
                    self.indices[end] = self.indices[e];
                    self.weights[end] = self.weights[e];
                    end += 1;
                }
            }
            self.indptr[i + 1] = end as u64;
        }
        self.indices.truncate(end);
        self.weights.truncate(end);
        self.indices.shrink_to_fit();
        self.weights.shrink_to_fit();
    }

    /// Asks for what a walk along rows will read, as [`expect_along`].
    #[inline]
    pub(crate) fn expect_along<T>(&self, ahead: impl Fn(usize) -> Option<u32>, table: *const T) {
        let entries = |i| &self.indices[self.row(i)];
        let (start, row) = (|i| self.expect_start(i), |i| self.expect(i));
        expect_along(ahead, start, row, entries, table);
    }

    /// The entries of row `i`.
    pub fn row(&self, i: usize) -> Range<usize> {
        self.indptr[i] as usize..self.indptr[i + 1] as usize
    }
}

/// Rows of a graph that follow each other, and whose entries stay among them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    graph: &'a WeightedGraph,
    first: usize,
    n: usize,
}

impl<'a> Part<'a> {
    /// All rows.
    pub(crate) fn whole(graph: &'a WeightedGraph) -> Self {
        Self::of(graph, 0..graph.n())
    }

    /// The rows in a range, whose entries must stay in it.
    pub(crate) fn of(graph: &'a WeightedGraph, rows: Range<usize>) -> Self {
        Self {
            graph,
            first: rows.start,
            n: rows.len(),
        }
    }

    pub(crate) fn n(&self) -> usize {
        self.n
    }

    pub(crate) fn nnz(&self) -> u64 {
        self.graph.indptr[self.first + self.n] - self.graph.indptr[self.first]
    }

    /// The entries of row `i` of the part: the rows that they point to, and their weights.
    #[inline]
    pub(crate) fn edges(self, i: usize) -> impl Iterator<Item = (usize, f32)> + Clone + 'a {
        let row = self.graph.row(self.first + i);
        let first = self.first;
        let weights = self.graph.weights[row.clone()].iter();
        let indices = self.graph.indices[row].iter();
        indices
            .zip(weights)
            .map(move |(&j, &w)| (j as usize - first, w))
    }

    /// Asks for the elements of a table of the part that the entries of row `i` point to, if there is
    /// such a row.
    #[inline]
    pub(crate) fn expect_entries<T>(&self, i: usize, table: &[T]) {
        if i < self.n {
            let row = self.graph.row(self.first + i);
            let table = table.as_ptr().wrapping_sub(self.first);
            prefetch_at(table, &self.graph.indices[row]);
        }
    }

    /// As [`WeightedGraph::expect_along`], of rows and a table of the part.
    #[inline]
    pub(crate) fn expect_along<T>(&self, ahead: impl Fn(usize) -> Option<u32>, table: &[T]) {
        let first = self.first as u32;
        let table = table.as_ptr().wrapping_sub(self.first);
        self.graph
            .expect_along(|k| ahead(k).map(|i| first + i), table);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_put_in_order_and_the_diagonal_goes() {
        let graph = WeightedGraph::from_parts(
            vec![0, 3, 5, 6],
            vec![2, 0, 1, 0, 1, 0],
            vec![0.3, 1.0, 0.2, 0.2, 1.0, 0.3],
        )
        .unwrap();
        assert_eq!(graph.indptr, [0, 2, 3, 4]);
        assert_eq!(graph.indices, [1, 2, 0, 0]);
        assert_eq!(graph.weights, [0.2, 0.3, 0.2, 0.3]);
    }

    #[test]
    fn what_is_no_graph_is_refused() {
        let refused = |indptr: &[u64], indices: &[u32], weights: &[f32]| {
            WeightedGraph::from_parts(indptr.to_vec(), indices.to_vec(), weights.to_vec())
                .unwrap_err()
                .to_string()
        };
        assert!(refused(&[0, 1, 2], &[1, 0], &[0.5, 0.4]).contains("not symmetric"));
        assert!(refused(&[0, 1, 2], &[7, 0], &[0.5, 0.5]).contains("column 7"));
        assert!(refused(&[0, 2, 1], &[1, 0], &[0.5, 0.5]).contains("indptr"));
        assert!(refused(&[0, 1, 2], &[1, 0], &[f32::NAN, 0.5]).contains("NaN"));
        assert!(refused(&[], &[], &[]).contains("indptr"));
    }
}
