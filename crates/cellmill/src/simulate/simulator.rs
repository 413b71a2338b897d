//! The simulator: a source of raw counts that are made when they are read.

use super::arith::{exp, ln};
use super::cohort::{Cell, Cohort};
use super::genes::Genes;
use super::params::SimulateParams;
use super::profile::{Factors, Profiles};
use super::random::{Purpose, Stream};
use super::types::CellTypes;
use cellmill_engine::grid::{BLOCK_ENTRIES, BLOCK_ROWS};
use cellmill_engine::{Block, BlockReader, Error, Grid, Result, Source, Values};
use std::ops::Range;

/// Cells that the depth is calibrated on.
const PILOTS: u64 = 160;
/// Depths above this are not tried: a cell would take a tenth of a second.
const MOST_DEPTH: f64 = 1e6;

/// A synthetic atlas: raw counts as a [`Source`], and its obs and var.
///
/// Equal parameters give equal bits, whatever the threads and the order in which blocks are read.
///
/// ```
/// use cellmill::simulate::{SimulateParams, Simulator};
/// use cellmill_engine::{Block, Source};
///
/// let params = SimulateParams { n_cells: 40, n_genes: 2000, entries_per_cell: 150.0, ..Default::default() };
/// let atlas = Simulator::new(params)?;
/// let mut reader = atlas.open(0..atlas.grid().n_blocks())?;
/// let mut block = Block::new(atlas.n_cols());
/// assert!(reader.next_block(&mut block)?);
/// assert_eq!(block.n_rows(), 40);
/// assert_eq!(atlas.obs().index.len(), 40);
/// # Ok::<(), cellmill_engine::Error>(())
/// ```
pub struct Simulator {
    params: SimulateParams,
    grid: Grid,
    pub(crate) types: CellTypes,
    pub(crate) cohort: Cohort,
    profiles: Profiles,
    /// Symbols of the genes, markers named.
    pub(crate) symbols: Vec<String>,
}

impl Simulator {
    /// Builds the tables: a second or so, and about 32 bytes for each gene of each type.
    ///
    /// # Errors
    /// [`Error::Parameter`], as [`SimulateParams::check`].
    pub fn new(params: SimulateParams) -> Result<Self> {
        params.check()?;
        let genes = Genes::new(params.n_genes as usize, params.seed);
        let types = CellTypes::new(params.types() as usize, params.rare_fraction, params.seed);
        let mut cohort = Cohort::new(&params, &types);
        let mut profiles = Profiles::new(
            &genes,
            &types,
            params.seed,
            cohort.n_batches,
            params.batch_effect,
            params.ambient_fraction,
        );
        cohort.base_depth = calibrate(&cohort, &profiles, params.entries_per_cell)?;
        profiles.prepare(cohort.base_depth);
        let rows = (BLOCK_ENTRIES as f64 / params.entries_per_cell) as u64;
        let grid = Grid::regular(params.n_cells, rows.clamp(1, BLOCK_ROWS));
        let mut symbols = genes.symbols;
        for &(gene, symbol) in &profiles.markers {
            symbols[gene] = symbol.to_owned();
        }
        Ok(Self {
            params,
            grid,
            types,
            cohort,
            profiles,
            symbols,
        })
    }

    /// The parameters.
    pub fn params(&self) -> &SimulateParams {
        &self.params
    }

    /// The tree of cell types, with the frequency of each over the whole atlas.
    pub fn types(&self) -> &CellTypes {
        &self.types
    }

    /// Expected molecules of an average cell, found so that cells have
    /// [`SimulateParams::entries_per_cell`] entries.
    pub fn depth(&self) -> f64 {
        self.cohort.base_depth
    }

    /// Heap bytes of the tables, which do not depend on the number of cells.
    pub fn bytes(&self) -> u64 {
        self.profiles.bytes()
    }

    /// No more entries than this come out of all blocks. Over many cells the mean is close to what
    /// was asked for, over a few it need not be.
    pub(crate) fn entries_at_most(&self) -> u64 {
        let n = self.params.n_cells;
        let expected = 1.25 * n as f64 * self.params.entries_per_cell;
        if n >= 100_000 {
            expected as u64
        } else {
            self.room(n)
        }
    }

    /// What cell `i` is.
    pub(crate) fn cell(&self, i: u64) -> Cell {
        self.cohort.cell(i)
    }

    /// Entries that a block of `rows` cells holds at most; blocks reserve it, and memory that is
    /// never touched costs nothing. Samples and types differ in depth by less than this factor.
    fn room(&self, rows: u64) -> u64 {
        let each = (2.5 * self.params.entries_per_cell).min(f64::from(self.params.n_genes));
        (rows as f64 * each) as u64 + u64::from(self.params.n_genes)
    }
}

/// The depth at which pilot cells have `entries` entries on average.
fn calibrate(cohort: &Cohort, profiles: &Profiles, entries: f64) -> Result<f64> {
    let mut pilots: Vec<Cell> = (0..PILOTS).map(|i| cohort.pilot(i, PILOTS)).collect();
    let relative: Vec<f64> = pilots.iter().map(|c| c.depth).collect();
    let mut factors = Factors::new();
    let mut mean_at = |depth: f64| {
        let mut sum = 0.0;
        for (cell, relative) in pilots.iter_mut().zip(&relative) {
            cell.depth = depth * relative;
            sum += profiles.expected_entries(cell, cohort.samples[cell.sample].batch, &mut factors);
        }
        sum / PILOTS as f64
    };
    // Entries rise with depth: enclose the depth, then false position on logarithms (Illinois),
    // which is nearly straight there.
    let mut off = |log_depth: f64| ln(mean_at(exp(log_depth)) / entries);
    let mut low = ln(entries) - 1.5;
    let mut off_low = off(low);
    while off_low > 0.0 {
        low -= 1.5;
        off_low = off(low);
    }
    let (mut high, mut off_high) = (low, off_low);
    while off_high < 0.0 {
        if high > ln(MOST_DEPTH) {
            return Err(Error::Parameter(format!(
                "entries_per_cell is {entries}, and with this number of genes no depth below \
                 {MOST_DEPTH} molecules a cell reaches that; give fewer entries or more genes"
            )));
        }
        (low, off_low) = (high, off_high);
        high += 1.5;
        off_high = off(high);
    }
    for _ in 0..60 {
        let middle = high - off_high * (high - low) / (off_high - off_low);
        let found = off(middle);
        if found.abs() < 2e-3 {
            return Ok(exp(middle));
        }
        if found * off_high < 0.0 {
            (low, off_low) = (high, off_high);
        } else {
            off_low *= 0.5;
        }
        (high, off_high) = (middle, found);
    }
    Ok(exp(high))
}

impl Source for Simulator {
    fn n_cols(&self) -> u32 {
        self.params.n_genes
    }

    fn nnz(&self) -> Option<u64> {
        None
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn open(&self, blocks: Range<usize>) -> Result<Box<dyn BlockReader + '_>> {
        Ok(Box::new(Reader {
            atlas: self,
            blocks,
            factors: Factors::new(),
        }))
    }

    fn reader_bytes(&self) -> u64 {
        let rows = if self.grid.n_blocks() == 0 {
            0
        } else {
            self.grid.block(0).end
        };
        self.room(rows) * 8 + (rows + 1) * 8 + size_of::<Reader>() as u64
    }

    fn describe(&self) -> String {
        format!(
            "synthetic atlas, seed {}, {} x {}, raw counts, about {} entries a cell",
            self.params.seed,
            self.params.n_cells,
            self.params.n_genes,
            self.params.entries_per_cell
        )
    }
}

/// Makes consecutive blocks.
struct Reader<'a> {
    atlas: &'a Simulator,
    blocks: Range<usize>,
    factors: Factors,
}

impl BlockReader for Reader<'_> {
    fn next_block(&mut self, block: &mut Block) -> Result<bool> {
        let atlas = self.atlas;
        block.n_cols = atlas.params.n_genes;
        block.indptr.clear();
        block.indptr.push(0);
        block.indices.clear();
        let mut values = match std::mem::replace(&mut block.values, Values::F32(Vec::new())) {
            Values::F32(mut v) => {
                v.clear();
                v
            }
            Values::F64(_) => Vec::new(),
        };
        let next = self.blocks.next();
        if let Some(number) = next {
            let rows = atlas.grid.block(number);
            block.first_row = rows.start;
            let room = atlas.room(rows.end - rows.start) as usize;
            block.indices.reserve_exact(room);
            values.reserve_exact(room);
            block.indptr.reserve_exact((rows.end - rows.start) as usize);
            for i in rows {
                let cell = atlas.cell(i);
                let batch = atlas.cohort.samples[cell.sample].batch;
                let mut random = Stream::new(atlas.params.seed, Purpose::Counts, i);
                atlas.profiles.draw(
                    &cell,
                    batch,
                    &mut self.factors,
                    &mut random,
                    |gene, count| {
                        block.indices.push(gene);
                        values.push(count as f32);
                    },
                );
                block.indptr.push(block.indices.len());
            }
        }
        block.values = Values::F32(values);
        Ok(next.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    fn atlas(n_cells: u64, n_genes: u32, entries_per_cell: f64) -> Simulator {
        Simulator::new(SimulateParams {
            n_cells,
            n_genes,
            entries_per_cell,
            seed: 11,
            ..Default::default()
        })
        .expect("valid parameters")
    }

    /// Rows of blocks `range`, read by one reader that reuses its block.
    fn rows(atlas: &Simulator, range: Range<usize>) -> Vec<Vec<(u32, u32)>> {
        let mut reader = atlas.open(range).expect("opens");
        let mut block = Block::new(0);
        let mut out = Vec::new();
        while reader.next_block(&mut block).expect("reads") {
            assert_eq!(
                block.first_row as usize % atlas.grid.block(0).end as usize,
                0
            );
            assert!(block.nnz() as u64 <= atlas.room(block.n_rows() as u64));
            assert!(block.bytes() <= atlas.reader_bytes());
            for r in 0..block.n_rows() {
                let row: Vec<(u32, u32)> = block
                    .row(r)
                    .map(|e| (block.indices[e], block.values.get(e) as u32))
                    .collect();
                assert!(row.windows(2).all(|w| w[0].0 < w[1].0), "genes rise");
                assert!(row.iter().all(|e| e.0 < atlas.n_cols() && e.1 > 0));
                out.push(row);
            }
        }
        assert_eq!(block.n_rows(), 0);
        out
    }

    #[test]
    fn counts_follow_the_law_of_each_cell_and_gene() {
        // Standardised sums over all cells and genes of what a negative binomial has: its mean,
        // its variance, its zeros. Summed by size of the mean, so that each regime is seen.
        let atlas = atlas(600, 3000, 400.0);
        let counts = rows(&atlas, 0..atlas.grid.n_blocks());
        let mut factors = Factors::new();
        // For each power of 4 of the mean: sum of x - m, of var, of (x-m)^2 - var, its own
        // variance, zeros, expected zeros, variance of zeros.
        let mut bins = vec![[0.0f64; 8]; 12];
        for (i, row) in counts.iter().enumerate() {
            let cell = atlas.cell(i as u64);
            let mut entries = row.iter().peekable();
            let mut gene = 0u32;
            let batch = atlas.cohort.samples[cell.sample].batch;
            atlas.profiles.law(&cell, batch, &mut factors, |m, phi| {
                let x = match entries.next_if(|e| e.0 == gene) {
                    Some(e) => f64::from(e.1),
                    None => 0.0,
                };
                gene += 1;
                let var = m + phi * m * m;
                // Fourth central moment of a negative binomial with size 1/phi.
                let fourth = 3.0 * var * var * (1.0 + 2.0 * phi)
                    + var * (1.0 + 6.0 * m * phi * (1.0 + m * phi));
                let zero = f64::powf(1.0 + phi * m, -1.0 / phi);
                let bin = ((m.log2() / 2.0 + 8.0).floor().max(0.0) as usize).min(11);
                let b = &mut bins[bin];
                b[0] += x - m;
                b[1] += var;
                b[2] += (x - m) * (x - m) - var;
                b[3] += fourth - var * var;
                b[4] += f64::from(u8::from(x == 0.0)) - zero;
                b[5] += zero * (1.0 - zero);
                b[6] += 1.0;
                b[7] += m;
            });
            assert_eq!(gene, 3000);
            assert!(entries.next().is_none());
        }
        for (k, b) in bins.iter().enumerate() {
            if b[7] < 50.0 {
                continue;
            }
            let (mean, var, zero) = (b[0] / b[1].sqrt(), b[2] / b[3].sqrt(), b[4] / b[5].sqrt());
            assert!(
                mean.abs() < 4.5,
                "bin {k} ({} pairs): mean off by {mean} sd",
                b[6]
            );
            assert!(
                var.abs() < 5.0,
                "bin {k} ({} pairs): variance off by {var} sd",
                b[6]
            );
            assert!(
                zero.abs() < 4.5,
                "bin {k} ({} pairs): zeros off by {zero} sd",
                b[6]
            );
        }
        assert!(
            bins.iter().filter(|b| b[7] >= 50.0).count() >= 5,
            "the test sees large and small means"
        );
    }

    #[test]
    fn entries_per_cell_are_as_asked() {
        for (genes, entries) in [
            (27_714, 1000.0),
            (5000, 300.0),
            (2000, 600.0),
            (27_714, 30.0),
        ] {
            let atlas = atlas(1500, genes, entries);
            let counts = rows(&atlas, 0..atlas.grid.n_blocks());
            let mean = counts.iter().map(Vec::len).sum::<usize>() as f64 / 1500.0;
            assert!(
                (mean / entries - 1.0).abs() < 0.1,
                "{genes} genes: {mean} entries, {entries} wanted"
            );
        }
    }

    #[test]
    fn the_same_bits_in_any_order_on_any_number_of_threads() {
        let mut atlas = atlas(230, 2000, 100.0);
        atlas.grid = Grid::regular(230, 7);
        let blocks = atlas.grid.n_blocks();
        let whole = rows(&atlas, 0..blocks);
        assert_eq!(whole.len(), 230);
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a pool");
            let parts: Vec<_> = pool.install(|| {
                (0..blocks)
                    .into_par_iter()
                    .rev()
                    .map(|b| rows(&atlas, b..b + 1))
                    .collect()
            });
            let joined: Vec<_> = parts.into_iter().rev().flatten().collect();
            assert!(joined == whole, "{threads} threads");
        }
        let again = self::atlas(230, 2000, 100.0);
        assert!(
            rows(&again, 0..1) == whole,
            "another grid, another simulator"
        );
        let other = Simulator::new(SimulateParams {
            seed: 12,
            ..again.params.clone()
        })
        .expect("valid");
        assert!(rows(&other, 0..1) != whole, "another seed");
    }

    #[test]
    fn small_ones() {
        for (cells, genes, entries) in [
            (1, 50, 8.0),
            (7, 50, 4.0),
            (7, 10, 1.0),
            (1, 27_714, 1000.0),
        ] {
            let atlas = atlas(cells, genes, entries);
            assert_eq!((atlas.n_rows(), atlas.n_cols()), (cells, genes));
            assert_eq!(rows(&atlas, 0..atlas.grid.n_blocks()).len(), cells as usize);
            let (obs, var) = (atlas.obs(), atlas.var());
            assert_eq!(
                (obs.index.len(), var.index.len()),
                (cells as usize, genes as usize)
            );
        }
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let refused = Simulator::new(SimulateParams {
            n_genes: 50,
            ..Default::default()
        });
        assert!(
            matches!(refused.err(), Some(Error::Parameter(text)) if text.contains("entries_per_cell is 1000"))
        );
    }
}
