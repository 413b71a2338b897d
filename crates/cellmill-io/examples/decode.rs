//! How much of the time of reading a matrix is inflating.
//!
//! `cargo run --release -p cellmill-io --example decode -- FILE [ADDRESS | --all] [REPEATS]`
//!
//! Reads a CSR matrix through `CsrSource`, and beside it only fetches and inflates the same
//! chunks, on one thread and on two. Prints a line of JSON for each: seconds (the best of
//! REPEATS), MB/s of the numbers inflated, and sums that another program can check. `--all`: every
//! CSR matrix of the file by itself, and all of them together.

#[path = "../benches/inflate.rs"]
mod inflate;

use cellmill_engine::{Block, Source, Values};
use cellmill_io::H5ad;
use inflate::Chunks;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[derive(Default, Debug, PartialEq, Clone, Copy)]
struct Sums {
    entries: u64,
    columns: u64,
    values: f64,
}

fn read(source: &dyn Source, threads: usize) -> cellmill_engine::Result<Sums> {
    let next = AtomicUsize::new(0);
    let work = || -> cellmill_engine::Result<Vec<(usize, Sums)>> {
        let mut block = Block::new(source.n_cols());
        let mut all = Vec::new();
        loop {
            let span = next.fetch_add(1, Ordering::Relaxed);
            if span >= source.grid().n_spans() {
                return Ok(all);
            }
            let mut sums = Sums::default();
            let mut reader = source.open(source.grid().span(span))?;
            while reader.next_block(&mut block)? {
                sums.entries += block.nnz() as u64;
                sums.columns += u64::from(block.indices.last().copied().unwrap_or(0));
                sums.values += match &block.values {
                    Values::F32(v) => v.first().map_or(0.0, |&x| f64::from(x)),
                    Values::F64(v) => v.first().copied().unwrap_or(0.0),
                };
            }
            all.push((span, sums));
        }
    };
    let mut parts = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut parts = Vec::new();
        for worker in workers {
            parts.extend(worker.join().expect("a reader panicked")?);
        }
        Ok::<_, cellmill_engine::Error>(parts)
    })?;
    parts.sort_by_key(|(span, _)| *span);
    Ok(parts.iter().fold(Sums::default(), |a, (_, b)| Sums {
        entries: a.entries + b.entries,
        columns: a.columns + b.columns,
        values: a.values + b.values,
    }))
}

fn best(repeats: usize, mut run: impl FnMut()) -> f64 {
    (0..repeats)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

/// Reads matrices and inflates their chunks, and prints a line of JSON for one thread and for two.
fn measure(path: &Path, file: &H5ad, addresses: &[&str], repeats: usize) -> Outcome {
    let sources = addresses
        .iter()
        .map(|address| file.csr_source(address))
        .collect::<Result<Vec<_>, _>>()?;
    let chunks = Chunks::of(path, addresses)?;
    let megabytes = chunks.bytes() as f64 / 1e6;
    for threads in [1, 2] {
        let mut sums = Vec::new();
        let reading = best(repeats, || {
            sums = sources.iter().map(|source| read(source, threads)).collect();
        });
        let sums = sums.into_iter().collect::<Result<Vec<Sums>, _>>()?;
        let entries = sums.iter().map(|sums| sums.entries).sum::<u64>();
        let inflating = best(repeats, || chunks.inflate(threads));
        let row = serde_json::json!({
            "matrix": addresses.join(" "),
            "threads": threads,
            "entries": entries,
            "MB": megabytes,
            "read seconds": reading,
            "inflate seconds": inflating,
            "read MB/s": megabytes / reading,
            "inflate MB/s": megabytes / inflating,
            "read over inflate": reading / inflating,
            "sum of first values": sums.iter().map(|sums| sums.values).sum::<f64>(),
            "sum of last columns": sums.iter().map(|sums| sums.columns).sum::<u64>(),
        });
        println!("{row}");
    }
    Ok(())
}

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        return Err("usage: decode FILE [ADDRESS | --all] [REPEATS]".into());
    };
    let address = arguments.next().unwrap_or_else(|| "X".into());
    let repeats = arguments.next().map_or(Ok(3), |n| n.parse())?;
    let path = Path::new(&path);
    let file = H5ad::open(path)?;
    if address != "--all" {
        return measure(path, &file, &[&address], repeats);
    }
    let matrices = file.matrices()?;
    let csr: Vec<&str> = matrices
        .iter()
        .filter(|matrix| matrix.encoding == "csr")
        .map(|matrix| matrix.address.as_str())
        .collect();
    for address in &csr {
        measure(path, &file, &[address], repeats)?;
    }
    measure(path, &file, &csr, repeats)
}
