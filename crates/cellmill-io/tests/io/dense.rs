//! Dense matrices: every dtype, chunked along both dimensions and contiguous.

use crate::make::{Counts, text};
use cellmill_engine::Values;
use cellmill_engine::testing::source_laws;
use cellmill_io::H5ad;
use hdf5_metno::{File, H5Type};
use std::path::Path;

/// How the array is stored.
#[derive(Debug, Clone, Copy)]
struct Store {
    /// Rows and columns of a chunk; zeros: contiguous.
    chunk: (usize, usize),
    gzip: bool,
    shuffle: bool,
}

fn full(counts: &Counts) -> Vec<f64> {
    let width = counts.n_cols as usize;
    let mut all = vec![0.0; counts.rows() * width];
    for (row, w) in counts.indptr.windows(2).enumerate() {
        for i in w[0] as usize..w[1] as usize {
            all[row * width + counts.indices[i] as usize] = counts.values[i];
        }
    }
    all
}

fn write<T: H5Type>(path: &Path, counts: &Counts, store: Store, value: impl Fn(f64) -> T) {
    let file = File::create(path).unwrap();
    let shape = (counts.rows(), counts.n_cols as usize);
    let values: Vec<T> = full(counts).into_iter().map(value).collect();
    let mut builder = file.new_dataset::<T>().shape(shape);
    if store.chunk.0 > 0 {
        builder = builder.chunk(store.chunk);
    }
    if store.shuffle {
        builder = builder.shuffle();
    }
    if store.gzip {
        builder = builder.deflate(4);
    }
    let set = builder.create("X").unwrap();
    set.write_raw(&values).unwrap();
    let group = file.as_group().unwrap();
    text(&group, "encoding-type", "anndata");
}

/// The counts without the zeros that were drawn, which a dense matrix does not tell apart.
fn without_zeros(counts: &Counts) -> Counts {
    let mut kept = Counts {
        n_cols: counts.n_cols,
        indptr: vec![0],
        indices: vec![],
        values: vec![],
    };
    for w in counts.indptr.windows(2) {
        for i in w[0] as usize..w[1] as usize {
            if counts.values[i] != 0.0 {
                kept.indices.push(counts.indices[i]);
                kept.values.push(counts.values[i]);
            }
        }
        kept.indptr.push(kept.indices.len() as u64);
    }
    kept
}

fn check(path: &Path, truth: &Counts) {
    for rows in [None, Some(7), Some(1)] {
        let source = H5ad::open(path).unwrap().source("X", rows).unwrap();
        source_laws(&*source);
        let n = source.grid().n_blocks();
        assert_eq!(&crate::make::read(&*source, &[0..n]), truth, "{rows:?}");
        let again = source.spec().open().unwrap();
        assert_eq!(again.grid(), source.grid());
    }
}

#[test]
fn every_dtype_in_every_layout() {
    let counts = Counts::new(40, 60, 9, 5);
    let truth = without_zeros(&counts);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    for (chunk, gzip, shuffle) in [
        ((0, 0), false, false),
        ((9, 60), true, true),
        ((13, 17), true, false),
        ((40, 60), false, false),
        ((1, 7), true, true),
    ] {
        let store = Store {
            chunk,
            gzip,
            shuffle,
        };
        macro_rules! types {
            ($($t:ty),*) => {$(
                write(&path, &counts, store, |v| v as $t);
                check(&path, &truth);
            )*};
        }
        types!(f32, f64, u8, i16, u32, i64);
    }
}

#[test]
fn one_huge_count_widens_its_block_only() {
    let mut counts = without_zeros(&Counts::new(30, 20, 5, 3));
    let row = (0..30)
        .find(|&r| counts.indptr[r + 1] > counts.indptr[r])
        .unwrap();
    counts.values[counts.indptr[row] as usize] = 16_777_217.0;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let chunk = (4, 6);
    write(
        &path,
        &counts,
        Store {
            chunk,
            gzip: true,
            shuffle: true,
        },
        |v| v as i64,
    );
    check(&path, &counts);
    let source = H5ad::open(&path).unwrap().source("X", Some(4)).unwrap();
    let mut block = cellmill_engine::Block::new(20);
    let mut reader = source.open(0..source.grid().n_blocks()).unwrap();
    let mut wide = 0;
    while reader.next_block(&mut block).unwrap() {
        wide += usize::from(matches!(block.values, Values::F64(_)));
    }
    assert_eq!(wide, 1);
}

#[test]
fn what_is_not_finite_is_named() {
    let counts = without_zeros(&Counts::new(30, 20, 5, 3));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let at = counts.indptr[17] as usize;
    let mut broken = counts.clone();
    broken.values[at] = f64::NAN;
    for chunk in [(0, 0), (5, 8)] {
        write(
            &path,
            &broken,
            Store {
                chunk,
                gzip: false,
                shuffle: false,
            },
            |v| v as f32,
        );
        let source = H5ad::open(&path).unwrap().source("X", None).unwrap();
        let mut reader = source.open(0..source.grid().n_blocks()).unwrap();
        let mut block = cellmill_engine::Block::new(20);
        let error = reader.next_block(&mut block).unwrap_err().to_string();
        let column = format!("column {} is NaN", counts.indices[at]);
        assert!(
            error.contains("X, row 17: ") && error.contains(&column),
            "{error}"
        );
    }
}
