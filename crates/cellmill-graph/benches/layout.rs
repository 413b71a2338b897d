//! UMAP's descent, 200 epochs on the graph of 5,000 points, on one thread and the best instruction
//! set of the machine (the function takes no other).

#[path = "../../../bench/cases.rs"]
mod cases;
mod mixture;

use cellmill_engine::{Context, Result};
use cellmill_graph::{Init, UmapParams, WeightedGraph, initial_layout, umap};

const POINTS: usize = 5_000;
const EPOCHS: usize = 200;

/// How often an edge pulls: in each epoch, in proportion to its weight; the lightest never do.
fn attractions(graph: &WeightedGraph) -> u64 {
    let max = graph.weights.iter().copied().fold(0.0, f32::max);
    let epochs = graph.weights.iter().map(|w| w / max * EPOCHS as f32);
    epochs.filter(|&w| w >= 1.0).map(f64::from).sum::<f64>() as u64
}

fn main() -> Result<()> {
    let ctx = Context::quiet(1)?;
    let graph = mixture::graph(&ctx, POINTS)?;
    let start = initial_layout(&ctx, &graph, Init::Random, 2, Some(EPOCHS), 0)?;
    let params = UmapParams {
        n_epochs: Some(EPOCHS),
        ..UmapParams::default()
    };
    cases::Cases::of("layout").case(
        "umap",
        (attractions(&graph), "attractions"),
        || (),
        |()| umap(&ctx, &graph, &start, &params).expect("a sound graph"),
    );
    Ok(())
}
