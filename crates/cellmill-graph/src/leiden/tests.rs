//! What the whole algorithm promises.

use super::*;
use cellmill_engine::Budget;
use proptest::prelude::*;
use single_clustering::community_search::leiden as oracle;
use single_clustering::network::CSRNetwork;
use std::sync::Arc;

/// Zachary's karate club.
#[rustfmt::skip]
const KARATE: [(u32, u32); 78] = [
    (0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (0, 6), (0, 7), (0, 8), (0, 10), (0, 11), (0, 12), (0, 13), (0, 17),
    (0, 19), (0, 21), (0, 31), (1, 2), (1, 3), (1, 7), (1, 13), (1, 17), (1, 19), (1, 21), (1, 30), (2, 3), (2, 7),
    (2, 8), (2, 9), (2, 13), (2, 27), (2, 28), (2, 32), (3, 7), (3, 12), (3, 13), (4, 6), (4, 10), (5, 6), (5, 10),
    (5, 16), (6, 16), (8, 30), (8, 32), (8, 33), (9, 33), (13, 33), (14, 32), (14, 33), (15, 32), (15, 33), (18, 32),
    (18, 33), (19, 33), (20, 32), (20, 33), (22, 32), (22, 33), (23, 25), (23, 27), (23, 29), (23, 32), (23, 33),
    (24, 25), (24, 27), (24, 31), (25, 31), (26, 29), (26, 33), (27, 33), (28, 31), (28, 33), (29, 32), (29, 33),
    (30, 32), (30, 33), (31, 32), (31, 33), (32, 33),
];

fn graph(n: usize, edges: impl IntoIterator<Item = (u32, u32, f32)>) -> WeightedGraph {
    let mut rows: Vec<std::collections::BTreeMap<u32, f32>> = vec![Default::default(); n];
    for (a, b, w) in edges {
        rows[a as usize].insert(b, w);
        rows[b as usize].insert(a, w);
    }
    let mut graph = WeightedGraph {
        indptr: vec![0],
        indices: vec![],
        weights: vec![],
    };
    for row in rows {
        graph.indices.extend(row.keys());
        graph.weights.extend(row.values());
        graph.indptr.push(graph.indices.len() as u64);
    }
    graph
}

fn karate() -> WeightedGraph {
    graph(34, KARATE.map(|(a, b)| (a, b, 1.0)))
}

/// `count` cliques of `size`, each joined to the next by one edge of weight `bridge`.
fn ring_of_cliques(count: u32, size: u32, bridge: f32) -> WeightedGraph {
    let mut edges = vec![];
    for c in 0..count {
        for a in 0..size {
            edges.extend((0..a).map(|b| (c * size + a, c * size + b, 1.0)));
        }
        if bridge > 0.0 {
            edges.push((c * size, ((c + 1) % count) * size + 1, bridge));
        }
    }
    graph((count * size) as usize, edges)
}

/// `n` vertices in planted groups of uneven sizes; about `degree` edges each, one in `mixing`
/// of them anywhere.
fn planted(n: usize, groups: usize, degree: usize, mixing: usize, seed: u64) -> WeightedGraph {
    let draw = |a: usize, b: usize| derive(derive(seed, a as u64), b as u64);
    // Group g holds the vertices from n * (g / groups)^1.5.
    let start = |g: usize| (n as f64 * (g as f64 / groups as f64).powf(1.5)) as usize;
    let mut edges = vec![];
    for g in 0..groups {
        let (first, end) = (start(g), start(g + 1));
        for v in first..end {
            for e in 0..degree / 2 {
                let r = draw(v, e);
                let anywhere = (r as usize).is_multiple_of(mixing);
                let u = if anywhere {
                    (r >> 20) as usize % n
                } else {
                    first + (r >> 20) as usize % (end - first)
                };
                if u != v {
                    edges.push((
                        v as u32,
                        u as u32,
                        0.1 + (r >> 40) as f32 / (1u64 << 24) as f32,
                    ));
                }
            }
        }
    }
    graph(n, edges)
}

fn found(graph: &WeightedGraph, params: &LeidenParams) -> Leiden {
    leiden(&Context::quiet(1).unwrap(), graph, params).unwrap()
}

fn is_connected_inside(graph: &WeightedGraph, labels: &[u32]) -> bool {
    let mut seen = vec![false; graph.n()];
    let mut entered = std::collections::HashSet::new();
    for first in 0..graph.n() {
        if seen[first] {
            continue;
        }
        if !entered.insert(labels[first]) {
            return false;
        }
        let mut stack = vec![first];
        seen[first] = true;
        while let Some(v) = stack.pop() {
            for e in graph.row(v) {
                let u = graph.indices[e] as usize;
                if labels[u] == labels[v] && !seen[u] {
                    seen[u] = true;
                    stack.push(u);
                }
            }
        }
    }
    true
}

fn oracle_modularity(graph: &WeightedGraph, labels: &[u32], resolution: f64) -> f64 {
    let labels: Vec<usize> = labels.iter().map(|&l| l as usize).collect();
    oracle::modularity(&network(graph), &labels, resolution)
}

fn network(graph: &WeightedGraph) -> CSRNetwork {
    let starts = graph.indptr.iter().map(|&p| p as usize).collect();
    CSRNetwork::from_csr_parts(starts, graph.indices.clone(), graph.weights.clone(), None).unwrap()
}

#[test]
fn the_karate_club_has_its_known_best_partition() {
    let best = (0..10).map(|seed| {
        let params = LeidenParams {
            seed,
            n_iterations: -1,
            ..Default::default()
        };
        found(&karate(), &params)
    });
    let best = best
        .max_by(|a, b| a.modularity.total_cmp(&b.modularity))
        .unwrap();
    assert!(
        (best.modularity - 0.419_789_6).abs() < 1e-6,
        "{}",
        best.modularity
    );
    assert_eq!(best.n_communities, 4);
    let mut sizes = [0; 4];
    best.labels.iter().for_each(|&l| sizes[l as usize] += 1);
    assert_eq!(sizes, [12, 11, 6, 5]);
}

#[test]
fn cliques_are_communities() {
    for bridge in [0.0, 0.5, 1.0] {
        let graph = ring_of_cliques(8, 6, bridge);
        let found = found(&graph, &LeidenParams::default());
        assert_eq!(found.n_communities, 8);
        // Equal sizes are numbered by their first vertices.
        let expected: Vec<u32> = (0..48).map(|v| v / 6).collect();
        assert_eq!(found.labels, expected);
    }
}

#[test]
fn cpm_has_no_resolution_limit() {
    let graph = ring_of_cliques(60, 5, 1.0);
    let by_modularity = found(
        &graph,
        &LeidenParams {
            n_iterations: -1,
            ..Default::default()
        },
    );
    assert!(by_modularity.n_communities < 60);
    let params = LeidenParams {
        objective: Objective::Cpm,
        resolution: 0.5,
        ..Default::default()
    };
    let by_cpm = found(&graph, &params);
    assert_eq!(by_cpm.n_communities, 60);
    assert_eq!(by_cpm.labels, (0..300).map(|v| v / 5).collect::<Vec<u32>>());
}

#[test]
fn weights_decide_and_can_be_ignored() {
    // A path of four vertices with a weak or a strong middle.
    let path = |middle| graph(4, [(0, 1, 1.0), (1, 2, middle), (2, 3, 1.0)]);
    assert_eq!(
        found(&path(0.1), &LeidenParams::default()).labels,
        [0, 0, 1, 1]
    );
    let strong = found(&path(50.0), &LeidenParams::default());
    assert_eq!(strong.labels[1], strong.labels[2]);
    let params = LeidenParams {
        use_weights: false,
        ..Default::default()
    };
    let unweighted = found(&path(50.0), &params);
    assert_eq!(unweighted.labels, [0, 0, 1, 1]);
    assert!((unweighted.modularity - 1.0 / 6.0).abs() < 1e-12);
}

#[test]
fn small_and_empty_graphs_have_answers() {
    let none = found(&graph(0, []), &LeidenParams::default());
    assert_eq!((none.labels.len(), none.n_communities), (0, 0));
    let one = found(&graph(1, []), &LeidenParams::default());
    assert_eq!((one.labels, one.n_communities), (vec![0], 1));
    assert!(one.modularity.is_nan());
    let isolated = found(&graph(5, [(1, 3, 0.2)]), &LeidenParams::default());
    assert_eq!(isolated.labels, [1, 0, 2, 0, 3]);
    let weightless = found(&graph(3, [(0, 1, 0.0)]), &LeidenParams::default());
    assert_eq!(weightless.labels, [0, 1, 2]);
}

#[test]
fn extreme_resolutions_join_or_separate_all() {
    for objective in [Objective::Modularity, Objective::Cpm] {
        let at = |resolution| {
            found(
                &karate(),
                &LeidenParams {
                    objective,
                    resolution,
                    ..Default::default()
                },
            )
        };
        assert_eq!(at(0.0).n_communities, 1);
        assert_eq!(at(1e6).n_communities, 34);
    }
}

#[test]
fn modularity_is_the_reference_s() {
    let graph = planted(400, 7, 12, 4, 3);
    let labels: Vec<u32> = (0..400).map(|v| (mix(v) % 9) as u32).collect();
    for resolution in [0.3, 1.0, 2.5] {
        let difference = modularity(&graph, &labels, resolution)
            - oracle_modularity(&graph, &labels, resolution);
        assert!(difference.abs() < 1e-9, "{difference}");
    }
    let found = found(
        &graph,
        &LeidenParams {
            resolution: 1.5,
            ..Default::default()
        },
    );
    assert_eq!(found.modularity, modularity(&graph, &found.labels, 1.5));
}

#[test]
fn climbs_are_compared_by_what_is_maximised() {
    let graph = planted(400, 7, 12, 4, 3);
    let scale = f64::from(1 << 20);
    let input = Weighted {
        graph: &graph,
        scale,
    };
    let strengths: Vec<i64> = (0..400)
        .map(|v| input.row(v).map(|(_, w)| w).sum())
        .collect();
    let total = strengths.iter().sum::<i64>() as f64;
    for (resolution, groups) in [(0.3, 2), (1.0, 9), (2.5, 40)] {
        let rule = Rule {
            rho: resolution / total,
            least: 0.0,
            theta: 1.0,
        };
        let labels: Vec<u32> = (0..400).map(|v| (mix(v) % groups) as u32).collect();
        let quality = communities::quality(&input, &rule, &strengths, &labels);
        let difference = 2.0 * quality / total - modularity(&graph, &labels, resolution);
        assert!(difference.abs() < 1e-6, "{difference}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let graph = planted(40_000, 30, 14, 4, 5);
    for objective in [Objective::Modularity, Objective::Cpm] {
        let resolution = if objective == Objective::Cpm {
            1e-3
        } else {
            1.0
        };
        let params = LeidenParams {
            objective,
            resolution,
            ..Default::default()
        };
        let one = found(&graph, &params);
        assert!(one.n_communities > 1);
        assert!(is_connected_inside(&graph, &one.labels));
        for threads in [1, 2, 5] {
            assert_eq!(
                leiden(&Context::quiet(threads).unwrap(), &graph, &params).unwrap(),
                one
            );
        }
    }
}

#[test]
fn the_seed_names_the_answer() {
    let graph = planted(3000, 20, 8, 2, 1);
    let at = |seed| {
        found(
            &graph,
            &LeidenParams {
                seed,
                ..Default::default()
            },
        )
        .labels
    };
    assert_eq!(at(4), at(4));
    assert_ne!(at(4), at(5));
}

#[test]
fn modularity_reaches_the_reference_s() {
    // Below and above the size from which vertices move in batches.
    for (n, groups, mixing) in [(1000, 12, 3), (6000, 40, 2), (30_000, 60, 3)] {
        for seed in 0..2 {
            let graph = planted(n, groups, 12, mixing, seed);
            let config = oracle::LeidenConfig {
                seed: Some(seed),
                ..Default::default()
            };
            let reference = oracle::leiden(&network(&graph), &config).unwrap();
            let reference = oracle::modularity(&network(&graph), reference.labels(), 1.0);
            let ours = found(
                &graph,
                &LeidenParams {
                    seed,
                    ..Default::default()
                },
            );
            assert!(
                ours.modularity > reference - 1e-3,
                "{n} {seed}: {} against {reference}",
                ours.modularity
            );
            assert!(is_connected_inside(&graph, &ours.labels));
        }
    }
}

#[test]
fn further_iterations_never_lose() {
    let graph = planted(20_000, 50, 10, 2, 9);
    let at = |n_iterations| {
        found(
            &graph,
            &LeidenParams {
                n_iterations,
                ..Default::default()
            },
        )
    };
    let (one, two, four) = (at(1), at(2), at(4));
    assert!(one.modularity <= two.modularity && two.modularity <= four.modularity);
    assert_eq!((one.iterations, four.iterations), (1, 4));
    // The second iteration continues the first.
    let ctx = Context::quiet(1).unwrap();
    let params = LeidenParams {
        n_iterations: 1,
        seed: 77,
        ..Default::default()
    };
    let continued = leiden_from(&ctx, &graph, &params, &one.labels).unwrap();
    assert!(continued.modularity >= one.modularity);
}

#[test]
fn until_no_gain_stops() {
    let graph = planted(2000, 10, 10, 3, 2);
    let stable = found(
        &graph,
        &LeidenParams {
            n_iterations: -1,
            ..Default::default()
        },
    );
    assert!(stable.iterations > 1);
    let kept = found(
        &graph,
        &LeidenParams {
            n_iterations: 0,
            ..Default::default()
        },
    );
    assert_eq!((kept.n_communities, kept.iterations), (2000, 0));
}

#[test]
fn an_initial_membership_is_taken_with_any_labels() {
    let graph = ring_of_cliques(4, 5, 0.5);
    let ctx = Context::quiet(1).unwrap();
    let initial: Vec<u32> = (0..20).map(|v| 4_000_000_000 - (v / 5) * 1000).collect();
    let found = leiden_from(&ctx, &graph, &LeidenParams::default(), &initial).unwrap();
    assert_eq!(found.labels, (0..20).map(|v| v / 5).collect::<Vec<u32>>());
    let error = leiden_from(&ctx, &graph, &LeidenParams::default(), &[0; 3]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the initial membership has 3 labels and the graph has 20 vertices; give one label for each vertex"
    );
}

#[test]
fn a_disconnected_start_comes_apart() {
    // Two cliques in one community, without an edge between them.
    let graph = ring_of_cliques(2, 4, 0.0);
    for resolution in [0.01, 1.0] {
        let params = LeidenParams {
            resolution,
            ..Default::default()
        };
        let found = leiden_from(&Context::quiet(1).unwrap(), &graph, &params, &[7; 8]).unwrap();
        assert_eq!(found.labels, [0, 0, 0, 0, 1, 1, 1, 1]);
    }
}

#[test]
fn wrong_input_is_refused_with_an_address() {
    let ctx = Context::quiet(1).unwrap();
    let refused = |graph: &WeightedGraph| {
        leiden(&ctx, graph, &LeidenParams::default())
            .unwrap_err()
            .to_string()
    };
    let mut lopsided = karate();
    lopsided.weights[5] = 2.0;
    assert!(refused(&lopsided).starts_with("the graph is not symmetric"));
    let mut negative = karate();
    negative.weights[0] = -1.0;
    assert!(refused(&negative).starts_with("the edge from 0 to 1 has weight -1"));
    let mut outside = karate();
    outside.indices[77] = 99;
    assert!(refused(&outside).ends_with("has column 99, and there are 34 vertices"));
    let short = WeightedGraph {
        weights: vec![],
        ..karate()
    };
    assert!(
        refused(&short)
            .starts_with("the graph's row starts end at Some(156), with 156 column indices and 0")
    );
    for resolution in [-1.0, f64::NAN, f64::INFINITY] {
        let params = LeidenParams {
            resolution,
            ..Default::default()
        };
        assert!(matches!(
            leiden(&ctx, &karate(), &params),
            Err(Error::Parameter(_))
        ));
    }
}

#[test]
fn stops_when_cancelled_and_keeps_to_the_budget() {
    let ctx = Context::quiet(2).unwrap();
    ctx.cancel().cancel();
    assert!(matches!(
        leiden(&ctx, &karate(), &LeidenParams::default()),
        Err(Error::Cancelled)
    ));
    let small = Context::new(1, Budget::new(1000), Arc::new(()), std::env::temp_dir()).unwrap();
    assert!(matches!(
        leiden(&small, &karate(), &LeidenParams::default()),
        Err(Error::Budget { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_has_connected_communities_no_worse_than_alone(
        n in 1usize..40,
        edges in prop::collection::vec((0u32..40, 0u32..40, 0.0f32..2.0), 0..120),
        resolution in 0.0f64..3.0,
        cpm: bool,
        seed: u64,
    ) {
        let edges = edges.into_iter().filter(|e| e.0 != e.1 && e.2 > 0.0).map(|(a, b, w)| (a % n as u32, b % n as u32, w));
        let graph = graph(n, edges);
        let objective = if cpm { Objective::Cpm } else { Objective::Modularity };
        let params = LeidenParams { objective, resolution, seed, n_iterations: -1, use_weights: true };
        let ours = found(&graph, &params);
        prop_assert!(is_connected_inside(&graph, &ours.labels));
        let mut sizes = vec![0; ours.n_communities];
        ours.labels.iter().for_each(|&l| sizes[l as usize] += 1);
        prop_assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes.iter().all(|&s| s > 0));
        if !cpm && graph.nnz() > 0 {
            let alone: Vec<u32> = (0..n as u32).collect();
            prop_assert!(ours.modularity >= modularity(&graph, &alone, resolution) - 1e-9);
        }
    }
}

/// Bytes that were reserved at each event of progress.
struct Watch(Budget, std::sync::Mutex<Vec<u64>>);

impl cellmill_engine::Observer for Watch {
    fn event(&self, event: &Event) {
        if let Event::Progress { .. } = event {
            self.1.lock().unwrap().push(self.0.used());
        }
    }
}

#[test]
fn a_graph_that_is_given_is_gone_once_it_is_copied() {
    let graph = crate::spectral::tests::ring(20_000, 3001);
    let (n, nnz) = (graph.n() as u64, graph.nnz());
    let budget = Budget::unlimited();
    let watch = Arc::new(Watch(budget.clone(), std::sync::Mutex::default()));
    let folder = std::env::temp_dir();
    let ctx = Context::new(2, budget.clone(), watch.clone(), folder).unwrap();
    let memory = budget.reserve(WeightedGraph::bytes(n, nnz), "").unwrap();
    let lent = leiden(&ctx, &graph, &LeidenParams::default()).unwrap();
    let given = Handed::given(graph, Some(memory));
    let found = leiden(&ctx, given, &LeidenParams::default()).unwrap();
    assert_eq!(found, lent);
    let graph = WeightedGraph::bytes(n, nnz);
    let at_work = copy_bytes(n, nnz);
    let used = watch.1.lock().unwrap();
    assert_eq!(*used, [graph + at_work, graph + at_work, at_work, at_work]);
    assert_eq!(budget.used(), 0);
}
