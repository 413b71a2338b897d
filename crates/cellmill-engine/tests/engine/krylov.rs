use cellmill_engine::linalg::{BlockKrylov, Pca, block_krylov, pca, project};
use cellmill_engine::reduce::{Gram, GramTimes, Times};
use cellmill_engine::testing::{Matrix, op_laws, random_counts, reduce_laws};
use cellmill_engine::{Budget, Context, Error, Op, Reduce, run_stage};
use std::sync::Arc;

fn prepared(n: usize, k: u32) -> Matrix {
    let ops = [
        Op::NormalizeTotal { target_sum: 1e3 },
        Op::Log1p { base: None },
        Op::RoundF32,
    ];
    op_laws(&random_counts(n, k, 9), &ops)
}

/// The sine of the largest angle between the spans of both.
fn angle(a: &Pca, b: &Pca) -> f64 {
    let n = a.n_comps;
    let mut outside = a.loadings.clone();
    for i in 0..n {
        for j in 0..n {
            let along: f64 = (0..a.k)
                .map(|g| a.loadings[g * n + i] * b.loadings[g * n + j])
                .sum();
            for g in 0..a.k {
                outside[g * n + i] -= along * b.loadings[g * n + j];
            }
        }
    }
    outside.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[test]
fn block_krylov_finds_what_the_gram_matrix_gives() {
    // The basis holds all 40 columns; it restarts; there are fewer cells than columns. Of so few columns
    // the Gram matrix is decomposed in full.
    for (n, k, n_comps) in [(300, 40, 7), (400, 300, 10), (60, 500, 20), (60, 500, 40)] {
        let matrix = prepared(n, k);
        let source = matrix.source().unwrap().with_block_rows(16);
        for zero_center in [true, false] {
            let ctx = Context::quiet(2).unwrap();
            let gram = run_stage(&ctx, "gram", &source, &[], &Gram::new(k), &()).unwrap();
            let exact = pca(&ctx, &gram, n_comps, zero_center).unwrap();
            let found = block_krylov(&ctx, &source, n_comps, zero_center).unwrap();
            assert_eq!((found.n, found.k), (exact.n, exact.k));
            let close = |a: &[f64], b: &[f64], tolerance: f64| {
                for (a, b) in a.iter().zip(b) {
                    assert!((a - b).abs() < tolerance, "{n} x {k}: {a} and {b}");
                }
            };
            let size = exact.variance[0];
            close(&found.mean, &exact.mean, 1e-12);
            close(&found.variance, &exact.variance, 1e-11 * size);
            close(&found.variance_ratio, &exact.variance_ratio, 1e-11);
            assert!(
                angle(&found, &exact) < 1e-6,
                "{n} x {k}: {}",
                angle(&found, &exact)
            );
            close(&found.loadings, &exact.loadings, 1e-5);
            assert_eq!(ctx.budget().used(), 0);
        }
    }
}

#[test]
fn threads_and_budget_do_not_change_a_bit() {
    let source = prepared(400, 700).source().unwrap().with_block_rows(3);
    let found = |threads, budget| {
        let ctx = Context::new(threads, budget, Arc::new(()), std::env::temp_dir()).unwrap();
        let found = block_krylov(&ctx, &source, 10, true)?;
        Ok((project(&ctx, &source, &found)?.data, found))
    };
    let one = found(1, Budget::unlimited()).unwrap();
    assert_eq!(found(2, Budget::unlimited()).unwrap(), one);
    assert_eq!(found(5, Budget::unlimited()).unwrap(), one);
    let basis = BlockKrylov::bytes(700, 10);
    assert_eq!(found(2, Budget::new(basis + 2_000_000)).unwrap(), one);
    assert!(matches!(
        found(2, Budget::new(basis - 1)),
        Err(Error::Budget { .. })
    ));
}

#[test]
fn refuses_what_cannot_be_decomposed() {
    let ctx = Context::quiet(1).unwrap();
    let constant = Matrix {
        n_cols: 30,
        rows: vec![vec![(0, 1.0), (1, 2.0)]; 5],
    };
    let source = constant.source().unwrap();
    assert!(matches!(
        block_krylov(&ctx, &source, 2, true),
        Err(Error::Data(_))
    ));
    for n_comps in [0, 6] {
        let error = block_krylov(&ctx, &source, n_comps, true).unwrap_err();
        assert!(matches!(error, Error::Parameter(_)), "{error}");
    }
    ctx.cancel().cancel();
    assert!(matches!(
        block_krylov(&ctx, &source, 2, true),
        Err(Error::Cancelled)
    ));
}

#[test]
fn components_without_variance_are_orthonormal() {
    // Two kinds of cells vary along one direction, and five are asked for.
    let rows = (0..40).map(|row| vec![(row % 2, 1.0)]).collect();
    let matrix = Matrix { n_cols: 300, rows };
    let source = matrix.source().unwrap();
    let found = block_krylov(&Context::quiet(1).unwrap(), &source, 5, true).unwrap();
    assert!((found.variance_ratio[0] - 1.0).abs() < 1e-12);
    assert!(found.variance[1..].iter().all(|v| v.abs() < 1e-12));
    for i in 0..5 {
        for j in 0..5 {
            let dot: f64 = found.loadings.chunks(5).map(|row| row[i] * row[j]).sum();
            assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12);
        }
    }
}

#[test]
fn products_keep_the_laws() {
    let matrix = prepared(500, 40);
    let close = |a: &Times, b: &Times| {
        assert_eq!((a.n, a.width), (b.n, b.width));
        for (a, b) in a
            .product
            .iter()
            .chain(&a.sums)
            .zip(b.product.iter().chain(&b.sums))
        {
            assert!((a - b).abs() <= 1e-11 * (1.0 + a.abs()), "{a} and {b}");
        }
    };
    let rows: Vec<f64> = (0..40 * 19).map(|i| f64::from(i % 7) - 3.0).collect();
    let mean: Vec<f64> = (0..40).map(f64::from).collect();
    let reduce = GramTimes::new(40, 19, &rows, &mean).unwrap();
    let found = reduce_laws(&matrix, &[], &reduce, close);
    for column in 0..19 {
        let of_row = |row: &[(u32, f64)]| -> f64 {
            let x: f64 = row
                .iter()
                .map(|&(g, x)| x * rows[g as usize * 19 + column])
                .sum();
            x - (0..40)
                .map(|g| mean[g] * rows[g * 19 + column])
                .sum::<f64>()
        };
        let w: Vec<f64> = matrix.rows.iter().map(|row| of_row(row)).collect();
        for gene in 0..40 {
            let x = matrix.column(gene);
            let expected: f64 = x.iter().zip(&w).map(|(x, w)| x * w).sum();
            let found = found.product[gene as usize * 19 + column];
            assert!((found - expected).abs() <= 1e-9 * (1.0 + expected.abs()));
        }
    }
    assert!(GramTimes::new(40, 19, &rows[1..], &mean).is_err());
    assert!(reduce.from_bytes(&[1]).is_err());
}
