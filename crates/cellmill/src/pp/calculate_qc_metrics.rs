//! Quality control of cells and genes (`sc.pp.calculate_qc_metrics`).

use crate::identity::{HAEMOGLOBIN, Identity, MITOCHONDRIAL, RIBOSOMAL};
use crate::{Error, Result};
use cellmill_engine::reduce::{Metrics, Quality};
use cellmill_engine::{Context, Op, Source, run_stage};
use cellmill_io::{ArrayData, Column};

/// The set of genes that stands for mitochondria: scanpy's tutorial names it so.
pub const MT: &str = "mt";
/// The families of genes that quality control knows, by the patterns of their names.
pub(crate) const FAMILIES: [(&str, &str); 3] = [
    (MT, MITOCHONDRIAL),
    ("ribo", RIBOSOMAL),
    ("hb", HAEMOGLOBIN),
];
/// scanpy's default numbers of highest genes.
pub const PERCENT_TOP: [u32; 4] = [50, 100, 200, 500];

/// The dtype that sums have, as numpy has it for a matrix of a dtype.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SumDtype {
    /// Of f32 matrices.
    F32,
    /// Of f64 matrices.
    F64,
    /// Of matrices of signed integers and booleans.
    I64,
    /// Of matrices of unsigned integers.
    U64,
}

impl SumDtype {
    /// Of a matrix whose dtype is named in numpy's words.
    pub fn of(dtype: &str) -> Self {
        match dtype {
            "float64" => Self::F64,
            d if d.starts_with("uint") => Self::U64,
            d if d.starts_with("int") || d == "bool" => Self::I64,
            _ => Self::F32,
        }
    }

    /// Whether shares, means and logarithms of the sums are f64.
    pub fn is_wide(self) -> bool {
        self != Self::F32
    }

    fn sums(self, values: impl Iterator<Item = f64>) -> ArrayData {
        match self {
            Self::F32 => ArrayData::F32(values.map(|x| x as f32).collect()),
            Self::F64 => ArrayData::F64(values.collect()),
            Self::I64 => ArrayData::I64(values.map(|x| x as i64).collect()),
            Self::U64 => ArrayData::U64(values.map(|x| x as u64).collect()),
        }
    }

    /// Numbers that follow from sums by division or a logarithm: `narrow` or `wide`, each in its
    /// own arithmetic.
    fn derived(
        self,
        values: impl Iterator<Item = (f64, f64)>,
        narrow: impl Fn(f32, f32) -> f32,
        wide: impl Fn(f64, f64) -> f64,
    ) -> ArrayData {
        if self.is_wide() {
            ArrayData::F64(values.map(|(a, b)| wide(a, b)).collect())
        } else {
            ArrayData::F32(values.map(|(a, b)| narrow(a as f32, b as f32)).collect())
        }
    }

    fn log1p(self, values: impl Iterator<Item = f64>) -> ArrayData {
        self.derived(values.map(|x| (x, 0.0)), |x, _| x.ln_1p(), |x, _| x.ln_1p())
    }
}

/// What is computed, and how its columns are named.
#[derive(Debug, Clone, PartialEq)]
pub struct QcParams {
    /// What values are, in the names of columns (`counts`).
    pub expr_type: String,
    /// What columns are, in the names of columns (`genes`).
    pub var_type: String,
    /// Sets of genes whose share is taken: a name and the genes.
    pub qc_vars: Vec<(String, Vec<u32>)>,
    /// Numbers of highest genes whose share is taken, increasing.
    pub percent_top: Vec<u32>,
    /// Whether columns of logarithms are added.
    pub log1p: bool,
    /// Counts values above 0, as the filters do, in place of values that are not 0.
    pub positive: bool,
    /// The dtype of sums.
    pub dtype: SumDtype,
}

impl QcParams {
    /// scanpy's names; no set and no share of the highest genes yet.
    pub fn new(dtype: SumDtype) -> Self {
        Self {
            expr_type: "counts".to_owned(),
            var_type: "genes".to_owned(),
            qc_vars: Vec::new(),
            percent_top: Vec::new(),
            log1p: true,
            positive: false,
            dtype,
        }
    }

    /// The reduction that finds the numbers, for a matrix of `n_genes` genes.
    ///
    /// # Errors
    /// When sets or numbers of highest genes do not fit the genes.
    pub fn reduction(&self, n_genes: u32) -> Result<Quality> {
        let sets: Vec<Vec<u32>> = self
            .qc_vars
            .iter()
            .map(|(_, genes)| genes.clone())
            .collect();
        let quality = Quality::new(n_genes)
            .with_sets(&sets)?
            .with_top(&self.percent_top)?;
        Ok(if self.positive {
            quality.positive()
        } else {
            quality
        })
    }

    /// The columns of obs, in scanpy's order.
    pub fn obs(&self, found: &Metrics) -> Vec<(String, Column)> {
        let (expr, var) = (&self.expr_type, &self.var_type);
        let mut columns = Columns(Vec::new());
        let n = found.n_genes.iter();
        columns.add(
            format!("n_{var}_by_{expr}"),
            ArrayData::I32(n.clone().map(|&n| n as i32).collect()),
        );
        if self.log1p {
            columns.add(
                format!("log1p_n_{var}_by_{expr}"),
                ArrayData::F64(n.map(|&n| f64::from(n).ln_1p()).collect()),
            );
        }
        let total = || found.total.iter().copied();
        columns.add(format!("total_{expr}"), self.dtype.sums(total()));
        if self.log1p {
            columns.add(format!("log1p_total_{expr}"), self.dtype.log1p(total()));
        }
        let every = |values: &[f64], width: usize, at: usize| -> Vec<f64> {
            values.iter().skip(at).step_by(width).copied().collect()
        };
        let tops = self.percent_top.len();
        for (i, top) in self.percent_top.iter().enumerate() {
            let shares = every(&found.top, tops, i).into_iter().zip(total());
            columns.add(
                format!("pct_{expr}_in_top_{top}_{var}"),
                ArrayData::F64(shares.map(|(part, total)| part / total * 100.0).collect()),
            );
        }
        let sets = self.qc_vars.len();
        for (i, (name, _)) in self.qc_vars.iter().enumerate() {
            let part = every(&found.sets, sets, i);
            columns.add(
                format!("total_{expr}_{name}"),
                self.dtype.sums(part.iter().copied()),
            );
            if self.log1p {
                columns.add(
                    format!("log1p_total_{expr}_{name}"),
                    self.dtype.log1p(part.iter().copied()),
                );
            }
            columns.add(
                format!("pct_{expr}_{name}"),
                self.dtype.derived(
                    part.into_iter().zip(total()),
                    |part, total| part / total * 100.0,
                    |part, total| part / total * 100.0,
                ),
            );
        }
        columns.0
    }

    /// The columns of var, in scanpy's order.
    pub fn var(&self, found: &Metrics) -> Vec<(String, Column)> {
        let expr = &self.expr_type;
        let n_obs = found.total.len() as f64;
        let mut columns = Columns(Vec::new());
        let genes = found.genes.iter();
        columns.add(
            format!("n_cells_by_{expr}"),
            ArrayData::I64(genes.clone().map(|g| g.n as i64).collect()),
        );
        let mean = || genes.clone().map(|g| g.sum / n_obs);
        columns.add(
            format!("mean_{expr}"),
            self.dtype
                .derived(mean().map(|m| (m, 0.0)), |m, _| m, |m, _| m),
        );
        if self.log1p {
            columns.add(format!("log1p_mean_{expr}"), self.dtype.log1p(mean()));
        }
        columns.add(
            format!("pct_dropout_by_{expr}"),
            ArrayData::F64(
                genes
                    .clone()
                    .map(|g| (1.0 - g.n as f64 / n_obs) * 100.0)
                    .collect(),
            ),
        );
        let sum = || genes.clone().map(|g| g.sum);
        columns.add(format!("total_{expr}"), self.dtype.sums(sum()));
        if self.log1p {
            columns.add(format!("log1p_total_{expr}"), self.dtype.log1p(sum()));
        }
        columns.0
    }
}

struct Columns(Vec<(String, Column)>);

impl Columns {
    fn add(&mut self, name: String, data: ArrayData) {
        self.0.push((name, Column::Plain(data)));
    }
}

/// The families of genes that quality control looks at, by symbol: `mt`, `ribo`, `hb`. A family
/// without a gene is left out.
///
/// # Errors
/// None that data can reach: the patterns are known.
pub fn families(genes: &Identity) -> Result<Vec<(String, Vec<u32>)>> {
    let mut found = Vec::new();
    for (name, pattern) in FAMILIES {
        let members = genes.matches(pattern)?;
        if !members.is_empty() {
            found.push((name.to_owned(), members));
        }
    }
    Ok(found)
}

/// The numbers of a matrix that `ops` make of `source`: one read.
///
/// # Errors
/// [`Error::Data`] for a matrix without cells or genes, and whatever is wrong with the source.
pub fn of_matrix(
    ctx: &Context,
    source: &dyn Source,
    ops: &[Op],
    params: &QcParams,
) -> Result<Metrics> {
    let n_genes =
        cellmill_engine::op::Pipeline::new(ops, source.n_rows(), source.n_cols())?.n_cols();
    if n_genes == 0 {
        return Err(Error::Data(
            "the matrix has no genes, so there is no quality to control".to_owned(),
        ));
    }
    Ok(run_stage(
        ctx,
        "quality control",
        source,
        ops,
        &params.reduction(n_genes)?,
        &(),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellmill_engine::MemSource;

    fn found(dtype: SumDtype) -> (QcParams, Metrics) {
        let params = QcParams {
            qc_vars: vec![(MT.to_owned(), vec![1])],
            percent_top: vec![1],
            ..QcParams::new(dtype)
        };
        let source = MemSource::new(
            3,
            vec![0, 2, 2, 4],
            vec![0u32, 1, 1, 2],
            vec![3f32, 1.0, 0.0, 2.0],
        )
        .unwrap();
        let ctx = Context::quiet(1).unwrap();
        let metrics = of_matrix(&ctx, &source, &[], &params).unwrap();
        (params, metrics)
    }

    #[test]
    fn columns_are_scanpys() {
        let (params, metrics) = found(SumDtype::F32);
        let obs = params.obs(&metrics);
        let names: Vec<&str> = obs.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(
            names,
            [
                "n_genes_by_counts",
                "log1p_n_genes_by_counts",
                "total_counts",
                "log1p_total_counts",
                "pct_counts_in_top_1_genes",
                "total_counts_mt",
                "log1p_total_counts_mt",
                "pct_counts_mt"
            ]
        );
        let Column::Plain(ArrayData::F32(share)) = &obs[7].1 else {
            panic!("f32")
        };
        assert!(share[0] == 25.0 && share[1].is_nan() && share[2] == 0.0);
        let var = params.var(&metrics);
        assert_eq!(var[0].1, Column::Plain(ArrayData::I64(vec![1, 1, 1])));
        assert_eq!(var[4].0, "total_counts");
    }

    #[test]
    fn sums_of_integers_are_integers() {
        for (name, dtype) in [
            ("int32", SumDtype::I64),
            ("uint8", SumDtype::U64),
            ("bool", SumDtype::I64),
            ("float64", SumDtype::F64),
            ("float32", SumDtype::F32),
        ] {
            assert_eq!(SumDtype::of(name), dtype);
        }
        let (params, metrics) = found(SumDtype::U64);
        let var = params.var(&metrics);
        assert_eq!(var[4].1, Column::Plain(ArrayData::U64(vec![3, 1, 2])));
        assert!(matches!(var[1].1, Column::Plain(ArrayData::F64(_))));
    }
}
