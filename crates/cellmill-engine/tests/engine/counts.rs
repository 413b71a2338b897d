//! One walk over counts finds what its parts find, to the last bit.

use cellmill_engine::op::Pipeline;
use cellmill_engine::reduce::{
    Bounds, CellTotals, CountCheck, Counts, GroupMoments, Groups, Quality, Via,
};
use cellmill_engine::testing::{random_counts, reduce_laws};
use cellmill_engine::{Context, Op, run_stage};

const GENES: u32 = 60;

fn moments(ops: &[Op], groups: &Groups) -> Via<GroupMoments> {
    let ops = Pipeline::new(ops, 300, GENES).unwrap();
    Via::new(ops, GroupMoments::new(GENES, groups.clone()))
}

fn qualities() -> Vec<Option<Quality>> {
    let plain = || Quality::new(GENES);
    let sets = |sets: &[Vec<u32>]| plain().with_sets(sets).unwrap();
    let bounds = Bounds {
        min_genes: Some(5),
        ..Bounds::default()
    };
    vec![
        None,
        Some(plain()),
        Some(sets(&[vec![0, 59], vec![59]])),
        Some(sets(&[
            (0..GENES).collect(),
            (0..GENES).step_by(3).collect(),
        ])),
        Some(plain().positive()),
        Some(plain().with_top(&[1, 7]).unwrap()),
        Some(plain().with_bounds(bounds).unwrap()),
    ]
}

#[test]
fn one_walk_is_its_parts() {
    let matrix = random_counts(300, GENES, 11);
    let batches = Groups::new(3, (0..300).map(|row| row % 3).collect()).unwrap();
    let recipes: [&[Op]; 4] = [
        &[],
        &[Op::NormalizeTotal { target_sum: 1.0 }],
        // Quotients that are 0.
        &[Op::NormalizeTotal { target_sum: 1e-306 }],
        &[
            Op::NormalizeTotal { target_sum: 1e4 },
            Op::Log1p { base: None },
        ],
    ];
    let changes: [fn(f64) -> f32; 5] = [
        |x| x as f32,
        |x| x as f32 * 0.3,
        |x| x as f32 - 3.0,
        |x| x as f32 * 8_388_607.0,
        |x| if x > 2.0 { f32::MAX } else { x as f32 },
    ];
    let ctx = Context::quiet(2).unwrap();
    for (change, block_rows) in changes
        .into_iter()
        .flat_map(|c| [(c, 1), (c, 7), (c, 1000)])
    {
        let source = matrix
            .source_of(change)
            .unwrap()
            .with_block_rows(block_rows);
        for groups in [Groups::whole(), batches.clone()] {
            for (ops, quality) in recipes
                .iter()
                .flat_map(|ops| qualities().into_iter().map(move |q| (ops, q)))
            {
                let parts = (
                    (CellTotals, CountCheck, moments(ops, &groups)),
                    quality.clone(),
                );
                let expected = run_stage(&ctx, "parts", &source, &[], &parts, &());
                let walk = Counts::new(moments(ops, &groups), quality);
                let found = run_stage(&ctx, "walk", &source, &[], &walk, &());
                match (found, expected) {
                    (Ok(found), Ok(expected)) => assert_eq!(
                        format!("{found:?}"),
                        format!("{expected:?}"),
                        "{ops:?}, blocks of {block_rows}"
                    ),
                    (Err(found), Err(expected)) => {
                        assert_eq!(found.to_string(), expected.to_string());
                    }
                    (found, expected) => panic!("{found:?} and {expected:?}"),
                }
            }
        }
    }
}

#[test]
fn laws() {
    let matrix = random_counts(300, GENES, 12);
    let ops = [Op::NormalizeTotal { target_sum: 1.0 }];
    for quality in qualities() {
        let walk = Counts::new(moments(&ops, &Groups::whole()), quality);
        reduce_laws(&matrix, &[], &walk, |a, b| {
            assert_eq!((&a.0.0, &a.0.1, &a.1), (&b.0.0, &b.0.1, &b.1));
            super::laws::close_moments(&a.0.2[0], &b.0.2[0]);
        });
    }
}

#[test]
fn other_columns_are_refused() {
    let walk = Counts::new(moments(&[], &Groups::whole()), None);
    let other = random_counts(10, GENES + 1, 13);
    let ctx = Context::quiet(1).unwrap();
    let other = other.source_of(|x| x as f32).unwrap();
    let error = run_stage(&ctx, "walk", &other, &[], &walk, &());
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("61 columns where the moments expect 60"),
        "{text}"
    );
    let quality = Quality::new(GENES + 1);
    let walk = Counts::new(moments(&[], &Groups::whole()), Some(quality));
    let source = random_counts(10, GENES, 13)
        .source_of(|x| x as f32)
        .unwrap();
    let error = run_stage(&ctx, "walk", &source, &[], &walk, &());
    assert!(error.is_err());
}
