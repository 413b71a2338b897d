//! One cell of the neighbour search, 2,000 points of 50 coordinates, on one thread and each
//! instruction set of the machine: the tiles of inner products and the lists they fill.

#[path = "../../../bench/cases.rs"]
mod cases;
mod mixture;

use cellmill_engine::{Context, Result};
use cellmill_graph::Points;
use cellmill_graph::kernel::Isa;
use cellmill_graph::knn::{Metric, Search};

/// Few enough to be one cell.
const POINTS: usize = 2_000;
const DIMENSIONS: usize = 50;
/// Neighbours to find, scanpy's 15 without the point itself.
const K: usize = 14;

fn main() -> Result<()> {
    let ctx = Context::quiet(1)?;
    let data = mixture::points(POINTS, DIMENSIONS);
    let points = Points::new(&data, POINTS, DIMENSIONS)?;
    let pairs = (POINTS * (POINTS - 1) / 2) as u64;
    let mut cases = cases::Cases::of("tile");
    for isa in Isa::available() {
        let search = Search::new(&ctx, points, K, Metric::Euclidean, 0, isa)?;
        cases.case(
            &format!("{isa:?}").to_lowercase(),
            (pairs, "pairs"),
            || search.task(0),
            |task| task.search(isa).expect("a task of this search"),
        );
    }
    Ok(())
}
