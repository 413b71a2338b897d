//! Draws from real cells: a cell and a near neighbour, thinned and added.

mod neighbours;
mod parents;

use super::arith::exp;
use super::params::{SimulateFrom, SimulateParams};
use super::random::{Purpose, Stream};
use super::tables::sample_barcode;
use cellmill_engine::grid::{BLOCK_ENTRIES, BLOCK_ROWS};
use cellmill_engine::{
    Block, BlockReader, Context, Error, Grid, Reservation, Result, Source, Values,
};
use cellmill_io::{ArrayData, Categorical, Column, DataFrame, H5ad};
use parents::Parents;
use std::ops::Range;

/// Near neighbours of each real cell that a drawn one can be mixed with.
const NEIGHBOURS: usize = 5;

/// An atlas drawn from real cells: raw counts as a [`Source`], and its obs and var.
///
/// A cell takes a real one and one of its nearest five (of the same label, if one was named; near
/// in a quick PCA of the most variable log-normalised genes), keeps each molecule of
/// the first with a probability a, of the second with b, and adds them up. A thinned negative
/// binomial is one of the same dispersion, so the noise is that of real cells; a + b, and with it
/// the depth, varies log-normally about the first cell's. Real cells are drawn with equal chance.
pub struct Resampler {
    parents: Parents,
    grid: Grid,
    seed: u64,
    n_cells: u64,
    obs: DataFrame,
    var: DataFrame,
    describe: String,
    _held: Reservation,
}

/// How one cell is drawn.
struct Recipe {
    first: usize,
    second: usize,
    keep_first: f64,
    keep_second: f64,
}

impl Resampler {
    /// Reads the real cells, which stay in memory at 4 bytes an entry, and finds their neighbours.
    ///
    /// Of `params`, `n_cells` and `seed` count (and how the file is written); genes, depth and
    /// types are the real cells'.
    ///
    /// # Errors
    /// Where the file or the matrix cannot be read, or holds no raw counts; [`Error::Budget`];
    /// [`Error::Parameter`] where the label is no column of obs.
    pub fn new(ctx: &Context, from: &SimulateFrom, params: &SimulateParams) -> Result<Self> {
        // Genes and depth are the parents', so only the rest of the parameters is checked.
        SimulateParams {
            n_genes: 27_714,
            entries_per_cell: 1000.0,
            n_types: None,
            ..params.clone()
        }
        .check()?;
        let file = H5ad::open(&from.path).map_err(Error::outside)?;
        let address = match &from.matrix {
            Some(address) => address.clone(),
            None => find_counts(&file)?,
        };
        let obs = file.read_dataframe("obs", None).map_err(Error::outside)?;
        let table = if address.starts_with("raw/") {
            "raw/var"
        } else {
            "var"
        };
        let var = file.read_dataframe(table, None).map_err(Error::outside)?;
        let source = file.csr_source(&address).map_err(Error::outside)?;
        let labels = from
            .label
            .as_deref()
            .map(|label| label_codes(&obs, label, &file))
            .transpose()?;
        if obs.index.len() as u64 != source.n_rows()
            || var.index.len() as u64 != u64::from(source.n_cols())
        {
            return Err(Error::Data(format!(
                "{}: obs has {} rows and {table} {}, and {address} is {} x {}",
                file.path().display(),
                obs.index.len(),
                var.index.len(),
                source.n_rows(),
                source.n_cols()
            )));
        }
        let held = ctx.budget().reserve(
            Parents::bytes(
                source.n_rows(),
                source.nnz().unwrap_or(0),
                source.n_cols(),
                NEIGHBOURS,
            ),
            "the real cells to draw from",
        )?;
        let mut parents =
            Parents::read(ctx, &source, &file.path().display().to_string(), &address)?;
        parents.neighbours =
            neighbours::find(ctx, &parents, labels.as_deref(), NEIGHBOURS, params.seed)?;
        let mean = (parents.n_entries() as f64 / parents.len() as f64).max(1.0);
        let rows = (BLOCK_ENTRIES as f64 / (1.3 * mean)) as u64;
        let describe = format!(
            "{} x {} cells drawn from {} of {}, {address}, seed {}",
            params.n_cells,
            source.n_cols(),
            parents.len(),
            file.path().display(),
            params.seed
        );
        Ok(Self {
            grid: Grid::regular(params.n_cells, rows.clamp(1, BLOCK_ROWS)),
            seed: params.seed,
            n_cells: params.n_cells,
            parents,
            obs,
            var,
            describe,
            _held: held,
        })
    }

    /// No more entries than this come out of all blocks: a cell has at most the genes of two.
    pub(crate) fn entries_at_most(&self) -> u64 {
        let each = (2 * self.parents.most_entries()).min(u64::from(self.parents.n_genes));
        let mean = self.parents.n_entries() as f64 / self.parents.len() as f64;
        // Over many cells, twice the mean is more than they reach.
        let most = self.n_cells.saturating_mul(each);
        if self.n_cells < 100_000 {
            most
        } else {
            most.min((2.0 * mean * self.n_cells as f64) as u64)
        }
    }

    fn recipe(&self, i: u64) -> Recipe {
        let mut random = Stream::new(self.seed, Purpose::Cell, i);
        let first = random.below(self.parents.len());
        let near = self.parents.neighbours_of(first);
        let second = near[random.below(near.len())] as usize;
        let weight = 0.5 + 0.5 * random.unit();
        let depth = exp(0.25 * random.normal_within(2.5));
        let (n_first, n_second) = (self.parents.totals[first], self.parents.totals[second]);
        let keep_first = (weight * depth).min(1.0);
        let keep_second = if n_second > 0 {
            ((1.0 - weight) * depth * n_first as f64 / n_second as f64).min(1.0)
        } else {
            0.0
        };
        Recipe {
            first,
            second,
            keep_first,
            keep_second,
        }
    }

    /// One row a cell: a barcode as index; the parent's categorical, string and boolean columns;
    /// `parent` and `parent_neighbour` (rows of the real file), `parent_share` (of the kept
    /// molecules, expected, from the parent).
    pub fn obs(&self) -> DataFrame {
        let n = self.n_cells as usize;
        let recipes: Vec<Recipe> = (0..self.n_cells).map(|i| self.recipe(i)).collect();
        let first: Vec<usize> = recipes.iter().map(|r| r.first).collect();
        let mut columns: Vec<(String, Column)> = self
            .obs
            .columns
            .iter()
            .filter_map(|(name, column)| Some((name.clone(), carried(column, &first)?)))
            .collect();
        let share = |r: &Recipe| {
            let a = r.keep_first * self.parents.totals[r.first] as f64;
            let b = r.keep_second * self.parents.totals[r.second] as f64;
            if a + b > 0.0 {
                (a / (a + b)) as f32
            } else {
                1.0
            }
        };
        for (name, data) in [
            (
                "parent",
                ArrayData::I64(recipes.iter().map(|r| r.first as i64).collect()),
            ),
            (
                "parent_neighbour",
                ArrayData::I64(recipes.iter().map(|r| r.second as i64).collect()),
            ),
            (
                "parent_share",
                ArrayData::F32(recipes.iter().map(share).collect()),
            ),
        ] {
            columns.retain(|c| c.0 != name);
            columns.push((name.to_owned(), Column::Plain(data)));
        }
        let mut index = Vec::with_capacity(n);
        index.extend((0..self.n_cells).map(|i| sample_barcode(self.seed, 0, i)));
        DataFrame {
            index_name: "_index".to_owned(),
            index,
            columns,
        }
    }

    /// The real file's own, as it is.
    pub fn var(&self) -> DataFrame {
        self.var.clone()
    }

    /// Heap bytes that [`Resampler::obs`] holds, about.
    pub fn annotation_bytes(&self) -> u64 {
        self.n_cells * (24 + 32 + 2 * 8 + 4 + 32 + 8 * self.obs.columns.len() as u64)
    }
}

/// The rows `at` of a column that says what a cell is; none for numbers, which are the parent's
/// own measurements (its counts, its scores) and not the drawn cell's.
fn carried(column: &Column, at: &[usize]) -> Option<Column> {
    match column {
        Column::Categorical(c) => Some(Column::Categorical(Categorical {
            codes: at.iter().map(|&i| c.codes[i]).collect(),
            categories: c.categories.clone(),
            ordered: c.ordered,
        })),
        Column::Plain(ArrayData::Str(v)) => Some(Column::Plain(ArrayData::Str(
            at.iter().map(|&i| v[i].clone()).collect(),
        ))),
        Column::Plain(ArrayData::Bool(v)) => Some(Column::Plain(ArrayData::Bool(
            at.iter().map(|&i| v[i]).collect(),
        ))),
        Column::Plain(_) | Column::Nullable { .. } => None,
    }
}

/// Where the raw counts are: the first CSR matrix whose first cells are counts.
fn find_counts(file: &H5ad) -> Result<String> {
    let mut seen = Vec::new();
    for address in ["raw/X", "layers/counts", "X"] {
        if !file.exists(address) {
            continue;
        }
        match file.csr_source(address) {
            Err(error) => seen.push(error.to_string()),
            Ok(source) => {
                let mut block = Block::new(source.n_cols());
                if source.grid().n_blocks() > 0 {
                    source.open(0..1)?.next_block(&mut block)?;
                }
                let wrong = (0..block.nnz())
                    .map(|e| block.values.get(e))
                    .find(|&v| !parents::is_count(v));
                match wrong {
                    None => return Ok(address.to_owned()),
                    Some(v) => seen.push(format!("{address} holds {v}")),
                }
            }
        }
    }
    Err(Error::Data(format!(
        "{}: no raw counts found in raw/X, layers/counts or X ({}); name the matrix",
        file.path().display(),
        if seen.is_empty() {
            "none of them is there".to_owned()
        } else {
            seen.join("; ")
        }
    )))
}

/// The codes of a label, the same for equal values.
fn label_codes(obs: &DataFrame, label: &str, file: &H5ad) -> Result<Vec<i32>> {
    let found = obs.columns.iter().find(|c| c.0 == label);
    match found {
        Some((_, Column::Categorical(c))) => Ok(c.codes.clone()),
        Some((_, Column::Plain(ArrayData::Str(values)))) => {
            let mut names = std::collections::BTreeMap::new();
            for v in values {
                let next = names.len() as i32;
                names.entry(v).or_insert(next);
            }
            Ok(values.iter().map(|v| names[v]).collect())
        }
        Some(_) => Err(Error::Parameter(format!(
            "{}: obs column {label} is not categorical, so it cannot say which cells are alike",
            file.path().display()
        ))),
        None => {
            let names: Vec<&str> = obs.columns.iter().map(|c| c.0.as_str()).collect();
            Err(Error::Parameter(format!(
                "{}: obs has no column {label}; it has {}",
                file.path().display(),
                names.join(", ")
            )))
        }
    }
}

impl Source for Resampler {
    fn n_cols(&self) -> u32 {
        self.parents.n_genes
    }

    fn nnz(&self) -> Option<u64> {
        None
    }

    fn grid(&self) -> &Grid {
        &self.grid
    }

    fn open(&self, blocks: Range<usize>) -> Result<Box<dyn BlockReader + '_>> {
        Ok(Box::new(Reader { from: self, blocks }))
    }

    fn reader_bytes(&self) -> u64 {
        let rows = if self.grid.n_blocks() == 0 {
            0
        } else {
            self.grid.block(0).end
        };
        // A cell has at most the genes of two; vectors grow by doubling.
        let each = (2 * self.parents.most_entries()).min(u64::from(self.parents.n_genes));
        rows * each * 8 * 2 + (rows + 1) * 16
    }

    fn describe(&self) -> String {
        self.describe.clone()
    }
}

struct Reader<'a> {
    from: &'a Resampler,
    blocks: Range<usize>,
}

impl BlockReader for Reader<'_> {
    fn next_block(&mut self, block: &mut Block) -> Result<bool> {
        let from = self.from;
        block.n_cols = from.parents.n_genes;
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
            let rows = from.grid.block(number);
            block.first_row = rows.start;
            for i in rows {
                let recipe = from.recipe(i);
                let mut random = Stream::new(from.seed, Purpose::Counts, i);
                let (a, b) = (
                    Thinning::new(recipe.keep_first),
                    Thinning::new(recipe.keep_second),
                );
                let mut left = from.parents.row(recipe.first).peekable();
                let mut right = from.parents.row(recipe.second).peekable();
                loop {
                    let gene = match (left.peek(), right.peek()) {
                        (None, None) => break,
                        (Some(l), None) => l.0,
                        (None, Some(r)) => r.0,
                        (Some(l), Some(r)) => l.0.min(r.0),
                    };
                    let mut count = 0;
                    if let Some((_, c)) = left.next_if(|e| e.0 == gene) {
                        count += a.keep(c, &mut random);
                    }
                    // A cell that is its own neighbour gives each molecule once.
                    if let Some((_, c)) = right.next_if(|e| e.0 == gene)
                        && recipe.first != recipe.second
                    {
                        count += b.keep(c, &mut random);
                    }
                    if count > 0 {
                        block.indices.push(gene);
                        values.push(count as f32);
                    }
                }
                block.indptr.push(block.indices.len());
            }
        }
        block.values = Values::F32(values);
        Ok(next.is_some())
    }
}

/// Keeps each of some molecules with one probability, to a 65,536th.
struct Thinning(u32);

impl Thinning {
    fn new(probability: f64) -> Self {
        Self((probability * 65_536.0 + 0.5) as u32)
    }

    fn keep(&self, count: u32, random: &mut Stream) -> u32 {
        let mut kept = 0;
        let mut left = count;
        while left > 0 {
            let mut bits = random.bits();
            for _ in 0..left.min(4) {
                kept += u32::from(((bits & 0xffff) as u32) < self.0);
                bits >>= 16;
            }
            left -= left.min(4);
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_is_binomial() {
        let mut random = Stream::new(1, Purpose::Counts, 0);
        for (p, count) in [(0.0, 5), (1.0, 9), (0.3, 1), (0.7, 50)] {
            let thinning = Thinning::new(p);
            let n = 20_000;
            let sum: u64 = (0..n)
                .map(|_| u64::from(thinning.keep(count, &mut random)))
                .sum();
            let (mean, expected) = (sum as f64 / f64::from(n), p * f64::from(count));
            let error = (f64::from(count) * p * (1.0 - p) / f64::from(n)).sqrt();
            assert!(
                (mean - expected).abs() <= 5.0 * error + 1e-12,
                "p {p}, {count}: {mean}"
            );
        }
    }

    #[test]
    fn numbers_of_the_parent_are_not_carried() {
        let text = Column::Plain(ArrayData::Str(vec!["a".into(), "b".into()]));
        assert_eq!(
            carried(&text, &[1, 1, 0]),
            Some(Column::Plain(ArrayData::Str(vec![
                "b".into(),
                "b".into(),
                "a".into()
            ])))
        );
        assert_eq!(
            carried(&Column::Plain(ArrayData::F64(vec![1.0, 2.0])), &[0]),
            None
        );
    }

    /// pbmc3k, where the real data is.
    fn pbmc3k() -> Option<std::path::PathBuf> {
        let folder = std::env::var_os("CELLMILL_TEST_DATA").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
            std::path::PathBuf::from,
        );
        let path = folder.join("human_pbmc/pbmc3k_raw_csr.h5ad");
        path.exists().then_some(path)
    }

    fn blocks(from: &Resampler, range: Range<usize>) -> Vec<Block> {
        let mut reader = from.open(range).expect("opens");
        let mut out = Vec::new();
        loop {
            let mut block = Block::new(0);
            if !reader.next_block(&mut block).expect("reads") {
                return out;
            }
            out.push(block);
        }
    }

    #[test]
    fn cells_drawn_from_pbmc3k_look_like_it() {
        let Some(path) = pbmc3k() else {
            println!("skipped: cells_drawn_from_pbmc3k_look_like_it, no pbmc3k_raw_csr.h5ad");
            return;
        };
        let ctx = Context::quiet(2).expect("a pool");
        let params = SimulateParams {
            n_cells: 6000,
            seed: 3,
            ..Default::default()
        };
        let mut from = SimulateFrom {
            path,
            matrix: None,
            label: None,
        };
        let plain = Resampler::new(&ctx, &from, &params).expect("pbmc3k");
        let whole = blocks(&plain, 0..plain.grid.n_blocks());
        assert_eq!(whole.iter().map(Block::n_rows).sum::<usize>(), 6000);
        for b in (0..plain.grid.n_blocks()).rev() {
            assert!(
                blocks(&plain, b..b + 1)[0] == whole[b],
                "block {b} by itself"
            );
        }
        let mut genes = vec![0.0f64; 32_738];
        let mut total = 0.0;
        for block in &whole {
            for e in 0..block.nnz() {
                genes[block.indices[e] as usize] += block.values.get(e);
                total += block.values.get(e);
            }
        }
        let real: u64 = plain.parents.totals.iter().sum();
        let depth = (total / 6000.0) / (real as f64 / 2700.0);
        assert!(
            (0.8..1.1).contains(&depth),
            "drawn cells are {depth} times as deep"
        );
        // MALAT1 and the like: the most abundant gene's share is the real one.
        let mut real_genes = vec![0.0f64; 32_738];
        for cell in 0..2700 {
            plain
                .parents
                .row(cell)
                .for_each(|(g, c)| real_genes[g as usize] += f64::from(c));
        }
        let top = (0..32_738)
            .max_by(|&a, &b| real_genes[a].total_cmp(&real_genes[b]))
            .expect("genes");
        let ratio = genes[top] / total / (real_genes[top] / real as f64);
        assert!(
            (0.95..1.05).contains(&ratio),
            "the top gene's share is {ratio} of the real one"
        );

        from.label = Some("cell_type".to_owned());
        let labelled = Resampler::new(&ctx, &from, &params).expect("pbmc3k");
        let kinds = label_codes(
            &labelled.obs,
            "cell_type",
            &H5ad::open(&from.path).expect("opens"),
        )
        .expect("a label");
        let same = |r: &Resampler| {
            let all = (0..2700).flat_map(|c| {
                r.parents
                    .neighbours_of(c)
                    .iter()
                    .map(move |&o| (c, o as usize))
            });
            let (same, n) = all.fold((0, 0), |(s, n), (a, b)| {
                (s + usize::from(kinds[a] == kinds[b]), n + 1)
            });
            same as f64 / f64::from(n)
        };
        assert_eq!(same(&labelled), 1.0, "neighbours share the label");
        assert!(
            same(&plain) > 0.6,
            "without a label {} of the neighbours are of the same type",
            same(&plain)
        );
        let obs = labelled.obs();
        assert_eq!(obs.index.len(), 6000);
        let names: Vec<&str> = obs.columns.iter().map(|c| c.0.as_str()).collect();
        assert!(
            names.contains(&"cell_type") && names.contains(&"parent"),
            "{names:?}"
        );

        from.label = Some("kind".to_owned());
        let wrong = Resampler::new(&ctx, &from, &params)
            .err()
            .expect("no such column")
            .to_string();
        assert!(
            wrong.contains("obs has no column kind; it has cell_type"),
            "{wrong}"
        );
        let poor = Context::new(
            1,
            cellmill_engine::Budget::new(1 << 20),
            std::sync::Arc::new(()),
            std::env::temp_dir(),
        );
        from.label = None;
        let refused = Resampler::new(&poor.expect("a pool"), &from, &params);
        assert!(matches!(refused.err(), Some(Error::Budget { .. })));
    }
}
