//! How much of the time of reading a matrix is inflating.
//!
//! `cargo run --release -p cellmill-io --example decode -- FILE [ADDRESS] [REPEATS]`
//!
//! Reads a CSR matrix through `CsrSource`, and beside it only fetches and inflates the same
//! chunks, on one thread and on two. Prints MB/s (of the numbers, inflated) and entries/s, and
//! sums that another program can check.

use cellmill_engine::{Block, Source, Values};
use cellmill_io::{FileMatrix, H5ad, Result};
use libdeflater::Decompressor;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

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

/// Chunks of one array: offset in the file, bytes, whether it is compressed; and its inflated size.
type Chunks = (Vec<(u64, usize, bool)>, usize);

fn chunks(file: &hdf5_metno::File, address: &str) -> Option<Chunks> {
    let set = file.dataset(address).ok()?;
    let entries = set.chunk()?[0];
    let bytes = entries * set.dtype().ok()?.size();
    let gzip = set
        .filters()
        .iter()
        .any(|f| matches!(f, hdf5_metno::filters::Filter::Deflate(_)));
    let mut all = Vec::new();
    set.chunks_visit(|c| {
        all.push((c.addr, c.size as usize, gzip));
        0
    })
    .ok()?;
    Some((all, bytes))
}

fn inflate(data: &File, arrays: &[Chunks], threads: usize) {
    let work: Vec<(u64, usize, bool, usize)> = arrays
        .iter()
        .flat_map(|(all, bytes)| all.iter().map(|&(at, size, gzip)| (at, size, gzip, *bytes)))
        .collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut inflater = Decompressor::new();
                let (mut stored, mut out) = (Vec::new(), Vec::new());
                while let Some(&(at, size, gzip, bytes)) =
                    work.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    stored.resize(size, 0);
                    data.read_exact_at(&mut stored, at)
                        .expect("the file was readable before");
                    if gzip {
                        out.resize(bytes, 0);
                        inflater
                            .zlib_decompress(&stored, &mut out)
                            .expect("a sound chunk");
                    }
                }
            });
        }
    });
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

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("usage: decode FILE [ADDRESS] [REPEATS]");
        std::process::exit(2);
    };
    let address = arguments.next().unwrap_or_else(|| "X".into());
    let repeats = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(3);

    let file = H5ad::open(Path::new(&path))?;
    let info = file.matrix_info(&address)?;
    println!("{info:#?}");
    let source = file.csr_source(&address)?;
    println!(
        "{}: {} blocks in {} spans",
        source.describe(),
        source.grid().n_blocks(),
        source.grid().n_spans()
    );

    let raw = hdf5_metno::File::open(&path).expect("opened before");
    let arrays: Vec<Chunks> = ["indices", "data"]
        .iter()
        .filter_map(|part| chunks(&raw, &format!("{address}/{part}")))
        .collect();
    let data = File::open(&path).expect("opened before");
    let entries = info.nnz.unwrap_or(0) as f64;
    let megabytes = arrays
        .iter()
        .map(|(all, bytes)| all.len() * bytes)
        .sum::<usize>() as f64
        / 1e6;

    for threads in [1, 2] {
        let mut sums = Sums::default();
        let mut failure = None;
        let reading = best(repeats, || match read(&source, threads) {
            Ok(s) => sums = s,
            Err(e) => failure = Some(e),
        });
        if let Some(error) = failure {
            eprintln!("{error}");
            std::process::exit(2);
        }
        let inflating = best(repeats, || inflate(&data, &arrays, threads));
        println!(
            "{threads} thread(s): read {:.1} ms ({:.0} MB/s, {:.1} M entries/s); inflate only {:.1} ms; ratio {:.2}; {sums:?}",
            reading * 1e3,
            megabytes / reading,
            entries / reading / 1e6,
            inflating * 1e3,
            reading / inflating
        );
    }
    println!(
        "repairs: {:?}; bytes read: {}",
        source.repairs(),
        source.bytes_read()
    );
    Ok(())
}
