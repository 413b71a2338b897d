//! The Gram matrix of 2,000 kept columns, on one thread: out of a span's blocks, and the merge of two
//! states that are matrices.

#[path = "../../../bench/atlas.rs"]
mod atlas;
#[path = "../../../bench/cases.rs"]
mod cases;

use cellmill_engine::keep::Precision;
use cellmill_engine::reduce::{GeneMoments, Gram};
use cellmill_engine::{Block, Context, KeptColumns, Op, Reduce, Result, Source, run_stage};

const COLUMNS: u32 = 2_000;

/// The normalised counts of genes of middling frequency, as selections of variable genes mostly
/// are.
fn kept() -> Result<Vec<Block>> {
    let ctx = Context::quiet(1)?;
    let source = atlas::counts(1_000)?;
    let moments = run_stage(&ctx, "", &source, &[], &GeneMoments::new(atlas::GENES), &())?;
    let mut order: Vec<u32> = (0..atlas::GENES).collect();
    order.sort_by_key(|&gene| std::cmp::Reverse(moments.n_nonzero[gene as usize]));
    let mut genes: Vec<u32> = order
        .into_iter()
        .step_by(7)
        .take(COLUMNS as usize)
        .collect();
    genes.sort_unstable();
    let ops = [
        Op::NormalizeTotal { target_sum: 1e4 },
        Op::Log1p { base: None },
        Op::SelectGenes { genes },
        Op::RoundF32,
    ];
    let kept = KeptColumns::new(&ctx, source.grid(), COLUMNS, Precision::F32);
    run_stage(&ctx, "", &source, &ops, &(), &kept)?;

    let mut blocks = Vec::new();
    for span in 0..kept.grid().n_spans() {
        let mut reader = kept.open(kept.grid().span(span))?;
        let mut block = Block::new(COLUMNS);
        while reader.next_block(&mut block)? {
            blocks.push(block.clone());
        }
    }
    Ok(blocks)
}

/// Pairs of entries of the upper triangle that the rows give.
fn pairs(blocks: &[Block]) -> u64 {
    let rows = blocks
        .iter()
        .flat_map(|block| (0..block.n_rows()).map(|row| block.row(row).len() as u64));
    rows.map(|n| n * (n + 1) / 2).sum()
}

fn main() -> Result<()> {
    let blocks = kept()?;
    let gram = Gram::new(COLUMNS);
    let fold = |mut state| {
        for block in &blocks {
            gram.fold(&mut state, block)
                .expect("blocks of 2,000 columns");
        }
        gram.close(&mut state).expect("a sound state");
        state
    };

    let mut cases = cases::Cases::of("gram");
    cases.case(
        "fold",
        (pairs(&blocks), "pairs"),
        || gram.start(),
        |state| gram.finish(fold(state)).expect("a sound state"),
    );
    // A state of so few rows is these rows: eight times as many are a matrix.
    let state = (0..8).fold(gram.start(), |state, _| fold(state));
    let elements = u64::from(COLUMNS) * u64::from(COLUMNS + 1) / 2;
    cases.case(
        "merge",
        (elements, "elements"),
        || (state.clone(), state.clone()),
        |(left, right)| gram.merge(left, right).expect("states of one matrix"),
    );
    Ok(())
}
