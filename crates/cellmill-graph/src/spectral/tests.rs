use super::*;
use faer::{Mat, Side};

/// A ring of `n` vertices in which vertex i · `stride` follows (i - 1) · `stride`; each is tied
/// to the next two on both sides.
pub(crate) fn ring(n: usize, stride: usize) -> WeightedGraph {
    let name = |i: usize| i * stride % n;
    let edges = (0..n).flat_map(|i| {
        [(1, 1.0), (2, 0.5)].map(move |(step, w)| (name(i), name((i + step) % n), w))
    });
    symmetric(n, edges)
}

/// The symmetric graph of undirected edges.
pub(crate) fn symmetric(
    n: usize,
    edges: impl IntoIterator<Item = (usize, usize, f32)>,
) -> WeightedGraph {
    let mut rows = vec![std::collections::BTreeMap::new(); n];
    for (i, j, w) in edges {
        assert_ne!(i, j);
        rows[i].insert(j as u32, w);
        rows[j].insert(i as u32, w);
    }
    let mut graph = WeightedGraph {
        indptr: vec![0],
        indices: vec![],
        weights: vec![],
    };
    for row in rows {
        for (j, w) in row {
            graph.indices.push(j);
            graph.weights.push(w);
        }
        graph.indptr.push(graph.indices.len() as u64);
    }
    graph
}

/// Points of a torn grid: each vertex is tied to its neighbours with random weights, so that
/// all eigenvalues are distinct.
fn grid(width: usize, height: usize, seed: u64) -> WeightedGraph {
    let mut edges = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let v = y * width + x;
            let weight = |k: u64| 0.2 + 0.8 * random::unit(random::word(seed, k, v as u64)) as f32;
            if x + 1 < width {
                edges.push((v, v + 1, weight(1)));
            }
            if y + 1 < height {
                edges.push((v, v + width, weight(2)));
            }
        }
    }
    symmetric(width * height, edges)
}

/// The smallest singular value of A'B for two orthonormal bases of a dense and our subspace.
fn cosine(graph: &WeightedGraph, ours: &[f32], dim: usize) -> f64 {
    let n = graph.n();
    let degree: Vec<f64> = (0..n)
        .map(|v| {
            graph.weights[graph.row(v)]
                .iter()
                .map(|&w| f64::from(w))
                .sum()
        })
        .collect();
    let mut laplacian = Mat::<f64>::identity(n, n);
    for v in 0..n {
        for e in graph.row(v) {
            let j = graph.indices[e] as usize;
            laplacian[(v, j)] -= f64::from(graph.weights[e]) / (degree[v] * degree[j]).sqrt();
        }
    }
    let eigen = laplacian.self_adjoint_eigen(Side::Lower).unwrap();
    let dense = eigen.U();
    let overlap = Mat::from_fn(dim, dim, |i, j| {
        (0..n)
            .map(|v| dense[(v, i + 1)] * f64::from(ours[v * dim + j]))
            .sum::<f64>()
    });
    let square = overlap.transpose() * &overlap;
    square
        .self_adjoint_eigen(Side::Lower)
        .unwrap()
        .S()
        .column_vector()[0]
        .sqrt()
}

#[test]
fn spans_the_dense_eigenvectors() {
    let ctx = Context::quiet(2).unwrap();
    for (graph, dim) in [
        (grid(31, 19, 1), 2),
        (grid(12, 9, 2), 2),
        (grid(40, 17, 3), 3),
        (grid(30, 21, 4), 6),
    ] {
        let ours = spectral_layout(&ctx, &graph, dim, 0).unwrap();
        let cosine = cosine(&graph, &ours, dim);
        assert!(
            cosine > 0.9995,
            "{} vertices, {dim} dimensions: {cosine}",
            graph.n()
        );
    }
}

#[test]
fn a_ring_is_laid_out_as_a_circle() {
    let n = 5000;
    let x = spectral_layout(&Context::quiet(2).unwrap(), &ring(n, 1201), 2, 0).unwrap();
    let radius = (1.0 / n as f32).sqrt() * 2.0f32.sqrt();
    for row in x.chunks_exact(2) {
        let r = (row[0] * row[0] + row[1] * row[1]).sqrt();
        assert!((r / radius - 1.0).abs() < 0.05, "{r} {radius}");
    }
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    let graph = grid(70, 60, 5);
    let one = spectral_layout(&Context::quiet(1).unwrap(), &graph, 2, 0).unwrap();
    for threads in [2, 5] {
        assert!(one == spectral_layout(&Context::quiet(threads).unwrap(), &graph, 2, 0).unwrap());
    }
}

#[test]
fn two_cliques_with_a_bridge_are_parted_by_the_first_vector() {
    let clique =
        |first: usize| (0..30).flat_map(move |i| (0..i).map(move |j| (first + i, first + j, 1.0)));
    let graph = symmetric(60, clique(0).chain(clique(30)).chain([(3, 40, 0.01)]));
    let x = spectral_layout(&Context::quiet(1).unwrap(), &graph, 1, 0).unwrap();
    assert!((0..60).all(|v| (x[v] > 0.0) == (x[0] > 0.0) || v >= 30));
    assert!((30..60).all(|v| (x[v] > 0.0) != (x[0] > 0.0)));
}

#[test]
fn components_lie_apart() {
    let ctx = Context::quiet(2).unwrap();
    // Three rings and two isolated vertices: five components in two dimensions.
    let rings =
        (0..3).flat_map(|c| (0..400).map(move |i| (c * 400 + i, c * 400 + (i + 1) % 400, 1.0)));
    let graph = symmetric(1202, rings);
    let points: Vec<f32> = (0..1202)
        .flat_map(|v| {
            [
                (v / 400) as f32 * 30.0,
                (v % 3) as f32,
                (v / 400 % 2) as f32,
            ]
        })
        .collect();
    let points = Points::new(&points, 1202, 3).unwrap();
    for x in [
        spectral_layout(&ctx, &graph, 2, 0).unwrap(),
        spectral_layout_of_points(&ctx, &graph, points, 2, 0).unwrap(),
    ] {
        assert!(x.iter().all(|x| x.is_finite()));
        let centre = |c: usize| {
            (0..400).fold((0.0, 0.0), |(a, b), i| {
                (
                    a + x[(c * 400 + i) * 2] / 400.0,
                    b + x[(c * 400 + i) * 2 + 1] / 400.0,
                )
            })
        };
        for c in 0..3 {
            let (cx, cy) = centre(c);
            let far = |v: usize| ((x[v * 2] - cx).powi(2) + (x[v * 2 + 1] - cy).powi(2)).sqrt();
            let radius = (0..400).map(|i| far(c * 400 + i)).fold(0.0, f32::max);
            for other in (0..3).filter(|&o| o != c) {
                // The nearest two can touch.
                let nearest = (0..400)
                    .map(|i| far(other * 400 + i))
                    .fold(f32::MAX, f32::min);
                assert!(nearest > 0.99 * radius, "{c} {other}: {nearest} {radius}");
            }
        }
    }
}

#[test]
fn tiny_graphs_have_a_layout() {
    let ctx = Context::quiet(1).unwrap();
    for n in [0usize, 1, 2, 3, 4, 10] {
        let path = symmetric(n, (1..n).map(|i| (i - 1, i, 1.0)));
        let empty = symmetric(n, []);
        for graph in [path, empty] {
            for dim in [1, 2, 3] {
                let x = spectral_layout(&ctx, &graph, dim, 0).unwrap();
                assert!(
                    x.len() == n * dim && x.iter().all(|x| x.is_finite()),
                    "{n} {dim}"
                );
            }
        }
    }
}

#[test]
fn a_star_and_a_complete_graph_do_not_stall() {
    let ctx = Context::quiet(1).unwrap();
    let star = symmetric(2000, (1..2000).map(|i| (0, i, 1.0)));
    let complete = symmetric(400, (0..400).flat_map(|i| (0..i).map(move |j| (i, j, 1.0))));
    for graph in [star, complete] {
        let x = spectral_layout(&ctx, &graph, 2, 0).unwrap();
        assert!(x.iter().all(|x| x.is_finite()));
    }
}

#[test]
fn damaged_graphs_are_errors() {
    let ctx = Context::quiet(1).unwrap();
    let good = ring(10, 3);
    let mut bad = good.clone();
    bad.indices[3] = 10;
    assert!(spectral_layout(&ctx, &bad, 2, 0).is_err());
    let mut bad = good.clone();
    bad.weights[3] = f32::NAN;
    assert!(spectral_layout(&ctx, &bad, 2, 0).is_err());
    let mut bad = good.clone();
    bad.indptr[4] = 40;
    assert!(spectral_layout(&ctx, &bad, 2, 0).is_err());
    assert!(spectral_layout(&ctx, &good, 0, 0).is_err());
    ctx.cancel().cancel();
    assert!(matches!(spectral_layout(&ctx, &good, 2, 0), Err(Error::Cancelled)) || good.n() < 320);
}

#[test]
fn the_graph_is_relabelled_and_its_rows_come_back() {
    let graph = grid(300, 230, 5);
    let n = graph.n();
    let one = spectral_layout(&Context::quiet(1).unwrap(), &graph, 2, 0).unwrap();
    let three = spectral_layout(&Context::quiet(3).unwrap(), &graph, 2, 0).unwrap();
    assert!(one == three);
    for k in 0..2 {
        let x = |v: usize| f64::from(one[v * 2 + k]);
        let mean = (0..n).map(x).sum::<f64>() / n as f64;
        let variance = (0..n).map(|v| (x(v) - mean).powi(2)).sum::<f64>() / n as f64;
        let steps = (0..n).flat_map(|v| {
            let row = &graph.indices[graph.row(v)];
            row.iter().map(move |&j| (v, j as usize))
        });
        let step = steps.map(|(v, j)| (x(v) - x(j)).powi(2)).sum::<f64>();
        let step = step / graph.indices.len() as f64;
        // Rows in a wrong order would differ from their neighbours' by twice the variance.
        assert!(step < 0.05 * variance, "{k}: {step} of {variance}");
    }
}

#[test]
fn a_graph_that_is_not_symmetric_gives_numbers() {
    let ctx = Context::quiet(1).unwrap();
    // Vertices that are pointed to and point to nobody, in a small graph and in a large one.
    for n in [20usize, 2000] {
        let mut graph = WeightedGraph {
            indptr: vec![0],
            indices: Vec::new(),
            weights: Vec::new(),
        };
        for v in 0..n {
            if v % 5 != 0 {
                graph
                    .indices
                    .extend([(v as u32 + 1) % n as u32, v as u32 - 1]);
                graph.weights.extend([1.0, 0.5]);
            }
            graph.indptr.push(graph.indices.len() as u64);
        }
        let x = spectral_layout(&ctx, &graph, 2, 0).unwrap();
        assert!(x.len() == 2 * n && x.iter().all(|x| x.is_finite()), "{n}");
    }
}
