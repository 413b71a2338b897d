//! Copies every element of an h5ad file, stored chunks as they are, to a file of the oldest
//! format that holds them.
//!
//! `cargo run --release -p cellmill-io --example copy -- IN OUT`

use cellmill_io::{H5ad, H5adWriter};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        eprintln!("usage: copy IN OUT");
        std::process::exit(2);
    };
    let from = H5ad::open(Path::new(from))?;
    let mut to = H5adWriter::create(Path::new(to), true)?;
    for name in from.keys("")? {
        to.copy_from(&from, &name, &name)?;
    }
    Ok(to.commit()?)
}
