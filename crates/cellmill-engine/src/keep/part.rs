//! The part of one span while it grows.

use super::Precision;
use crate::{Block, Values};
use serde::{Deserialize, Serialize};

/// Column numbers, as narrow as the number of columns allows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Indices {
    U16(Vec<u16>),
    U32(Vec<u32>),
}

impl Indices {
    /// Bytes of one column number.
    pub(super) fn width(n_cols: u32) -> u64 {
        if n_cols <= 65_536 { 2 } else { 4 }
    }
}

/// Kept values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Numbers {
    /// Bytes of one value.
    pub(super) fn width(precision: Precision) -> u64 {
        match precision {
            Precision::F32 => 4,
            Precision::F64 => 8,
        }
    }
}

/// The kept columns of one span.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptPart {
    pub(super) span: usize,
    /// Rows and entries of each block.
    pub(super) blocks: Vec<(usize, usize)>,
    pub(super) row_lengths: Vec<u32>,
    pub(super) indices: Indices,
    pub(super) numbers: Numbers,
}

impl KeptPart {
    pub(super) fn new(span: usize, n_cols: u32, precision: Precision) -> Self {
        let indices = if Indices::width(n_cols) == 2 {
            Indices::U16(Vec::new())
        } else {
            Indices::U32(Vec::new())
        };
        let numbers = match precision {
            Precision::F32 => Numbers::F32(Vec::new()),
            Precision::F64 => Numbers::F64(Vec::new()),
        };
        Self {
            span,
            blocks: Vec::new(),
            row_lengths: Vec::new(),
            indices,
            numbers,
        }
    }

    pub(super) fn push(&mut self, block: &Block) {
        self.blocks.push((block.n_rows(), block.nnz()));
        self.row_lengths
            .extend(block.indptr.windows(2).map(|w| (w[1] - w[0]) as u32));
        match &mut self.indices {
            // Columns are below n_cols, which is at most 65,536 here.
            Indices::U16(to) => to.extend(block.indices.iter().map(|&c| c as u16)),
            Indices::U32(to) => to.extend_from_slice(&block.indices),
        }
        match (&mut self.numbers, &block.values) {
            (Numbers::F32(to), Values::F32(from)) => to.extend_from_slice(from),
            (Numbers::F32(to), Values::F64(from)) => to.extend(from.iter().map(|&x| x as f32)),
            (Numbers::F64(to), Values::F32(from)) => to.extend(from.iter().map(|&x| f64::from(x))),
            (Numbers::F64(to), Values::F64(from)) => to.extend_from_slice(from),
        }
    }
}
