use cellmill_engine::linalg::{pca, project};
use cellmill_engine::reduce::Gram;
use cellmill_engine::testing::{Matrix, op_laws, random_counts};
use cellmill_engine::{Context, Error, Op, Source, run_stage};

fn prepared() -> Matrix {
    let ops = [
        Op::NormalizeTotal { target_sum: 1e3 },
        Op::Log1p { base: None },
        Op::RoundF32,
    ];
    op_laws(&random_counts(300, 40, 9), &ops)
}

#[test]
fn few_of_many_components_are_those_of_all() {
    let source = op_laws(&random_counts(500, 640, 4), &[Op::Log1p { base: None }]);
    let source = source.source().unwrap().with_block_rows(64);
    let ctx = Context::quiet(2).unwrap();
    let gram = run_stage(&ctx, "gram", &source, &[], &Gram::new(640), &()).unwrap();
    for zero_center in [true, false] {
        // So many are found by a full decomposition.
        let all = pca(&ctx, &gram, 400, zero_center).unwrap();
        let few = pca(&ctx, &gram, 12, zero_center).unwrap();
        assert_eq!(few.mean, all.mean);
        for component in 0..12 {
            let (a, b) = (few.variance[component], all.variance[component]);
            assert!((a - b).abs() < 1e-11 * all.variance[0], "{a} {b}");
            let (a, b) = (&few.loadings, &all.loadings);
            let difference: f64 = (0..640)
                .map(|g| (a[g * 12 + component] - b[g * 400 + component]).powi(2))
                .sum();
            assert!(difference.sqrt() < 1e-6, "{component}: {difference}");
        }
    }
    assert_eq!(ctx.budget().used(), 0);
}

#[test]
fn components_diagonalise_the_covariance() {
    let matrix = prepared();
    let source = matrix.source().unwrap().with_block_rows(16);
    let ctx = Context::quiet(2).unwrap();
    let gram = run_stage(&ctx, "gram", &source, &[], &Gram::new(40), &()).unwrap();
    let all = pca(&ctx, &gram, 40, true).unwrap();
    let few = pca(&ctx, &gram, 7, true).unwrap();
    assert_eq!(few.variance, all.variance[..7]);
    assert!((all.variance_ratio.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    assert!(all.variance.windows(2).all(|w| w[0] >= w[1]));

    let scores = project(&ctx, &source, &all).unwrap();
    assert_eq!(scores.data.len(), 300 * 40);
    let columns: Vec<Vec<f64>> = (0..40).map(|c| matrix.column(c)).collect();
    let means: Vec<f64> = columns
        .iter()
        .map(|c| c.iter().sum::<f64>() / 300.0)
        .collect();
    for (entries, found) in matrix.rows.iter().zip(scores.data.chunks(40)) {
        let mut centred: Vec<f64> = means.iter().map(|mean| -mean).collect();
        entries
            .iter()
            .for_each(|&(gene, x)| centred[gene as usize] += x);
        for (comp, &found) in found.iter().enumerate() {
            let of_gene = centred.iter().zip(all.loadings.chunks(40));
            let expected: f64 = of_gene.map(|(x, loadings)| x * loadings[comp]).sum();
            let difference = (f64::from(found) - expected).abs();
            assert!(
                difference < 1e-6 * (1.0 + expected.abs()),
                "{found} {expected}"
            );
        }
    }
    for a in 0..40 {
        let of = |comp: usize| (0..300).map(move |row| row * 40 + comp);
        let largest = (0..40)
            .map(|g| all.loadings[g * 40 + a])
            .fold(0.0f64, |m, x| if x.abs() > m.abs() { x } else { m });
        assert!(
            largest > 0.0,
            "component {a} has its largest loading negative"
        );
        for b in 0..=a {
            let dot: f64 = of(a)
                .zip(of(b))
                .map(|(x, y)| f64::from(scores.data[x]) * f64::from(scores.data[y]))
                .sum();
            let expected = if a == b { all.variance[a] } else { 0.0 };
            assert!(
                (dot / 299.0 - expected).abs() < 1e-5 * all.variance[0],
                "{a} {b}: {} {expected}",
                dot / 299.0
            );
            let orthogonal: f64 = (0..40)
                .map(|g| all.loadings[g * 40 + a] * all.loadings[g * 40 + b])
                .sum();
            assert!((orthogonal - f64::from(u8::from(a == b))).abs() < 1e-12);
        }
    }
}

#[test]
fn threads_and_blocks_do_not_change_scores() {
    let source = prepared().source().unwrap().with_block_rows(3);
    let result = |threads| {
        let ctx = Context::quiet(threads).unwrap();
        let gram = run_stage(&ctx, "gram", &source, &[], &Gram::new(40), &()).unwrap();
        let pca = pca(&ctx, &gram, 20, true).unwrap();
        (project(&ctx, &source, &pca).unwrap().data, pca)
    };
    assert_eq!(result(1), result(2));
    assert_eq!(result(1), result(5));
}

#[test]
fn refuses_what_cannot_be_decomposed() {
    let ctx = Context::quiet(1).unwrap();
    let constant = Matrix {
        n_cols: 3,
        rows: vec![vec![(0, 1.0), (1, 2.0)]; 5],
    };
    let source = constant.source().unwrap();
    let gram = run_stage(&ctx, "gram", &source, &[], &Gram::new(3), &()).unwrap();
    assert!(matches!(pca(&ctx, &gram, 2, true), Err(Error::Data(_))));
    assert!(matches!(
        pca(&ctx, &gram, 4, true),
        Err(Error::Parameter(_))
    ));
    assert!(matches!(
        pca(&ctx, &gram, 0, true),
        Err(Error::Parameter(_))
    ));
    let gram = run_stage(
        &ctx,
        "gram",
        &prepared().source().unwrap(),
        &[],
        &Gram::new(40),
        &(),
    )
    .unwrap();
    let found = pca(&ctx, &gram, 5, true).unwrap();
    assert!(project(&ctx, &source, &found).is_err());
    assert_eq!(source.n_cols(), 3);
    ctx.cancel().cancel();
    assert!(matches!(
        run_stage(&ctx, "gram", &source, &[], &Gram::new(3), &()),
        Err(Error::Cancelled)
    ));
    assert!(matches!(pca(&ctx, &gram, 5, true), Err(Error::Cancelled)));
}

#[test]
fn components_without_centring_are_those_of_the_columns_as_they_are() {
    let matrix = prepared();
    let source = matrix.source().unwrap();
    let ctx = Context::quiet(2).unwrap();
    let gram = run_stage(&ctx, "gram", &source, &[], &Gram::new(40), &()).unwrap();
    let all = pca(&ctx, &gram, 40, false).unwrap();
    assert!(all.mean.iter().all(|&m| m == 0.0));
    assert!((all.variance_ratio.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let scores = project(&ctx, &source, &all).unwrap();
    for (component, &variance) in all.variance.iter().enumerate() {
        let column: Vec<f64> = (0..300)
            .map(|row| f64::from(scores.data[row * 40 + component]))
            .collect();
        let mean = column.iter().sum::<f64>() / 300.0;
        let found = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 300.0;
        assert!((found - variance).abs() < 1e-4 * (1.0 + variance));
        // The first component is the mean of all cells, nearly.
        assert!(component > 0 || mean.abs() > variance.sqrt());
    }
}
