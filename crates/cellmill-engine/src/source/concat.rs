//! Several matrices, one below the other, as one.

use crate::grid::BLOCK_ENTRIES;
use crate::op::{CellSet, Pipeline, Scratch};
use crate::{Block, BlockReader, Error, Grid, Op, Result, Source, Values};
use std::ops::Range;
use std::sync::Arc;

/// One matrix of a concatenation, with what happens to it first.
pub struct ConcatPart {
    source: Arc<dyn Source>,
    ops: Pipeline,
    /// Column of the whole for each column that the ops leave; `None`: the same.
    columns: Option<Vec<u32>>,
    /// Whether the columns of the whole increase along those of the part.
    increasing: bool,
    /// The source's blocks of which a row is left, and how many rows.
    blocks: Vec<(usize, u64)>,
}

impl ConcatPart {
    /// `source` after `ops`, whose column `j` becomes column `columns[j]` of the whole (`None`:
    /// `j`).
    ///
    /// # Errors
    /// [`Error::Parameter`] when the ops do not fit the source, or `columns` does not name a
    /// different column for each that the ops leave.
    pub fn new(source: Arc<dyn Source>, ops: &[Op], columns: Option<Vec<u32>>) -> Result<Self> {
        let pipeline = Pipeline::new(ops, source.n_rows(), source.n_cols())?;
        if let Some(columns) = &columns {
            let mut sorted = columns.clone();
            sorted.sort_unstable();
            if columns.len() != pipeline.n_cols() as usize
                || sorted.windows(2).any(|w| w[0] == w[1])
            {
                return Err(Error::Parameter(format!(
                    "a part of a concatenation has {} columns, and {} places were given, which must \
                     differ",
                    pipeline.n_cols(),
                    columns.len()
                )));
            }
        }
        let increasing = columns
            .as_ref()
            .is_none_or(|columns| columns.windows(2).all(|w| w[0] < w[1]));
        let blocks = blocks_left(source.grid(), CellSet::of_ops(ops).as_ref());
        Ok(Self {
            source,
            ops: pipeline,
            columns,
            increasing,
            blocks,
        })
    }

    /// One past the last column of the whole that the part can have entries in.
    fn width(&self) -> u32 {
        match &self.columns {
            None => self.ops.n_cols(),
            Some(columns) => columns.iter().max().map_or(0, |last| last + 1),
        }
    }

    fn keeps_all(&self) -> bool {
        self.ops.n_cols() == self.source.n_cols()
            && self.blocks.iter().map(|b| b.1).sum::<u64>() == self.source.n_rows()
    }
}

/// The blocks of `grid` in which a row is left after the selection of `cells` (`None`: all), and
/// the number of rows.
pub fn blocks_left(grid: &Grid, cells: Option<&CellSet>) -> Vec<(usize, u64)> {
    (0..grid.n_blocks())
        .map(|i| {
            let rows = grid.block(i);
            let left = match cells {
                None => rows.end - rows.start,
                Some(cells) => cells.within(rows).count() as u64,
            };
            (i, left)
        })
        .filter(|&(_, left)| left > 0)
        .collect()
}

/// The rows of several matrices one below the other, in a common set of columns.
///
/// Its blocks are the blocks of the parts, without those that a selection of cells has emptied.
/// The parts' ops run as blocks are read, and their values are not rounded: that happens once, on
/// leaving the engine.
pub struct ConcatSource {
    parts: Vec<ConcatPart>,
    n_cols: u32,
    grid: Grid,
    /// The part of each block, and its place in [`ConcatPart::blocks`].
    places: Vec<(usize, usize)>,
}

impl ConcatSource {
    /// Puts `parts` one below the other, in `n_cols` columns. There may be a single part (which
    /// reorders its columns) or none.
    ///
    /// # Errors
    /// [`Error::Parameter`] when a part has a column outside `n_cols`.
    pub fn new(parts: Vec<ConcatPart>, n_cols: u32) -> Result<Self> {
        if let Some(part) = parts.iter().find(|part| part.width() > n_cols) {
            return Err(Error::Parameter(format!(
                "a part of a concatenation has column {} of {n_cols}: {}",
                part.width() - 1,
                part.source.describe()
            )));
        }
        let (mut rows, mut places, mut end) = (vec![0], Vec::new(), 0);
        for (p, part) in parts.iter().enumerate() {
            for (b, (_, left)) in part.blocks.iter().enumerate() {
                end += left;
                rows.push(end);
                places.push((p, b));
            }
        }
        Ok(Self {
            parts,
            n_cols,
            grid: Grid::from_blocks(rows)?,
            places,
        })
    }

    /// The sources, each once.
    fn sources(&self) -> Vec<&Arc<dyn Source>> {
        let mut found: Vec<&Arc<dyn Source>> = Vec::new();
        for part in &self.parts {
            if !found.iter().any(|have| Arc::ptr_eq(have, &part.source)) {
                found.push(&part.source);
            }
        }
        found
    }
}

impl Source for ConcatSource {
    fn n_cols(&self) -> u32 {
        self.n_cols
    }

    fn nnz(&self) -> Option<u64> {
        self.parts
            .iter()
            .map(|part| part.source.nnz().filter(|_| part.keeps_all()))
            .sum()
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn open(&self, blocks: Range<usize>) -> Result<Box<dyn BlockReader + '_>> {
        if blocks.start > blocks.end || blocks.end > self.places.len() {
            return Err(Error::Parameter(format!(
                "blocks {}..{} were asked of {} blocks",
                blocks.start,
                blocks.end,
                self.places.len()
            )));
        }
        Ok(Box::new(Reader {
            source: self,
            blocks,
            inner: None,
            raw: Block::new(0),
            scratch: Scratch::default(),
            order: Vec::new(),
        }))
    }

    fn prefetch(&self, blocks: Range<usize>) {
        let mut rest = self.places.get(blocks).unwrap_or_default();
        while let Some(&(p, first)) = rest.first() {
            let n = rest.partition_point(|&(other, _)| other == p);
            let part = &self.parts[p];
            let last = rest[n - 1].1;
            part.source
                .prefetch(part.blocks[first].0..part.blocks[last].0 + 1);
            rest = &rest[n..];
        }
    }

    fn reader_bytes(&self) -> u64 {
        let bytes = |part: &ConcatPart| {
            let grid = part.source.grid();
            let rows = |&(block, _): &(usize, u64)| {
                let rows = grid.block(block);
                rows.end - rows.start
            };
            let rows = part.blocks.iter().map(rows).max().unwrap_or(0);
            let reader = part.source.reader_bytes();
            // An entry that a reader holds takes at least eight bytes.
            let entries = (reader / 8)
                .min(BLOCK_ENTRIES.max(u64::from(part.source.n_cols())))
                .min(rows.saturating_mul(part.source.n_cols().into()));
            let sorting = if part.increasing {
                0
            } else {
                u64::from(self.n_cols) * 12
            };
            // The source's block, what the ops make of it, and the block that is filled.
            reader + part.ops.bytes(entries, rows) + entries * 12 + rows * 8 + sorting
        };
        self.parts.iter().map(bytes).max().unwrap_or(0)
    }

    fn bytes_read(&self) -> u64 {
        self.sources()
            .iter()
            .map(|source| source.bytes_read())
            .sum()
    }

    fn describe(&self) -> String {
        let all: Vec<String> = self.sources().iter().map(|s| s.describe()).collect();
        match all.as_slice() {
            [one] => one.clone(),
            _ => format!(
                "{} matrices, one below the other: {}",
                self.parts.len(),
                all.join("; ")
            ),
        }
    }
}

struct Reader<'a> {
    source: &'a ConcatSource,
    blocks: Range<usize>,
    /// A reader of a part, the part, and the block of the part's source that comes next.
    inner: Option<(Box<dyn BlockReader + 'a>, usize, usize)>,
    raw: Block,
    scratch: Scratch,
    order: Vec<(u32, f64)>,
}

impl<'a> Reader<'a> {
    /// A reader that hands out block `index` of part `p` next.
    fn reader(&mut self, p: usize, index: usize) -> Result<Box<dyn BlockReader + 'a>> {
        match self.inner.take() {
            Some((reader, part, next)) if (part, next) == (p, index) => Ok(reader),
            _ => {
                // As far as the part's blocks follow each other inside what is to be read.
                let places =
                    &self.source.places[self.blocks.start.saturating_sub(1)..self.blocks.end];
                let part = &self.source.parts[p];
                let run = places
                    .iter()
                    .zip(index..)
                    .take_while(|&(&(q, b), want)| q == p && part.blocks[b].0 == want)
                    .count();
                part.source.open(index..index + run.max(1))
            }
        }
    }
}

impl BlockReader for Reader<'_> {
    fn next_block(&mut self, block: &mut Block) -> Result<bool> {
        let Some(next) = self.blocks.next() else {
            block.n_cols = self.source.n_cols;
            block.clear();
            return Ok(false);
        };
        let (p, b) = self.source.places[next];
        let part = &self.source.parts[p];
        let index = part.blocks[b].0;
        let mut reader = self.reader(p, index)?;
        if part.ops.is_identity() {
            reader.next_block(block)?;
        } else {
            reader.next_block(&mut self.raw)?;
            part.ops.apply(&self.raw, &mut self.scratch, block)?;
        }
        self.inner = Some((reader, p, index + 1));
        block.first_row = self.source.grid.block(next).start;
        block.n_cols = self.source.n_cols;
        if let Some(columns) = &part.columns {
            for column in &mut block.indices {
                *column = columns[*column as usize];
            }
            if !part.increasing {
                sort_rows(block, &mut self.order);
            }
        }
        Ok(true)
    }
}

fn sort_rows(block: &mut Block, order: &mut Vec<(u32, f64)>) {
    fn sort<T: Copy>(
        indptr: &[usize],
        indices: &mut [u32],
        values: &mut [T],
        order: &mut Vec<(u32, f64)>,
        wide: impl Fn(T) -> f64,
        narrow: impl Fn(f64) -> T,
    ) {
        for w in indptr.windows(2) {
            let (indices, values) = (&mut indices[w[0]..w[1]], &mut values[w[0]..w[1]]);
            order.clear();
            order.extend(indices.iter().zip(&*values).map(|(&j, &x)| (j, wide(x))));
            order.sort_unstable_by_key(|entry| entry.0);
            for (i, &(j, x)) in order.iter().enumerate() {
                (indices[i], values[i]) = (j, narrow(x));
            }
        }
    }
    let (indptr, indices) = (&block.indptr, &mut block.indices);
    match &mut block.values {
        Values::F32(v) => sort(indptr, indices, v, order, f64::from, |x| x as f32),
        Values::F64(v) => sort(indptr, indices, v, order, |x| x, |x| x),
    }
}
