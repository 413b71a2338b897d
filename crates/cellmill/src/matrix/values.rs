//! All values of a matrix in memory.

use crate::Result;
use cellmill_engine::op::{Pipeline, Scratch};
use cellmill_engine::{Block, Op, Source, Values};

/// The entries of `source` after `ops`, in order, on the calling thread: f32 where the ops end by
/// rounding to it, else f64.
///
/// # Errors
/// Whatever is wrong with the source, and values outside the domain of an op.
pub fn values_after(source: &dyn Source, ops: &[Op]) -> Result<Values> {
    let pipeline = Pipeline::new(ops, source.n_rows(), source.n_cols())?;
    let (mut block, mut out) = (Block::new(source.n_cols()), Block::new(source.n_cols()));
    let mut scratch = Scratch::default();
    let (mut narrow, mut wide) = (Vec::new(), Vec::new());
    let mut reader = source.open(0..source.grid().n_blocks())?;
    while reader.next_block(&mut block)? {
        pipeline.apply(&block, &mut scratch, &mut out)?;
        match &out.values {
            Values::F32(v) => narrow.extend_from_slice(v),
            Values::F64(v) => wide.extend_from_slice(v),
        }
    }
    Ok(if ops.last() == Some(&Op::RoundF32) {
        Values::F32(narrow)
    } else {
        Values::F64(wide)
    })
}
