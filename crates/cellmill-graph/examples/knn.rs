//! Searches the neighbours of points in a raw little-endian f32 file, n x d row-major, and
//! writes their indices as raw little-endian u32, n x (n_neighbors - 1).
//!
//! `cargo run --release -p cellmill-graph --example knn -- points.f32 D [n_neighbors] [threads] [out.u32] [labels.u8]`
//!
//! Prints seconds, CPU seconds, and the recall against brute force at 2,000 points, by label if
//! there is a file with one byte for each point.

use cellmill_engine::{Budget, Context};
use cellmill_graph::{KnnParams, Method, Points, fuzzy_simplicial_set, kernel, knn};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, path, d, rest @ ..] = &args[..] else {
        return Err("usage: knn points.f32 D [n_neighbors] [threads] [out.u32] [labels.u8]".into());
    };
    let bytes = std::fs::read(path)?;
    let data: Vec<f32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    drop(bytes);
    let d: usize = d.parse()?;
    let points = Points::new(&data, data.len() / d, d)?;
    let n_neighbors = rest.first().map_or(Ok(15), |x| x.parse())?;
    let threads = rest.get(1).map_or(Ok(0), |x| x.parse())?;
    let ctx = Context::new(
        threads,
        Budget::unlimited(),
        Arc::new(()),
        std::env::temp_dir(),
    )?;
    let params = KnnParams {
        n_neighbors,
        method: Method::Approximate,
        ..KnnParams::default()
    };

    let (start, cpu) = (Instant::now(), cpu_seconds());
    let graph = knn(&ctx, points, &params)?;
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "{:?}: knn of {} x {d}: {wall:.2} s, {cpu:.2} CPU s",
        kernel::isa(),
        graph.n
    );
    println!("declared at most {} MB", ctx.budget().peak() / 1_000_000);

    let (start, cpu) = (Instant::now(), cpu_seconds());
    let fuzzy = fuzzy_simplicial_set(&ctx, &graph)?;
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "fuzzy set of {} entries: {wall:.2} s, {cpu:.2} CPU s",
        fuzzy.nnz()
    );

    if let Some(out) = rest.get(2).filter(|out| *out != "-") {
        std::fs::write(
            out,
            graph
                .indices
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect::<Vec<_>>(),
        )?;
    }
    let labels = rest.get(3).map(std::fs::read).transpose()?;
    let queries = rest.get(4).map_or(Ok(2000), |x| x.parse())?;
    let step = (graph.n / queries).max(1);
    let hits = |i: usize| {
        let exact = kth_distance(points, i, graph.k);
        let row = &graph.distances[i * graph.k..(i + 1) * graph.k];
        row.iter().filter(|&&x| x <= exact * (1.0 + 1e-5)).count()
    };
    let sample: Vec<usize> = (0..graph.n).step_by(step).collect();
    let found: usize = sample.iter().map(|&i| hits(i)).sum();
    let asked = sample.len();
    println!(
        "recall at {asked} points: {:.4}",
        found as f64 / (asked * graph.k) as f64
    );

    // Up to 100 points of each label, spread over the file.
    let mut members: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
    for (i, &label) in labels.iter().flatten().enumerate() {
        members.entry(label).or_default().push(i);
    }
    for (label, members) in members {
        let step = members.len().div_ceil(queries / 20).max(1);
        let sample: Vec<usize> = members.iter().copied().step_by(step).collect();
        let found: usize = sample.iter().map(|&i| hits(i)).sum();
        let share = members.len() as f64 / graph.n as f64;
        println!(
            "  label {label}, {share:.4} of all: {:.4}",
            found as f64 / (sample.len() * graph.k) as f64
        );
    }
    Ok(())
}

/// The exact distance to the `k`-th nearest.
fn kth_distance(points: Points, i: usize, k: usize) -> f64 {
    let mut squares: Vec<f32> = (0..points.n())
        .filter(|&j| j != i)
        .map(|j| {
            let (a, b) = (
                points.row(i).as_chunks::<2>(),
                points.row(j).as_chunks::<2>(),
            );
            let mut sums = [0f32; 2];
            for (a, b) in a.0.iter().zip(b.0) {
                for lane in 0..2 {
                    sums[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
                }
            }
            let rest: f32 = a.1.iter().zip(b.1).map(|(x, y)| (x - y) * (x - y)).sum();
            sums[0] + sums[1] + rest
        })
        .collect();
    let (_, kth, _) = squares.select_nth_unstable_by(k - 1, f32::total_cmp);
    f64::from(*kth).sqrt()
}

/// User and system seconds of this process (Linux; 0 elsewhere).
fn cpu_seconds() -> f64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/stat") else {
        return 0.0;
    };
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|x| x.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}
