//! Reductions over groups of cells.

use cellmill_engine::op::CellSet;
use cellmill_engine::reduce::{
    GeneMoments, GroupMoments, GroupSums, Groups, Moments, Residual, Term,
};
use cellmill_engine::testing::{Matrix, random_counts, reduce_laws};
use cellmill_engine::{Context, Op, run_stage};

const CELLS: usize = 400;
const GENES: u32 = 30;

/// Groups of 0 to many cells, in no order; some cells have none.
fn ids() -> Vec<u32> {
    (0..CELLS)
        .map(|i| match i * 7 % 23 {
            0 => Groups::NONE,
            1..=9 => 0,
            10..=21 => 2,
            // One cell.
            _ if i == 13 => 3,
            _ => 4,
        })
        .collect()
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-12 * (1.0 + a.abs()), "{a} and {b}");
}

fn close(a: &[Moments], b: &[Moments]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!((a.n, &a.n_nonzero), (b.n, &b.n_nonzero));
        a.mean.iter().zip(&b.mean).for_each(|(a, b)| near(*a, *b));
        a.variance
            .iter()
            .zip(&b.variance)
            .for_each(|(a, b)| near(*a, *b));
    }
}

fn of_group(matrix: &Matrix, ids: &[u32], group: u32) -> Moments {
    let rows = matrix.rows.iter().zip(ids).filter(|(_, id)| **id == group);
    let part = Matrix {
        n_cols: GENES,
        rows: rows.map(|(row, _)| row.clone()).collect(),
    };
    let ctx = Context::quiet(1).unwrap();
    let reduce = GeneMoments::new(GENES);
    run_stage(&ctx, "t", &part.source().unwrap(), &[], &reduce, &()).unwrap()
}

#[test]
fn moments_of_groups_are_those_of_their_cells() {
    let matrix = random_counts(CELLS, GENES, 5);
    let ids = ids();
    let groups = Groups::new(5, ids.clone()).unwrap();
    let found = reduce_laws(
        &matrix,
        &[],
        &GroupMoments::new(GENES, groups.clone()),
        |a, b| close(a, b),
    );
    let expected: Vec<Moments> = (0..5).map(|g| of_group(&matrix, &ids, g)).collect();
    close(&found, &expected);
    assert_eq!(
        found.iter().map(|m| m.n).collect::<Vec<_>>(),
        groups.counts(400)
    );

    let log = [Op::Log1p { base: None }];
    reduce_laws(&matrix, &log, &GroupMoments::new(GENES, groups), |a, b| {
        close(a, b)
    });
}

#[test]
fn one_group_is_the_whole_to_the_last_bit() {
    let matrix = random_counts(CELLS, GENES, 6);
    let ctx = Context::quiet(2).unwrap();
    let source = matrix.source().unwrap();
    let whole = reduce_laws(
        &matrix,
        &[],
        &GroupMoments::new(GENES, Groups::whole()),
        |a, b| close(a, b),
    );
    let plain = run_stage(&ctx, "t", &source, &[], &GeneMoments::new(GENES), &()).unwrap();
    assert_eq!(whole, std::slice::from_ref(&plain));

    let all = Groups::new(3, (0..CELLS as u32).map(|i| i % 3).collect()).unwrap();
    let reduce = GroupMoments::new(GENES, all);
    let found = run_stage(&ctx, "t", &source, &[], &reduce, &()).unwrap();
    close(&[Moments::of_all(&found)], &[plain]);
}

#[test]
fn groups_follow_a_selection_of_cells() {
    let matrix = random_counts(CELLS, GENES, 7);
    let mask: Vec<bool> = (0..CELLS).map(|i| i % 5 > 1).collect();
    let cells = CellSet::from_mask(&mask);
    let ops = [Op::SelectCells { cells }];
    let groups = Groups::new(5, ids())
        .unwrap()
        .behind(&ops, CELLS as u64)
        .unwrap();
    let source = matrix.source().unwrap().with_block_rows(7);
    let ctx = Context::quiet(2).unwrap();
    let reduce = GroupMoments::new(GENES, groups);
    let found = run_stage(&ctx, "t", &source, &ops, &reduce, &()).unwrap();
    let left: Vec<u32> = ids()
        .into_iter()
        .zip(&mask)
        .map(|(id, &keep)| if keep { id } else { Groups::NONE })
        .collect();
    let expected: Vec<Moments> = (0..5).map(|g| of_group(&matrix, &left, g)).collect();
    close(&found, &expected);
}

#[test]
fn sums_keep_the_laws_and_are_what_they_say() {
    let matrix = random_counts(CELLS, GENES, 8);
    let groups = Groups::new(5, ids()).unwrap();
    let many = 5 * GENES as usize;
    let close = |a: &Vec<Vec<[f64; 2]>>, b: &Vec<Vec<[f64; 2]>>| {
        for (a, b) in a
            .iter()
            .flatten()
            .flatten()
            .zip(b.iter().flatten().flatten())
        {
            near(*a, *b);
        }
    };
    let limits: Vec<f64> = (0..many).map(|i| 0.5 + (i % 7) as f64).collect();
    let clipped = GroupSums::new(GENES, groups.clone(), Term::Clipped(limits.clone())).unwrap();
    let found = reduce_laws(&matrix, &[], &clipped, close);

    let shares: Vec<f64> = (0..many).map(|i| 0.001 + (i % 9) as f64 * 0.01).collect();
    let model = Residual {
        shares: shares.clone(),
        theta: 100.0,
        clip: 3.0,
    };
    let residuals = GroupSums::new(GENES, groups.clone(), Term::Residual(model.clone())).unwrap();
    let differences = reduce_laws(&matrix, &[], &residuals, close);

    for group in [0, 2, 3, 4] {
        for gene in [0, 5, 29] {
            let at = group * GENES as usize + gene as usize;
            let (mut sum, mut difference) = ([0.0; 2], [0.0; 2]);
            for (row, id) in matrix.rows.iter().zip(ids()) {
                if id as usize != group {
                    continue;
                }
                let total: f64 = row.iter().map(|e| e.1).sum();
                for &(_, x) in row.iter().filter(|e| e.0 == gene) {
                    let m = x.min(limits[at]);
                    sum = [sum[0] + m, sum[1] + m * m];
                    if x > 0.0 {
                        let z = model.of(0.0, shares[at], total);
                        let r = model.of(x, shares[at], total);
                        difference = [difference[0] + r - z, difference[1] + r * r - z * z];
                    }
                }
            }
            for i in 0..2 {
                near(found[group][gene as usize][i], sum[i]);
                near(differences[group][gene as usize][i], difference[i]);
            }
        }
    }
    assert!(GroupSums::new(GENES, groups, Term::Clipped(vec![1.0])).is_err());
}
