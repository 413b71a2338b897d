//! Totals of groups of cells, with their moments where these are asked for.

use cellmill_engine::Op;
use cellmill_engine::op::CellSet;
use cellmill_engine::reduce::{GeneMoments, GroupMoments, GroupTotal, GroupTotals, Groups};
use cellmill_engine::testing::{random_counts, reduce_laws};

const CELLS: usize = 300;
const GENES: u32 = 25;

fn groups() -> (Vec<u32>, Groups) {
    let ids = (0..CELLS).map(|i| match i * 7 % 11 {
        0 => Groups::NONE,
        1 | 2 => 0,
        3..=7 => 3,
        _ => 1,
    });
    let ids: Vec<u32> = ids.collect();
    (ids.clone(), Groups::new(4, ids).unwrap())
}

#[test]
fn totals_of_groups_are_those_of_their_cells() {
    let matrix = random_counts(CELLS, GENES, 8);
    let (ids, groups) = groups();
    let mut expected = vec![vec![GroupTotal::default(); GENES as usize]; 4];
    for (row, &id) in matrix.rows.iter().zip(&ids) {
        for &(gene, x) in row.iter().filter(|_| id != Groups::NONE) {
            let total = &mut expected[id as usize][gene as usize];
            total.sum += x;
            total.n_nonzero += u64::from(x != 0.0);
        }
    }
    // Sums of counts are exact, so every grid gives the same.
    let exact = |a: &_, b: &_| assert_eq!(a, b);
    let found = reduce_laws(&matrix, &[], &GroupTotals::new(GENES, groups), exact);
    assert_eq!(found, expected);
}

#[test]
fn moments_may_come_with_them_and_cells_may_be_left_out() {
    let matrix = random_counts(CELLS, GENES, 9);
    let (ids, _) = groups();
    let kept: Vec<bool> = (0..CELLS).map(|i| i % 5 != 0).collect();
    let ops = [Op::SelectCells {
        cells: CellSet::from_mask(&kept),
    }];
    let left = ids.iter().zip(&kept).filter(|(_, kept)| **kept);
    let groups = Groups::new(4, left.map(|(id, _)| *id).collect()).unwrap();
    let groups = groups.behind(&ops, CELLS as u64).unwrap();
    let moments = GroupMoments::new(GENES, groups.clone());
    let both = (GroupTotals::new(GENES, groups.clone()), Some(moments));
    let (totals, moments) = reduce_laws(&matrix, &ops, &both, |a, b| assert_eq!(a.0, b.0));
    let moments = moments.unwrap();
    assert_eq!(
        moments.iter().map(|m| m.n).collect::<Vec<_>>(),
        groups.counts(CELLS as u64)
    );
    for (totals, moments) in totals.iter().zip(&moments) {
        for (gene, total) in totals.iter().enumerate() {
            assert_eq!(total.n_nonzero, moments.n_nonzero[gene]);
            let sum = moments.mean[gene] * moments.n as f64;
            assert!((sum - total.sum).abs() <= 1e-9 * (1.0 + total.sum.abs()));
        }
    }
    let without = (GroupTotals::new(GENES, groups), None::<GeneMoments>);
    let found = reduce_laws(&matrix, &ops, &without, |a, b| assert_eq!(a, b));
    assert_eq!(found, (totals, None));
}
