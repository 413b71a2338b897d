//! What genes have beyond numbers of the cells (`sc.pp.regress_out`): residuals of linear regressions.

use crate::matrix::dense_row;
use crate::of_cells::OfCells;
use crate::{Error, Result};
use cellmill_engine::op::Pipeline;
use cellmill_engine::reduce::{GeneRange, GroupTotals, Groups, Products};
use cellmill_engine::{Block, Context, Op, Reduce, Source, Values, run, run_stage};
use std::ops::Range;
use std::sync::Arc;

/// What genes are regressed on; of the cells of a matrix, or of a chunk of one.
#[derive(Debug, Clone)]
pub enum Regressors {
    /// Numbers of the cells, made orthonormal.
    Numbers(Design),
    /// Categories of the cells: a gene is regressed on its mean in the cell's category.
    Categories {
        /// The number of categories; ids that are equal to it are of
        /// cells without a category, for which scanpy puts 0 in place of the mean.
        n: usize,
        /// The category of each cell.
        ids: Vec<u32>,
    },
}

/// Orthonormal columns that span a column of ones and those that were given.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// Cells x columns, row-major; the first column is the same in all cells.
    pub numbers: Arc<[f64]>,
    /// The number of columns.
    pub n_columns: usize,
    /// Whether no column that was given is a sum of others. Where one is, scanpy leaves genes alone
    /// that are the same in all cells.
    pub full_rank: bool,
}

impl Design {
    /// From `given` columns of one number for each of `n` cells (Gram-Schmidt, each column twice).
    ///
    /// # Errors
    /// [`Error::Data`] for a number that is not finite.
    pub fn new(given: &[&[f64]], n: usize) -> Result<Self> {
        let mut columns: Vec<Vec<f64>> = Vec::with_capacity(given.len() + 1);
        let ones = vec![1.0; n];
        let mut full_rank = true;
        for (i, column) in std::iter::once(&ones[..])
            .chain(given.iter().copied())
            .enumerate()
        {
            if let Some(cell) = column.iter().position(|x| !x.is_finite()) {
                return Err(Error::Data(format!(
                    "number {i} to regress on is {} for cell {cell}, and must be finite; leave such \
                     cells out first",
                    column[cell]
                )));
            }
            let mut column = column.to_vec();
            let before = norm(&column);
            for _ in 0..2 {
                for unit in &columns {
                    let along: f64 = column.iter().zip(unit).map(|(x, u)| x * u).sum();
                    column
                        .iter_mut()
                        .zip(unit)
                        .for_each(|(x, u)| *x -= along * u);
                }
            }
            let after = norm(&column);
            // As numpy's matrix_rank decides it.
            if after <= before * f64::EPSILON * n.max(given.len()) as f64 {
                full_rank = false;
                continue;
            }
            column.iter_mut().for_each(|x| *x /= after);
            columns.push(column);
        }
        let numbers = (0..n).flat_map(|cell| columns.iter().map(move |column| column[cell]));
        Ok(Self {
            numbers: numbers.collect(),
            n_columns: columns.len(),
            full_rank,
        })
    }
}

fn norm(column: &[f64]) -> f64 {
    // Scaled, so that no square leaves the range of f64.
    let most = column.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    if most == 0.0 {
        return 0.0;
    }
    most * column
        .iter()
        .map(|x| (x / most).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// What a regression folds.
pub type Fold = (Option<Products>, (Option<GroupTotals>, GeneRange));

impl Regressors {
    /// The same of some cells only.
    ///
    /// # Errors
    /// [`Error::Parameter`] when there are not so many.
    pub fn rows(&self, cells: Range<usize>) -> Result<Self> {
        let outside = || Error::Parameter(format!("cells {cells:?} have no regressors"));
        Ok(match self {
            Self::Numbers(design) => {
                let k = design.n_columns;
                let part = design.numbers.get(cells.start * k..cells.end * k);
                Self::Numbers(Design {
                    numbers: part.ok_or_else(outside)?.into(),
                    ..design.clone()
                })
            }
            Self::Categories { n, ids } => Self::Categories {
                n: *n,
                ids: ids.get(cells.clone()).ok_or_else(outside)?.to_vec(),
            },
        })
    }

    /// Groups of the cells: their categories, or each its own.
    fn groups(&self) -> Result<Groups> {
        Ok(match self {
            Self::Numbers(design) => {
                let n = design.numbers.len() / design.n_columns.max(1);
                Groups::new(n, (0..n as u32).collect())?
            }
            Self::Categories { n, ids } => Groups::new(n + 1, ids.clone())?,
        })
    }

    fn fold(&self, n_genes: u32, groups: Groups) -> Result<Fold> {
        let range = GeneRange::new(n_genes);
        Ok(match self {
            Self::Numbers(design) => {
                let (numbers, k) = (design.numbers.clone(), design.n_columns);
                let products = Products::new(n_genes, groups, numbers, k)?;
                (Some(products), (None, range))
            }
            Self::Categories { .. } => (None, (Some(GroupTotals::new(n_genes, groups)), range)),
        })
    }

    fn fit(&self, found: <Fold as Reduce>::Output) -> Result<Vec<f64>> {
        let range = &found.1.1;
        let same = |gene: usize| range[gene].0 == range[gene].1;
        match (self, &found.0, &found.1.0) {
            (Self::Numbers(design), Some(sums), None) => {
                let k = design.n_columns;
                let mut table = Vec::with_capacity(sums.len());
                for column in 0..k {
                    table.extend(range.iter().enumerate().map(|(gene, _)| {
                        if !design.full_rank && same(gene) {
                            0.0
                        } else {
                            sums[gene * k + column]
                        }
                    }));
                }
                Ok(table)
            }
            (Self::Categories { n, ids }, None, Some(totals)) => {
                let cells = self.groups()?.counts(ids.len() as u64);
                let mut table = vec![0.0; (n + 1) * range.len()];
                for gene in (0..range.len()).filter(|&gene| !same(gene)) {
                    let sums: Vec<f64> = totals.iter().map(|genes| genes[gene].sum).collect();
                    for (group, value) in on_means(&cells, &sums).into_iter().enumerate() {
                        table[group * range.len() + gene] = value;
                    }
                }
                Ok(table)
            }
            _ => Err(Error::Parameter(
                "the sums are not those of these regressors".to_owned(),
            )),
        }
    }

    /// What is subtracted from the genes of a matrix: with numbers, their coefficients (columns of
    /// the design x genes); with categories, the value itself (categories and one more x genes).
    /// Row-major, one read.
    ///
    /// # Errors
    /// When there are not numbers or a category for each cell, and whatever is wrong with the source.
    pub fn of_matrix(&self, ctx: &Context, source: &dyn Source, ops: &[Op]) -> Result<Vec<f64>> {
        let (cells, rows) = match self {
            Self::Numbers(design) => (8 * design.numbers.len() as u64, design.n_columns),
            Self::Categories { n, ids } => (4 * ids.len() as u64, n + 1),
        };
        let held = ctx.budget().reserve(
            cells + 4 * source.n_rows() + 8 * rows as u64 * u64::from(source.n_cols()),
            "what genes are regressed on, and their coefficients",
        )?;
        let fold = self.of_source(source, ops)?;
        let found = run_stage(ctx, "regress_out", source, ops, &fold, &())?;
        let table = self.fit(found);
        drop(held);
        table
    }

    /// The same, from the state of all cells.
    ///
    /// # Errors
    /// When the state is none of these regressors.
    pub fn finish(&self, n_genes: u32, state: &[u8]) -> Result<Vec<f64>> {
        self.fit(run::finish(&self.of_states(n_genes)?, state)?)
    }

    /// Residuals of a matrix in memory or of a chunk, whose cells these regressors are of, given
    /// the `table` of [`Regressors::of_matrix`]: row-major, f32 where `narrow`.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the table or the cells do not fit, and whatever is wrong with the
    /// source.
    pub fn residuals(&self, source: &dyn Source, table: &[f64], narrow: bool) -> Result<Values> {
        let (n_genes, n_rows) = (source.n_cols() as usize, source.n_rows() as usize);
        let fits = match self {
            Self::Numbers(design) => {
                design.numbers.len() == n_rows * design.n_columns
                    && table.len() == design.n_columns * n_genes
            }
            Self::Categories { n, ids } => {
                ids.len() == n_rows
                    && table.len() == (n + 1) * n_genes
                    && ids.iter().all(|&id| id as usize <= *n)
            }
        };
        if !fits {
            return Err(Error::Parameter(format!(
                "regressors or coefficients are not of a matrix of {n_rows} x {n_genes}"
            )));
        }
        let mut reader = source.open(0..source.grid().n_blocks())?;
        let mut block = Block::new(source.n_cols());
        let mut offset = vec![0.0; n_genes];
        let (mut f32s, mut f64s) = (Vec::new(), Vec::new());
        while reader.next_block(&mut block)? {
            for row in 0..block.n_rows() {
                self.subtracted(block.first_row as usize + row, table, &mut offset);
                if narrow {
                    dense_row(&block, row, &offset, |x| x as f32, &mut f32s);
                } else {
                    dense_row(&block, row, &offset, |x| x, &mut f64s);
                }
            }
        }
        Ok(if narrow {
            Values::F32(f32s)
        } else {
            Values::F64(f64s)
        })
    }

    /// What is added to the genes of a cell.
    fn subtracted(&self, cell: usize, table: &[f64], offset: &mut [f64]) {
        let n_genes = offset.len();
        match self {
            Self::Numbers(design) => {
                offset.fill(0.0);
                let numbers = &design.numbers[cell * design.n_columns..][..design.n_columns];
                for (column, number) in numbers.iter().enumerate() {
                    let of_genes = &table[column * n_genes..][..n_genes];
                    for (to, of_gene) in offset.iter_mut().zip(of_genes) {
                        *to -= number * of_gene;
                    }
                }
            }
            Self::Categories { ids, .. } => {
                let of_genes = &table[ids[cell] as usize * n_genes..][..n_genes];
                offset.iter_mut().zip(of_genes).for_each(|(to, x)| *to = -x);
            }
        }
    }
}

impl OfCells for Regressors {
    type Fold = Fold;

    fn of_source(&self, source: &dyn Source, ops: &[Op]) -> Result<Fold> {
        let n_genes = Pipeline::new(ops, source.n_rows(), source.n_cols())?.n_cols();
        self.fold(n_genes, self.groups()?.behind(ops, source.n_rows())?)
    }

    fn of_states(&self, n_genes: u32) -> Result<Fold> {
        let none = self.rows(0..0)?;
        let groups = none.groups()?;
        none.fold(n_genes, groups)
    }
}

/// The line through a gene's values and its mean in the category of each cell (f32, as scanpy has it;
/// 0 for the last group, of cells without one): what it is in each group.
fn on_means(cells: &[u64], sums: &[f64]) -> Vec<f64> {
    let n: f64 = cells.iter().map(|&n| n as f64).sum();
    let last = cells.len() - 1;
    let mean = |group: usize| match cells[group] {
        0 => 0.0,
        n => sums[group] / n as f64,
    };
    let on: Vec<f64> = (0..=last)
        .map(|group| {
            if group == last {
                0.0
            } else {
                f64::from(mean(group) as f32)
            }
        })
        .collect();
    let weighted = |of: &dyn Fn(usize) -> f64| -> f64 {
        (0..=last)
            .map(|group| cells[group] as f64 * of(group))
            .sum()
    };
    let (x, y) = (weighted(&|g| on[g]) / n, sums.iter().sum::<f64>() / n);
    let xx = weighted(&|g| (on[g] - x).powi(2));
    let xy = weighted(&|g| (on[g] - x) * (mean(g) - y));
    let slope = if xx > 0.0 { xy / xx } else { 0.0 };
    on.iter().map(|on| y + slope * (on - x)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellmill_engine::MemSource;

    fn source() -> MemSource<'static> {
        let (indices, values) = (
            vec![0, 1, 0, 1, 1, 0, 1],
            vec![1f32, 5.0, 2.0, 5.0, 5.0, 7.0, 5.0],
        );
        MemSource::new(2, vec![0, 2, 4, 5, 7], indices, values)
            .unwrap()
            .with_block_rows(3)
    }

    fn residuals(regressors: &Regressors) -> Vec<f64> {
        let ctx = Context::quiet(2).unwrap();
        let table = regressors.of_matrix(&ctx, &source(), &[]).unwrap();
        match regressors.residuals(&source(), &table, false).unwrap() {
            Values::F64(v) => v,
            Values::F32(_) => panic!("f64 was asked for"),
        }
    }

    #[test]
    fn residuals_are_at_right_angles_to_the_numbers() {
        let key = [1e6, 1e6 + 1.0, 1e6 + 2.0, 1e6 + 5.0];
        let found = residuals(&Regressors::Numbers(Design::new(&[&key], 4).unwrap()));
        // Of (0, 1, 2, 5) and (1, 2, 0, 7): the slope is 17 / 14.
        for (cell, x) in [1.0, 2.0, 0.0, 7.0].into_iter().enumerate() {
            let expected = x - 2.5 - 17.0 / 14.0 * (key[cell] - 1e6 - 2.0);
            assert!((found[2 * cell] - expected).abs() < 1e-9);
            assert!(found[2 * cell + 1].abs() < 1e-12);
        }
    }

    #[test]
    fn what_is_said_twice_is_left_out() {
        let key = [1.0, 2.0, 3.0, 7.0];
        let twice: Vec<f64> = key.iter().map(|x| 3.0 * x + 1.0).collect();
        let one = Design::new(&[&key], 4).unwrap();
        let two = Design::new(&[&key, &twice], 4).unwrap();
        assert_eq!((&two.numbers, two.n_columns), (&one.numbers, 2));
        assert!(one.full_rank && !two.full_rank);
        // The second gene is the same everywhere.
        let found = residuals(&Regressors::Numbers(two));
        assert_eq!([1, 3, 5, 7].map(|i| found[i]), [5.0; 4]);
        assert!(Design::new(&[&[1.0, f64::NAN]], 2).is_err());
    }

    #[test]
    fn categories_take_their_means() {
        let (n, ids) = (2, vec![0, 0, 1, 1]);
        let found = residuals(&Regressors::Categories { n, ids });
        let expected = [-0.5, 0.5, -3.5, 3.5];
        for (cell, expected) in expected.into_iter().enumerate() {
            assert!((found[2 * cell] - expected).abs() < 1e-12);
            assert_eq!(found[2 * cell + 1], 5.0);
        }
        let bad = Regressors::Categories { n, ids: vec![0, 3] };
        assert!(bad.groups().is_err());
        assert!(bad.residuals(&source(), &[0.0; 6], false).is_err());
    }
}
