//! One iteration of Leiden on the graph of 20,000 points, on one thread: mostly local moving, then
//! refinement and the levels above.

#[path = "../../../bench/cases.rs"]
mod cases;
mod mixture;

use cellmill_engine::{Context, Result};
use cellmill_graph::leiden::{LeidenParams, leiden};

/// Enough to move in batches, as all large graphs do.
const POINTS: usize = 20_000;

fn main() -> Result<()> {
    let ctx = Context::quiet(1)?;
    let graph = mixture::graph(&ctx, POINTS)?;
    let params = LeidenParams {
        n_iterations: 1,
        ..LeidenParams::default()
    };
    cases::Cases::of("leiden").case(
        "one iteration",
        (graph.nnz(), "entries"),
        || (),
        |()| leiden(&ctx, &graph, &params).expect("a symmetric graph"),
    );
    Ok(())
}
