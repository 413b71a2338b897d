//! Real files, where they are at hand.

use crate::make::{Counts, read};
use cellmill_engine::{Block, Source};
use cellmill_io::{Column, H5ad, ReadPath};
use std::collections::{BTreeMap, BTreeSet};
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
fn csc_and_dense_equal_csr() {
    let Some(path) = data("csc_and_dense", "human_pbmc/pbmc3k_raw_csr.h5ad") else {
        return;
    };
    let csr = H5ad::open(&path).unwrap().source("X", None).unwrap();
    let truth = read(&*csr, &[0..csr.grid().n_blocks()]);
    let folder = path.parent().unwrap().with_file_name("formats_pbmc3k");
    let csc = folder.join("pbmc3k_csc_gzip_shuffle.h5ad");
    let file = H5ad::open(&csc).unwrap();
    assert_eq!(file.matrix_info("X").unwrap().path, ReadPath::Fast);
    let csc = file.source("X", None).unwrap();
    assert_eq!(csc.grid(), csr.grid());
    assert_eq!(read(&*csc, &[0..csc.grid().n_blocks()]), truth);
    let dense = folder.join("pbmc3k_dense_1000cells_gzip.h5ad");
    let file = H5ad::open(&dense).unwrap();
    assert_eq!(file.matrix_info("X").unwrap().encoding, "dense");
    // It holds some of the cells, and the genes that some cell has.
    let names = |file: &H5ad, of: &str| file.read_dataframe(of, Some(&[])).unwrap().index;
    let whole = H5ad::open(&path).unwrap();
    let (all_cells, all_genes) = (names(&whole, "obs"), names(&whole, "var"));
    let genes = names(&file, "var");
    let kept: BTreeSet<&String> = genes.iter().collect();
    let dense = file.source("X", None).unwrap();
    let found = read(&*dense, &[0..dense.grid().n_blocks()]);
    for (row, name) in names(&file, "obs").iter().enumerate() {
        let other = all_cells.iter().position(|n| n == name).unwrap();
        let entries = |c: &Counts, row: usize, names: &[String]| {
            let range = c.indptr[row] as usize..c.indptr[row + 1] as usize;
            let entries = c.indices[range.clone()].iter().zip(&c.values[range]);
            let named = entries.map(|(&gene, &value)| (names[gene as usize].clone(), value));
            named.collect::<BTreeMap<String, _>>()
        };
        let mut expected = entries(&truth, other, &all_genes);
        expected.retain(|gene, _| kept.contains(gene));
        assert_eq!(entries(&found, row, &genes), expected, "{name}");
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
