//! The laws of a source.

use super::check_block;
use crate::{Block, Source, Values};

/// Panics unless `source` keeps the laws of [`Source`]: any range of blocks, read in any order,
/// also into a used block, is the same matrix; every block keeps its contract and its place in
/// the grid.
pub fn source_laws(source: &dyn Source) {
    let grid = source.grid().clone();
    assert_eq!(grid.n_rows(), source.n_rows());
    assert!(!source.describe().is_empty());
    let n = grid.n_blocks();
    let whole = read(source, 0..n);
    assert_eq!(
        whole.len(),
        n,
        "one reader over all blocks must hand out all of them"
    );
    for (i, block) in whole.iter().enumerate() {
        check_block(block);
        assert_eq!(block.n_cols, source.n_cols());
        assert_eq!(
            block.first_row..block.first_row + block.n_rows() as u64,
            grid.block(i),
            "block {i} is out of place"
        );
        assert!(
            block.bytes() <= 4 * source.reader_bytes() + 4096,
            "block {i} is far above reader_bytes"
        );
    }
    if let Some(nnz) = source.nnz() {
        assert_eq!(
            whole.iter().map(|b| b.nnz() as u64).sum::<u64>(),
            nnz,
            "nnz"
        );
    }
    for i in (0..n).rev() {
        assert_eq!(
            read(source, i..i + 1)[0],
            whole[i],
            "block {i} alone, from the last to the first"
        );
    }
    for span in (0..grid.n_spans()).rev() {
        source.prefetch(grid.span(span));
        assert_eq!(
            read(source, grid.span(span)),
            whole[grid.span(span)],
            "span {span} alone"
        );
    }
    assert_eq!(read(source, 0..n), whole, "a second read");
    assert!(read(source, n..n).is_empty());
    std::thread::scope(|scope| {
        let halves = [0..n / 2, n / 2..n];
        let threads = halves.map(|half| (half.clone(), scope.spawn(move || read(source, half))));
        for (half, thread) in threads {
            let blocks = thread
                .join()
                .unwrap_or_else(|_| panic!("a reader panicked"));
            assert_eq!(blocks, whole[half], "two readers at once");
        }
    });
}

fn read(source: &dyn Source, blocks: std::ops::Range<usize>) -> Vec<Block> {
    let mut reader = source.open(blocks).unwrap_or_else(|e| panic!("open: {e}"));
    let mut all = Vec::new();
    // A block that someone else used before.
    let mut block = Block {
        first_row: 77,
        n_cols: 3,
        indptr: vec![0, 1],
        indices: vec![2],
        values: Values::F64(vec![9.0]),
    };
    while reader
        .next_block(&mut block)
        .unwrap_or_else(|e| panic!("next_block: {e}"))
    {
        all.push(block.clone());
    }
    assert_eq!(
        (block.n_rows(), block.nnz()),
        (0, 0),
        "the block must be empty after the last one"
    );
    all
}
