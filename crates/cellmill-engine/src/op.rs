//! The op: a lazy step on one block, printable data.

mod cell_set;
mod downsample;
mod expm1;
mod log1p;
mod pipeline;
mod row_sum;
mod scale_genes;

pub use cell_set::CellSet;
pub use downsample::{Draw, downsample};
pub use expm1::{exp_m1, exp_m1_in_place};
pub use log1p::{ln_1p, ln_1p_in_place};
pub(crate) use pipeline::RowScale;
pub use pipeline::{Pipeline, Scratch};
pub use row_sum::{row_sum, row_sum_f32, row_sum_f64, row_sum_of};
pub use scale_genes::ScaleGenes;

use serde::{Deserialize, Serialize};
use std::fmt;

/// A step on one block: it edits the rows that it is lent and knows neither file nor thread.
///
/// Every op works on each row by itself, so it commutes with any grid. Parameters found by a
/// reduction are plain data here. Arithmetic is f64; [`Op::RoundF32`] rounds once, where values
/// leave the engine or are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Divides each row by `total / target_sum`; a row whose total is 0 stays as it is
    /// (scanpy.pp.normalize_total).
    NormalizeTotal {
        /// The total of every row afterwards.
        target_sum: f64,
    },
    /// As [`Op::NormalizeTotal`], where totals leave these columns out (scanpy.pp.normalize_total with
    /// `exclude_highly_expressed`).
    NormalizeTotalWithout {
        /// The total of every row afterwards, without those columns.
        target_sum: f64,
        /// Columns that totals leave out, strictly increasing.
        genes: Vec<u32>,
    },
    /// `ln(1 + x)`, divided by `ln(base)` where a base is given (scanpy.pp.log1p). An error where
    /// a value is -1 or less.
    Log1p {
        /// Base of the logarithm; natural when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<f64>,
    },
    /// Undoes [`Op::Log1p`]: `exp(x ln(base)) - 1`.
    Expm1 {
        /// Base of the logarithm that is undone; natural when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<f64>,
    },
    /// The square root (scanpy.pp.sqrt). An error where a value is below 0.
    Sqrt,
    /// Divides each row by its factor (scanpy's `norm_factor`); rows whose factor is 0 stay as
    /// they are.
    ScaleRows {
        /// One factor for each row of the source (before any selection of cells).
        factors: Vec<f64>,
    },
    /// Scales columns. With means, entries hold the difference from what has no entry, and the
    /// matrix is the block plus the row of [`ScaleGenes::zero`].
    ScaleGenes(ScaleGenes),
    /// Leaves a sample of the counts of each row that has more than it may have
    /// (scanpy.pp.downsample_counts, with its numbers), and drops zeros. An error where a value is
    /// no whole number of at least 0.
    DownsampleCounts {
        /// Counts afterwards: one number for each row of the source (before any selection of
        /// cells), or one for all.
        counts: Vec<u64>,
        /// The seed, the same for every row.
        seed: u32,
        /// Whether a molecule may be drawn more than once.
        replace: bool,
    },
    /// Keeps these columns and numbers them from 0.
    SelectGenes {
        /// Columns to keep, strictly increasing.
        genes: Vec<u32>,
    },
    /// Keeps these rows. The grid does not move: a block keeps its place and has fewer rows.
    SelectCells {
        /// Rows to keep, as rows of the source.
        cells: CellSet,
    },
    /// Rounds values to f32.
    RoundF32,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NormalizeTotal { target_sum } => {
                write!(f, "normalize_total(target_sum={target_sum})")
            }
            Self::NormalizeTotalWithout { target_sum, genes } => write!(
                f,
                "normalize_total(target_sum={target_sum}, without {} genes)",
                genes.len()
            ),
            Self::Log1p { base: None } => write!(f, "log1p"),
            Self::Log1p { base: Some(base) } => write!(f, "log1p(base={base})"),
            Self::Expm1 { base: None } => write!(f, "expm1"),
            Self::Expm1 { base: Some(base) } => write!(f, "expm1(base={base})"),
            Self::Sqrt => write!(f, "sqrt"),
            Self::ScaleRows { factors } => write!(f, "scale_rows({} factors)", factors.len()),
            Self::ScaleGenes(scale) => {
                write!(f, "scale({} genes", scale.std.len())?;
                if scale.mean.is_some() {
                    write!(f, ", centred")?;
                }
                match scale.max {
                    Some(max) => write!(f, ", max_value={max})"),
                    None => write!(f, ")"),
                }
            }
            Self::DownsampleCounts { counts, .. } => match counts[..] {
                [all] => write!(f, "downsample_counts({all} per cell)"),
                _ => write!(f, "downsample_counts({} numbers)", counts.len()),
            },
            Self::SelectGenes { genes } => write!(f, "select_genes({} genes)", genes.len()),
            Self::SelectCells { cells } => write!(f, "select_cells({} cells)", cells.len()),
            Self::RoundF32 => write!(f, "round_f32"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_print_and_travel() {
        let ops = vec![
            Op::NormalizeTotal { target_sum: 1e4 },
            Op::Log1p { base: Some(2.0) },
            Op::Log1p { base: None },
            Op::SelectGenes { genes: vec![1, 5] },
            Op::SelectCells {
                cells: CellSet::from_mask(&[true, false, true]),
            },
            Op::ScaleRows {
                factors: vec![0.1, 1.0 / 3.0, 7e-300],
            },
            Op::ScaleGenes(ScaleGenes {
                std: vec![0.1, 1.0 / 3.0],
                mean: Some(vec![0.0, 2.5]),
                max: Some(10.0),
            }),
            Op::DownsampleCounts {
                counts: vec![100],
                seed: 7,
                replace: true,
            },
            Op::DownsampleCounts {
                counts: vec![1, 2],
                seed: 0,
                replace: false,
            },
            Op::Sqrt,
            Op::NormalizeTotalWithout {
                target_sum: 100.0,
                genes: vec![3, 4],
            },
            Op::RoundF32,
        ];
        let text: Vec<String> = ops.iter().map(Op::to_string).collect();
        assert_eq!(
            text.join(" > "),
            "normalize_total(target_sum=10000) > log1p(base=2) > log1p > select_genes(2 genes) > \
             select_cells(2 cells) > scale_rows(3 factors) > scale(2 genes, centred, max_value=10) > \
             downsample_counts(100 per cell) > downsample_counts(2 numbers) > sqrt > \
             normalize_total(target_sum=100, without 2 genes) > round_f32"
        );
        let json = serde_json::to_string(&ops).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Op>>(&json).unwrap(), ops);
    }
}
