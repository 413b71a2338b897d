//! Files that are cut, garbled or no files: an error, never a panic.

use crate::make::{Counts, Layout, file};
use cellmill_engine::{Block, Source};
use cellmill_io::{Error, H5ad};
use std::path::Path;

/// Reads everything that a file offers; the first error.
fn read_all(path: &Path) -> Result<(), String> {
    let text = |e: Error| e.to_string();
    let file = H5ad::open(path).map_err(text)?;
    for name in file.keys("").map_err(text)? {
        if name != "X" {
            file.read(&name).map_err(text)?;
        }
    }
    for info in file.matrices().map_err(text)? {
        let source = file.csr_source(&info.address).map_err(text)?;
        let mut block = Block::new(source.n_cols());
        for i in 0..source.grid().n_blocks() {
            let mut reader = source.open(i..i + 1).map_err(|e| e.to_string())?;
            while reader.next_block(&mut block).map_err(|e| e.to_string())? {}
        }
    }
    Ok(())
}

fn sound(path: &Path, layout: Layout) -> Vec<u8> {
    file(
        path,
        &Counts::new(30, 25, 6, 4),
        layout,
        |i| i as i32,
        |v| v as f32,
    );
    std::fs::read(path).unwrap()
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let bytes = sound(
        &path,
        Layout {
            chunk: 16,
            gzip: true,
            ..Layout::default()
        },
    );
    assert_eq!(read_all(&path), Ok(()));
    for part in 0..40 {
        let n = bytes.len() * part / 40;
        std::fs::write(&path, &bytes[..n]).unwrap();
        let error = H5ad::open(&path)
            .and_then(|f| f.csr_source("X").map(drop))
            .unwrap_err();
        assert!(
            matches!(error, Error::Truncated { .. } | Error::NotHdf5 { .. }),
            "cut at {n} of {}: {error:?}",
            bytes.len()
        );
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let bytes = sound(
        &path,
        Layout {
            chunk: 16,
            gzip: true,
            ..Layout::default()
        },
    );
    let source = H5ad::open(&path)
        .unwrap()
        .csr_source("X")
        .unwrap()
        .with_grid_rows(7);
    let blocks = 0..source.grid().n_blocks();
    let mut reader = source.open(blocks.clone()).unwrap();
    let cut = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    cut.set_len(bytes.len() as u64 / 4).unwrap();
    let mut block = Block::new(source.n_cols());
    let error = loop {
        match reader.next_block(&mut block) {
            Ok(true) => {}
            Ok(false) => panic!("most of the file is gone"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("truncated"), "{error}");
    let Err(error) = source.open(blocks) else {
        panic!("the file is another one now");
    };
    assert!(error.to_string().contains("has changed"), "{error}");
}

#[test]
fn garbled_chunks_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    for (layout, detects) in [
        (
            Layout {
                chunk: 16,
                gzip: true,
                shuffle: true,
                ..Layout::default()
            },
            true,
        ),
        (
            Layout {
                chunk: 16,
                lzf: true,
                ..Layout::default()
            },
            false,
        ),
        (Layout::default(), false),
    ] {
        let bytes = sound(&path, layout);
        let h5 = hdf5_metno::File::open(&path).unwrap();
        let set = h5.dataset("X/data").unwrap();
        let mut places = Vec::new();
        if layout.chunk > 0 {
            set.chunks_visit(|c| {
                places.push((c.addr as usize, c.size as usize));
                0
            })
            .unwrap();
        } else {
            let indices = h5.dataset("X/indices").unwrap();
            places.push((indices.offset().unwrap() as usize, 4 * indices.size()));
        }
        drop((set, h5));
        let mut failures = 0;
        for (at, size) in places.iter().copied().take(6) {
            for k in (0..size).step_by(5) {
                let mut broken = bytes.clone();
                broken[at + k] ^= 0xa5;
                std::fs::write(&path, &broken).unwrap();
                failures += usize::from(read_all(&path).is_err());
            }
        }
        assert!(failures > 0, "{layout:?}");
        if detects {
            let all: usize = places.iter().take(6).map(|(_, n)| n.div_ceil(5)).sum();
            assert_eq!(failures, all, "gzip carries a checksum");
        }
    }
}

#[test]
fn what_is_no_h5ad_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    assert!(matches!(H5ad::open(&path), Err(Error::NotFound { .. })));
    assert!(matches!(
        H5ad::open(folder.path()),
        Err(Error::NotHdf5 { .. })
    ));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(H5ad::open(&path), Err(Error::NotHdf5 { .. })));
    std::fs::write(&path, "cell,gene\n".repeat(400)).unwrap();
    assert!(matches!(H5ad::open(&path), Err(Error::NotHdf5 { .. })));
}

#[test]
fn a_file_that_another_program_writes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    sound(&path, Layout::default());
    // Another open file description stands for another program.
    let writer = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    writer.lock().unwrap();
    let error = H5ad::open(&path).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error:?}");
    drop(writer);
    assert!(H5ad::open(&path).unwrap().warnings().is_empty());
}
