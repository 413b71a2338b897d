//! Folding counts in memory, on one thread: what the first read costs beside the file, and the
//! moments of the genes alone.

#[path = "../../../bench/atlas.rs"]
mod atlas;
#[path = "../../../bench/cases.rs"]
mod cases;

use cellmill_engine::op::Pipeline;
use cellmill_engine::reduce::{Counts, GeneMoments, GroupMoments, Groups, Quality, Via};
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

    let divide = Op::NormalizeTotal { target_sum: 1.0 };
    let moments = Via::new(
        Pipeline::new(&[divide], source.n_rows(), atlas::GENES)?,
        GroupMoments::new(atlas::GENES, Groups::whole()),
    );
    // As many genes in sets as ribosomal and mitochondrial ones are.
    let set = (0..atlas::GENES).step_by(300).collect();
    let quality = Quality::new(atlas::GENES).with_sets(&[set])?;
    let counts = Counts::new(moments, Some(quality));
    cases.case(
        "first read",
        entries,
        || (),
        |()| run_stage(&ctx, "", &source, &[], &counts, &()).expect("sound counts"),
    );
    Ok(())
}
