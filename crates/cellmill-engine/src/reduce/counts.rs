//! The first read of counts: totals, their check, moments and quality, in one walk.

use super::count_check::{Quick, quick_f32};
use super::gene_moments::{Column, TOO_MANY_ROWS};
use super::{
    CellTotals, CountCheck, CountReport, GroupMoments, Metrics, Moments, Quality, Totals, Via,
};
use crate::op::{RowScale, row_sum_f32};
use crate::{Block, Reduce, Result, Values};
use std::ops::Range;

/// What several reductions of counts would find in one read, to the last bit: [`CellTotals`],
/// [`CountCheck`], [`GroupMoments`] behind ops and, where it is asked for, [`Quality`].
///
/// Each of them walks over a block by itself. Together, each row is walked over once while it is in the
/// cache, where blocks are f32, moments are those of all cells behind nothing but a division of rows,
/// and quality has neither bounds nor highest values and counts what is not 0. Anything else is folded
/// part by part.
#[derive(Debug, Clone)]
pub struct Counts {
    parts: Parts,
}

type Parts = ((CellTotals, CountCheck, Via<GroupMoments>), Option<Quality>);

impl Counts {
    /// The reduction of these parts.
    pub fn new(moments: Via<GroupMoments>, quality: Option<Quality>) -> Self {
        Self {
            parts: ((CellTotals, CountCheck, moments), quality),
        }
    }

    /// Folds `block` in one walk, if it can be.
    fn fold_at_once(&self, state: &mut <Parts as Reduce>::State, block: &Block) -> bool {
        let ((_, _, moments), quality) = &self.parts;
        let ((totals, report, seen), metrics) = state;
        let (Values::F32(values), Some(scale), Some(whole)) = (
            &block.values,
            moments.ops().row_scale(),
            seen.inner().whole(),
        ) else {
            return false;
        };
        let n_genes = block.n_cols;
        let plain = (quality.as_ref()).is_none_or(|quality| quality.is_plain(n_genes));
        let fits = whole.n_genes() == n_genes as usize && block.n_rows() < TOO_MANY_ROWS;
        if !(plain && fits) {
            return false;
        }
        let mut quality = quality.as_ref().zip(metrics.as_mut());
        let mut all = Quick::NONE;
        for rows in whole.pieces(block.n_rows()) {
            let columns = whole.open();
            if let Some((quality, metrics)) = &quality {
                for (column, gene) in columns.iter_mut().zip(&metrics.genes) {
                    column.stored = gene.sum;
                }
                quality.members().for_each(|gene| columns[gene].mark());
            }
            let n = rows.len();
            all = all.and(pulp::Arch::new().dispatch(Walk {
                block,
                values,
                rows,
                scale,
                totals,
                columns,
                quality: quality.as_mut().map(|(q, m)| (*q, &mut **m)),
            }));
            if let Some((_, metrics)) = &mut quality {
                for (column, gene) in whole.columns().iter().zip(&mut metrics.genes) {
                    gene.sum = column.stored;
                    gene.n += u64::from(column.n());
                }
            }
            whole.join_rows(n);
        }
        report.add(block, all);
        true
    }
}

/// Entries that are divided at once, few enough that the next ones are divided while these are added.
const STRIP: usize = 16;

/// The walk over rows of a block.
struct Walk<'a> {
    block: &'a Block,
    values: &'a [f32],
    rows: Range<usize>,
    scale: RowScale,
    totals: &'a mut Totals,
    columns: &'a mut [Column],
    quality: Option<(&'a Quality, &'a mut Metrics)>,
}

impl pulp::WithSimd for Walk<'_> {
    type Output = Quick;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(mut self, _simd: S) -> Quick {
        let mut all = Quick::NONE;
        // A row has at most one entry of each gene.
        let mut marked = vec![0; self.columns.len() + 1];
        for row in self.rows.clone() {
            let range = self.block.row(row);
            let (genes, values) = (&self.block.indices[range.clone()], &self.values[range]);
            let quick = quick_f32(values);
            all = all.and(quick);
            let total = row_sum_f32(values);
            let n = (values.len() as u64 - quick.zeros) as u32;
            self.totals.total.push(total);
            self.totals.n_genes.push(n);
            let factor = self.scale.factor(total);
            let listed = if quick.zeros == 0 {
                let add = Column::add_nonzero;
                add_row(self.columns, genes, values, factor, &mut marked, add)
            } else {
                add_row(
                    self.columns,
                    genes,
                    values,
                    factor,
                    &mut marked,
                    Column::add,
                )
            };
            if let Some((quality, metrics)) = &mut self.quality {
                metrics.total.push(total);
                metrics.n_genes.push(n);
                let first = metrics.sets.len();
                metrics.sets.resize(first + quality.n_sets(), 0.0);
                let sets = &mut metrics.sets[first..];
                for &entry in &marked[..listed] {
                    let (gene, x) = (genes[entry as usize], values[entry as usize]);
                    quality.add_to_sets(gene as usize, x.into(), sets);
                }
            }
        }
        all
    }
}

/// Adds a row's entries, divided by `factor`, to their columns, and lists those in marked columns in
/// `marked`, which has room for one more than there are. Returns how many were listed.
#[inline(always)]
fn add_row(
    columns: &mut [Column],
    genes: &[u32],
    values: &[f32],
    factor: f64,
    marked: &mut [u32],
    add: impl Fn(&mut Column, f64),
) -> usize {
    let mut listed = 0;
    for (first, (genes, values)) in (0u32..).zip(genes.chunks(STRIP).zip(values.chunks(STRIP))) {
        let mut quotients = [0.0; STRIP];
        for (quotient, &x) in quotients.iter_mut().zip(values) {
            *quotient = f64::from(x) / factor;
        }
        let entries = (first * STRIP as u32..).zip(genes.iter().zip(values).zip(quotients));
        for (entry, ((&gene, &x), quotient)) in entries {
            let column = &mut columns[gene as usize];
            column.stored += f64::from(x);
            add(column, quotient);
            // Without a branch: a set may have every tenth entry.
            marked[listed] = entry;
            listed += usize::from(column.is_marked());
        }
    }
    listed
}

impl Reduce for Counts {
    type State = <Parts as Reduce>::State;
    type Output = ((Totals, CountReport, Vec<Moments>), Option<Metrics>);

    fn start(&self) -> Self::State {
        self.parts.start()
    }

    fn fold(&self, state: &mut Self::State, block: &Block) -> Result<()> {
        if self.fold_at_once(state, block) {
            return Ok(());
        }
        self.parts.fold(state, block)
    }

    fn close(&self, state: &mut Self::State) -> Result<()> {
        self.parts.close(state)
    }

    fn merge(&self, left: Self::State, right: Self::State) -> Result<Self::State> {
        self.parts.merge(left, right)
    }

    fn finish(&self, state: Self::State) -> Result<Self::Output> {
        self.parts.finish(state)
    }

    fn state_bytes(&self, rows: u64) -> u64 {
        self.parts.state_bytes(rows)
    }

    fn fold_bytes(&self) -> u64 {
        // The list of a row's marked entries.
        let marked = 4 * (u64::from(self.parts.0.2.ops().n_cols()) + 1);
        self.parts.fold_bytes() + marked
    }
}
