//! Clusters a graph from raw arrays, as `igraph.Graph.community_leiden` would.
//!
//! `cargo run --release --example leiden -- DIR [resolution] [n_iterations] [first_seed] [seeds]
//! [threads]` reads `DIR/indptr.u64`, `DIR/indices.u32` and `DIR/weights.f32` (little endian, a
//! symmetric CSR matrix), prints seconds and modularity for each seed, and writes
//! `DIR/labels.SEED.u32`.

use cellmill_engine::Context;
use cellmill_graph::WeightedGraph;
use cellmill_graph::leiden::{LeidenParams, leiden};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn read<const N: usize, T>(
    path: &Path,
    decode: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, Box<dyn Error>> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|&b| decode(b))
        .collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let dir = PathBuf::from(args.first().ok_or("give the folder of the graph")?);
    let number = |i: usize, default: f64| args.get(i).map_or(Ok(default), |a| a.parse());
    let graph = WeightedGraph {
        indptr: read(&dir.join("indptr.u64"), u64::from_le_bytes)?,
        indices: read(&dir.join("indices.u32"), u32::from_le_bytes)?,
        weights: read(&dir.join("weights.f32"), f32::from_le_bytes)?,
    };
    let ctx = Context::quiet(number(5, 0.0)? as usize)?;
    let first = number(3, 0.0)? as u64;
    for seed in first..first + number(4, 1.0)? as u64 {
        let params = LeidenParams {
            resolution: number(1, 1.0)?,
            n_iterations: number(2, 2.0)? as i32,
            seed,
            ..LeidenParams::default()
        };
        let begun = Instant::now();
        let found = leiden(&ctx, &graph, &params)?;
        println!(
            "seed {seed}: {:.3} s, {} iterations, {} communities, modularity {:.6}",
            begun.elapsed().as_secs_f64(),
            found.iterations,
            found.n_communities,
            found.modularity
        );
        let bytes: Vec<u8> = found.labels.iter().flat_map(|l| l.to_le_bytes()).collect();
        std::fs::write(dir.join(format!("labels.{seed}.u32")), bytes)?;
    }
    Ok(())
}
