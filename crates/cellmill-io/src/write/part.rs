//! The entries of one span, on their way to a matrix of a file.

use super::Output;
use super::SinkDtype;
use super::chunks::refuse;
use crate::error::Result;
use cellmill_engine::{Block, Values};

/// The entries of one span.
#[derive(Debug)]
pub struct CsrPart {
    /// Where the rows begin, and where the last ends.
    pub(super) starts: Vec<u64>,
    pub(super) indices: Vec<u32>,
    pub(super) values: Values,
}

impl CsrPart {
    pub(super) fn new(dtype: SinkDtype) -> Self {
        Self {
            starts: vec![0],
            indices: Vec::new(),
            values: match dtype {
                SinkDtype::F32 => Values::F32(Vec::new()),
                _ => Values::F64(Vec::new()),
            },
        }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Adds the rows of a block, which has to have so many columns.
    pub(super) fn push(
        &mut self,
        block: &Block,
        n_cols: u64,
        output: &Output,
        address: &str,
    ) -> Result<()> {
        if u64::from(block.n_cols) != n_cols {
            let what = format!(
                "{n_cols} columns were expected and a block of {} came",
                block.n_cols
            );
            return Err(refuse(output, address, what));
        }
        let before = self.indices.len() as u64;
        self.starts
            .extend(block.indptr[1..].iter().map(|&p| before + p as u64));
        self.indices.extend_from_slice(&block.indices);
        match (&mut self.values, &block.values) {
            (Values::F32(to), Values::F32(from)) => to.extend_from_slice(from),
            (Values::F32(to), Values::F64(from)) => to.extend(from.iter().map(|&x| x as f32)),
            (Values::F64(to), Values::F64(from)) => to.extend_from_slice(from),
            (Values::F64(to), Values::F32(from)) => to.extend(from.iter().map(|&x| f64::from(x))),
        }
        Ok(())
    }

    /// Upper bound of the heap bytes of a part, which grows by doubling.
    pub(super) fn bytes(dtype: SinkDtype, entries: u64, rows: u64) -> u64 {
        let value = if dtype == SinkDtype::F32 { 4 } else { 8 };
        (entries * (4 + value) + rows * 8) * 2
    }
}
