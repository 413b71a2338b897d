//! Pseudobulk (`sc.get.aggregate`): every gene over groups of cells.

pub mod file;

use crate::of_cells::OfCells;
use crate::{Error, Result};
use cellmill_engine::op::Pipeline;
use cellmill_engine::reduce::{GroupMoments, GroupTotals, Groups, Moments};
use cellmill_engine::{Context, Op, Reduce, Source, run, run_stage};

/// Which cells are taken together, and whether variances are wanted.
#[derive(Debug, Clone)]
pub struct Aggregation {
    n_groups: usize,
    /// The group of each row that arrives.
    ids: Vec<u32>,
    /// Degrees of freedom of the variance, where one is wanted.
    dof: Option<u32>,
}

/// Every gene over every group: groups x genes, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregated {
    /// Sums, exact for counts below 2^53.
    pub sum: Vec<f64>,
    /// Cells whose value is not 0.
    pub n_nonzero: Vec<i64>,
    /// Sum over the cells of the group; NaN where it has none.
    pub mean: Vec<f64>,
    /// Sum of squared distances from the mean over (cells - dof), where it was asked for; NaN where
    /// that is not above 0 (with a dof of 0: 0).
    pub variance: Option<Vec<f64>>,
}

/// What an aggregation folds.
pub type Fold = (GroupTotals, Option<GroupMoments>);

impl Aggregation {
    /// `ids` has the group of each row that arrives, [`Groups::NONE`] for none; `dof` is that of the
    /// variance, where one is wanted.
    pub fn new(n_groups: usize, ids: Vec<u32>, dof: Option<u32>) -> Self {
        Self { n_groups, ids, dof }
    }

    /// The number of groups.
    pub fn n_groups(&self) -> usize {
        self.n_groups
    }

    /// The group of each row.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Degrees of freedom of the variance, where one is wanted.
    pub fn dof(&self) -> Option<u32> {
        self.dof
    }

    fn fold(&self, n_genes: u32, groups: Groups) -> Fold {
        let moments = self.dof.map(|_| GroupMoments::new(n_genes, groups.clone()));
        (GroupTotals::new(n_genes, groups), moments)
    }

    /// One read.
    ///
    /// # Errors
    /// When there is not an id for each row, and whatever is wrong with the source.
    pub fn of_matrix(&self, ctx: &Context, source: &dyn Source, ops: &[Op]) -> Result<Aggregated> {
        // The ids as they came and in the places of the source, and the result beside the state.
        let ids = 4 * (self.ids.len() as u64 + source.n_rows());
        let result = 64 * self.n_groups as u64 * u64::from(source.n_cols());
        let fold = self.of_source(source, ops)?;
        let stage = run::smallest_stage(source, ops, &fold, &())?;
        let what = format!("{} groups x {} genes", self.n_groups, source.n_cols());
        // Together first: else the least budget that is said would not do for the stage.
        drop(ctx.budget().reserve(ids + result + stage, &what)?);
        let held = ctx.budget().reserve(ids + result, &what)?;
        let found = run_stage(ctx, "aggregate", source, ops, &fold, &())?;
        let result = self.result(found);
        drop(held);
        result
    }

    /// The result, from the state of all cells.
    ///
    /// # Errors
    /// When the state is none of this aggregation.
    pub fn finish(&self, n_genes: u32, state: &[u8]) -> Result<Aggregated> {
        let found = run::finish(&self.of_states(n_genes)?, state)?;
        self.result(found)
    }

    fn counts(&self) -> Result<Vec<u64>> {
        let groups = Groups::new(self.n_groups, self.ids.clone())?;
        Ok(groups.counts(self.ids.len() as u64))
    }

    fn result(&self, found: <Fold as Reduce>::Output) -> Result<Aggregated> {
        let (totals, moments) = found;
        let cells = self.counts()?;
        if cells.len() != totals.len() {
            return Err(Error::Parameter(format!(
                "totals of {} groups were found for {}",
                totals.len(),
                cells.len()
            )));
        }
        let dof = f64::from(self.dof.unwrap_or(0));
        let variance = moments.map(|moments| {
            let of_group = |m: Moments| {
                let n = m.n as f64;
                let divisor = match (n > dof, dof > 0.0) {
                    (true, _) => n - dof,
                    (false, true) => f64::NAN,
                    (false, false) => 1.0,
                };
                let factor = (n - 1.0).max(1.0) / divisor;
                m.variance.into_iter().map(move |v| v * factor)
            };
            moments.into_iter().flat_map(of_group).collect()
        });
        Ok(Aggregated {
            mean: cells
                .iter()
                .zip(&totals)
                .flat_map(|(&n, genes)| genes.iter().map(move |g| g.sum / n as f64))
                .collect(),
            n_nonzero: totals
                .iter()
                .flatten()
                .map(|g| g.n_nonzero as i64)
                .collect(),
            sum: totals.iter().flatten().map(|g| g.sum).collect(),
            variance,
        })
    }
}

impl OfCells for Aggregation {
    type Fold = Fold;

    fn of_source(&self, source: &dyn Source, ops: &[Op]) -> Result<Fold> {
        let groups = Groups::new(self.n_groups, self.ids.clone())?;
        let groups = groups.behind(ops, source.n_rows())?;
        let n_genes = Pipeline::new(ops, source.n_rows(), source.n_cols())?.n_cols();
        Ok(self.fold(n_genes, groups))
    }

    fn of_states(&self, n_genes: u32) -> Result<Fold> {
        Ok(self.fold(n_genes, Groups::new(self.n_groups, Vec::new())?))
    }
}
