//! Modularity of a partition.

use crate::WeightedGraph;

/// The modularity of `labels` (one for each vertex) with `resolution`, as igraph's
/// `Graph.modularity` defines it: the share of the weight inside communities minus `resolution`
/// times the share expected from the strengths alone. Sums are f64 in the order of the vertices;
/// memory grows with the largest label.
///
/// A graph without weight has no modularity: NaN, as in igraph. Vertices without a label (when
/// `labels` is too short) count as communities of their own.
///
/// ```
/// use cellmill_graph::WeightedGraph;
/// use cellmill_graph::leiden::modularity;
///
/// let two_pairs = WeightedGraph { indptr: vec![0, 1, 2, 3, 4], indices: vec![1, 0, 3, 2], weights: vec![1.0; 4] };
/// assert_eq!(modularity(&two_pairs, &[0, 0, 1, 1], 1.0), 0.5);
/// ```
pub fn modularity(graph: &WeightedGraph, labels: &[u32], resolution: f64) -> f64 {
    weighted(graph, labels, resolution, f64::from)
}

/// As [`modularity`], with every weight one.
pub(super) fn unweighted(graph: &WeightedGraph, labels: &[u32], resolution: f64) -> f64 {
    weighted(graph, labels, resolution, |_| 1.0)
}

fn weighted(
    graph: &WeightedGraph,
    labels: &[u32],
    resolution: f64,
    weight: impl Fn(f32) -> f64,
) -> f64 {
    let count = labels.iter().max().map_or(0, |&c| c as usize + 1);
    let mut strength = vec![0.0; count];
    let (mut inside, mut total, mut expected) = (0.0, 0.0, 0.0);
    for v in 0..graph.n() {
        let label = labels.get(v);
        let mut own = 0.0;
        let mut kept = 0.0;
        for e in graph.row(v) {
            let w = weight(graph.weights[e]);
            own += w;
            let u = graph.indices[e] as usize;
            if u == v || (label.is_some() && labels.get(u) == label) {
                kept += w;
            }
        }
        inside += kept;
        total += own;
        match label {
            Some(&c) => strength[c as usize] += own,
            None => expected += own * own,
        }
    }
    expected += strength.iter().map(|s| s * s).sum::<f64>();
    inside / total - resolution * expected / (total * total)
}
