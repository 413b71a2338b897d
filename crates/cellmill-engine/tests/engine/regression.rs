//! What a regression and the search for highly expressed genes fold.

use cellmill_engine::Op;
use cellmill_engine::op::CellSet;
use cellmill_engine::reduce::{GeneRange, Groups, HighlyExpressed, Products};
use cellmill_engine::testing::{Matrix, random_counts, reduce_laws};

const CELLS: usize = 300;
const GENES: u32 = 25;

#[test]
fn products_are_those_of_the_dense_matrix() {
    let matrix = random_counts(CELLS, GENES, 8);
    // Whole numbers, so that every grid gives the same.
    let design: Vec<f64> = (0..2 * CELLS).map(|i| (i * 7 % 13) as f64 - 4.0).collect();
    let kept: Vec<bool> = (0..CELLS).map(|i| i % 5 != 0).collect();
    let numbers = || (0..CELLS as u32).collect::<Vec<_>>();
    let ops = [Op::SelectCells {
        cells: CellSet::from_mask(&kept),
    }];
    for (ops, kept) in [(&[][..], vec![true; CELLS]), (&ops[..], kept)] {
        let mut expected = vec![0.0; 2 * GENES as usize];
        for (row, entries) in matrix.rows.iter().enumerate().filter(|(row, _)| kept[*row]) {
            for &(gene, x) in entries {
                for column in 0..2 {
                    expected[gene as usize * 2 + column] += x * design[row * 2 + column];
                }
            }
        }
        let rows = Groups::new(CELLS, numbers()).unwrap();
        let rows = rows.behind(ops, CELLS as u64).unwrap();
        let reduce = Products::new(GENES, rows, design.clone().into(), 2).unwrap();
        let exact = |a: &_, b: &_| assert_eq!(a, b);
        assert_eq!(reduce_laws(&matrix, ops, &reduce, exact), expected);
    }
    let rows = Groups::new(CELLS, numbers()).unwrap();
    assert!(Products::new(GENES, rows, design.into(), 3).is_err());
}

#[test]
fn ranges_count_what_has_no_entry() {
    let matrix = random_counts(CELLS, GENES, 9);
    let exact = |a: &_, b: &_| assert_eq!(a, b);
    let found = reduce_laws(&matrix, &[], &GeneRange::new(GENES), exact);
    for (gene, &(least, most)) in found.iter().enumerate() {
        let column = matrix.column(gene as u32);
        assert_eq!(least, column.iter().copied().fold(f64::INFINITY, f64::min));
        assert_eq!(most, column.iter().copied().fold(0.0, f64::max));
    }
    let full = Matrix {
        n_cols: 2,
        rows: vec![vec![(0, 3.0), (1, -1.0)], vec![(0, 3.0), (1, 0.0)]],
    };
    let found = reduce_laws(&full, &[], &GeneRange::new(2), exact);
    assert_eq!(found, [(3.0, 3.0), (-1.0, 0.0)]);
}

#[test]
fn genes_that_make_up_much_of_a_cell() {
    let matrix = random_counts(CELLS, GENES, 10);
    let exact = |a: &_, b: &_| assert_eq!(a, b);
    for max_fraction in [0.0, 0.3, 0.6, 1.0] {
        let reduce = HighlyExpressed::new(GENES, max_fraction).unwrap();
        let found = reduce_laws(&matrix, &[], &reduce, exact);
        let total = |row: &[(u32, f64)]| row.iter().map(|e| e.1).sum::<f64>();
        let expected: Vec<bool> = (0..GENES)
            .map(|gene| {
                let much = |row: &Vec<(u32, f64)>| {
                    row.iter()
                        .any(|e| e.0 == gene && e.1 > max_fraction * total(row))
                };
                matrix.rows.iter().any(much)
            })
            .collect();
        assert_eq!(found, expected);
    }
    assert!(HighlyExpressed::new(GENES, 1.5).is_err());
    assert!(HighlyExpressed::new(GENES, f64::NAN).is_err());
}
