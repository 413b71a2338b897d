//! The real cells, compact in memory.

use cellmill_engine::{Block, Context, Error, Result, Sink, Source, run_stage};
use std::sync::{Mutex, PoisonError};

/// Counts from here on stand in a list of their own.
const LARGE: u32 = 255;

/// All real cells: 4 bytes an entry, gene in the upper 24 bits and count in the lower 8.
#[derive(Default)]
pub(super) struct Parents {
    pub(super) n_genes: u32,
    /// Molecules of each cell.
    pub(super) totals: Vec<u64>,
    indptr: Vec<u64>,
    entries: Vec<u32>,
    /// Entry and count, where it is [`LARGE`] or more.
    large: Vec<(u64, u32)>,
    /// Near cells of each cell, the same number for each.
    pub(super) neighbours: Vec<u32>,
}

/// Whether a value is a count that this can hold.
pub(super) fn is_count(v: f64) -> bool {
    v >= 0.0 && v <= f64::from(1 << 24) && v.fract() == 0.0
}

impl Parents {
    /// Heap bytes for this many cells and entries, the search for neighbours included.
    pub(super) fn bytes(rows: u64, entries: u64, genes: u32, neighbours: usize) -> u64 {
        let sketch = super::neighbours::BYTES_PER_CELL + 4 * neighbours as u64;
        // A tenth of the entries may be large before this is too little; deep data has a hundredth.
        entries * 4 + entries / 10 * 16 + rows * (16 + sketch) + u64::from(genes) * 48
    }

    /// Reads all cells of a source.
    pub(super) fn read(
        ctx: &Context,
        source: &dyn Source,
        path: &str,
        address: &str,
    ) -> Result<Self> {
        let n_rows = source.n_rows();
        if n_rows == 0 || n_rows > u64::from(u32::MAX) || source.n_cols() > 1 << 24 {
            return Err(Error::Data(format!(
                "{path}: {address} is {n_rows} x {}; to draw from it takes 1 to 4,294,967,295 cells \
                 and at most 16,777,216 genes",
                source.n_cols()
            )));
        }
        let start = Self {
            n_genes: source.n_cols(),
            indptr: vec![0],
            ..Self::default()
        };
        let sink = Collect {
            parents: Mutex::new(start),
            path,
            address,
        };
        run_stage(ctx, "read cells", source, &[], &(), &sink)?;
        Ok(sink
            .parents
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn len(&self) -> usize {
        self.totals.len()
    }

    pub(super) fn n_entries(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The most entries that a cell has.
    pub(super) fn most_entries(&self) -> u64 {
        self.indptr
            .windows(2)
            .map(|w| w[1] - w[0])
            .max()
            .unwrap_or(0)
    }

    /// Gene and count of each entry of a cell, genes rising.
    pub(super) fn row(&self, cell: usize) -> impl Iterator<Item = (u32, u32)> {
        let (from, to) = (self.indptr[cell], self.indptr[cell + 1]);
        (from..to).map(|e| {
            let entry = self.entries[e as usize];
            let count = entry & 0xff;
            if count < LARGE {
                return (entry >> 8, count);
            }
            let at = self.large.partition_point(|l| l.0 < e);
            (entry >> 8, self.large.get(at).map_or(LARGE, |l| l.1))
        })
    }

    /// Near cells of a cell; at least itself.
    pub(super) fn neighbours_of(&self, cell: usize) -> &[u32] {
        let each = self.neighbours.len() / self.len();
        &self.neighbours[cell * each..(cell + 1) * each]
    }

    fn push(&mut self, block: &Block, path: &str, address: &str) -> Result<()> {
        for r in 0..block.n_rows() {
            let mut total = 0u64;
            for e in block.row(r) {
                let value = block.values.get(e);
                if !is_count(value) {
                    return Err(Error::Data(format!(
                        "{path}: {address}, row {}, gene {}: raw counts were expected and it holds {value}; \
                         name the matrix with counts",
                        block.first_row + r as u64,
                        block.indices[e]
                    )));
                }
                let count = value as u32;
                if count == 0 {
                    continue;
                }
                if count >= LARGE {
                    self.large.push((self.entries.len() as u64, count));
                }
                self.entries.push(block.indices[e] << 8 | count.min(LARGE));
                total += u64::from(count);
            }
            self.indptr.push(self.entries.len() as u64);
            self.totals.push(total);
        }
        Ok(())
    }
}

/// Collects the blocks of a stage.
struct Collect<'a> {
    parents: Mutex<Parents>,
    path: &'a str,
    address: &'a str,
}

impl Sink for Collect<'_> {
    type Part = Parents;

    fn start(&self, _span: usize) -> Parents {
        Parents {
            indptr: vec![0],
            ..Parents::default()
        }
    }

    fn push(&self, part: &mut Parents, block: &Block) -> Result<()> {
        part.push(block, self.path, self.address)
    }

    fn accept(&self, part: Parents) -> Result<()> {
        let mut all = self.parents.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.entries.len() as u64;
        all.large
            .extend(part.large.iter().map(|l| (l.0 + before, l.1)));
        all.indptr
            .extend(part.indptr[1..].iter().map(|p| p + before));
        all.entries.extend_from_slice(&part.entries);
        all.totals.extend_from_slice(&part.totals);
        Ok(())
    }

    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
        span_entries * 8 + span_entries / 10 * 16 + span_rows * 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellmill_engine::Values;

    #[test]
    fn rows_come_back_with_small_and_large_counts() {
        let block = Block {
            first_row: 0,
            n_cols: 5,
            indptr: vec![0, 3, 3, 5],
            indices: vec![0, 2, 4, 1, 3],
            values: Values::F32(vec![1.0, 254.0, 255.0, 0.0, 70_000.0]),
        };
        let sink = Collect {
            parents: Mutex::new(Parents {
                indptr: vec![0],
                ..Parents::default()
            }),
            path: "f",
            address: "X",
        };
        for _ in 0..2 {
            let mut part = sink.start(0);
            sink.push(&mut part, &block).expect("counts");
            sink.accept(part).expect("room");
        }
        let parents = sink.parents.into_inner().expect("not poisoned");
        for again in [0, 3] {
            assert_eq!(
                parents.row(again).collect::<Vec<_>>(),
                [(0, 1), (2, 254), (4, 255)]
            );
            assert_eq!(parents.row(again + 1).count(), 0);
            assert_eq!(
                parents.row(again + 2).collect::<Vec<_>>(),
                [(3, 70_000)],
                "a zero is no molecule"
            );
            assert_eq!(parents.totals[again..again + 3], [510, 0, 70_000]);
        }
    }

    #[test]
    fn what_is_no_count_is_refused_with_its_place() {
        let block = Block {
            first_row: 7,
            n_cols: 2,
            indptr: vec![0, 0, 1],
            indices: vec![1],
            values: Values::F32(vec![0.5]),
        };
        let error = Parents::default()
            .push(&block, "a.h5ad", "X")
            .expect_err("half a molecule");
        assert!(
            error.to_string().contains("a.h5ad: X, row 8, gene 1"),
            "{error}"
        );
    }
}
