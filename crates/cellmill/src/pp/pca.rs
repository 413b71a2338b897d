//! Principal components (`sc.pp.pca`): from the fold's result to slots.

use crate::slot::{Patch, Slot, dict, floats, matrix, text};
use crate::{Error, Result, keys};
use cellmill_engine::keep::{KeptColumns, Precision};
use cellmill_engine::linalg::{self, MOST_GRAM, block_krylov, pca, project};
use cellmill_engine::op::Pipeline;
use cellmill_engine::reduce::Gram;
use cellmill_engine::{Context, Op, Reservation, Source, run_stage};
use cellmill_io::{ArrayData, Elem, Scalar};

/// Principal components of the selected genes.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// Number of components.
    pub n_comps: usize,
    /// Scores, n_cells x n_comps, row-major: f32 as scanpy stores them.
    pub scores: Vec<f32>,
    /// Loadings, selected genes x n_comps, row-major. The largest |loading| of a component is
    /// positive.
    pub loadings: Vec<f64>,
    /// Variance of each component (ddof 1).
    pub variance: Vec<f64>,
    /// Share of each component in the total variance of the selected genes.
    pub variance_ratio: Vec<f64>,
}

/// scanpy's default number of components: 50, or one less than the smaller side where that is 50
/// or less.
///
/// # Errors
/// [`Error::Parameter`] when `asked` is 0 or not below both sides.
///
/// ```
/// use cellmill::pp::pca::n_comps;
/// assert_eq!(n_comps(None, 2_700, 2_000)?, 50);
/// assert_eq!(n_comps(None, 30, 2_000)?, 29);
/// # Ok::<(), cellmill::Error>(())
/// ```
pub fn n_comps(asked: Option<u32>, n_cells: u64, n_genes: u64) -> Result<usize> {
    let smaller = n_cells.min(n_genes);
    let n = match asked {
        Some(n) => u64::from(n),
        None if smaller > 50 => 50,
        None => smaller.saturating_sub(1),
    };
    if n == 0 || n > smaller.saturating_sub(1).max(1) || smaller < 2 {
        return Err(Error::Parameter(format!(
            "n_comps is {n}, and must be at least 1 and less than the smaller of {n_cells} cells \
             and {n_genes} selected genes"
        )));
    }
    Ok(n as usize)
}

/// Principal components of the `selected` columns (`None`: all) of `source` after `ops`: one read.
/// The columns are kept, so that the scores need no second one.
///
/// Matches `sc.pp.pca(zero_center=…)`.
///
/// # Errors
/// When the kept columns, the Gram matrix (or the Krylov basis) or the scores do not fit the budget, no column varies, or
/// whatever is wrong with the source.
pub fn of_matrix(
    ctx: &Context,
    source: &dyn Source,
    ops: &[Op],
    selected: Option<&[u32]>,
    n_comps: usize,
    zero_center: bool,
) -> Result<Pca> {
    let (ops, width) = selecting(source, ops, selected)?;
    let kept = KeptColumns::new(ctx, source.grid(), width, Precision::F32);
    run_stage(ctx, "selected genes", source, &ops, &(), &kept)?;
    Ok(of_kept(ctx, &kept, n_comps, zero_center)?.0)
}

/// The ops with a selection of columns at their end, and the columns that they leave.
fn selecting(source: &dyn Source, ops: &[Op], selected: Option<&[u32]>) -> Result<(Vec<Op>, u32)> {
    let mut ops = ops.to_vec();
    if let Some(genes) = selected {
        ops.push(Op::SelectGenes {
            genes: genes.to_vec(),
        });
    }
    let width = Pipeline::new(&ops, source.n_rows(), source.n_cols())?.n_cols();
    Ok((ops, width))
}

/// The components alone, without the scores: one read. Nothing is kept, but of more genes than a
/// Gram matrix is made of. They are those of [`of_matrix`], to the last bit.
///
/// # Errors
/// As [`of_matrix`].
pub fn components(
    ctx: &Context,
    source: &dyn Source,
    ops: &[Op],
    selected: Option<&[u32]>,
    n_comps: usize,
    zero_center: bool,
) -> Result<linalg::Pca> {
    let (mut ops, width) = selecting(source, ops, selected)?;
    if width > MOST_GRAM {
        let kept = KeptColumns::new(ctx, source.grid(), width, Precision::F32);
        run_stage(ctx, "selected genes", source, &ops, &(), &kept)?;
        return Ok(block_krylov(ctx, &kept, n_comps, zero_center)?);
    }
    // What kept columns hold.
    ops.push(Op::RoundF32);
    let gram = run_stage(ctx, "Gram matrix", source, &ops, &Gram::new(width), &())?;
    Ok(pca(ctx, &gram, n_comps, zero_center)?)
}

/// Principal components of columns that an earlier stage kept, and the scores' bytes in the budget.
///
/// # Errors
/// As [`of_matrix`].
pub fn of_kept(
    ctx: &Context,
    kept: &KeptColumns,
    n_comps: usize,
    zero_center: bool,
) -> Result<(Pca, Reservation)> {
    let components = if kept.n_cols() > MOST_GRAM {
        block_krylov(ctx, kept, n_comps, zero_center)?
    } else {
        let reduce = Gram::new(kept.n_cols());
        let gram = run_stage(ctx, "Gram matrix", kept, &[], &reduce, &())?;
        pca(ctx, &gram, n_comps, zero_center)?
    };
    let scores = project(ctx, kept, &components)?;
    let pca = Pca {
        n_comps,
        scores: scores.data,
        loadings: components.loadings,
        variance: components.variance,
        variance_ratio: components.variance_ratio,
    };
    Ok((pca, scores.held))
}

impl Pca {
    /// The slots that scanpy writes: obsm `X_pca` (f32), varm `PCs` (f64, n_vars x n_comps, rows of
    /// genes outside `selected` are 0), uns `pca`. `suffix` is appended to each key.
    pub fn into_patch(self, n_vars: usize, selected: &[u32], suffix: &str) -> Patch {
        let n = self.n_comps;
        let mut loadings = vec![0.0; n_vars * n];
        for (row, &gene) in self.loadings.chunks_exact(n).zip(selected) {
            let at = gene as usize * n;
            loadings[at..at + n].copy_from_slice(row);
        }
        let n_cells = self.scores.len() / n;
        let params = dict(vec![
            ("zero_center", Elem::Scalar(Scalar::Bool(true))),
            ("use_highly_variable", Elem::Scalar(Scalar::Bool(true))),
            ("mask_var", text(keys::HIGHLY_VARIABLE)),
        ]);
        Patch::new()
            .elem(
                Slot::Obsm(format!("{}{suffix}", keys::X_PCA)),
                matrix(n_cells, n, ArrayData::F32(self.scores)),
            )
            .elem(
                Slot::Varm(format!("{}{suffix}", keys::PCS)),
                matrix(n_vars, n, ArrayData::F64(loadings)),
            )
            .elem(
                Slot::Uns(format!("{}{suffix}", keys::PCA)),
                dict(vec![
                    ("params", params),
                    ("variance", floats(self.variance.iter().copied())),
                    (
                        "variance_ratio",
                        floats(self.variance_ratio.iter().copied()),
                    ),
                ]),
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::Value;

    #[test]
    fn n_comps_follows_scanpy() {
        assert_eq!(n_comps(None, 51, 60).unwrap(), 50);
        assert_eq!(n_comps(None, 50, 60).unwrap(), 49);
        assert_eq!(n_comps(Some(3), 4, 60).unwrap(), 3);
        assert!(n_comps(Some(4), 4, 60).is_err());
        assert!(n_comps(Some(0), 4, 60).is_err());
        assert!(n_comps(None, 1, 60).is_err());
    }

    #[test]
    fn genes_outside_the_mask_have_zero_loadings() {
        let pca = Pca {
            n_comps: 1,
            scores: vec![1.0, -1.0],
            loadings: vec![0.6, 0.8],
            variance: vec![2.0],
            variance_ratio: vec![1.0],
        };
        let patch = pca.into_patch(4, &[1, 3], "");
        let (slot, value) = &patch.entries()[1];
        assert_eq!(*slot, Slot::Varm("PCs".to_owned()));
        assert_eq!(
            *value,
            Value::Elem(matrix(4, 1, ArrayData::F64(vec![0.0, 0.6, 0.0, 0.8])))
        );
    }
}
