//! Folding the moments of the genes over counts in memory, on one thread: what the first read
//! costs beside the file.

#[path = "../../../bench/atlas.rs"]
mod atlas;
#[path = "../../../bench/cases.rs"]
mod cases;

use cellmill_engine::reduce::GeneMoments;
use cellmill_engine::{Context, Op, Source, run_stage};

fn main() -> cellmill_engine::Result<()> {
    let ctx = Context::quiet(1)?;
    let source = atlas::counts(1_000)?;
    let entries = (source.nnz().unwrap_or(0), "entries");
    let reduce = GeneMoments::new(atlas::GENES);
    let normalize = [
        Op::NormalizeTotal { target_sum: 1e4 },
        Op::Log1p { base: None },
    ];

    let mut cases = cases::Cases::of("fold");
    for (name, ops) in [("moments", &[][..]), ("normalised moments", &normalize)] {
        cases.case(
            name,
            entries,
            || (),
            |()| run_stage(&ctx, "", &source, ops, &reduce, &()).expect("sound counts"),
        );
    }
    Ok(())
}
