//! The least memory of the calls that read a matrix.

use super::Matrix;
use crate::Result;
use crate::needs::{Need, of_components};
use crate::pp::highly_variable_genes::{Flavor, MomentsPlan};
use cellmill_engine::keep::{KeptColumns, Precision};
use cellmill_engine::op::Op;
use cellmill_engine::reduce::{CellTotals, GeneMoments};
use cellmill_engine::run::smallest_stage;
use cellmill_engine::{Context, Source};

impl Matrix {
    /// The least budget with which each call on this matrix ends: the median target of
    /// normalize_total, highly_variable_genes, and pca of `n_genes` genes (at most; kept columns
    /// are taken to be in scratch) with `n_comps` components.
    ///
    /// # Errors
    /// When an op does not fit the matrix.
    pub fn needs(&self, n_genes: u32, n_comps: u64) -> Result<Vec<Need>> {
        let source = self.touched();
        let (n_cells, n_cols) = self.shape();
        let totals = smallest_stage(&source, self.ops(), &CellTotals, &())?;
        let moments = MomentsPlan::new(self.ops(), Flavor::Seurat, None).ops;
        // And what is kept of them, for flavour seurat without batches.
        let moments = smallest_stage(&source, &moments, &GeneMoments::new(n_cols), &())?
            + 24 * u64::from(n_cols);
        let k = n_genes.min(n_cols);
        let mut ops = self.ops().to_vec();
        ops.push(Op::SelectGenes {
            genes: (0..k).collect(),
        });
        let ctx = Context::quiet(1)?;
        let kept = KeptColumns::with_memory(&ctx, source.grid(), k, Precision::F32, 0);
        let kept = smallest_stage(&source, &ops, &(), &kept)?;
        let (gram, rest) = of_components(source.grid(), n_cells, k.into(), n_comps);
        // Row lengths of the kept columns stay until the scores are there.
        let pca = kept.max(4 * n_cells + gram.max(rest));
        Ok([
            ("normalize_total", totals),
            ("highly_variable_genes", moments),
            ("pca", pca),
        ]
        .map(|(stage, bytes)| Need { stage, bytes })
        .to_vec())
    }
}
