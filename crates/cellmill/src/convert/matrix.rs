//! Matrices, streamed into the layout that is asked for.

use super::{Form, Kept, Work};
use crate::Result;
use cellmill_engine::op::CellSet;
use cellmill_engine::source::Selected;
use cellmill_engine::{Op, Sink, Source, run_stage};
use cellmill_io::{
    CsrSinkOptions, DenseSinkOptions, FileMatrix, MatrixInfo, SinkDtype, TurnedSource,
};
use std::sync::Arc;

/// How a matrix lies in the file that is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// Sparse, cell by cell.
    #[default]
    Csr,
    /// Sparse, gene by gene.
    Csc,
    /// Every value, zeros as well.
    Dense,
}

impl Layout {
    /// The encoding, in the words of [`MatrixInfo`].
    fn encoding(self) -> &'static str {
        match self {
            Self::Csr => "csr",
            Self::Csc => "csc",
            Self::Dense => "dense",
        }
    }
}

impl Kept {
    fn cells(&self) -> Option<Op> {
        self.mask().map(|mask| Op::SelectCells {
            cells: CellSet::from_mask(&mask),
        })
    }

    fn columns(&self) -> Option<Op> {
        let genes = self.rows.clone()?;
        Some(Op::SelectGenes { genes })
    }
}

impl Work<'_> {
    /// A matrix, of which these rows and columns stay.
    pub(super) fn matrix(
        &mut self,
        info: &MatrixInfo,
        layout: Layout,
        rows: &Kept,
        columns: &Kept,
    ) -> Result<()> {
        let address = info.address.as_str();
        let fits = info.encoding == "dense"
            || info.indices_dtype == info.indptr_dtype
                && ["int32", "int64"].contains(&info.indices_dtype.as_str());
        let whole = rows.rows.is_none() && columns.rows.is_none();
        let same = info.encoding == layout.encoding();
        if whole && !self.anew() && fits && same && self.file.copies_chunks() {
            return Ok(self.writer.copy_from(self.file, address, address)?);
        }
        let source = self.file.source(address, None)?;
        let _held = self
            .ctx
            .budget()
            .reserve(source.resident_bytes(), "row starts and chunk tables")?;
        // The entries of genes stand together in the file already.
        let by_gene = (layout == Layout::Csc).then(|| source.transposed());
        if by_gene.flatten().is_none() && source.to_turn().is_some() {
            let stage = format!("turning {address} around");
            crate::staged(self.ctx, &stage, || Ok(source.turn()?))?;
        }
        let [n_rows, n_columns] = source.shape();
        let shape = [
            rows.rows.as_ref().map_or(n_rows, |r| r.len() as u64),
            columns.rows.as_ref().map_or(n_columns, |c| c.len() as u64),
        ];
        let dtype = SinkDtype::of(&info.data_dtype);
        let area = shape[0].saturating_mul(shape[1]);
        let entries = source.nnz().unwrap_or(area).min(area.max(1));
        let ops = |rows: &Kept, columns: &Kept| -> Vec<Op> {
            rows.cells().into_iter().chain(columns.columns()).collect()
        };
        match layout {
            Layout::Csr => {
                let options = self.sparse(shape, dtype, entries);
                let sink = self.writer.csr_sink(address, options)?;
                self.stream(address, &*source, &ops(rows, columns), &sink)?;
                Ok(sink.finish()?)
            }
            Layout::Csc => {
                let options = self.sparse([shape[1], shape[0]], dtype, entries);
                let sink = self.writer.csc_sink(address, options)?;
                match source.transposed() {
                    Some(genes) => self.stream(address, genes, &ops(columns, rows), &sink)?,
                    None => {
                        let turned = self.exchanged(address, source.clone(), rows, columns)?;
                        self.stream(address, &turned, &[], &sink)?;
                    }
                }
                Ok(sink.finish()?)
            }
            Layout::Dense => {
                let mut options = DenseSinkOptions {
                    dtype,
                    ..DenseSinkOptions::new(shape)
                };
                options.compression = self.gzip(options.compression);
                options.chunk_values = self.chunk(options.chunk_values, 1 << 20);
                self.dense_bytes += area.saturating_mul(dtype.size() as u64);
                let sink = self.writer.dense_sink(address, options)?;
                self.stream(address, &*source, &ops(rows, columns), &sink)?;
                Ok(sink.finish()?)
            }
        }
    }

    /// What stays of a matrix, with rows and columns exchanged.
    fn exchanged(
        &self,
        address: &str,
        source: Arc<dyn FileMatrix>,
        rows: &Kept,
        columns: &Kept,
    ) -> Result<TurnedSource> {
        let mut selected = Selected::whole(source)?;
        let cells = rows.mask().map(|mask| CellSet::from_mask(&mask));
        selected.select(cells, columns.rows.clone())?;
        let what = "turning the matrix around";
        let starts = 8 * (u64::from(selected.n_cols()) + 1);
        let bytes = selected.reader_bytes().saturating_add(starts);
        let _held = self.ctx.budget().reserve(bytes, what)?;
        crate::staged(self.ctx, &format!("turning {address} around"), || {
            let turned = TurnedSource::exchanging(selected, &self.ctx.into())?;
            turned.turn()?;
            Ok(turned)
        })
    }

    fn gzip(&self, default: Option<u32>) -> Option<u32> {
        match self.what.gzip {
            Some(level) => (level > 0).then_some(level),
            None => default,
        }
    }

    /// Entries in a chunk; more in zarr, where each chunk is a file.
    fn chunk(&self, default: u64, zarr: u64) -> u64 {
        match (self.what.chunk, self.what.form) {
            (Some(entries), _) => entries,
            (None, Form::Zarr) => zarr,
            (None, _) => default,
        }
    }

    fn sparse(&self, shape: [u64; 2], dtype: SinkDtype, entries: u64) -> CsrSinkOptions {
        let mut options = CsrSinkOptions {
            dtype,
            ..CsrSinkOptions::new(shape, entries)
        };
        options.compression = self.gzip(options.compression);
        options.chunk_entries = self.chunk(options.chunk_entries, 1 << 18);
        options
    }

    fn stream(
        &self,
        address: &str,
        source: &dyn Source,
        ops: &[Op],
        sink: &impl Sink,
    ) -> Result<()> {
        let stage = format!("writing {address}");
        Ok(run_stage(self.ctx, &stage, source, ops, &(), sink)?)
    }
}
