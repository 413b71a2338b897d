//! A synthetic atlas as a source and as a file.

use cellmill::simulate::{
    Layout, SimulateFrom, SimulateParams, SimulateSummary, Simulator, resample_to_file,
    simulate_to_file,
};
use cellmill_engine::{Budget, Context, Error, Source, testing};
use cellmill_io::{Column, Elem, H5ad};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn small() -> SimulateParams {
    SimulateParams {
        n_cells: 700,
        n_genes: 1500,
        entries_per_cell: 90.0,
        seed: 5,
        ..Default::default()
    }
}

fn written(params: &SimulateParams, threads: usize, path: &Path) -> SimulateSummary {
    let ctx = Context::quiet(threads).expect("a pool");
    simulate_to_file(&ctx, params, path, true).expect("a file")
}

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("CELLMILL_TEST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = folder.join("human_pbmc/pbmc3k_raw_csr.h5ad");
    path.exists().then_some(path)
}

#[test]
fn a_simulator_keeps_the_laws_of_sources() {
    testing::source_laws(&Simulator::new(small()).expect("valid"));
    // 20 entries a cell: several blocks of 52,428 rows.
    let many = SimulateParams {
        n_cells: 110_000,
        n_genes: 100,
        entries_per_cell: 20.0,
        ..Default::default()
    };
    let many = Simulator::new(many).expect("valid");
    assert_eq!(many.grid().n_blocks(), 3);
    testing::source_laws(&many);
}

#[test]
fn the_file_holds_what_the_source_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("atlas.h5ad");
    let summary = written(&small(), 2, &path);
    assert_eq!(
        (summary.n_cells, summary.n_genes, summary.matrix.as_str()),
        (700, 1500, "raw/X")
    );
    assert_eq!(
        summary.file_bytes,
        std::fs::metadata(&path).expect("there").len()
    );

    let file = H5ad::open(&path).expect("opens");
    assert!(!file.exists("X"), "X is absent");
    let counts = testing::Matrix::read(&file.csr_source("raw/X").expect("counts")).expect("reads");
    let atlas = Simulator::new(small()).expect("valid");
    assert!(counts == testing::Matrix::read(&atlas).expect("reads"));
    assert_eq!(
        file.read("raw/var").expect("reads"),
        Elem::DataFrame(atlas.var())
    );
    assert_eq!(
        file.read("obs").expect("reads"),
        Elem::DataFrame(atlas.obs())
    );
    assert!(file.exists("uns/simulate/params"));
    assert!(matches!(file.matrix_info("raw/X"), Ok(info) if info.indices_dtype == "int32"));

    let ctx = Context::quiet(1).expect("a pool");
    let again = simulate_to_file(&ctx, &small(), &path, false).expect_err("the target is there");
    assert!(again.to_string().contains("atlas.h5ad"), "{again}");
}

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let params = SimulateParams {
        n_cells: 9000,
        n_genes: 3000,
        entries_per_cell: 300.0,
        ..small()
    };
    let bytes = |threads| {
        let path = folder.path().join(format!("{threads}.h5ad"));
        written(&params, threads, &path);
        std::fs::read(path).expect("reads")
    };
    let one = bytes(1);
    for threads in [2, 5] {
        assert!(bytes(threads) == one, "{threads} threads");
    }
}

#[test]
fn the_other_layouts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("atlas.h5ad");
    let plain = SimulateParams {
        layout: Layout::Plain,
        compression: 0,
        ..small()
    };
    assert_eq!(written(&plain, 2, &path).matrix, "X");
    let file = H5ad::open(&path).expect("opens");
    assert!(!file.exists("raw"));
    let counts = testing::Matrix::read(&file.csr_source("X").expect("counts")).expect("reads");

    let both = SimulateParams {
        with_x: true,
        ..small()
    };
    drop(file);
    written(&both, 2, &path);
    let file = H5ad::open(&path).expect("opens");
    assert!(
        counts == testing::Matrix::read(&file.csr_source("raw/X").expect("counts")).expect("reads")
    );
    let x = testing::Matrix::read(&file.csr_source("X").expect("normalised")).expect("reads");
    for (counts, values) in counts.rows.iter().zip(&x.rows) {
        let total: f64 = counts.iter().map(|e| e.1).sum();
        assert_eq!(counts.len(), values.len());
        for (count, value) in counts.iter().zip(values) {
            let expected = f64::ln_1p(1e4 * count.1 / total);
            assert!(count.0 == value.0 && (value.1 - expected).abs() < 1e-6 * expected);
        }
    }
}

#[test]
fn a_budget_that_is_too_small_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("atlas.h5ad");
    let ctx =
        Context::new(1, Budget::new(1 << 16), Arc::new(()), std::env::temp_dir()).expect("a pool");
    let refused = simulate_to_file(&ctx, &small(), &path, false);
    assert!(matches!(refused, Err(Error::Budget { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 0);
}

#[test]
fn an_atlas_of_real_cells() {
    let Some(real) = data() else {
        println!("skipped: an_atlas_of_real_cells, no pbmc3k_raw_csr.h5ad");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("drawn.h5ad");
    let from = SimulateFrom {
        path: real,
        matrix: Some("X".to_owned()),
        label: Some("cell_type".to_owned()),
    };
    let params = SimulateParams {
        n_cells: 4000,
        layout: Layout::Plain,
        ..Default::default()
    };
    let ctx = Context::quiet(2).expect("a pool");
    let summary = resample_to_file(&ctx, &from, &params, &path, false).expect("a file");
    assert_eq!((summary.n_cells, summary.n_genes), (4000, 32_738));
    let file = H5ad::open(&path).expect("opens");
    let obs = file.read_dataframe("obs", None).expect("reads");
    let kinds = obs
        .columns
        .iter()
        .find(|c| c.0 == "cell_type")
        .expect("carried");
    assert!(matches!(&kinds.1, Column::Categorical(c) if c.codes.len() == 4000));
    testing::source_laws(&file.csr_source("X").expect("counts"));
}
