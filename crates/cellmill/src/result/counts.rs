//! The matrices of a whole run's result: the counts, and the author's other layers.

use super::ResultFile;
use crate::input::Input;
use crate::{Result, keys};
use cellmill_engine::source::Selected;
use cellmill_engine::{Context, Event, Source, run_stage};
use cellmill_io::{CsrSink, CsrSinkOptions, FileMatrix, SinkDtype};
use std::sync::Arc;

impl ResultFile<'_> {
    /// A sink for the counts that are selected, at `to`, in the dtype of the file; the author's other
    /// layers are cut alike, each in a read of its own.
    ///
    /// # Errors
    /// When the input cannot be read or the result cannot be written.
    pub fn counts_sink(&mut self, ctx: &Context, input: &Input, to: &str) -> Result<CsrSink> {
        self.cut_layers(ctx, input, to)?;
        let info = input.file.matrix_info(&input.matrix)?;
        self.part_sink(&info.data_dtype, &input.source, to)
    }

    fn part_sink(
        &mut self,
        stored: &str,
        part: &Selected<Arc<dyn FileMatrix>>,
        to: &str,
    ) -> Result<CsrSink> {
        let shape = [part.n_rows(), u64::from(part.n_cols())];
        let options = CsrSinkOptions {
            dtype: SinkDtype::of(stored),
            ..CsrSinkOptions::new(shape, part.entries_at_most())
        };
        Ok(self.writer.csr_sink(to, options)?)
    }

    fn cut_layers(&mut self, ctx: &Context, input: &Input, counts: &str) -> Result<()> {
        for address in other_layers(input)? {
            if !self.keeps_layer(input, &address, counts) {
                continue;
            }
            let mut part = match input.file.source(&address, None) {
                Ok(source) => Selected::whole(source)?,
                Err(e) => {
                    self.notes.push(format!("dropped {address}: {e}"));
                    continue;
                }
            };
            part.select(
                input.source.cells().cloned(),
                input.source.genes().map(<[u32]>::to_vec),
            )?;
            let info = input.file.matrix_info(&address)?;
            let sink = self.part_sink(&info.data_dtype, &part, &address)?;
            let stage = format!("the cells and genes left of {address}");
            run_stage(ctx, &stage, &part, &[], &(), &sink)?;
            sink.finish()?;
        }
        Ok(())
    }

    /// Whether a layer stays beside the counts; notes why not.
    fn keeps_layer(&mut self, input: &Input, address: &str, counts: &str) -> bool {
        if address == counts {
            self.notes.push(format!(
                "{address} of the input gave way to {}",
                input.matrix
            ));
        } else if input.is_raw() {
            self.notes.push(format!(
                "dropped {address}: its genes are not those of raw/X"
            ));
        } else {
            return true;
        }
        false
    }

    /// Copies the counts to `layers/counts`, and the author's other layers where they have the same
    /// genes.
    ///
    /// # Errors
    /// When the input cannot be read or the result cannot be written.
    pub fn copy_counts(&mut self, ctx: &Context, input: &Input) -> Result<()> {
        let counts = format!("layers/{}", keys::COUNTS);
        self.copy_matrix(ctx, input, &counts)?;
        self.copy_layers(input, &counts)
    }

    /// Copies the counts to X, and the author's layers where they have the same genes.
    ///
    /// # Errors
    /// When the input cannot be read or the result cannot be written.
    pub fn copy_x(&mut self, ctx: &Context, input: &Input) -> Result<()> {
        self.copy_matrix(ctx, input, "X")?;
        self.copy_layers(input, "X")
    }

    /// Notes that the author's layers are left out of a result that does not hold them.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn leave_layers(&mut self, input: &Input) -> Result<()> {
        let others = other_layers(input)?;
        if !others.is_empty() {
            self.notes.push(format!("left out {}", others.join(", ")));
        }
        Ok(())
    }

    /// Copies the count matrix, compressed chunks as they are. Where its indices are of a type that
    /// scipy does not take, it is read once more and written anew.
    fn copy_matrix(&mut self, ctx: &Context, input: &Input, to: &str) -> Result<()> {
        let info = input.file.matrix_info(&input.matrix)?;
        let fits = ["int32", "int64"].contains(&info.indices_dtype.as_str())
            && info.indices_dtype == info.indptr_dtype;
        let why = match info.encoding.as_str() {
            "csr" if fits && input.file.copies_chunks() => {
                return Ok(self.writer.copy_from(&input.file, &input.matrix, to)?);
            }
            "csr" if !input.file.copies_chunks() => {
                format!("{} is no h5ad file", input.file.path().display())
            }
            "csr" => format!(
                "{} has {} indices and {} row starts, and scipy wants both int32 or both int64",
                input.matrix, info.indices_dtype, info.indptr_dtype
            ),
            other => format!("{} is {other}, and the result is CSR", input.matrix),
        };
        ctx.emit(Event::Note {
            text: format!("{to} is written anew, which takes one more read: {why}"),
        });
        let source = input.source.inner();
        let [rows, columns] = source.shape();
        let at_most = source.nnz().unwrap_or(rows.saturating_mul(columns));
        let options = CsrSinkOptions {
            dtype: SinkDtype::of(&info.data_dtype),
            ..CsrSinkOptions::new(source.shape(), at_most)
        };
        let sink = self.writer.csr_sink(to, options)?;
        run_stage(ctx, "rewriting the counts", source, &[], &(), &sink)?;
        Ok(sink.finish()?)
    }

    fn copy_layers(&mut self, input: &Input, counts: &str) -> Result<()> {
        for address in other_layers(input)? {
            if self.keeps_layer(input, &address, counts) {
                self.writer.copy_from(&input.file, &address, &address)?;
            }
        }
        Ok(())
    }
}

/// The layers that are not the count matrix.
fn other_layers(input: &Input) -> Result<Vec<String>> {
    if !input.file.exists("layers") {
        return Ok(Vec::new());
    }
    let keys = input.file.keys("layers")?;
    Ok(keys
        .into_iter()
        .map(|key| format!("layers/{key}"))
        .filter(|a| *a != input.matrix)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_narrowed() {
        assert_eq!(SinkDtype::of("uint16"), SinkDtype::I32);
        assert_eq!(SinkDtype::of("uint32"), SinkDtype::I64);
        assert_eq!(SinkDtype::of("float64"), SinkDtype::F64);
        assert_eq!(SinkDtype::of("float32"), SinkDtype::F32);
        assert_eq!(SinkDtype::of("float16"), SinkDtype::F32);
    }
}
