//! Whole or not at all; and matrices written block by block.

use crate::make::{Counts, Layout, file, read};
use cellmill_engine::testing::{Matrix, random_counts, sink_laws};
use cellmill_engine::{Block, Context, Grid, Sink, Source, Values};
use cellmill_io::write::CsrPart;
use cellmill_io::{
    CsrSink, CsrSinkOptions, DenseSink, DenseSinkOptions, Elem, Error, H5ad, H5adWriter, Scalar,
    SinkDtype,
};
use std::path::Path;
use std::sync::RwLock;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut all: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    all.sort();
    all
}

fn block(counts: &Counts, rows: std::ops::Range<usize>) -> Block {
    let (first, last) = (
        counts.indptr[rows.start] as usize,
        counts.indptr[rows.end] as usize,
    );
    Block {
        first_row: rows.start as u64,
        n_cols: counts.n_cols,
        indptr: counts.indptr[rows.start..=rows.end]
            .iter()
            .map(|&p| p as usize - first)
            .collect(),
        indices: counts.indices[first..last].to_vec(),
        values: Values::F64(counts.values[first..last].to_vec()),
    }
}

/// Pushes spans of 10 rows in blocks of 5, all spans at once on `threads` threads.
fn fill(sink: &CsrSink, counts: &Counts, threads: usize) {
    let spans: Vec<usize> = (0..counts.rows().div_ceil(10)).collect();
    for wave in spans.chunks(threads) {
        let parts: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = wave
                .iter()
                .map(|&span| {
                    scope.spawn(move || {
                        let mut part = sink.start(span);
                        for start in [span * 10, span * 10 + 5] {
                            let end = (start + 5).min(counts.rows());
                            if start < end {
                                sink.push(&mut part, &block(counts, start..end)).unwrap();
                            }
                        }
                        part
                    })
                })
                .collect();
            workers.into_iter().map(|w| w.join().unwrap()).collect()
        });
        for part in parts {
            sink.accept(part).unwrap();
        }
    }
}

#[test]
fn a_matrix_written_block_by_block_comes_back() {
    let counts = Counts::new(93, 40, 12, 9);
    let folder = tempfile::tempdir().unwrap();
    for dtype in [
        SinkDtype::F32,
        SinkDtype::F64,
        SinkDtype::I32,
        SinkDtype::I64,
    ] {
        for (compression, shuffle) in [(None, false), (Some(1), true), (Some(4), false)] {
            for entries_at_most in [counts.indices.len() as u64, 1 << 40] {
                let mut bytes = Vec::new();
                for threads in [1, 3] {
                    let path = folder.path().join(format!("{threads}.h5ad"));
                    let mut writer = H5adWriter::create(&path, true).unwrap();
                    let options = CsrSinkOptions {
                        dtype,
                        compression,
                        shuffle,
                        chunk_entries: 37,
                        ..CsrSinkOptions::new([93, 40], entries_at_most)
                    };
                    let sink = writer.csr_sink("layers/counts", options).unwrap();
                    fill(&sink, &counts, threads);
                    sink.finish().unwrap();
                    writer.commit().unwrap();
                    let source = H5ad::open(&path)
                        .unwrap()
                        .csr_source("layers/counts")
                        .unwrap();
                    assert_eq!(read(&source, std::slice::from_ref(&(0..1))), counts);
                    let info = H5ad::open(&path)
                        .unwrap()
                        .matrix_info("layers/counts")
                        .unwrap();
                    assert_eq!(info.indices_dtype, info.indptr_dtype);
                    assert_eq!(info.indptr_dtype == "int64", entries_at_most > 1 << 31);
                    // The library reads the same, so the padding and the shuffle are right.
                    let other = hdf5_metno::File::open(&path).unwrap();
                    let data: Vec<f64> = match dtype {
                        SinkDtype::F64 => other
                            .dataset("layers/counts/data")
                            .unwrap()
                            .read_raw()
                            .unwrap(),
                        _ => counts.values.clone(),
                    };
                    assert_eq!(data, counts.values);
                    bytes.push(std::fs::read(&path).unwrap());
                }
                assert!(
                    bytes[0] == bytes[1],
                    "the same bytes from one thread and from three"
                );
            }
        }
    }
}

#[test]
fn an_empty_matrix_and_a_wrong_number_of_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let mut writer = H5adWriter::create(&path, false).unwrap();
    let sink = writer
        .csr_sink("X", CsrSinkOptions::new([0, 5], 0))
        .unwrap();
    sink.finish().unwrap();
    let sink = writer
        .csr_sink("layers/a", CsrSinkOptions::new([3, 5], 9))
        .unwrap();
    let error = sink.finish().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("3 rows were expected and 0 came"),
        "{error}"
    );
    writer.commit().unwrap();
    let source = H5ad::open(&path).unwrap().csr_source("X").unwrap();
    assert_eq!((source.n_rows(), source.nnz()), (0, Some(0)));
}

#[test]
fn a_value_that_the_type_does_not_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = H5adWriter::create(&folder.path().join("a.h5ad"), false).unwrap();
    let options = CsrSinkOptions {
        dtype: SinkDtype::I32,
        ..CsrSinkOptions::new([1, 2], 1)
    };
    let sink = writer.csr_sink("X", options).unwrap();
    let mut part = sink.start(0);
    let counts = Counts {
        n_cols: 2,
        indptr: vec![0, 1],
        indices: vec![1],
        values: vec![0.5],
    };
    sink.push(&mut part, &block(&counts, 0..1)).unwrap();
    sink.accept(part).unwrap();
    assert!(
        sink.finish()
            .unwrap_err()
            .to_string()
            .contains("0.5 cannot be written as int32")
    );
}

#[test]
fn without_commit_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let mut writer = H5adWriter::create(&path, false).unwrap();
    writer
        .write("uns/a", &Elem::Scalar(Scalar::I64(1)))
        .unwrap();
    let temporary = format!(".a.h5ad.cellmill-{}.tmp", std::process::id());
    assert_eq!(names(folder.path()), [temporary]);
    drop(writer);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn an_existing_target_is_kept_unless_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(
        H5adWriter::create(&path, false),
        Err(Error::Exists { .. })
    ));
    drop(H5adWriter::create(&path, true).unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    H5adWriter::create(&path, true).unwrap().commit().unwrap();
    assert!(H5ad::open(&path).is_ok());
    assert_eq!(names(folder.path()), ["a.h5ad"]);
}

#[test]
fn what_a_killed_program_left_is_removed_and_what_a_living_one_writes_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    std::fs::write(folder.path().join(".a.h5ad.cellmill-999999999.tmp"), "left").unwrap();
    std::fs::write(
        folder.path().join(".b.h5ad.cellmill-999999999.tmp"),
        "other target",
    )
    .unwrap();
    let first = H5adWriter::create(&path, false).unwrap();
    let second = H5adWriter::create(&path, false).unwrap();
    assert_eq!(names(folder.path()).len(), 3);
    first.commit().unwrap();
    assert!(matches!(second.commit(), Err(Error::Exists { .. })));
    assert_eq!(
        names(folder.path()),
        [".b.h5ad.cellmill-999999999.tmp", "a.h5ad"]
    );
}

#[test]
fn a_folder_that_is_not_there_is_refused_at_once() {
    let error = H5adWriter::create(Path::new("/nonexistent/folder/a.h5ad"), false).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("its folder cannot be written to"),
        "{error}"
    );
}

#[test]
fn a_matrix_is_copied_without_inflating() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.h5ad"), folder.path().join("b.h5ad"));
    let counts = Counts::new(40, 30, 8, 2);
    let layout = Layout {
        chunk: 20,
        gzip: true,
        ..Layout::default()
    };
    file(&from, &counts, layout, |i| i as i32, |v| v as f32);
    let source = H5ad::open(&from).unwrap();
    let mut writer = H5adWriter::create(&to, false).unwrap();
    writer.copy_from(&source, "X", "layers/counts").unwrap();
    writer.commit().unwrap();
    let copy = H5ad::open(&to).unwrap();
    let (old, new) = (
        source.matrix_info("X").unwrap(),
        copy.matrix_info("layers/counts").unwrap(),
    );
    assert_eq!(old.compressed_bytes, new.compressed_bytes);
    assert_eq!(
        read(
            &copy.csr_source("layers/counts").unwrap(),
            std::slice::from_ref(&(0..1))
        ),
        counts
    );
}

/// A dense matrix and its file, until they are finished.
struct DenseFile(RwLock<Option<(DenseSink, H5adWriter)>>);

impl DenseFile {
    fn with<T>(&self, work: impl FnOnce(&DenseSink) -> T) -> T {
        work(&self.0.read().unwrap().as_ref().unwrap().0)
    }
}

impl Sink for DenseFile {
    type Part = CsrPart;

    fn start(&self, span: usize) -> CsrPart {
        self.with(|sink| sink.start(span))
    }

    fn push(&self, part: &mut CsrPart, block: &Block) -> cellmill_engine::Result<()> {
        self.with(|sink| sink.push(part, block))
    }

    fn accept(&self, part: CsrPart) -> cellmill_engine::Result<()> {
        self.with(|sink| sink.accept(part))
    }

    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
        self.with(|sink| sink.part_bytes(span_entries, span_rows))
    }
}

#[test]
fn a_dense_matrix_obeys_the_laws() {
    let matrix = random_counts(41, 23, 6);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let zarr = folder.path().join("a.zarr");
    let options = DenseSinkOptions {
        dtype: SinkDtype::F64,
        chunk_values: 70,
        ..DenseSinkOptions::new([41, 23])
    };
    for target in [&path, &zarr] {
        let begin = |_: &Context, _: &Grid| {
            let mut writer = match target.extension().unwrap().to_str().unwrap() {
                "zarr" => H5adWriter::create_zarr(target, true).unwrap(),
                _ => H5adWriter::create(target, true).unwrap(),
            };
            let sink = writer.dense_sink("layers/a", options.clone()).unwrap();
            DenseFile(RwLock::new(Some((sink, writer))))
        };
        let read = |file: &DenseFile| {
            let (sink, writer) = file.0.write().unwrap().take().unwrap();
            sink.finish().unwrap();
            writer.commit().unwrap();
            let source = H5ad::open(target)
                .unwrap()
                .source("layers/a", None)
                .unwrap();
            Matrix::read(&*source).unwrap()
        };
        // A dense matrix keeps no explicit zero.
        let mut expected = matrix.clone();
        expected
            .rows
            .iter_mut()
            .for_each(|row| row.retain(|e| e.1 != 0.0));
        assert_eq!(sink_laws(&matrix, begin, read), expected);
    }
}
