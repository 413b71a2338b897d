//! The fuzzy set against umap-learn's own numbers, and against a plain rewriting of its loops.

use cellmill_engine::{Context, Error};
use cellmill_graph::{KnnGraph, KnnParams, Points, WeightedGraph, fuzzy_simplicial_set, knn};
use std::collections::BTreeMap;

fn fuzzy(graph: &KnnGraph, threads: usize) -> WeightedGraph {
    fuzzy_simplicial_set(&Context::quiet(threads).unwrap(), graph).unwrap()
}

fn entries(graph: &WeightedGraph) -> BTreeMap<(usize, usize), f32> {
    let rows = (0..graph.n()).flat_map(|i| graph.row(i).map(move |at| (i, at)));
    rows.map(|(i, at)| ((i, graph.indices[at] as usize), graph.weights[at]))
        .collect()
}

/// Same entries, weights within `tolerance`.
fn check(found: &WeightedGraph, expected: &BTreeMap<(usize, usize), f32>, tolerance: f32) {
    let found = entries(found);
    assert!(found.keys().eq(expected.keys()), "other entries are stored");
    for (edge, &weight) in expected {
        let difference = (found[edge] - weight).abs();
        assert!(
            difference <= tolerance,
            "{edge:?}: {} and not {weight}",
            found[edge]
        );
    }
}

#[test]
fn equals_umap_learn() {
    let text = include_str!("fixtures/fuzzy_umap_learn.txt");
    let mut lines = text.lines();
    let mut sizes = lines
        .next()
        .unwrap()
        .split(' ')
        .map(|x| x.parse::<usize>().unwrap());
    let (n, k) = (sizes.next().unwrap(), sizes.next().unwrap() - 1);
    let (mut indices, mut distances) = (Vec::new(), Vec::new());
    for pair in lines.by_ref().take(n).flat_map(|line| line.split(' ')) {
        let (index, distance) = pair.split_once(':').unwrap();
        indices.push(index.parse().unwrap());
        distances.push(distance.parse().unwrap());
    }
    let graph = KnnGraph {
        n,
        k,
        indices,
        distances,
        exact: true,
    };
    let expected = lines
        .map(|line| {
            let parts: Vec<&str> = line.split(' ').collect();
            let edge = (parts[0].parse().unwrap(), parts[1].parse().unwrap());
            (edge, parts[2].parse().unwrap())
        })
        .collect();
    check(&fuzzy(&graph, 2), &expected, 1e-5);
}

/// umap-learn's loops, written down as they stand there.
fn reference(graph: &KnnGraph) -> BTreeMap<(usize, usize), f32> {
    let target = ((graph.k + 1) as f64).log2();
    let mut directed = BTreeMap::new();
    for i in 0..graph.n {
        let row = i * graph.k..(i + 1) * graph.k;
        let distances: Vec<f32> = graph.distances[row.clone()]
            .iter()
            .map(|&x| x as f32)
            .collect();
        let rho = distances.iter().copied().find(|&x| x > 0.0).unwrap_or(0.0);
        let (mut lo, mut hi, mut mid) = (0f32, f32::MAX, 1f32);
        for _ in 0..64 {
            let mut psum = 0f32;
            for x in &distances {
                psum += if x - rho > 0.0 {
                    (-((x - rho) / mid)).exp()
                } else {
                    1.0
                };
            }
            if (f64::from(psum) - target).abs() < 1e-5 {
                break;
            }
            if f64::from(psum) > target {
                hi = mid;
                mid = (lo + hi) / 2.0;
            } else {
                lo = mid;
                mid = if hi == f32::MAX {
                    mid * 2.0
                } else {
                    (lo + hi) / 2.0
                };
            }
        }
        let mean = distances.iter().sum::<f32>() / (graph.k + 1) as f32;
        let sigma = mid.max(1e-3 * mean);
        for (&j, x) in graph.indices[row].iter().zip(&distances) {
            let weight = if x - rho <= 0.0 {
                1.0
            } else {
                (-((x - rho) / sigma)).exp()
            };
            directed.insert((i, j as usize), weight);
        }
    }
    let mut union = BTreeMap::new();
    for (&(i, j), &a) in &directed {
        let b = directed.get(&(j, i)).copied().unwrap_or(0.0);
        let weight = a + b - a * b;
        if weight > 0.0 {
            union.insert((i, j), weight);
            union.insert((j, i), weight);
        }
    }
    union
}

fn points(n: usize, d: usize) -> Vec<f32> {
    let mut state = 1u64;
    (0..n * d)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / 1e6
        })
        .collect()
}

#[test]
fn equals_the_plain_loops() {
    for (n, d, n_neighbors) in [(900, 5, 15), (300, 2, 3), (50, 4, 2), (400, 8, 60)] {
        let data = points(n, d);
        let params = KnnParams {
            n_neighbors,
            ..KnnParams::default()
        };
        let ctx = Context::quiet(2).unwrap();
        let graph = knn(&ctx, Points::new(&data, n, d).unwrap(), &params).unwrap();
        // Two bisections that stop within 1e-5 of the same sum can lie 2e-5 apart.
        check(&fuzzy(&graph, 2), &reference(&graph), 2e-5);
    }
}

#[test]
fn is_symmetric_and_the_same_for_any_number_of_threads() {
    // More points than one task takes, and than one block of ends has: tasks do run side by side.
    let (n, k) = (20_000, 8);
    let mut indices = Vec::new();
    for i in 0..n {
        indices.extend((1..=k).map(|step| ((i + step * step) % n) as u32));
    }
    let distances = points(n, k)
        .iter()
        .map(|&x| f64::from(x))
        .collect::<Vec<_>>();
    let mut graph = KnnGraph {
        n,
        k,
        indices,
        distances,
        exact: false,
    };
    graph
        .distances
        .chunks_mut(k)
        .for_each(|row| row.sort_by(f64::total_cmp));
    let one = fuzzy(&graph, 1);
    for threads in [2, 5] {
        assert_eq!(one, fuzzy(&graph, threads));
    }
    let all = entries(&one);
    assert!(
        all.iter()
            .all(|(&(i, j), weight)| i != j && all[&(j, i)] == *weight)
    );
    assert!(one.weights.iter().all(|&x| x > 0.0 && x <= 1.0));
}

#[test]
fn vanishing_weights_are_not_stored() {
    // Beyond the tie at ρ every step of the bisection shrinks σ, down to its floor, so that the
    // fourth neighbour weighs e^-5000.
    let union = fuzzy(&ring(12, 4), 1);
    assert_eq!(union.nnz(), 12 * 3 * 2);
    assert!(union.weights.iter().all(|&x| x == 1.0));
}

/// Three neighbours at distance 1 and the last very far away.
fn ring(n: usize, k: usize) -> KnnGraph {
    let indices = (0..n)
        .flat_map(|i| (1..=k).map(move |step| ((i + step) % n) as u32))
        .collect();
    let distances = (0..n * k)
        .map(|at| if at % k == k - 1 { 1e9 } else { 1.0 })
        .collect();
    KnnGraph {
        n,
        k,
        indices,
        distances,
        exact: true,
    }
}

#[test]
fn a_broken_graph_is_refused_with_its_point() {
    let mut graph = ring(5, 2);
    graph.indices[6] = 9;
    let error = fuzzy_simplicial_set(&Context::quiet(1).unwrap(), &graph).unwrap_err();
    assert!(matches!(error, Error::Data(_)));
    assert!(error.to_string().contains("point 3"), "{error}");
    let mut graph = ring(5, 2);
    graph.distances[2] = f64::NAN;
    let error = fuzzy_simplicial_set(&Context::quiet(1).unwrap(), &graph).unwrap_err();
    assert!(error.to_string().contains("point 1"), "{error}");
    // Of many, the first point's is told, whichever thread finds which.
    let mut graph = ring(20_000, 2);
    for i in (9001..20_000).step_by(7) {
        graph.indices[2 * i] = 20_000;
    }
    graph.distances[2 * 8999 + 1] = -1.0;
    for threads in [1, 2, 4] {
        let error = fuzzy_simplicial_set(&Context::quiet(threads).unwrap(), &graph).unwrap_err();
        assert!(error.to_string().contains("point 8999 "), "{error}");
    }
}
