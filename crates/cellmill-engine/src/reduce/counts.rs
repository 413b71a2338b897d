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
            let begun = whole.begun();
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
                begun,
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
/// Entries whose marks are looked at together, a bit each.
const GROUP: usize = 64;

/// The walk over rows of a block.
struct Walk<'a> {
    block: &'a Block,
    values: &'a [f32],
    rows: Range<usize>,
    scale: RowScale,
    /// Whether the span had rows before.
    begun: bool,
    totals: &'a mut Totals,
    columns: &'a mut [Column],
    quality: Option<(&'a Quality, &'a mut Metrics)>,
}

impl pulp::WithSimd for Walk<'_> {
    type Output = Quick;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(mut self, _simd: S) -> Quick {
        let mut all = Quick::NONE;
        for row in self.rows.clone() {
            let range = self.block.row(row);
            let (genes, values) = (&self.block.indices[range.clone()], &self.values[range]);
            let quick = quick_f32(values);
            all = all.and(quick);
            let total = row_sum_f32(values);
            let n = (values.len() as u64 - quick.zeros) as u32;
            self.totals.total.push(total);
            self.totals.n_genes.push(n);
            let (quality, sets) = match &mut self.quality {
                None => (None, &mut [][..]),
                Some((quality, metrics)) => {
                    metrics.total.push(total);
                    metrics.n_genes.push(n);
                    let first = metrics.sets.len();
                    metrics.sets.resize(first + quality.n_sets(), 0.0);
                    (Some(*quality), &mut metrics.sets[first..])
                }
            };
            let factor = self.scale.factor(total);
            let marked = |gene: u32, x: f32| {
                if let Some(quality) = quality {
                    quality.add_to_sets(gene as usize, x.into(), sets);
                }
            };
            if self.begun && quick.zeros == 0 {
                let add = Column::add_known;
                add_row(self.columns, (genes, values), factor, marked, add);
            } else {
                add_row(self.columns, (genes, values), factor, marked, Column::add);
            }
        }
        all
    }
}

/// Adds a row's entries, divided by `factor`, to their columns, and calls `marked` with those in
/// marked ones, in order.
#[inline(always)]
fn add_row(
    columns: &mut [Column],
    (genes, values): (&[u32], &[f32]),
    factor: f64,
    mut marked: impl FnMut(u32, f32),
    add: impl Fn(&mut Column, f64),
) {
    for (genes, values) in genes.chunks(GROUP).zip(values.chunks(GROUP)) {
        // A set may have every tenth entry: a branch for each would be a gamble.
        let mut marks = 0u64;
        let (strips, genes_left) = genes.as_chunks::<STRIP>();
        let (of_strips, values_left) = values.as_chunks::<STRIP>();
        for (i, (genes, values)) in strips.iter().zip(of_strips).enumerate() {
            marks |= add_strip(columns, genes, values, factor, &add) << (i * STRIP);
        }
        if !genes_left.is_empty() {
            let left = add_strip(columns, genes_left, values_left, factor, &add);
            marks |= left << (strips.len() * STRIP);
        }
        while marks != 0 {
            let entry = marks.trailing_zeros() as usize;
            marked(genes[entry], values[entry]);
            marks &= marks - 1;
        }
    }
}

/// Adds at most [`STRIP`] entries; the bits of those in marked columns.
#[inline(always)]
fn add_strip(
    columns: &mut [Column],
    genes: &[u32],
    values: &[f32],
    factor: f64,
    add: &impl Fn(&mut Column, f64),
) -> u64 {
    let mut wide = [0.0; STRIP];
    for (wide, &x) in wide.iter_mut().zip(values) {
        *wide = f64::from(x);
    }
    let quotients = wide.map(|x| x / factor);
    let mut marks = 0;
    for (i, &gene) in genes.iter().enumerate() {
        let column = &mut columns[gene as usize];
        column.stored += wide[i];
        add(column, quotients[i]);
        marks |= u64::from(column.is_marked()) << i;
    }
    marks
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
        self.parts.fold_bytes()
    }
}
