use super::*;

fn block() -> Block {
    Block {
        first_row: 10,
        n_cols: 6,
        indptr: vec![0, 3, 3, 5, 9],
        indices: vec![0, 2, 5, 1, 4, 0, 1, 3, 5],
        values: Values::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
    }
}

/// The ops one at a time, each compiled alone: the order that was written.
fn unfused(ops: &[Op], block: &Block) -> Block {
    let mut now = block.clone();
    for op in ops {
        let pipeline = Pipeline::new(std::slice::from_ref(op), 14, now.n_cols).unwrap();
        let mut out = Block::new(0);
        pipeline
            .apply(&now, &mut Scratch::default(), &mut out)
            .unwrap();
        now = out;
    }
    now
}

fn fused(ops: &[Op], block: &Block) -> Block {
    let pipeline = Pipeline::new(ops, 14, block.n_cols).unwrap();
    let mut out = Block::new(0);
    let mut scratch = Scratch::default();
    // Twice, so that used memory is seen to be harmless.
    pipeline.apply(block, &mut scratch, &mut out).unwrap();
    pipeline.apply(block, &mut scratch, &mut out).unwrap();
    out
}

#[test]
fn fusing_changes_no_bit() {
    let normalize = Op::NormalizeTotal { target_sum: 1e4 };
    let log = Op::Log1p { base: None };
    let without = |genes: &[u32]| Op::NormalizeTotalWithout {
        target_sum: 100.0,
        genes: genes.to_vec(),
    };
    let select = |genes: &[u32]| Op::SelectGenes {
        genes: genes.to_vec(),
    };
    let scale = Op::ScaleRows {
        factors: (0..14).map(|i| f64::from(i) - 10.0).collect(),
    };
    let lists: Vec<Vec<Op>> = vec![
        vec![],
        vec![normalize.clone(), log.clone(), select(&[1, 3, 5])],
        vec![
            normalize.clone(),
            log.clone(),
            select(&[1, 3, 5]),
            select(&[0, 2]),
            Op::RoundF32,
        ],
        vec![
            select(&[0, 1, 5]),
            normalize.clone(),
            select(&[1, 2]),
            log.clone(),
        ],
        vec![
            normalize.clone(),
            select(&[0, 1, 3, 5]),
            normalize.clone(),
            log.clone(),
            select(&[1, 3]),
        ],
        vec![
            scale,
            Op::Log1p { base: Some(2.0) },
            Op::Expm1 { base: Some(2.0) },
            select(&[]),
        ],
        vec![
            Op::RoundF32,
            normalize.clone(),
            Op::RoundF32,
            log.clone(),
            Op::RoundF32,
        ],
        vec![
            select(&[0, 1, 3, 5]),
            Op::DownsampleCounts {
                counts: vec![4],
                seed: 1,
                replace: false,
            },
            select(&[1, 3]),
            normalize.clone(),
        ],
        vec![
            normalize.clone(),
            Op::ScaleGenes(ScaleGenes {
                std: (1..7).map(f64::from).collect(),
                mean: Some((0..6).map(f64::from).collect()),
                max: Some(5.0),
            }),
            select(&[1, 3, 4]),
            select(&[0, 2]),
        ],
        vec![
            without(&[1, 5]),
            Op::Sqrt,
            select(&[1, 3, 4]),
            without(&[0]),
            select(&[1, 2]),
        ],
        vec![select(&[2, 3])],
        vec![Op::RoundF32, select(&[2, 3])],
    ];
    for ops in lists {
        for block in [
            block(),
            Block {
                values: Values::F64(block().values_f64().clone()),
                ..block()
            },
            Block::new(6),
        ] {
            assert_eq!(fused(&ops, &block), unfused(&ops, &block), "{ops:?}");
        }
    }
}

#[test]
fn selecting_cells_keeps_rows_and_their_factors() {
    let cells = CellSet::from_mask(&(0..14).map(|i| i == 10 || i == 13).collect::<Vec<_>>());
    let ops = [
        Op::ScaleRows {
            factors: (0..14).map(f64::from).collect(),
        },
        Op::SelectCells { cells },
    ];
    let out = fused(&ops, &block());
    assert_eq!(out.indptr, [0, 3, 7]);
    assert_eq!(out.first_row, 10);
    assert_eq!(out.values.get(0), 1.0 / 10.0);
    assert_eq!(out.values.get(3), 6.0 / 13.0);
}

#[test]
fn normalizes_as_scanpy_does() {
    let out = fused(
        &[
            Op::NormalizeTotal { target_sum: 1e4 },
            Op::Log1p { base: None },
        ],
        &block(),
    );
    assert_eq!(out.values.get(0), ln_1p_of(1.0 / (6.0 / 1e4)));
    assert_eq!(out.indptr, block().indptr);
}

#[test]
fn totals_may_leave_genes_out() {
    let ops = [Op::NormalizeTotalWithout {
        target_sum: 2.0,
        genes: vec![1, 3, 5],
    }];
    let out = fused(&ops, &block());
    // Totals are 3, 0, 5 and 6; a row whose total is 0 would stay as it is.
    let expected = [1.0, 2.0, 3.0].map(|x| x / (3.0 / 2.0));
    assert_eq!([0, 1, 2].map(|e| out.values.get(e)), expected);
    assert_eq!(out.values.get(3), 4.0 / (5.0 / 2.0));
    assert_eq!(out.values.get(8), 9.0 / (6.0 / 2.0));
}

fn ln_1p_of(x: f64) -> f64 {
    super::super::ln_1p(x)
}

#[test]
fn errors_have_an_address() {
    let mut bad = block();
    bad.values = Values::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -1.5, 8.0, 9.0]);
    let pipeline = Pipeline::new(
        &[
            Op::Log1p { base: None },
            Op::SelectGenes { genes: vec![1, 2] },
        ],
        14,
        6,
    )
    .unwrap();
    let error = pipeline
        .apply(&bad, &mut Scratch::default(), &mut Block::new(0))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "log1p needs values above -1 and found -1.5 at row 13, column 1"
    );
    bad.values = Values::F32(vec![1.0, 2.0, 3.0, 4.0, 5.5, 6.0, 7.0, 8.0, 9.0]);
    let pipeline = Pipeline::new(
        &[Op::DownsampleCounts {
            counts: vec![1],
            seed: 0,
            replace: false,
        }],
        14,
        6,
    )
    .unwrap();
    let error = pipeline
        .apply(&bad, &mut Scratch::default(), &mut Block::new(0))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "downsample_counts needs values that are whole numbers of at least 0 and found 5.5 at \
         row 12, column 4"
    );
    bad.values = Values::F32(vec![1.0, 2.0, 3.0, 4.0, 5.5, 6.0, -0.5, 8.0, 9.0]);
    let error = Pipeline::new(&[Op::Sqrt], 14, 6)
        .unwrap()
        .apply(&bad, &mut Scratch::default(), &mut Block::new(0))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "sqrt needs values of at least 0 and found -0.5 at row 13, column 1"
    );
    for ops in [
        Op::NormalizeTotal { target_sum: 0.0 },
        Op::NormalizeTotalWithout {
            target_sum: 1.0,
            genes: vec![6],
        },
        Op::Log1p { base: Some(1.0) },
        Op::SelectGenes { genes: vec![3, 3] },
        Op::SelectGenes { genes: vec![6] },
        Op::ScaleRows { factors: vec![1.0] },
        Op::DownsampleCounts {
            counts: vec![1, 2],
            seed: 0,
            replace: false,
        },
    ] {
        assert!(matches!(
            Pipeline::new(&[ops], 14, 6),
            Err(Error::Parameter(_))
        ));
    }
}

#[test]
fn rows_of_any_length_are_selected_from() {
    for n in [0usize, 1, 255, 256, 257, 511, 512, 600] {
        let block = Block {
            first_row: 0,
            n_cols: 700,
            indptr: vec![0, n, n, 2 * n],
            indices: (0..n as u32).chain(50..50 + n as u32).collect(),
            values: Values::F32((0..2 * n).map(|i| i as f32 + 1.0).collect()),
        };
        let selections: [Vec<u32>; 5] = [
            (0..700).collect(),
            (0..700).step_by(3).collect(),
            vec![699],
            vec![n.max(1) as u32 - 1],
            vec![256, 511],
        ];
        for genes in selections {
            let found = fused(
                &[Op::SelectGenes {
                    genes: genes.clone(),
                }],
                &block,
            );
            assert_eq!(found.n_rows(), 3);
            for row in 0..3 {
                let expected: Vec<(u32, f64)> = block
                    .row(row)
                    .filter_map(|e| {
                        let new = genes.binary_search(&block.indices[e]).ok()?;
                        Some((new as u32, block.values.get(e)))
                    })
                    .collect();
                let got: Vec<(u32, f64)> = found
                    .row(row)
                    .map(|e| (found.indices[e], found.values.get(e)))
                    .collect();
                assert_eq!(got, expected, "{n} entries, {} genes", genes.len());
            }
        }
    }
}
