//! A list of ops, compiled: checked once, fused, applied to block after block.

mod select;

use super::{
    CellSet, Draw, Op, ScaleGenes, downsample, exp_m1_in_place, ln_1p_in_place, row_sum,
    row_sum_f64, row_sum_of,
};
use crate::{Block, Error, Result, Values};
use select::{DROPPED, compact, copy, copy_same_type, drop_zeros};

/// f32 values divided by a total over this are not 0 unless they are.
const LEAST_TARGET: f64 = 1e-100;

#[derive(Debug, Clone)]
enum Step {
    /// Takes the total of each row as it stands here.
    Total,
    /// The same, without the columns whose entry is true.
    TotalWithout(Vec<bool>),
    /// Keeps the columns whose entry in the map is their new number.
    Select(Vec<u32>),
    /// Divides by `total / target`.
    Divide(f64),
    ScaleRows(Vec<f64>),
    /// `ln(base)`, where there is one.
    Log(Option<f64>),
    Exp(Option<f64>),
    Sqrt,
    /// Counts for each row of the source, or one number for all.
    Downsample(Vec<u64>, Draw),
    ScaleGenes(ScaleGenes),
    Round,
}

/// A list of ops, compiled for a source.
///
/// Selections move as far to the front as they can (what looks at a whole row, its total or a sample
/// of its counts, is the only thing that they must not overtake), so that `[normalize_total, log1p, select_genes]` takes the totals over
/// all genes, drops what is not selected, and computes on what is left. Entry by entry the
/// arithmetic is that of the ops in the order given, so the result is equal to the last bit.
#[derive(Debug, Clone)]
pub struct Pipeline {
    n_cols_in: u32,
    n_cols_out: u32,
    cells: Option<CellSet>,
    /// Source column of each column of the result, where any were dropped.
    genes: Option<Vec<u32>>,
    steps: Vec<Step>,
}

/// Memory that a [`Pipeline`] uses again from block to block.
#[derive(Debug, Default)]
pub struct Scratch {
    rows: Vec<usize>,
    totals: Vec<f64>,
    work: Vec<f64>,
    molecules: Vec<u32>,
}

/// What a [`Pipeline`] divides the entries of a row by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RowScale {
    /// Nothing.
    One,
    /// The row's total, divided by this.
    TotalOver(f64),
}

impl RowScale {
    /// The factor of a row of this total; 1 where it would be 0.
    #[inline]
    pub(crate) fn factor(self, total: f64) -> f64 {
        match self {
            Self::One => 1.0,
            Self::TotalOver(target) => divisor(total / target),
        }
    }
}

impl Pipeline {
    /// Compiles `ops` for a source of `n_rows` rows and `n_cols` columns.
    ///
    /// # Errors
    /// [`Error::Parameter`] when a parameter of an op is out of its range or does not fit the
    /// source.
    pub fn new(ops: &[Op], n_rows: u64, n_cols: u32) -> Result<Self> {
        let mut cells: Option<CellSet> = None;
        let mut genes: Option<Vec<u32>> = None;
        let mut width = n_cols;
        let mut steps = Vec::new();
        for op in ops {
            match op {
                Op::NormalizeTotal { target_sum } => {
                    check_positive(*target_sum, "target_sum of normalize_total")?;
                    steps.push(Step::Total);
                    steps.push(Step::Divide(*target_sum));
                }
                Op::NormalizeTotalWithout { target_sum, genes } => {
                    check_positive(*target_sum, "target_sum of normalize_total")?;
                    let map = gene_map(genes, width, "normalize_total")?;
                    steps.push(Step::TotalWithout(
                        map.iter().map(|&new| new != DROPPED).collect(),
                    ));
                    steps.push(Step::Divide(*target_sum));
                }
                Op::Sqrt => steps.push(Step::Sqrt),
                Op::Log1p { base } => steps.push(Step::Log(ln_base(*base)?)),
                Op::Expm1 { base } => steps.push(Step::Exp(ln_base(*base)?)),
                Op::ScaleRows { factors } => {
                    check_factors(factors, n_rows)?;
                    steps.push(Step::ScaleRows(factors.clone()));
                }
                Op::ScaleGenes(scale) => {
                    scale.check(width)?;
                    steps.push(Step::ScaleGenes(scale.clone()));
                }
                Op::DownsampleCounts {
                    counts,
                    seed,
                    replace,
                } => {
                    check_counts(counts, n_rows)?;
                    let draw = Draw {
                        seed: *seed,
                        replace: *replace,
                    };
                    steps.push(Step::Downsample(counts.clone(), draw));
                }
                Op::SelectGenes { genes: selected } => {
                    let map = gene_map(selected, width, "select_genes")?;
                    genes = Some(match genes {
                        None => selected.clone(),
                        Some(before) => selected.iter().map(|&g| before[g as usize]).collect(),
                    });
                    width = selected.len() as u32;
                    push_select(&mut steps, map, selected);
                }
                Op::SelectCells { cells: selected } => {
                    selected.check(n_rows)?;
                    cells = Some(match cells {
                        None => selected.clone(),
                        Some(before) => before.intersect(selected),
                    });
                }
                Op::RoundF32 => steps.push(Step::Round),
            }
        }
        Ok(Self {
            n_cols_in: n_cols,
            n_cols_out: width,
            cells,
            genes,
            steps,
        })
    }

    /// The number of columns of the result.
    pub fn n_cols(&self) -> u32 {
        self.n_cols_out
    }

    /// Whether blocks pass unchanged.
    pub fn is_identity(&self) -> bool {
        self.cells.is_none() && self.steps.is_empty()
    }

    /// What each entry is divided by, where that is all that happens: nothing, or the row's total over
    /// a target.
    pub(crate) fn row_scale(&self) -> Option<RowScale> {
        if self.cells.is_some() {
            return None;
        }
        match self.steps[..] {
            [] => Some(RowScale::One),
            // Of a smaller target a factor may be so large that quotients become 0.
            [Step::Total, Step::Divide(target)] if target >= LEAST_TARGET => {
                Some(RowScale::TotalOver(target))
            }
            _ => None,
        }
    }

    /// Upper bound of the heap bytes that applying it to a block needs: the result and the
    /// scratch.
    pub fn bytes(&self, block_entries: u64, block_rows: u64) -> u64 {
        if self.is_identity() {
            0
        } else {
            block_entries
                .saturating_mul(20)
                .saturating_add(block_rows.saturating_mul(24))
        }
    }

    /// Applies the ops to `block` and leaves the result in `out`, whose memory is used again.
    ///
    /// `out.first_row` is the block's, also where a selection of cells dropped that row.
    ///
    /// # Errors
    /// [`Error::Data`] when a value is outside the domain of an op, with its row and column.
    pub fn apply(&self, block: &Block, scratch: &mut Scratch, out: &mut Block) -> Result<()> {
        if block.n_cols != self.n_cols_in {
            return Err(Error::Data(format!(
                "the block at row {} has {} columns where the ops expect {}",
                block.first_row, block.n_cols, self.n_cols_in
            )));
        }
        out.first_row = block.first_row;
        out.n_cols = self.n_cols_out;
        scratch.rows.clear();
        match &self.cells {
            None => scratch.rows.extend(0..block.n_rows()),
            Some(cells) => {
                let end = block.first_row + block.n_rows() as u64;
                scratch.rows.extend(cells.within(block.first_row..end));
            }
        }
        let mut steps = self.steps.as_slice();
        if let [Step::Total, rest @ ..] = steps {
            scratch.totals.clear();
            scratch.totals.extend(
                scratch
                    .rows
                    .iter()
                    .map(|&r| row_sum(&block.values, block.row(r))),
            );
            steps = rest;
        }
        let mut map = None;
        if let [Step::Select(first), rest @ ..] = steps {
            map = Some(first.as_slice());
            steps = rest;
        }
        if steps.is_empty() {
            copy_same_type(block, &scratch.rows, map, out);
            return Ok(());
        }
        if let ([Step::Round], Values::F32(_)) = (steps, &block.values) {
            copy_same_type(block, &scratch.rows, map, out);
            return Ok(());
        }
        match &block.values {
            Values::F32(v) => copy(block, v, &scratch.rows, map, out, &mut scratch.work, |x| {
                f64::from(x)
            }),
            Values::F64(v) => copy(block, v, &scratch.rows, map, out, &mut scratch.work, |x| x),
        }
        let round_last = matches!(steps, [.., Step::Round]);
        if round_last {
            steps = &steps[..steps.len() - 1];
        }
        for step in steps {
            self.step(step, scratch, out)?;
        }
        if round_last {
            let mut values = match std::mem::replace(&mut out.values, Values::F32(Vec::new())) {
                Values::F32(v) => v,
                Values::F64(_) => Vec::new(),
            };
            values.clear();
            values.extend(scratch.work.iter().map(|&x| x as f32));
            out.values = Values::F32(values);
        } else {
            match &mut out.values {
                Values::F64(v) => std::mem::swap(v, &mut scratch.work),
                Values::F32(_) => out.values = Values::F64(std::mem::take(&mut scratch.work)),
            }
        }
        Ok(())
    }

    fn step(&self, step: &Step, scratch: &mut Scratch, out: &mut Block) -> Result<()> {
        let work = &mut scratch.work;
        match step {
            Step::Total => {
                scratch.totals.clear();
                scratch.totals.extend(
                    out.indptr
                        .windows(2)
                        .map(|w| row_sum_f64(&work[w[0]..w[1]])),
                );
            }
            Step::TotalWithout(without) => {
                scratch.totals.clear();
                scratch.totals.extend(out.indptr.windows(2).map(|w| {
                    let entries = out.indices[w[0]..w[1]].iter().zip(&work[w[0]..w[1]]);
                    row_sum_of(
                        entries
                            .filter(|(gene, _)| !without[**gene as usize])
                            .map(|e| *e.1),
                    )
                }));
            }
            Step::Select(map) => compact(map, out, work),
            Step::Divide(target) => {
                for (w, &total) in out.indptr.windows(2).zip(&scratch.totals) {
                    divide(&mut work[w[0]..w[1]], total / target);
                }
            }
            Step::ScaleRows(factors) => {
                for (w, &row) in out.indptr.windows(2).zip(&scratch.rows) {
                    divide(&mut work[w[0]..w[1]], factors[out.first_row as usize + row]);
                }
            }
            Step::Log(base) => {
                // NaN never arrives here (blocks are finite), so a minimum finds every bad value.
                if work
                    .iter()
                    .fold(f64::INFINITY, |m, &x| if x < m { x } else { m })
                    <= -1.0
                {
                    return Err(self.outside(
                        out,
                        &scratch.rows,
                        work,
                        |x| x <= -1.0,
                        "log1p",
                        "above -1",
                    ));
                }
                ln_1p_in_place(work);
                if let Some(base) = base {
                    work.iter_mut().for_each(|x| *x /= base);
                }
            }
            Step::Exp(base) => {
                if let Some(base) = base {
                    work.iter_mut().for_each(|x| *x *= base);
                }
                if work.iter().fold(0.0, |m, &x| if x > m { x } else { m }) > 709.0 {
                    return Err(self.outside(
                        out,
                        &scratch.rows,
                        work,
                        |x| x > 709.0,
                        "expm1",
                        "a logarithm below 709",
                    ));
                }
                exp_m1_in_place(work);
            }
            Step::Sqrt => {
                let bad = |x: f64| x < 0.0;
                if work.iter().any(|&x| bad(x)) {
                    let rows = &scratch.rows;
                    return Err(self.outside(out, rows, work, bad, "sqrt", "of at least 0"));
                }
                work.iter_mut().for_each(|x| *x = x.sqrt());
            }
            Step::ScaleGenes(scale) => {
                for (x, &gene) in work.iter_mut().zip(&out.indices) {
                    *x = scale.entry(gene as usize, *x);
                }
            }
            Step::Downsample(counts, draw) => {
                let bad = |x: f64| x < 0.0 || x.fract() != 0.0;
                if work.iter().any(|&x| bad(x)) {
                    let expected = "that are whole numbers of at least 0";
                    let rows = &scratch.rows;
                    return Err(self.outside(out, rows, work, bad, "downsample_counts", expected));
                }
                for (w, &row) in out.indptr.windows(2).zip(&scratch.rows) {
                    let target = match counts[..] {
                        [all] => all,
                        _ => counts[out.first_row as usize + row],
                    };
                    downsample(&mut work[w[0]..w[1]], target, *draw, &mut scratch.molecules)?;
                }
                drop_zeros(out, work);
            }
            Step::Round => work.iter_mut().for_each(|x| *x = f64::from(*x as f32)),
        }
        Ok(())
    }

    fn outside(
        &self,
        out: &Block,
        rows: &[usize],
        work: &[f64],
        bad: impl Fn(f64) -> bool,
        op: &str,
        expected: &str,
    ) -> Error {
        let entry = work.iter().position(|&x| bad(x)).unwrap_or(0);
        let row = out.indptr.partition_point(|&p| p <= entry) - 1;
        let column = out.indices[entry];
        let column = self
            .genes
            .as_ref()
            .map_or(column, |genes| genes[column as usize]);
        Error::Data(format!(
            "{op} needs values {expected} and found {} at row {}, column {column}",
            work[entry],
            out.first_row + rows[row] as u64
        ))
    }
}

/// Puts a selection as far to the front as it can go, joined with a selection already there.
fn push_select(steps: &mut Vec<Step>, map: Vec<u32>, genes: &[u32]) {
    let mut at = steps.len();
    while at > 0 {
        match &mut steps[at - 1] {
            Step::Total | Step::TotalWithout(_) | Step::Downsample(..) => break,
            Step::Select(before) => {
                for column in before.iter_mut().filter(|c| **c != DROPPED) {
                    *column = map[*column as usize];
                }
                return;
            }
            Step::ScaleGenes(scale) => {
                *scale = scale.of_columns(genes);
                at -= 1;
            }
            _ => at -= 1,
        }
    }
    steps.insert(at, Step::Select(map));
}

fn gene_map(genes: &[u32], width: u32, op: &str) -> Result<Vec<u32>> {
    let mut map = vec![DROPPED; width as usize];
    for (new, &gene) in genes.iter().enumerate() {
        if gene >= width {
            return Err(Error::Parameter(format!(
                "{op} asks for column {gene} of {width}"
            )));
        }
        if new > 0 && genes[new - 1] >= gene {
            return Err(Error::Parameter(format!(
                "{op} needs strictly increasing columns and found {gene} after {}",
                genes[new - 1]
            )));
        }
        map[gene as usize] = new as u32;
    }
    Ok(map)
}

fn ln_base(base: Option<f64>) -> Result<Option<f64>> {
    match base {
        Some(b) if !(b.is_finite() && b > 0.0 && b != 1.0) => Err(Error::Parameter(format!(
            "the base of a logarithm must be positive and not 1, and is {b}"
        ))),
        _ => Ok(base.map(f64::ln)),
    }
}

fn check_positive(x: f64, what: &str) -> Result<()> {
    if x.is_finite() && x > 0.0 {
        Ok(())
    } else {
        Err(Error::Parameter(format!(
            "the {what} must be positive and finite, and is {x}"
        )))
    }
}

fn check_factors(factors: &[f64], n_rows: u64) -> Result<()> {
    if factors.len() as u64 != n_rows {
        return Err(Error::Parameter(format!(
            "scale_rows was given {} factors for {n_rows} rows",
            factors.len()
        )));
    }
    match factors.iter().position(|f| !f.is_finite()) {
        Some(row) => Err(Error::Parameter(format!(
            "the factor of row {row} is {}",
            factors[row]
        ))),
        None => Ok(()),
    }
}

fn check_counts(counts: &[u64], n_rows: u64) -> Result<()> {
    if counts.len() == 1 || counts.len() as u64 == n_rows {
        return Ok(());
    }
    Err(Error::Parameter(format!(
        "downsample_counts was given {} numbers for {n_rows} rows",
        counts.len()
    )))
}

/// What a row of this factor is divided by: scanpy divides by 1 where the factor is 0.
#[inline]
fn divisor(factor: f64) -> f64 {
    if factor == 0.0 { 1.0 } else { factor }
}

/// Divides a row by its factor.
#[inline]
fn divide(row: &mut [f64], factor: f64) {
    let divisor = divisor(factor);
    row.iter_mut().for_each(|x| *x /= divisor);
}

#[cfg(test)]
mod tests;
