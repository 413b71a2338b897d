//! The two graphs that travel between the steps.

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
    /// The number of vertices.
    pub fn n(&self) -> usize {
        self.indptr.len() - 1
    }

    /// The number of stored entries (twice the number of undirected edges).
    pub fn nnz(&self) -> u64 {
        self.indptr[self.n()]
    }

    /// The entries of row `i`.
    pub fn row(&self, i: usize) -> std::ops::Range<usize> {
        self.indptr[i] as usize..self.indptr[i + 1] as usize
    }
}
