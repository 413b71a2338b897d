//! The kept columns of one span where they lie alone: a value of a cluster's worker.

use super::part::{Indices, Numbers};
use super::{KeptColumns, KeptPart, Precision};
use crate::{Context, Error, Grid, Result, Sink};
use serde::{Deserialize, Serialize};

/// What travels.
#[derive(Serialize, Deserialize)]
struct Wire {
    n_cols: u32,
    part: KeptPart,
}

impl KeptColumns {
    /// A part that this sink filled, in its wire form.
    ///
    /// # Errors
    /// [`Error::Wire`].
    pub fn part_to_bytes(&self, part: KeptPart) -> Result<Vec<u8>> {
        let n_cols = self.n_cols;
        postcard::to_stdvec(&Wire { n_cols, part }).map_err(|e| wire(&e.to_string()))
    }

    /// The columns of one span alone: a source of the same rows in the same blocks, which are all
    /// of its one span.
    ///
    /// # Errors
    /// [`Error::Wire`] when the bytes are no such part; [`Error::Budget`].
    pub fn from_part(ctx: &Context, bytes: &[u8]) -> Result<Self> {
        let Wire { n_cols, mut part } =
            postcard::from_bytes(bytes).map_err(|e| wire(&e.to_string()))?;
        check(&part, n_cols)?;
        part.span = 0;
        let mut rows = vec![0u64];
        let mut end = 0;
        for &(n, _) in &part.blocks {
            end += n as u64;
            rows.push(end);
        }
        let precision = match &part.numbers {
            Numbers::F32(_) => Precision::F32,
            Numbers::F64(_) => Precision::F64,
        };
        let grid = Grid::one_span(rows)?;
        let kept = Self::with_memory(ctx, &grid, n_cols, precision, u64::MAX);
        if grid.n_spans() > 0 {
            kept.accept(part)?;
        }
        Ok(kept)
    }
}

/// Another machine's bytes need not be what this one would have written.
fn check(part: &KeptPart, n_cols: u32) -> Result<()> {
    let rows = part
        .blocks
        .iter()
        .try_fold(0usize, |n, b| n.checked_add(b.0));
    let entries = part
        .blocks
        .iter()
        .try_fold(0usize, |n, b| n.checked_add(b.1));
    let held: u64 = part.row_lengths.iter().map(|&n| u64::from(n)).sum();
    let (indices, inside) = match &part.indices {
        Indices::U16(v) => (v.len(), v.iter().all(|&c| u32::from(c) < n_cols)),
        Indices::U32(v) => (v.len(), v.iter().all(|&c| c < n_cols)),
    };
    let numbers = match &part.numbers {
        Numbers::F32(v) => v.len(),
        Numbers::F64(v) => v.len(),
    };
    let mut lengths = part.row_lengths.iter();
    let blocks_hold = part.blocks.iter().all(|&(rows, entries)| {
        let sum: u64 = lengths.by_ref().take(rows).map(|&n| u64::from(n)).sum();
        sum == entries as u64
    });
    if rows == Some(part.row_lengths.len())
        && entries == Some(indices)
        && held == indices as u64
        && numbers == indices
        && inside
        && blocks_hold
    {
        Ok(())
    } else {
        Err(wire("its rows, entries and columns do not fit each other"))
    }
}

fn wire(reason: &str) -> Error {
    Error::Wire {
        what: "part of the kept columns",
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::{Pca, project};
    use crate::reduce::Gram;
    use crate::run::{keep_span, merge, merge_tree, run_span, run_stage};
    use crate::{Cancel, MemSource, Op, Reduce, Source};

    fn source() -> MemSource<'static> {
        let (rows, cols) = (61u64, 9u32);
        let mut indptr = vec![0u64];
        let (mut indices, mut values) = (Vec::new(), Vec::new());
        for row in 0..rows {
            for col in (0..cols).filter(|c| (row * 7 + u64::from(*c) * 5) % 4 < row % 3) {
                indices.push(col);
                values.push((row % 11) as f32 + 0.25 * col as f32);
            }
            indptr.push(indices.len() as u64);
        }
        MemSource::new(cols, indptr, indices, values)
            .unwrap()
            .with_block_rows(4)
    }

    #[test]
    fn a_span_alone_folds_and_projects_to_the_same_bits() {
        let ctx = Context::quiet(2).unwrap();
        let source = source();
        let ops = [Op::SelectGenes {
            genes: vec![0, 2, 3, 7],
        }];
        let kept = KeptColumns::new(&ctx, source.grid(), 4, Precision::F32);
        run_stage(&ctx, "keep", &source, &ops, &(), &kept).unwrap();
        let gram = Gram::new(4);
        let whole = run_stage(&ctx, "gram", &kept, &[], &gram, &()).unwrap();
        let pca = Pca {
            n: 61,
            k: 4,
            n_comps: 2,
            mean: vec![0.5, 1.0, 1.5, 2.0],
            loadings: (0..8).map(|i| f64::from(i) * 0.3 - 1.0).collect(),
            variance: Vec::new(),
            variance_ratio: Vec::new(),
        };
        let scores = project(&ctx, &kept, &pca).unwrap().data;

        let sink = KeptColumns::new(&ctx, source.grid(), 4, Precision::F32);
        let cancel = Cancel::default();
        let (mut states, mut projected) = (Vec::new(), Vec::new());
        for span in 0..source.grid().n_spans() {
            let part = keep_span(&source, &ops, &sink, span, &cancel).unwrap();
            let bytes = sink.part_to_bytes(part).unwrap();
            let alone = KeptColumns::from_part(&ctx, &bytes).unwrap();
            states.push(run_span(&alone, &[], &gram, 0, &cancel).unwrap());
            projected.extend(project(&ctx, &alone, &pca).unwrap().data);
        }
        for join in merge_tree(states.len()) {
            states.push(merge(&gram, &states[join.left], &states[join.right]).unwrap());
        }
        let last = states.pop().unwrap();
        assert_eq!(gram.finish(gram.from_bytes(&last).unwrap()).unwrap(), whole);
        assert_eq!(projected, scores);
    }

    #[test]
    fn other_bytes_are_refused() {
        let ctx = Context::quiet(1).unwrap();
        let source = source();
        let sink = KeptColumns::new(&ctx, source.grid(), 9, Precision::F64);
        let part = keep_span(&source, &[], &sink, 3, &Cancel::default()).unwrap();
        let bytes = sink.part_to_bytes(part.clone()).unwrap();
        assert!(KeptColumns::from_part(&ctx, &bytes[..bytes.len() - 1]).is_err());
        let spoilt: [fn(&mut KeptPart); 3] = [
            |p| p.blocks[0].0 += 1,
            |p| p.row_lengths[0] += 1,
            |p| p.indices = Indices::U16(vec![9; p.blocks.iter().map(|b| b.1).sum()]),
        ];
        for spoil in spoilt {
            let mut part = part.clone();
            spoil(&mut part);
            let bytes = sink.part_to_bytes(part).unwrap();
            let error = KeptColumns::from_part(&ctx, &bytes).err().unwrap();
            assert!(error.to_string().contains("kept columns"), "{error}");
        }
    }
}
