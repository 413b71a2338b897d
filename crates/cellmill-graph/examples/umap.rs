//! Lays out a graph that was saved as raw arrays, and says how long each step took.
//!
//! `umap FOLDER [spectral|random|init] [threads] [seed] [epochs]`: FOLDER holds
//! `indptr.u64`, `indices.u32`, `weights.f32` and, for `init`, `init.f32` (n x 2, little endian).
//! Writes `layout.f32` (n x 2), `start.f32` and the parts of the vertices, `parts.u32`.

use cellmill_engine::Context;
use cellmill_graph::umap::ordered;
use cellmill_graph::{Init, UmapParams, WeightedGraph, layout_parts};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

fn read<const B: usize, T>(
    path: &Path,
    convert: fn([u8; B]) -> T,
) -> Result<Vec<T>, Box<dyn Error>> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(bytes
        .as_chunks::<B>()
        .0
        .iter()
        .map(|&bytes| convert(bytes))
        .collect())
}

fn write(path: &Path, values: &[f32]) -> Result<(), Box<dyn Error>> {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    Ok(std::fs::write(path, bytes)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize| arguments.get(i).map(String::as_str);
    let folder = Path::new(
        argument(0).ok_or("usage: umap FOLDER [spectral|random|init] [threads] [seed] [epochs]")?,
    );
    let threads = argument(2).map_or(Ok(0), str::parse)?;
    let seed = argument(3).map_or(Ok(0), str::parse)?;
    let epochs = argument(4).map(str::parse).transpose()?.filter(|&e| e > 0);
    let graph = WeightedGraph {
        indptr: read(&folder.join("indptr.u64"), u64::from_le_bytes)?,
        indices: read(&folder.join("indices.u32"), u32::from_le_bytes)?,
        weights: read(&folder.join("weights.f32"), f32::from_le_bytes)?,
    };
    let ctx = Context::quiet(threads)?;
    let given;
    let init = match argument(1).unwrap_or("spectral") {
        "spectral" => Init::Spectral { points: None },
        "random" => Init::Random,
        "init" => {
            given = read(&folder.join("init.f32"), f32::from_le_bytes)?;
            Init::Given(&given)
        }
        other => return Err(format!("{other} is not an initialisation").into()),
    };
    let started = Instant::now();
    let ordered = ordered(&ctx, &graph, epochs)?;
    println!("order: {:.2} s", started.elapsed().as_secs_f64());
    let started = Instant::now();
    let start = ordered.initial_layout(&ctx, init, 2, seed)?;
    println!("initial layout: {:.2} s", started.elapsed().as_secs_f64());
    write(&folder.join("start.f32"), &start)?;
    let started = Instant::now();
    let parameters = UmapParams {
        n_epochs: epochs,
        seed,
        ..UmapParams::default()
    };
    let layout = ordered.umap(&ctx, &start, &parameters)?;
    println!("descent: {:.2} s", started.elapsed().as_secs_f64());
    write(&folder.join("layout.f32"), &layout)?;
    let parts = layout_parts(&ctx, &graph, epochs)?;
    let parts: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
    std::fs::write(folder.join("parts.u32"), parts)?;
    Ok(())
}
