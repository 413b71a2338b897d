//! The approximate search against the exact one.

use cellmill_engine::{Budget, Context, Error};
use cellmill_graph::kernel::Isa;
use cellmill_graph::knn::{CellLists, Search, knn_on};
use cellmill_graph::{KnnGraph, KnnParams, Method, Metric, Points, knn};
use std::sync::Arc;

/// Uniform and normal numbers out of a counter.
struct Draw(u64);

impl Draw {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Points of types around centres, coordinates' spread decaying as in a PCA; types differ in
/// size by shares and in density. Returns the points and their types.
fn mixture(n: usize, d: usize, shares: &[f64], seed: u64) -> (Vec<f32>, Vec<usize>) {
    let mut draw = Draw(seed);
    let spread: Vec<f64> = (0..d).map(|axis| 1.0 / (1.0 + axis as f64 / 5.0)).collect();
    let centres: Vec<f64> = (0..shares.len() * d)
        .map(|at| 5.0 * spread[at % d] * draw.normal())
        .collect();
    let (mut data, mut types) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let mut left = draw.uniform();
        let kind = shares.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        let kind = kind.unwrap_or(0);
        let width = 0.4 + 0.3 * (kind % 4) as f64;
        for axis in 0..d {
            data.push(
                (centres[kind * d + axis] + width * spread[axis].sqrt() * draw.normal()) as f32,
            );
        }
        types.push(kind);
    }
    (data, types)
}

fn search(
    points: Points,
    method: Method,
    metric: Metric,
    n_neighbors: usize,
    threads: usize,
) -> KnnGraph {
    let params = KnnParams {
        n_neighbors,
        metric,
        method,
        seed: 0,
    };
    knn(&Context::quiet(threads).unwrap(), points, &params).unwrap()
}

/// The share of a point's found neighbours that are as near as the exact k-th one.
fn recall(found: &KnnGraph, exact: &KnnGraph, i: usize) -> f64 {
    let row = i * exact.k..(i + 1) * exact.k;
    let limit = exact.distances[row.end - 1] * (1.0 + 1e-5) + 1e-9;
    found.distances[row].iter().filter(|&&x| x <= limit).count() as f64 / exact.k as f64
}

/// What every graph obeys: neighbours are others, each once, in order, at their true distances.
fn check(graph: &KnnGraph, points: Points) {
    assert_eq!(graph.indices.len(), graph.n * graph.k);
    for i in 0..graph.n {
        let row = i * graph.k..(i + 1) * graph.k;
        let mut indices = graph.indices[row.clone()].to_vec();
        let distances = &graph.distances[row];
        assert!(distances.is_sorted(), "point {i}");
        for (&j, &distance) in indices.iter().zip(distances) {
            let pairs = points.row(i).iter().zip(points.row(j as usize));
            let truth = pairs
                .map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(
                (truth - distance).abs() <= 1e-5 * truth + 1e-6,
                "{i} to {j}: {distance}, not {truth}"
            );
        }
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), graph.k, "point {i}");
        assert!(!indices.contains(&(i as u32)), "point {i}");
    }
}

#[test]
fn finds_the_neighbours_of_mixtures() {
    // Eighteen types and a rare one of about 15 points.
    let mut shares = vec![0.998 / 18.0; 18];
    shares.push(0.002);
    for (n, d, n_neighbors, least) in [
        (8_300, 2, 15, 0.99),
        (8_300, 10, 15, 0.99),
        (8_300, 50, 15, 0.97),
        (4_500, 130, 15, 0.95),
        (5_000, 30, 40, 0.97),
    ] {
        let (data, types) = mixture(n, d, &shares, 11);
        let points = Points::new(&data, n, d).unwrap();
        let found = search(
            points,
            Method::Approximate,
            Metric::Euclidean,
            n_neighbors,
            2,
        );
        let exact = search(points, Method::Exact, Metric::Euclidean, n_neighbors, 2);
        check(&found, points);
        let mean = (0..n).map(|i| recall(&found, &exact, i)).sum::<f64>() / n as f64;
        assert!(
            mean >= least,
            "d = {d}, {n_neighbors} neighbours: recall {mean}"
        );
        let rare: Vec<f64> = (0..n)
            .filter(|&i| types[i] == 18)
            .map(|i| recall(&found, &exact, i))
            .collect();
        let rare_mean = rare.iter().sum::<f64>() / rare.len() as f64;
        assert!(
            rare.len() >= 5 && rare_mean >= 0.93,
            "d = {d}: recall of the rare type {rare_mean}"
        );
        assert_eq!(
            components(&found),
            components(&exact),
            "d = {d}: other connected components"
        );
    }
}

/// The smallest index of each point's connected component.
fn components(graph: &KnnGraph) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..graph.n).collect();
    fn root(parent: &mut [usize], mut i: usize) -> usize {
        while parent[i] != i {
            parent[i] = parent[parent[i]];
            i = parent[i];
        }
        i
    }
    for i in 0..graph.n {
        for &j in &graph.indices[i * graph.k..(i + 1) * graph.k] {
            let (a, b) = (root(&mut parent, i), root(&mut parent, j as usize));
            parent[a.max(b)] = a.min(b);
        }
    }
    (0..graph.n).map(|i| root(&mut parent, i)).collect()
}

#[test]
fn equal_bits_on_any_number_of_threads_and_any_instruction_set() {
    // Just above the size at which there are several cells: the portable kernel is slow.
    let (data, _) = mixture(4_100, 18, &[0.7, 0.2, 0.1], 4);
    let points = Points::new(&data, 4_100, 18).unwrap();
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let one = search(points, Method::Approximate, metric, 15, 1);
        for threads in [2, 5] {
            assert_eq!(
                one,
                search(points, Method::Approximate, metric, 15, threads)
            );
        }
        let params = KnnParams {
            metric,
            method: Method::Approximate,
            ..KnnParams::default()
        };
        for isa in Isa::available() {
            assert_eq!(
                one,
                knn_on(&Context::quiet(2).unwrap(), points, &params, isa).unwrap(),
                "{isa:?}"
            );
        }
    }
}

#[test]
fn cells_can_be_searched_elsewhere_in_any_order() {
    let (data, _) = mixture(4_500, 8, &[0.5, 0.5], 4);
    let points = Points::new(&data, 4_500, 8).unwrap();
    let ctx = Context::quiet(1).unwrap();
    let best = cellmill_graph::kernel::isa();
    let search = |isa| Search::new(&ctx, points, 14, Metric::Euclidean, 0, isa).unwrap();
    let (forward, backward) = (search(best), search(Isa::Portable));
    assert_eq!(forward.plan(), backward.plan());
    let cells = forward.plan().cells();
    assert!(cells > 5);
    for cell in 0..cells {
        forward
            .merge(&forward.task(cell).search(best).unwrap())
            .unwrap();
    }
    // All tasks are made before any answer is there.
    let tasks: Vec<_> = (0..cells).rev().map(|cell| backward.task(cell)).collect();
    for (at, task) in tasks.into_iter().enumerate() {
        // As on two kinds of workers.
        let isa = if at % 4 == 0 { Isa::Portable } else { best };
        backward.merge(&task.search(isa).unwrap()).unwrap();
    }
    let foreign = CellLists {
        members: vec![4_500],
        length: 16,
        lists: vec![0; 16],
    };
    assert!(matches!(backward.merge(&foreign), Err(Error::Wire { .. })));
    assert_eq!(
        forward.finish(&ctx, |_| ()).unwrap(),
        backward.finish(&ctx, |_| ()).unwrap()
    );
}

#[test]
fn hundreds_of_neighbours_are_found() {
    // More candidates than the table of those that were met can hold.
    let n = 6_000;
    let (data, _) = mixture(n, 40, &[1.0], 7);
    let points = Points::new(&data, n, 40).unwrap();
    let found = search(points, Method::Approximate, Metric::Euclidean, 300, 2);
    check(&found, points);
    let exact = search(points, Method::Exact, Metric::Euclidean, 300, 2);
    let mean = (0..n).map(|i| recall(&found, &exact, i)).sum::<f64>() / n as f64;
    assert!(mean > 0.9, "recall {mean}");
}

#[test]
fn degenerate_points_have_neighbours_too() {
    // Constant data; many equal points among others; a tight group far from the rest.
    let n = 5_000;
    let constant = vec![2.5f32; n * 3];
    let (mut equal, _) = mixture(n, 3, &[1.0], 1);
    for i in 0..3_000 {
        equal.copy_within(0..3, i * 3);
    }
    let (mut far, _) = mixture(n, 3, &[1.0], 2);
    for x in &mut far[..60] {
        *x = 1000.0 + *x * 0.5;
    }
    for data in [constant, equal, far] {
        let points = Points::new(&data, n, 3).unwrap();
        let found = search(points, Method::Approximate, Metric::Euclidean, 15, 2);
        check(&found, points);
        let exact = search(points, Method::Exact, Metric::Euclidean, 15, 2);
        let mean = (0..n).map(|i| recall(&found, &exact, i)).sum::<f64>() / n as f64;
        assert!(mean > 0.98, "recall {mean}");
    }
}

#[test]
fn few_points_are_searched_completely() {
    for n in [2, 3, 40, 3_999] {
        let (data, _) = mixture(n, 6, &[0.5, 0.5], 3);
        let points = Points::new(&data, n, 6).unwrap();
        let found = search(points, Method::Approximate, Metric::Euclidean, 15.min(n), 2);
        let exact = search(points, Method::Exact, Metric::Euclidean, 15.min(n), 2);
        check(&found, points);
        assert!((0..n).all(|i| recall(&found, &exact, i) == 1.0), "n = {n}");
    }
}

#[test]
fn cosine_distances_are_scikit_learns() {
    let (mut data, _) = mixture(6_000, 12, &[0.5, 0.3, 0.2], 6);
    data[..30 * 12].fill(0.0);
    let points = Points::new(&data, 6_000, 12).unwrap();
    let found = search(points, Method::Auto, Metric::Cosine, 15, 2);
    let exact = search(points, Method::Exact, Metric::Cosine, 15, 2);
    assert!(!found.exact && exact.exact);
    // Every point is at distance 1 from a point of zeros.
    assert!(found.distances[..30 * 14].iter().all(|&x| x == 1.0));
    let mean = (0..6_000)
        .map(|i| {
            let row = i * 14..(i + 1) * 14;
            let limit = exact.distances[row.end - 1] + 1e-6;
            found.distances[row].iter().filter(|&&x| x <= limit).count() as f64 / 14.0
        })
        .sum::<f64>()
        / 6_000.0;
    assert!(mean > 0.98, "recall {mean}");
}

#[test]
fn auto_is_exact_where_scanpy_is() {
    let (data, _) = mixture(8_192, 2, &[1.0], 6);
    let exact = |n: usize, metric| {
        let points = Points::new(&data[..2 * n], n, 2).unwrap();
        search(points, Method::Auto, metric, 3, 2).exact
    };
    assert!(exact(8_191, Metric::Euclidean) && !exact(8_192, Metric::Euclidean));
    assert!(exact(4_095, Metric::Cosine) && !exact(4_096, Metric::Cosine));
}

#[test]
fn what_does_not_fit_or_is_not_wanted_is_refused() {
    let (data, _) = mixture(9_000, 10, &[1.0], 6);
    let points = Points::new(&data, 9_000, 10).unwrap();
    let budget = Budget::new(1_000_000);
    let ctx = Context::new(1, budget.clone(), Arc::new(()), std::env::temp_dir()).unwrap();
    for method in [Method::Exact, Method::Approximate] {
        let params = KnnParams {
            method,
            ..KnnParams::default()
        };
        assert!(matches!(
            knn(&ctx, points, &params),
            Err(Error::Budget { .. })
        ));
        assert_eq!(budget.used(), 0);
        let ctx = Context::quiet(1).unwrap();
        ctx.cancel().cancel();
        assert!(matches!(knn(&ctx, points, &params), Err(Error::Cancelled)));
    }
}
