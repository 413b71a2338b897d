//! Unit variance (`sc.pp.scale`) of a matrix in memory. Of a file's matrix it is
//! [`cellmill_engine::Op::ScaleGenes`].

use crate::Result;
use crate::matrix::{dense_blocks, values_after};
use cellmill_engine::op::ScaleGenes;
use cellmill_engine::{Op, Source, Values};

/// The scaled values, f32 where `narrow`: of the entries, in their order; with means all values,
/// row-major.
///
/// # Errors
/// When the numbers are not those of the columns, and whatever is wrong with the source.
pub fn of_source(source: &dyn Source, scale: ScaleGenes, narrow: bool) -> Result<Values> {
    let centred = scale.mean.is_some();
    let mut ops = vec![Op::ScaleGenes(scale)];
    if centred {
        return dense_blocks(source, &ops, 0..source.grid().n_blocks(), narrow);
    }
    ops.extend(narrow.then_some(Op::RoundF32));
    values_after(source, &ops)
}
