//! Moments of a matrix as the flavour `seurat` wants them: of the values before the logarithm.

use super::{HighlyVariable, HvgParams, highly_variable_genes};
use crate::Result;
use cellmill_engine::reduce::{GeneMoments, Moments};
use cellmill_engine::{Context, Op, Source, run_stage};

/// What to fold so that the moments of a logarithmised matrix are those before the logarithm.
///
/// Where the logarithm is the last thing that was done, it is not done at all; where it follows
/// normalize_total, the moments are those of count / total, which are linear in the target.
#[derive(Debug, Clone, PartialEq)]
pub struct MomentsPlan {
    /// What happens to every block before the fold.
    pub ops: Vec<Op>,
    /// What the means are multiplied with afterwards; the variances with its square.
    pub scale: f64,
}

impl MomentsPlan {
    /// The plan for a matrix that `ops` make, whose logarithm has this `base` (natural where there
    /// is none): `uns["log1p"]["base"]`, as scanpy looks it up.
    ///
    /// ```
    /// use cellmill::pp::highly_variable_genes::MomentsPlan;
    /// use cellmill_engine::Op;
    /// let ops = [Op::NormalizeTotal { target_sum: 1e4 }, Op::Log1p { base: None }];
    /// let plan = MomentsPlan::new(&ops, None);
    /// assert_eq!(plan.ops, [Op::NormalizeTotal { target_sum: 1.0 }]);
    /// assert_eq!(plan.scale, 1e4);
    /// assert_eq!(MomentsPlan::new(&[], None).ops, [Op::Expm1 { base: None }]);
    /// ```
    pub fn new(ops: &[Op], base: Option<f64>) -> Self {
        let selects = |op: &Op| matches!(op, Op::SelectGenes { .. } | Op::SelectCells { .. });
        let mut ops = ops.to_vec();
        let last = ops.iter().rposition(|op| !selects(op));
        let Some(last) = last.filter(|&i| ops[i] == Op::Log1p { base }) else {
            ops.push(Op::Expm1 { base });
            return Self { ops, scale: 1.0 };
        };
        ops.remove(last);
        let mut scale = 1.0;
        let before = ops[..last].iter().rposition(|op| !selects(op));
        if let Some(Op::NormalizeTotal { target_sum }) = before.map(|i| &mut ops[i]) {
            scale = std::mem::replace(target_sum, 1.0);
        }
        Self { ops, scale }
    }

    /// Moments of the values before the logarithm, from those of the fold.
    pub fn finish(&self, mut moments: Moments) -> Moments {
        for m in &mut moments.mean {
            *m *= self.scale;
        }
        for v in &mut moments.variance {
            *v *= self.scale * self.scale;
        }
        moments
    }
}

/// Highly variable genes by flavour `seurat` of the logarithmised matrix that `ops` make of
/// `source`: one read.
///
/// # Errors
/// As [`highly_variable_genes`], and whatever is wrong with the source.
pub fn of_matrix(
    ctx: &Context,
    source: &dyn Source,
    ops: &[Op],
    base: Option<f64>,
    params: &HvgParams,
) -> Result<HighlyVariable> {
    let plan = MomentsPlan::new(ops, base);
    let width =
        cellmill_engine::op::Pipeline::new(&plan.ops, source.n_rows(), source.n_cols())?.n_cols();
    let moments = run_stage(
        ctx,
        "moments of genes",
        source,
        &plan.ops,
        &GeneMoments::new(width),
        &(),
    )?;
    let moments = plan.finish(moments);
    highly_variable_genes(&moments.mean, &moments.variance, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_after_the_logarithm_stay() {
        let genes = Op::SelectGenes { genes: vec![1, 2] };
        let ops = [
            Op::NormalizeTotal { target_sum: 50.0 },
            Op::Log1p { base: Some(2.0) },
            genes.clone(),
        ];
        let plan = MomentsPlan::new(&ops, Some(2.0));
        assert_eq!(plan.ops, [Op::NormalizeTotal { target_sum: 1.0 }, genes]);
        assert_eq!(plan.scale, 50.0);
        let other = MomentsPlan::new(&ops, None);
        assert_eq!(other.ops[3], Op::Expm1 { base: None });
    }
}
