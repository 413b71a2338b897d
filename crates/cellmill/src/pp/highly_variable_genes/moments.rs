//! Moments of a matrix as the flavour wants them: for `seurat` of the values before the logarithm.

use super::Flavor;
use cellmill_engine::Op;
use cellmill_engine::reduce::Moments;

/// What to fold so that the moments are those that a flavour looks at.
///
/// `seurat` undoes the logarithm: where the logarithm is the last thing that was done, it is not done at all; where it follows
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
    /// is none): `uns["log1p"]["base"]`, as scanpy looks it up. All flavours but `seurat` take the
    /// matrix as it is.
    ///
    /// ```
    /// use cellmill::pp::highly_variable_genes::{Flavor, MomentsPlan};
    /// use cellmill_engine::Op;
    /// let ops = [Op::NormalizeTotal { target_sum: 1e4 }, Op::Log1p { base: None }];
    /// let plan = MomentsPlan::new(&ops, Flavor::Seurat, None);
    /// assert_eq!(plan.ops, [Op::NormalizeTotal { target_sum: 1.0 }]);
    /// assert_eq!(plan.scale, 1e4);
    /// assert_eq!(MomentsPlan::new(&[], Flavor::Seurat, None).ops, [Op::Expm1 { base: None }]);
    /// ```
    pub fn new(ops: &[Op], flavor: Flavor, base: Option<f64>) -> Self {
        if flavor != Flavor::Seurat {
            return Self {
                ops: ops.to_vec(),
                scale: 1.0,
            };
        }
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

    /// Moments that the flavour looks at, from those of the fold.
    pub fn finish(&self, mut moments: Vec<Moments>) -> Vec<Moments> {
        for m in &mut moments {
            m.mean.iter_mut().for_each(|mean| *mean *= self.scale);
            let square = self.scale * self.scale;
            m.variance.iter_mut().for_each(|v| *v *= square);
        }
        moments
    }
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
        let plan = MomentsPlan::new(&ops, Flavor::Seurat, Some(2.0));
        assert_eq!(plan.ops, [Op::NormalizeTotal { target_sum: 1.0 }, genes]);
        assert_eq!(plan.scale, 50.0);
        let other = MomentsPlan::new(&ops, Flavor::Seurat, None);
        assert_eq!(other.ops[3], Op::Expm1 { base: None });
    }
}
