//! Reading a gzip CSR matrix through `CsrSource`, and beside it only inflating its chunks, on one
//! thread, from the page cache.

#[path = "../../../bench/atlas.rs"]
mod atlas;
#[path = "../../../bench/cases.rs"]
mod cases;
mod inflate;

use cellmill_engine::{Block, Sink, Source};
use cellmill_io::{CsrSinkOptions, CsrSource, H5ad, H5adWriter};
use std::path::Path;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Writes counts as the crate writes every matrix: f32 and int32, shuffled, gzip.
fn write(path: &Path) -> Outcome<()> {
    let source = atlas::counts(1_000)?;
    let mut writer = H5adWriter::create(path, true)?;
    let shape = [source.grid().n_rows(), u64::from(source.n_cols())];
    let options = CsrSinkOptions::new(shape, source.nnz().unwrap_or(u64::MAX));
    let sink = writer.csr_sink("X", options)?;
    let mut block = Block::new(source.n_cols());
    for span in 0..source.grid().n_spans() {
        let mut part = sink.start(span);
        let mut reader = source.open(source.grid().span(span))?;
        while reader.next_block(&mut block)? {
            sink.push(&mut part, &block)?;
        }
        sink.accept(part)?;
    }
    sink.finish()?;
    Ok(writer.commit()?)
}

/// Reads all blocks, and returns the number of entries.
fn read(source: &CsrSource) -> cellmill_engine::Result<usize> {
    let mut block = Block::new(source.n_cols());
    let mut entries = 0;
    for span in 0..source.grid().n_spans() {
        let mut reader = source.open(source.grid().span(span))?;
        while reader.next_block(&mut block)? {
            entries += block.nnz();
        }
    }
    Ok(entries)
}

fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("atlas.h5ad");
    write(&path)?;
    let source = H5ad::open(&path)?.csr_source("X")?;
    let chunks = inflate::Chunks::of(&path, &["X"])?;
    let bytes = (chunks.bytes(), "bytes");

    let mut cases = cases::Cases::of("decode");
    cases.case(
        "CsrSource",
        bytes,
        || (),
        |()| read(&source).expect("a sound file"),
    );
    cases.case("inflate only", bytes, || (), |()| chunks.inflate(1));
    Ok(())
}
