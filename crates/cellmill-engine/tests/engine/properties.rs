use cellmill_engine::reduce::{CellTotals, GeneMoments, Gram};
use cellmill_engine::testing::{Matrix, op_laws};
use cellmill_engine::{Context, Op, run_stage};
use proptest::prelude::*;

fn matrices() -> impl Strategy<Value = Matrix> {
    (1u32..12, 0usize..40).prop_flat_map(|(n_cols, n_rows)| {
        let entry = prop_oneof![4 => Just(None), 2 => (0u32..50).prop_map(|x| Some(f64::from(x))), 1 => (0.0..1e6f64).prop_map(Some)];
        let row = proptest::collection::vec(entry, n_cols as usize).prop_map(|dense| {
            let kept = dense.into_iter().enumerate().filter_map(|(c, x)| x.map(|x| (c as u32, x)));
            kept.collect::<Vec<_>>()
        });
        proptest::collection::vec(row, n_rows).prop_map(move |rows| Matrix { n_cols, rows })
    })
}

fn ops(n_cols: u32) -> impl Strategy<Value = Vec<Op>> {
    let select = proptest::collection::vec(any::<bool>(), n_cols as usize);
    (proptest::collection::vec(0..4, 0..5), select, any::<bool>()).prop_map(
        move |(kinds, keep, last)| {
            let genes: Vec<u32> = (0..n_cols).filter(|&g| keep[g as usize]).collect();
            let mut ops: Vec<Op> = kinds
                .into_iter()
                .map(|kind| match kind {
                    0 => Op::NormalizeTotal { target_sum: 1e3 },
                    1 => Op::Log1p { base: None },
                    2 => Op::Log1p { base: Some(2.0) },
                    _ => Op::RoundF32,
                })
                .collect();
            let at = if last { ops.len() } else { ops.len() / 2 };
            ops.insert(at, Op::SelectGenes { genes });
            ops
        },
    )
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-11 * (1.0 + a.abs().max(b.abs()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn blocks_keep_their_contract_after_ops((matrix, ops) in matrices().prop_flat_map(|m| { let n = m.n_cols; (Just(m), ops(n)) })) {
        op_laws(&matrix, &ops);
    }

    #[test]
    fn moments_and_totals_are_those_of_two_passes(matrix in matrices(), block_rows in 1u64..9) {
        let source = matrix.source().unwrap().with_block_rows(block_rows);
        let ctx = Context::quiet(2).unwrap();
        let reduce = (GeneMoments::new(matrix.n_cols), CellTotals);
        let (moments, totals) = run_stage(&ctx, "moments", &source, &[], &reduce, &()).unwrap();
        let n = matrix.rows.len() as f64;
        prop_assert_eq!(moments.n, matrix.rows.len() as u64);
        for gene in 0..matrix.n_cols {
            let column = matrix.column(gene);
            let mean = if n > 0.0 { column.iter().sum::<f64>() / n } else { 0.0 };
            let squares: f64 = column.iter().map(|x| (x - mean) * (x - mean)).sum();
            let g = gene as usize;
            prop_assert!(close(moments.mean[g], mean));
            prop_assert!(close(moments.variance[g], squares / (n - 1.0).max(1.0)));
            prop_assert_eq!(moments.n_nonzero[g], column.iter().filter(|&&x| x != 0.0).count() as u64);
        }
        for (row, entries) in matrix.rows.iter().enumerate() {
            prop_assert!(close(totals.total[row], entries.iter().map(|e| e.1).sum()));
            prop_assert_eq!(totals.n_genes[row] as usize, entries.iter().filter(|e| e.1 != 0.0).count());
        }
    }

    #[test]
    fn gram_is_the_product(matrix in matrices(), block_rows in 1u64..9) {
        let source = matrix.source().unwrap().with_block_rows(block_rows);
        let gram = run_stage(&Context::quiet(2).unwrap(), "gram", &source, &[], &Gram::new(matrix.n_cols), &()).unwrap();
        let columns: Vec<Vec<f64>> = (0..matrix.n_cols).map(|c| matrix.column(c)).collect();
        for (i, a) in columns.iter().enumerate() {
            prop_assert!(close(gram.sums[i], a.iter().sum()));
            for (j, b) in columns.iter().enumerate() {
                let product: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                prop_assert!(close(gram.get(i, j), product), "{i} {j}: {} {product}", gram.get(i, j));
            }
        }
    }
}
