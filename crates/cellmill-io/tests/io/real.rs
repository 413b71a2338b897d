//! Real files, where they are at hand.

use cellmill_engine::{Block, Source};
use cellmill_io::{Column, H5ad, ReadPath};
use std::path::PathBuf;

fn data(test: &str, file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("CELLMILL_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = folder.join(file);
    if !path.exists() {
        println!("skipped: {test} (no {})", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn pbmc3k() {
    let Some(path) = data("pbmc3k", "human_pbmc/pbmc3k_raw_csr.h5ad") else {
        return;
    };
    let file = H5ad::open(&path).unwrap();
    assert_eq!(file.shape_of("X").unwrap(), [2700, 32738]);
    let obs = file
        .read_dataframe("obs", Some(&["cell_type".to_owned()]))
        .unwrap();
    let (_, Column::Categorical(types)) = &obs.columns[0] else {
        panic!("a categorical")
    };
    assert_eq!(types.codes.iter().filter(|&&c| c == -1).count(), 62);
    let source = file.csr_source("X").unwrap();
    let mut block = Block::new(source.n_cols());
    let mut reader = source.open(0..source.grid().n_blocks()).unwrap();
    let (mut entries, mut rows) = (0, 0);
    while reader.next_block(&mut block).unwrap() {
        entries += block.nnz();
        rows += block.n_rows();
        assert!((0..block.nnz()).all(|i| block.values.get(i).fract() == 0.0));
    }
    assert_eq!((rows, entries), (2700, 2_286_884));
}

#[test]
fn csc_and_dense_say_how_to_convert() {
    for (name, encoding) in [
        ("pbmc3k_csc_gzip_shuffle", "csc"),
        ("pbmc3k_dense_1000cells_gzip", "dense"),
    ] {
        let Some(path) = data("csc_and_dense", &format!("formats_pbmc3k/{name}.h5ad")) else {
            return;
        };
        let file = H5ad::open(&path).unwrap();
        let info = file.matrix_info("X").unwrap();
        assert_eq!(info.encoding, encoding);
        assert!(matches!(info.path, ReadPath::Unsupported(_)));
        let error = file.csr_source("X").err().unwrap().to_string();
        assert!(error.contains("convert it in Python"), "{error}");
    }
}

#[test]
fn files_of_every_age() {
    let old = "fixtures/anndata_archives/archives";
    for version in ["v0.5.0", "v0.7.0", "v0.7.8", "v0.11.4"] {
        let Some(path) = data("files_of_every_age", &format!("{old}/{version}/adata.h5ad")) else {
            return;
        };
        let file = H5ad::open(&path).unwrap();
        let obs = file.read_dataframe("obs", None).unwrap();
        // The file of 0.11.4 has layers and no X.
        let matrix = if file.exists("X") {
            "X"
        } else {
            "layers/array"
        };
        if file.exists(matrix) {
            let shape = file.shape_of(matrix).unwrap();
            assert_eq!(obs.index.len() as u64, shape[0], "{version}");
        }
        for name in file.keys("").unwrap() {
            file.read(&name)
                .unwrap_or_else(|e| panic!("{version}: {e}"));
        }
    }
}
