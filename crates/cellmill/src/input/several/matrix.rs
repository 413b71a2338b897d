//! The counts of several files as one matrix.

use crate::Result;
use cellmill_engine::source::{ConcatPart, ConcatSource};
use cellmill_engine::{BlockReader, Grid, Op, Source};
use cellmill_io::{FileIdentity, FileMatrix, MatrixSpec, Repairs};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The counts of one file, and its column for each gene of the whole.
pub(super) struct Part {
    pub(super) matrix: Arc<dyn FileMatrix>,
    pub(super) columns: Option<Vec<Option<u32>>>,
}

/// The counts of several files, one below the other.
pub(super) struct Concat {
    source: ConcatSource,
    parts: Vec<Arc<dyn FileMatrix>>,
    path: PathBuf,
}

impl Concat {
    pub(super) fn new(parts: Vec<Part>, n_genes: u32, files: &[PathBuf]) -> Result<Self> {
        let mut made = Vec::new();
        let mut matrices = Vec::new();
        for Part { matrix, columns } in parts {
            let (mut ops, mut places) = (Vec::new(), None);
            if let Some(columns) = columns {
                let mut pairs: Vec<(u32, u32)> = (0u32..)
                    .zip(columns)
                    .filter_map(|(whole, own)| own.map(|own| (own, whole)))
                    .collect();
                pairs.sort_unstable();
                if pairs.len() < matrix.n_cols() as usize {
                    let genes = pairs.iter().map(|pair| pair.0).collect();
                    ops.push(Op::SelectGenes { genes });
                }
                places = Some(pairs.into_iter().map(|pair| pair.1).collect());
            }
            made.push(ConcatPart::new(matrix.clone(), &ops, places)?);
            matrices.push(matrix);
        }
        let names: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
        Ok(Self {
            source: ConcatSource::new(made, n_genes)?,
            parts: matrices,
            path: names.join(" + ").into(),
        })
    }
}

impl Source for Concat {
    fn n_cols(&self) -> u32 {
        self.source.n_cols()
    }

    fn nnz(&self) -> Option<u64> {
        self.source.nnz()
    }

    fn grid(&self) -> &Grid {
        self.source.grid()
    }

    fn open(&self, blocks: Range<usize>) -> cellmill_engine::Result<Box<dyn BlockReader + '_>> {
        self.source.open(blocks)
    }

    fn prefetch(&self, blocks: Range<usize>) {
        self.source.prefetch(blocks);
    }

    fn reader_bytes(&self) -> u64 {
        self.source.reader_bytes()
    }

    fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    fn describe(&self) -> String {
        format!(
            "{} ({} x {})",
            self.path.display(),
            self.n_rows(),
            self.n_cols()
        )
    }
}

impl FileMatrix for Concat {
    /// It names the files; there is no one file from which the whole could be opened again.
    fn spec(&self) -> MatrixSpec {
        MatrixSpec {
            file: FileIdentity {
                path: self.path.clone(),
                size: 0,
                mtime_ns: 0,
            },
            address: "X".to_owned(),
            table_hash: 0,
            block_rows: None,
        }
    }

    fn stored_dtype(&self) -> String {
        let mut dtypes = self.parts.iter().map(|p| p.stored_dtype());
        let first = dtypes.next().unwrap_or_default();
        if dtypes.all(|other| other == first) {
            first
        } else {
            "float64".to_owned()
        }
    }

    fn resident_bytes(&self) -> u64 {
        let genes = u64::from(self.n_cols()) * 8 * self.parts.len() as u64;
        self.parts.iter().map(|p| p.resident_bytes()).sum::<u64>() + genes
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// Blocks are those of the parts, which were cut when they were opened.
    fn set_grid_rows(&mut self, _block_rows: u64) {}

    fn repairs(&self) -> Repairs {
        let all = self.parts.iter().map(|p| p.repairs());
        all.fold(Repairs::default(), |sum, r| Repairs {
            rows_sorted: sum.rows_sorted + r.rows_sorted,
            duplicates_summed: sum.duplicates_summed + r.duplicates_summed,
        })
    }

    fn to_turn(&self) -> Option<u64> {
        self.parts
            .iter()
            .filter_map(|p| p.to_turn())
            .reduce(|a, b| a + b)
    }

    fn turn(&self) -> cellmill_engine::Result<()> {
        self.parts.iter().try_for_each(|p| p.turn())
    }
}
