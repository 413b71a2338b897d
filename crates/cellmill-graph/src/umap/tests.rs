use super::*;
use crate::kernel;
use crate::spectral::tests::symmetric;

/// `count` blobs of `size` vertices: each vertex is tied to random ones of its own blob, and a
/// few edges join the blobs in a chain.
fn blobs(count: usize, size: usize, seed: u64) -> WeightedGraph {
    let mut edges = Vec::new();
    for blob in 0..count {
        for i in 0..size {
            for k in 0..6u64 {
                // Near in a line, so that a blob has some inner shape.
                let word = random::word(seed, k, (blob * size + i) as u64);
                let j = (i + 1 + random::below(word, size / 8 + 1)) % size;
                if i != j {
                    let weight = 0.1 + 0.9 * random::unit(word.rotate_left(32)) as f32;
                    edges.push((blob * size + i, blob * size + j, weight));
                }
            }
        }
        if blob > 0 {
            edges.push((blob * size, blob * size - 1, 0.2));
        }
    }
    symmetric(count * size, edges)
}

fn start(n: usize, d: usize) -> Vec<f32> {
    (0..n * d)
        .map(|i| 10.0 * random::unit(random::word(5, 5, i as u64)) as f32)
        .collect()
}

/// Cross-entropy over the edges and over random pairs.
fn loss(graph: &WeightedGraph, x: &[f32], d: usize, parameters: &UmapParams) -> f64 {
    let n = graph.n();
    let near = |i: usize, j: usize| {
        let square: f64 = (0..d)
            .map(|k| f64::from(x[i * d + k] - x[j * d + k]).powi(2))
            .sum();
        1.0 / (1.0 + parameters.a * square.powf(parameters.b))
    };
    let mut pull = 0.0;
    for i in 0..n {
        for e in graph.row(i) {
            let w = f64::from(graph.weights[e]);
            pull -= w * near(i, graph.indices[e] as usize).max(1e-9).ln();
        }
    }
    let weight: f64 = graph.weights.iter().map(|&w| f64::from(w)).sum();
    let pairs = 20_000;
    let push: f64 = (0..pairs)
        .map(|p| {
            let i = random::below(random::word(1, 1, p), n);
            let j = random::below(random::word(1, 2, p), n);
            if i == j {
                0.0
            } else {
                -(1.0 - near(i, j)).max(1e-9).ln()
            }
        })
        .sum();
    pull / weight + 5.0 * push / pairs as f64
}

fn separated(x: &[f32], size: usize) {
    let centre = |blob: usize| {
        let sum = x[blob * size * 2..(blob + 1) * size * 2]
            .chunks_exact(2)
            .fold([0.0; 2], |s, p| [s[0] + p[0], s[1] + p[1]]);
        sum.map(|s| s / size as f32)
    };
    let (one, two) = (centre(0), centre(1));
    let far = |p: &[f32], c: [f32; 2]| (p[0] - c[0]).powi(2) + (p[1] - c[1]).powi(2);
    let wrong = x[..2 * size * 2]
        .chunks_exact(2)
        .enumerate()
        .filter(|(v, p)| (far(p, one) > far(p, two)) != (*v >= size))
        .count();
    assert!(
        wrong * 50 < size,
        "{wrong} of {} vertices are nearer to the other blob",
        2 * size
    );
}

#[test]
fn two_blobs_are_separated_and_the_loss_falls() {
    let ctx = Context::quiet(2).unwrap();
    let parameters = UmapParams::default();
    for size in [200, 6000] {
        let graph = blobs(2, size, 1);
        let init =
            initial_layout(&ctx, &graph, Init::Spectral { points: None }, 2, None, 0).unwrap();
        let few = UmapParams {
            n_epochs: Some(60),
            ..parameters.clone()
        };
        let x = umap(&ctx, &graph, &init, &few).unwrap();
        separated(&x, size);
        assert!(loss(&graph, &x, 2, &few) < 0.9 * loss(&graph, &init, 2, &few));
    }
}

#[test]
fn large_and_small_paths_reach_the_same_loss() {
    let ctx = Context::quiet(2).unwrap();
    let parameters = UmapParams {
        n_epochs: Some(200),
        ..UmapParams::default()
    };
    let graph = blobs(4, 2000, 2);
    let init = initial_layout(&ctx, &graph, Init::Spectral { points: None }, 2, None, 0).unwrap();
    let laid = |sequentially: bool| {
        let Ordered { graph, order, .. } = ordered(&ctx, &graph, Some(200)).unwrap();
        let begin = in_order(&order, &init, 2);
        let layout = if sequentially {
            sequential::layout(&ctx, graph, begin, &parameters, 200)
        } else {
            parallel::layout::<2>(&ctx, graph, &begin, &parameters, 200)
        };
        back_from(&order, &layout.unwrap(), 2)
    };
    let (small, large) = (laid(true), laid(false));
    let (small, large) = (
        loss(&graph, &small, 2, &parameters),
        loss(&graph, &large, 2, &parameters),
    );
    assert!((large / small - 1.0).abs() < 0.03, "{small} {large}");
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    for (size, d) in [(300, 2), (6000, 2), (6000, 3), (300, 3)] {
        let graph = blobs(2, size, 3);
        let init = start(2 * size, d);
        let parameters = UmapParams {
            n_epochs: Some(15),
            n_components: d,
            ..UmapParams::default()
        };
        let one = umap(&Context::quiet(1).unwrap(), &graph, &init, &parameters).unwrap();
        assert!(one != init && one.iter().all(|x| x.is_finite()));
        for threads in [2, 5] {
            let ctx = Context::quiet(threads).unwrap();
            assert!(
                one == umap(&ctx, &graph, &init, &parameters).unwrap(),
                "{size} {d} {threads}"
            );
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_instruction_set() {
    let ctx = Context::quiet(2).unwrap();
    let graph = blobs(2, 6000, 3);
    let parameters = UmapParams {
        n_epochs: Some(15),
        ..UmapParams::default()
    };
    let on2 = |isa| {
        let begin = start(12_000, 2);
        parallel::layout_on::<2>(isa, &ctx, (&graph).into(), &begin, &parameters, 15).unwrap()
    };
    let on3 = |isa| {
        let begin = start(12_000, 3);
        parallel::layout_on::<3>(isa, &ctx, (&graph).into(), &begin, &parameters, 15).unwrap()
    };
    let (two, three) = (on2(kernel::Isa::Portable), on3(kernel::Isa::Portable));
    for isa in kernel::Isa::available() {
        assert!(two == on2(isa) && three == on3(isa), "{isa:?}");
    }
}

#[test]
fn the_seed_changes_the_layout() {
    let ctx = Context::quiet(1).unwrap();
    for size in [100, 6000] {
        let graph = blobs(2, size, 3);
        let init = start(2 * size, 2);
        let parameters = UmapParams {
            n_epochs: Some(5),
            ..UmapParams::default()
        };
        let other = UmapParams {
            seed: 1,
            ..parameters.clone()
        };
        assert!(
            umap(&ctx, &graph, &init, &parameters).unwrap()
                != umap(&ctx, &graph, &init, &other).unwrap()
        );
    }
}

#[test]
fn disconnected_graphs_and_isolated_vertices_stay_finite() {
    let ctx = Context::quiet(2).unwrap();
    for size in [50, 4000] {
        // Three blobs without the chain's edges, and five vertices without any.
        let mut edges = Vec::new();
        for blob in 0..3 {
            let part = blobs(1, size, blob as u64);
            for i in 0..size {
                for e in part.row(i) {
                    edges.push((
                        blob * size + i,
                        blob * size + part.indices[e] as usize,
                        part.weights[e],
                    ));
                }
            }
        }
        let graph = symmetric(3 * size + 5, edges);
        let init = initial_layout(
            &ctx,
            &graph,
            Init::Spectral { points: None },
            2,
            Some(50),
            0,
        )
        .unwrap();
        let parameters = UmapParams {
            n_epochs: Some(50),
            ..UmapParams::default()
        };
        let x = umap(&ctx, &graph, &init, &parameters).unwrap();
        assert!(x.iter().all(|x| x.is_finite()));
        assert_eq!(
            x[3 * size * 2..],
            init[3 * size * 2..],
            "a vertex without edges moved"
        );
        separated(&x, size);
    }
}

#[test]
fn tiny_graphs_have_a_layout() {
    let ctx = Context::quiet(2).unwrap();
    for n in [0usize, 1, 2, 3, 10] {
        let path = symmetric(n, (1..n).map(|i| (i - 1, i, 1.0)));
        for d in [1, 2, 3, 5] {
            let init =
                initial_layout(&ctx, &path, Init::Spectral { points: None }, d, None, 0).unwrap();
            let parameters = UmapParams {
                n_components: d,
                n_epochs: Some(30),
                ..UmapParams::default()
            };
            let x = umap(&ctx, &path, &init, &parameters).unwrap();
            assert!(
                x.len() == n * d && x.iter().all(|x| x.is_finite()),
                "{n} {d}"
            );
            if d == 2 && n > 1 {
                let graph = (&path).into();
                let x = parallel::layout::<2>(&ctx, graph, &init, &parameters, 30).unwrap();
                assert!(x.iter().all(|x| x.is_finite()), "{n}");
            }
        }
    }
}

#[test]
fn nothing_moves_without_edges_or_epochs() {
    let ctx = Context::quiet(1).unwrap();
    let init = start(20, 2);
    let none = symmetric(20, []);
    assert_eq!(
        umap(&ctx, &none, &init, &UmapParams::default()).unwrap(),
        init
    );
    let zero = UmapParams {
        n_epochs: Some(0),
        ..UmapParams::default()
    };
    let path = symmetric(20, (1..20).map(|i| (i - 1, i, 1.0)));
    assert_eq!(umap(&ctx, &path, &init, &zero).unwrap(), init);
}

#[test]
fn light_edges_are_dropped() {
    let graph = symmetric(3, [(0, 1, 1.0), (1, 2, 0.004)]);
    let ctx = Context::quiet(1).unwrap();
    let left = |epochs| ordered(&ctx, &graph, Some(epochs)).unwrap().graph.nnz();
    assert_eq!(left(200), 2);
    assert_eq!(left(500), 4);
    // With ten epochs or fewer the default number counts: 500 here.
    assert_eq!(left(5), 4);
}

#[test]
fn wrong_parameters_are_errors() {
    let ctx = Context::quiet(1).unwrap();
    let path = symmetric(3, [(0, 1, 1.0), (1, 2, 1.0)]);
    let init = start(3, 2);
    let good = UmapParams::default();
    for bad in [
        UmapParams {
            a: 0.0,
            ..good.clone()
        },
        UmapParams {
            b: f64::NAN,
            ..good.clone()
        },
        UmapParams {
            alpha: -1.0,
            ..good.clone()
        },
        UmapParams {
            gamma: f64::INFINITY,
            ..good.clone()
        },
        UmapParams {
            n_components: 0,
            ..good.clone()
        },
        UmapParams {
            n_components: 3,
            ..good.clone()
        },
    ] {
        assert!(
            matches!(umap(&ctx, &path, &init, &bad), Err(Error::Parameter(_))),
            "{bad:?}"
        );
    }
    let mut damaged = init.clone();
    damaged[2] = f32::NAN;
    assert!(matches!(
        umap(&ctx, &path, &damaged, &good),
        Err(Error::Data(_))
    ));
}

#[test]
fn a_cancelled_call_stops_and_a_small_budget_refuses() {
    for size in [100, 6000] {
        let graph = blobs(2, size, 3);
        let ctx = Context::quiet(2).unwrap();
        ctx.cancel().cancel();
        let init = start(2 * size, 2);
        assert!(matches!(
            umap(&ctx, &graph, &init, &UmapParams::default()),
            Err(Error::Cancelled)
        ));
        let tight = Context::new(
            1,
            cellmill_engine::Budget::new(1000),
            std::sync::Arc::new(()),
            std::env::temp_dir(),
        )
        .unwrap();
        assert!(matches!(
            umap(&tight, &graph, &init, &UmapParams::default()),
            Err(Error::Budget { .. })
        ));
    }
}

#[test]
fn a_graph_ordered_for_other_epochs_is_refused() {
    let ctx = Context::quiet(1).unwrap();
    let path = symmetric(20, (1..20).map(|i| (i - 1, i, 1.0)));
    let graph = ordered(&ctx, &path, Some(50)).unwrap();
    let error = graph.umap(&ctx, &start(20, 2), &UmapParams::default());
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("in 500 epochs those from 0.002 on")
    );
}
