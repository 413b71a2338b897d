//! Reads every element of an h5ad file and writes it again.
//!
//! `cargo run --release -p cellmill-io --example rewrite -- IN OUT`
//!
//! CSR matrices go through `CsrSource` and `CsrSink`, block by block; CSC and dense ones are
//! copied as they are stored; everything else is read and written.

use cellmill_engine::{Block, Sink, Source};
use cellmill_io::{CsrSinkOptions, Elem, FileMatrix, H5ad, H5adWriter, SinkDtype};
use std::path::Path;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn matrix(from: &H5ad, to: &mut H5adWriter, address: &str) -> Outcome {
    let info = from.matrix_info(address)?;
    if info.encoding != "csr" {
        return Ok(to.copy_from(from, address, address)?);
    }
    let source = from.csr_source(address)?;
    let mut options = CsrSinkOptions::new(source.shape(), source.nnz().unwrap_or(u64::MAX));
    options.dtype = match info.data_dtype.as_str() {
        "float64" => SinkDtype::F64,
        "int32" => SinkDtype::I32,
        "int64" => SinkDtype::I64,
        _ => SinkDtype::F32,
    };
    let sink = to.csr_sink(address, options)?;
    let mut block = Block::new(source.n_cols());
    for span in 0..source.grid().n_spans() {
        let mut part = sink.start(span);
        let mut reader = source.open(source.grid().span(span))?;
        while reader.next_block(&mut block)? {
            sink.push(&mut part, &block)?;
        }
        sink.accept(part)?;
    }
    Ok(sink.finish()?)
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        eprintln!("usage: rewrite IN OUT");
        std::process::exit(2);
    };
    let from = H5ad::open(Path::new(from))?;
    let mut to = H5adWriter::create(Path::new(to), true)?;
    for name in from.keys("")? {
        match name.as_str() {
            "X" | "raw.X" => {}
            "raw.var" => to.write("raw/var", &from.read("raw/var")?)?,
            "raw.varm" => to.write("raw/varm", &from.read("raw/varm")?)?,
            "layers" => to.write("layers", &Elem::Dict(vec![]))?,
            "raw" => {
                for part in from.keys("raw")?.iter().filter(|p| *p != "X") {
                    to.write(&format!("raw/{part}"), &from.read(&format!("raw/{part}"))?)?;
                }
            }
            _ => to.write(&name, &from.read(&name)?)?,
        }
    }
    for info in from.matrices()? {
        matrix(&from, &mut to, &info.address)?;
    }
    Ok(to.commit()?)
}
