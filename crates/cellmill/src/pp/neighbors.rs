//! The neighbour graph (`sc.pp.neighbors`): from graphs to slots.

use crate::Result;
use crate::keys;
use crate::params::{self, RunParams};
use crate::slot::{Patch, Slot, dict, integer, text};
use cellmill_engine::Context;
use cellmill_graph::fuzzy::fuzzy_simplicial_set;
use cellmill_graph::knn::{KnnParams, Method, Metric, knn};
use cellmill_graph::{KnnGraph, Points, WeightedGraph};
use cellmill_io::{ArrayData, Elem, SparseMatrix};

/// What is written about a neighbour graph beside the graph itself.
#[derive(Debug, Clone, PartialEq)]
pub struct NeighborsInfo {
    /// Neighbours a cell, the cell itself counted, as scanpy does.
    pub n_neighbors: usize,
    /// `euclidean` or `cosine`.
    pub metric: String,
    /// The seed, scanpy's `random_state`.
    pub random_state: u64,
    /// The representation, where it was named.
    pub use_rep: Option<String>,
    /// The number of components, where it was named.
    pub n_pcs: Option<usize>,
}

/// What a search is asked for.
pub(crate) fn asked(params: &RunParams) -> KnnParams {
    KnnParams {
        n_neighbors: params.n_neighbors,
        metric: match params.metric {
            params::Metric::Euclidean => Metric::Euclidean,
            params::Metric::Cosine => Metric::Cosine,
        },
        method: Method::Auto,
        seed: params.seed,
    }
}

/// Finds the neighbours of every point.
///
/// Matches the search of `sc.pp.neighbors(method="umap")`: exact where scanpy is exact.
///
/// # Errors
/// When no neighbour is left to find, or the lists do not fit the budget.
pub fn search(ctx: &Context, points: Points<'_>, params: &RunParams) -> Result<KnnGraph> {
    Ok(knn(ctx, points, &asked(params))?)
}

/// Finds the neighbours of every point and their fuzzy set.
///
/// Matches `sc.pp.neighbors(method="umap")`: exact where scanpy is exact.
///
/// # Errors
/// When no neighbour is left to find, or the graph does not fit the budget.
pub fn neighbors(
    ctx: &Context,
    points: Points<'_>,
    params: &RunParams,
) -> Result<(KnnGraph, WeightedGraph)> {
    let found = search(ctx, points, params)?;
    let graph = fuzzy_simplicial_set(ctx, &found)?;
    Ok((found, graph))
}

/// The distances as a sparse matrix of cells x cells, k - 1 entries a row.
///
/// Exact search: f64, in order of distance, as scanpy's brute force leaves them. Approximate
/// search: f32, in order of column.
pub fn distances(knn: KnnGraph) -> SparseMatrix {
    let indptr = (0..=knn.n as u64).map(|i| i * knn.k as u64).collect();
    let (indices, data) = if knn.exact {
        (knn.indices, ArrayData::F64(knn.distances))
    } else {
        let mut indices = Vec::with_capacity(knn.indices.len());
        let mut data = Vec::with_capacity(knn.indices.len());
        let mut row: Vec<(u32, f32)> = Vec::with_capacity(knn.k);
        for i in 0..knn.n {
            let range = i * knn.k..(i + 1) * knn.k;
            row.clear();
            row.extend(
                knn.indices[range.clone()]
                    .iter()
                    .zip(&knn.distances[range])
                    .map(|(&j, &d)| (j, d as f32)),
            );
            row.sort_unstable_by_key(|&(j, _)| j);
            indices.extend(row.iter().map(|&(j, _)| j));
            data.extend(row.iter().map(|&(_, d)| d));
        }
        (indices, ArrayData::F32(data))
    };
    SparseMatrix {
        shape: [knn.n as u64; 2],
        csr: true,
        indptr,
        indices,
        data,
    }
}

/// Bytes of an entry of the distances.
pub(crate) fn distance_bytes(exact: bool) -> u64 {
    if exact { 12 } else { 8 }
}

/// The slots that scanpy writes: obsp `distances`, `connectivities` (f32), uns `neighbors`.
/// `suffix` is appended to each key.
pub fn patch(
    distances: SparseMatrix,
    graph: WeightedGraph,
    info: &NeighborsInfo,
    suffix: &str,
) -> Patch {
    let connectivities = SparseMatrix {
        shape: [graph.n() as u64; 2],
        csr: true,
        indptr: graph.indptr,
        indices: graph.indices,
        data: ArrayData::F32(graph.weights),
    };
    let distances_key = format!("{}{suffix}", keys::DISTANCES);
    let connectivities_key = format!("{}{suffix}", keys::CONNECTIVITIES);
    let mut params = vec![
        ("n_neighbors", integer(info.n_neighbors as i64)),
        ("method", text("umap")),
        ("random_state", integer(info.random_state as i64)),
        ("metric", text(&info.metric)),
    ];
    if let Some(rep) = &info.use_rep {
        params.push(("use_rep", text(rep)));
    }
    if let Some(n) = info.n_pcs {
        params.push(("n_pcs", integer(n as i64)));
    }
    let uns = dict(vec![
        ("connectivities_key", text(&connectivities_key)),
        ("distances_key", text(&distances_key)),
        ("params", dict(params)),
    ]);
    Patch::new()
        .elem(Slot::Obsp(distances_key), Elem::Sparse(distances))
        .elem(Slot::Obsp(connectivities_key), Elem::Sparse(connectivities))
        .elem(Slot::Uns(format!("{}{suffix}", keys::NEIGHBORS)), uns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knn(exact: bool) -> KnnGraph {
        KnnGraph {
            n: 3,
            k: 2,
            indices: vec![2, 1, 0, 2, 0, 1],
            distances: vec![0.5, 1.0, 1.0, 1.5, 0.5, 1.5],
            exact,
        }
    }

    #[test]
    fn exact_distances_stay_f64_in_order_of_distance() {
        let found = distances(knn(true));
        assert_eq!(found.indices, [2, 1, 0, 2, 0, 1]);
        assert_eq!(
            found.data,
            ArrayData::F64(vec![0.5, 1.0, 1.0, 1.5, 0.5, 1.5])
        );
        assert_eq!(found.indptr, [0, 2, 4, 6]);
    }

    #[test]
    fn approximate_distances_are_f32_in_order_of_column() {
        let found = distances(knn(false));
        assert_eq!(found.indices, [1, 2, 0, 2, 0, 1]);
        assert_eq!(
            found.data,
            ArrayData::F32(vec![1.0, 0.5, 1.0, 1.5, 0.5, 1.5])
        );
    }
}
