//! The laws of a source, for every dtype, filter and chunk size.

use crate::make::{Counts, Layout, file, read};
use cellmill_engine::{Block, Source, Values};
use cellmill_io::{Error, FileMatrix, H5ad, H5adWriter, ReadPath};
use proptest::prelude::*;
use std::path::Path;

fn laws(path: &Path, counts: &Counts) {
    let source = H5ad::open(path).unwrap().csr_source("X").unwrap();
    assert_eq!(source.nnz(), Some(counts.indices.len() as u64));
    let n = source.grid().n_blocks();
    assert_eq!(&read(&source, &[0..n]), counts);

    let small = H5ad::open(path)
        .unwrap()
        .csr_source("X")
        .unwrap()
        .with_grid_rows(7);
    let n = small.grid().n_blocks();
    assert_eq!(n, counts.rows().div_ceil(7));
    assert_eq!(
        &read(&small, &[0..n]),
        counts,
        "one reader over 7-row blocks"
    );
    assert_eq!(&read(&small, &[0..n / 2, n / 2..n]), counts, "two readers");
    let each: Vec<_> = (0..n).map(|i| i..i + 1).collect();
    assert_eq!(&read(&small, &each), counts, "a reader for each block");

    let again = small.spec().open().unwrap();
    assert_eq!(again.grid(), small.grid());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(&read(&*again, &[0..n]), counts, "two threads at once"));
        }
    });
    small.prefetch(0..n);
}

fn every_dtype(layout: Layout, counts: &Counts) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    macro_rules! check {
        ($($i:ty, $d:ty);* $(;)?) => {$(
            file(&path, counts, layout, |i| i as $i, |v| v as $d);
            laws(&path, counts);
        )*};
    }
    check! { i32, f32; i64, f64; u32, i32; u64, i64; u16, u16; i16, i16; i32, u8; i64, i8; i32, u32; i32, u64 }
    file(&path, counts, layout, |i| i as i32, |v| v > 40.0);
    let truth = Counts {
        values: counts
            .values
            .iter()
            .map(|&v| f64::from(u8::from(v > 40.0)))
            .collect(),
        ..counts.clone()
    };
    laws(&path, &truth);
}

#[test]
fn every_dtype_in_every_layout() {
    let counts = Counts::new(40, 60, 9, 5);
    let plain = Layout {
        chunk: 64,
        ..Layout::default()
    };
    let layouts = [
        Layout::default(),
        plain,
        Layout {
            gzip: true,
            ..plain
        },
        Layout {
            gzip: true,
            shuffle: true,
            ..plain
        },
        Layout { lzf: true, ..plain },
        Layout {
            lzf: true,
            shuffle: true,
            ..plain
        },
        Layout {
            gzip: true,
            shuffle: true,
            fletcher: true,
            ..plain
        },
        Layout {
            fletcher: true,
            ..plain
        },
    ];
    for layout in layouts {
        every_dtype(layout, &counts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_chunk_size_straddles(
        rows in 1usize..50, chunk in 1usize..200, per_row in 0u32..20, seed: u64,
        gzip: bool, shuffle: bool,
    ) {
        let counts = Counts::new(rows, 50, per_row, seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5ad");
        // The library refuses chunks larger than an array that cannot grow.
        let chunk = chunk.min(rows + 1).min(counts.indices.len());
        let layout = Layout { chunk, gzip: gzip && chunk > 0, shuffle: shuffle && chunk > 0, ..Layout::default() };
        file(&path, &counts, layout, |i| i as i32, |v| v as f32);
        laws(&path, &counts);
    }
}

#[test]
fn a_straddling_chunk_is_read_once_by_one_reader() {
    let counts = Counts::new(50, 60, 9, 5);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let layout = Layout {
        chunk: 300,
        gzip: true,
        ..Layout::default()
    };
    file(
        &path,
        &counts,
        Layout {
            chunk: 40,
            ..layout
        },
        |i| i as i32,
        |v| v as f32,
    );
    let h5ad = H5ad::open(&path).unwrap();
    let info = h5ad.matrix_info("X").unwrap();
    assert_eq!(info.path, ReadPath::Fast);
    assert_eq!(
        (info.filters, info.chunk_entries),
        (vec!["gzip".to_owned()], Some(40))
    );
    let source = h5ad.csr_source("X").unwrap().with_grid_rows(1);
    let opened = source.bytes_read();
    let n = source.grid().n_blocks();
    read(&source, &[0..n]);
    // indptr was read when the source was opened; now indices and data, each chunk once.
    assert_eq!(source.bytes_read(), info.compressed_bytes);
    assert!(opened > 0 && opened < source.bytes_read());
}

#[test]
fn unsorted_rows_are_sorted_and_duplicates_added() {
    let counts = Counts {
        n_cols: 9,
        indptr: vec![0, 3, 3, 6],
        indices: vec![4, 1, 4, 2, 7, 7],
        values: vec![1.0, 2.0, 3.0, 0.0, 5.0, 6.0],
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    file(
        &path,
        &counts,
        Layout::default(),
        |i| i as i32,
        |v| v as i32,
    );
    let source = H5ad::open(&path).unwrap().csr_source("X").unwrap();
    for _ in 0..2 {
        let found = read(&source, std::slice::from_ref(&(0..1)));
        assert_eq!(found.indptr, [0, 2, 2, 4]);
        assert_eq!(found.indices, [1, 4, 2, 7]);
        assert_eq!(found.values, [2.0, 4.0, 0.0, 11.0]);
    }
    let repairs = source.repairs();
    assert_eq!((repairs.rows_sorted, repairs.duplicates_summed), (1, 2));
}

#[test]
fn a_block_of_large_integers_is_f64_and_its_neighbours_are_not() {
    let counts = Counts {
        n_cols: 3,
        indptr: vec![0, 1, 3],
        indices: vec![0, 0, 2],
        values: vec![7.0, 5.0, 16_777_217.0],
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    file(
        &path,
        &counts,
        Layout::default(),
        |i| i as i32,
        |v| v as i64,
    );
    let source = H5ad::open(&path)
        .unwrap()
        .csr_source("X")
        .unwrap()
        .with_grid_rows(1);
    let mut reader = source.open(0..2).unwrap();
    let mut block = Block::new(3);
    assert!(reader.next_block(&mut block).unwrap());
    assert_eq!(block.values, Values::F32(vec![7.0]));
    assert!(reader.next_block(&mut block).unwrap());
    assert_eq!(block.values, Values::F64(vec![5.0, 16_777_217.0]));
}

fn refusal(change: impl Fn(&mut Counts)) -> String {
    let mut counts = Counts::new(10, 20, 5, 3);
    change(&mut counts);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    file(
        &path,
        &counts,
        Layout::default(),
        |i| i as i64,
        |v| v as f32,
    );
    let source = match H5ad::open(&path).unwrap().csr_source("X") {
        Ok(source) => source,
        Err(error) => {
            assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
            return error.to_string();
        }
    };
    let mut block = Block::new(source.n_cols());
    source
        .open(0..1)
        .unwrap()
        .next_block(&mut block)
        .unwrap_err()
        .to_string()
}

#[test]
fn contradictions_are_named_with_element_and_row() {
    let message = refusal(|c| {
        let at = c.indptr[5] as usize;
        c.indices[at] = 20;
    });
    assert!(message.contains("X/indices, row 5: entry"), "{message}");
    assert!(message.contains("below 20 and is 20"), "{message}");
    let message = refusal(|c| c.indptr[0] = 1);
    assert!(message.contains("X/indptr, row 0"), "{message}");
    let message = refusal(|c| c.indptr[2] = 0);
    assert!(
        message.contains("X/indptr, row 1: row starts should never decrease"),
        "{message}"
    );
    let message = refusal(|c| *c.indptr.last_mut().unwrap() += 1);
    assert!(message.contains("X/indices: it has"), "{message}");
    let message = refusal(|c| {
        let at = c.indptr[4] as usize;
        c.values[at] = f64::NAN;
    });
    assert!(
        message.contains("X/data, row 4: entry") && message.contains("NaN"),
        "{message}"
    );
}

#[test]
fn a_changed_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let make = |seed| {
        let counts = Counts::new(30, 20, 5, seed);
        file(
            &path,
            &counts,
            Layout::default(),
            |i| i as i32,
            |v| v as f32,
        );
    };
    make(1);
    let spec = H5ad::open(&path).unwrap().csr_source("X").unwrap().spec();
    assert!(spec.open().is_ok());
    make(2);
    assert!(matches!(spec.open(), Err(Error::Changed { .. })));
}

#[test]
fn a_filter_that_nobody_has_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let counts = Counts::new(30, 20, 5, 1);
    let layout = Layout {
        chunk: 8,
        lzf: true,
        ..Layout::default()
    };
    file(&path, &counts, layout, |i| i as i32, |v| v as f32);
    // The filter's number, before the length of its name (8), becomes that of zstd.
    let mut bytes = std::fs::read(&path).unwrap();
    let (lzf, zstd) = (32000u16.to_le_bytes(), 32015u16.to_le_bytes());
    let mut hits = 0;
    for i in 0..bytes.len() - 8 {
        if bytes[i..i + 2] == lzf && bytes[i + 2..i + 4] == 8u16.to_le_bytes() {
            bytes[i..i + 2].copy_from_slice(&zstd);
            hits += 1;
        }
    }
    assert!(hits >= 3, "the test has to find the filter messages");
    std::fs::write(&path, bytes).unwrap();
    let h5ad = H5ad::open(&path).unwrap();
    let Err(error) = h5ad.csr_source("X") else {
        panic!("zstd cannot be read")
    };
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("zstd (number 32015)"), "{error}");
    assert!(matches!(
        h5ad.matrix_info("X").unwrap().path,
        ReadPath::Unsupported(_)
    ));
    // Its chunks travel all the same: somebody else may have the filter.
    let target = folder.path().join("b.h5ad");
    let mut writer = H5adWriter::create(&target, false).unwrap();
    writer.copy_from(&h5ad, "X", "X").unwrap();
    writer.commit().unwrap();
    let copy = H5ad::open(&target).unwrap();
    let (old, new) = (
        h5ad.matrix_info("X").unwrap(),
        copy.matrix_info("X").unwrap(),
    );
    assert_eq!(old.filters, new.filters);
    assert_eq!(old.compressed_bytes, new.compressed_bytes);
}
