//! CSC matrices, turned around with any amount of memory.

use crate::make::{Counts, Layout, array, read, text};
use cellmill_engine::Budget;
use cellmill_engine::testing::source_laws;
use cellmill_io::{H5ad, Workspace};
use hdf5_metno::{File, H5Type};
use std::path::Path;

/// The counts as CSC; each column's rows in falling order where `falling`.
fn write<D: H5Type>(
    path: &Path,
    counts: &Counts,
    layout: Layout,
    falling: bool,
    value: impl Fn(f64) -> D,
) {
    let file = File::create(path).unwrap();
    let x = file.create_group("X").unwrap();
    text(&x, "encoding-type", "csc_matrix");
    text(&x, "encoding-version", "0.1.0");
    let shape = [counts.rows() as i64, i64::from(counts.n_cols)];
    x.new_attr_builder()
        .with_data(&shape)
        .create("shape")
        .unwrap();
    let mut columns: Vec<Vec<(i32, f64)>> = vec![vec![]; counts.n_cols as usize];
    for (row, w) in counts.indptr.windows(2).enumerate() {
        for i in w[0] as usize..w[1] as usize {
            columns[counts.indices[i] as usize].push((row as i32, counts.values[i]));
        }
    }
    if falling {
        columns.iter_mut().for_each(|c| c.reverse());
    }
    let mut indptr = vec![0i32];
    for column in &columns {
        indptr.push(indptr[indptr.len() - 1] + column.len() as i32);
    }
    let entries: Vec<(i32, f64)> = columns.concat();
    let indices: Vec<i32> = entries.iter().map(|e| e.0).collect();
    let data: Vec<D> = entries.iter().map(|e| value(e.1)).collect();
    array(&x, "indices", &indices, layout);
    array(&x, "indptr", &indptr, layout);
    array(&x, "data", &data, layout);
}

fn check(path: &Path, counts: &Counts, workspace: &Workspace) {
    let file = H5ad::open_in(path, workspace).unwrap();
    let source = file.source("X", None).unwrap();
    assert!(source.to_turn().is_some() && source.transposed().is_some());
    for rows in [None, Some(7)] {
        let source = file.source("X", rows).unwrap();
        source_laws(&*source);
        let n = source.grid().n_blocks();
        assert_eq!(&read(&*source, &[0..n]), counts);
    }
    assert!(source.to_turn().is_none());
    assert_eq!(source.spec().open().unwrap().grid(), source.grid());
}

#[test]
fn every_dtype() {
    let counts = Counts::new(40, 60, 9, 5);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let gzip = Layout {
        chunk: 64,
        gzip: true,
        shuffle: true,
        ..Layout::default()
    };
    for falling in [false, true] {
        macro_rules! types {
            ($($t:ty),*) => {$(
                for layout in [Layout::default(), gzip] {
                    write(&path, &counts, layout, falling, |v| v as $t);
                    check(&path, &counts, &Workspace::default());
                    std::fs::remove_file(&path).unwrap();
                }
            )*};
        }
        types!(f32, f64, i32, u8, i64);
    }
}

#[test]
fn many_buckets_give_the_same_matrix() {
    // 3.5 million entries of 12 bytes: three buckets of 16 MB.
    let counts = Counts::new(7000, 1000, 500, 11);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    write(
        &path,
        &counts,
        Layout {
            chunk: 1 << 16,
            ..Layout::default()
        },
        false,
        |v| v as f32,
    );
    let workspace = Workspace {
        scratch: folder.path().to_owned(),
        budget: Budget::new(60 << 20),
        ..Workspace::default()
    };
    let source = H5ad::open_in(&path, &workspace)
        .unwrap()
        .source("X", None)
        .unwrap();
    assert_eq!(read(&*source, &[0..source.grid().n_blocks()]), counts);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(workspace.budget.used(), 0);
    assert!(workspace.budget.peak() > 30 << 20);
}

#[test]
fn a_row_that_is_not_there_is_named() {
    let counts = Counts::new(40, 60, 9, 5);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    write(&path, &counts, Layout::default(), false, |v| v as f32);
    {
        let file = File::open_rw(&path).unwrap();
        let shape = file.group("X").unwrap().attr("shape").unwrap();
        shape.write(&[30i64, 60]).unwrap();
    }
    let error = H5ad::open(&path)
        .unwrap()
        .source("X", None)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("X/indices") && error.contains("below 30"),
        "{error}"
    );
}
