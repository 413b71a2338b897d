//! Every encoding, written and read.

use cellmill_io::{
    Array, ArrayData, Categorical, Column, DataFrame, Elem, Error, H5ad, H5adWriter, Scalar,
    SparseMatrix, WriteOptions,
};

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|s| s.to_string()).collect()
}

fn frame() -> DataFrame {
    let nullable = |values| Column::Nullable {
        values,
        mask: vec![false, true, false],
    };
    DataFrame {
        index_name: "cell".into(),
        index: strings(&["AAA-1", "ü", ""]),
        columns: vec![
            (
                "z".into(),
                Column::Plain(ArrayData::F64(vec![1.5, f64::INFINITY, -0.0])),
            ),
            (
                "a".into(),
                Column::Plain(ArrayData::Str(strings(&["x", "", "y z"]))),
            ),
            (
                "flag".into(),
                Column::Plain(ArrayData::Bool(vec![true, false, true])),
            ),
            (
                "type".into(),
                Column::Categorical(Categorical {
                    codes: vec![1, -1, 0],
                    categories: ArrayData::Str(strings(&["B cell", "T cell"])),
                    ordered: true,
                }),
            ),
            (
                "batch".into(),
                Column::Categorical(Categorical {
                    codes: vec![0, 0, 1],
                    categories: ArrayData::I64(vec![3, 9]),
                    ordered: false,
                }),
            ),
            ("n".into(), nullable(ArrayData::I64(vec![1, 0, 3]))),
            (
                "b".into(),
                nullable(ArrayData::Bool(vec![true, false, false])),
            ),
            (
                "s".into(),
                nullable(ArrayData::Str(strings(&["p", "", "q"]))),
            ),
        ],
    }
}

fn every_element() -> Vec<(&'static str, Elem)> {
    let array = |shape: &[u64], data| {
        Elem::Array(Array {
            shape: shape.to_vec(),
            data,
        })
    };
    let graph = SparseMatrix {
        shape: [3, 3],
        csr: true,
        indptr: vec![0, 2, 2, 3],
        indices: vec![0, 2, 1],
        data: ArrayData::F32(vec![1.0, 0.5, 2.0]),
    };
    let columns = SparseMatrix {
        csr: false,
        data: ArrayData::F64(vec![1.0; 3]),
        ..graph.clone()
    };
    let empty = DataFrame {
        index_name: "_index".into(),
        ..DataFrame::default()
    };
    vec![
        ("obs", Elem::DataFrame(frame())),
        ("var", Elem::DataFrame(empty)),
        (
            "obsm/X_pca",
            array(&[3, 2], ArrayData::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
        ),
        ("obsp/connectivities", Elem::Sparse(graph)),
        ("varp/c", Elem::Sparse(columns)),
        ("uns/none", Elem::Null),
        ("uns/text", Elem::Scalar(Scalar::Str("ä b".into()))),
        ("uns/flag", Elem::Scalar(Scalar::Bool(true))),
        ("uns/int", Elem::Scalar(Scalar::I64(-5))),
        ("uns/big", Elem::Scalar(Scalar::U64(u64::MAX))),
        ("uns/real", Elem::Scalar(Scalar::F64(0.1))),
        ("uns/narrow", Elem::Scalar(Scalar::F32(0.25))),
        (
            "uns/nested/deeper/names",
            array(&[2], ArrayData::Str(strings(&["a", "b"]))),
        ),
        ("uns/empty", Elem::Dict(vec![])),
        ("uns/nothing", array(&[0, 3], ArrayData::F64(vec![]))),
        ("uns/bools", array(&[2], ArrayData::Bool(vec![true, false]))),
        ("uns/i8", array(&[1], ArrayData::I8(vec![-1]))),
        ("uns/i16", array(&[1], ArrayData::I16(vec![-300]))),
        ("uns/i32", array(&[1], ArrayData::I32(vec![1 << 20]))),
        ("uns/u8", array(&[1], ArrayData::U8(vec![200]))),
        ("uns/u16", array(&[1], ArrayData::U16(vec![60_000]))),
        ("uns/u32", array(&[1], ArrayData::U32(vec![u32::MAX]))),
        ("uns/u64", array(&[1], ArrayData::U64(vec![u64::MAX]))),
        ("uns/i64", array(&[1], ArrayData::I64(vec![i64::MIN]))),
        ("uns/frame", Elem::DataFrame(frame())),
        (
            "uns/column",
            Elem::Column(Column::Categorical(Categorical {
                codes: vec![0],
                categories: ArrayData::Str(strings(&["only"])),
                ordered: false,
            })),
        ),
    ]
}

#[test]
fn every_encoding_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    for compression in [None, Some(4)] {
        let path = folder.path().join("a.h5ad");
        let mut writer = H5adWriter::create(&path, true).unwrap();
        writer.set_options(WriteOptions { compression });
        for (address, element) in every_element() {
            writer.write(address, &element).unwrap();
        }
        writer.commit().unwrap();
        let file = H5ad::open(&path).unwrap();
        for (address, element) in every_element() {
            assert_eq!(file.read(address).unwrap(), element, "{address}");
        }
        let root = [
            "layers", "obs", "obsm", "obsp", "uns", "var", "varm", "varp",
        ];
        assert_eq!(file.keys("").unwrap(), root);
        assert_eq!(file.shape_of("obs").unwrap(), [3, 8]);
        assert_eq!(file.shape_of("obsm/X_pca").unwrap(), [3, 2]);
        assert_eq!(file.shape_of("obsp/connectivities").unwrap(), [3, 3]);
    }
}

#[test]
fn some_columns_in_the_order_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let mut writer = H5adWriter::create(&path, false).unwrap();
    writer.write("obs", &Elem::DataFrame(frame())).unwrap();
    writer.commit().unwrap();
    let file = H5ad::open(&path).unwrap();
    let names = file.dataframe_columns("obs").unwrap();
    assert_eq!(names, ["z", "a", "flag", "type", "batch", "n", "b", "s"]);
    let some = file
        .read_dataframe("obs", Some(&strings(&["type", "a"])))
        .unwrap();
    assert_eq!(
        some.columns,
        [frame().columns[3].clone(), frame().columns[1].clone()]
    );
    let error = file
        .read_dataframe("obs", Some(&strings(&["tyep"])))
        .unwrap_err();
    assert!(matches!(error, Error::MissingElement { .. }));
    assert!(error.to_string().contains("obs/tyep") && error.to_string().contains("type, batch"));
}

#[test]
fn elements_are_copied_as_they_are_between_files() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.h5ad"), folder.path().join("b.h5ad"));
    let mut writer = H5adWriter::create(&first, false).unwrap();
    for (address, element) in every_element() {
        writer.write(address, &element).unwrap();
    }
    writer.commit().unwrap();
    let source = H5ad::open(&first).unwrap();
    let mut writer = H5adWriter::create(&second, false).unwrap();
    for address in ["obs", "var", "obsm", "obsp", "varp", "uns"] {
        writer.copy_from(&source, address, address).unwrap();
    }
    let missing = writer
        .copy_from(&source, "uns/nope", "uns/nope")
        .unwrap_err();
    assert!(matches!(missing, Error::MissingElement { .. }), "{missing}");
    writer.commit().unwrap();
    let copy = H5ad::open(&second).unwrap();
    for (address, element) in every_element() {
        assert_eq!(copy.read(address).unwrap(), element, "{address}");
    }
}

#[test]
fn what_is_not_understood_is_carried_along() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.h5ad"), folder.path().join("b.h5ad"));
    {
        #[derive(hdf5_metno::H5Type, Clone, Copy, PartialEq, Debug)]
        #[repr(C)]
        struct Pair {
            score: f32,
            rank: i64,
        }
        let file = hdf5_metno::File::create(&first).unwrap();
        let uns = file.create_group("uns").unwrap();
        let rows = [
            Pair {
                score: 0.5,
                rank: 1,
            },
            Pair {
                score: 0.25,
                rank: 2,
            },
        ];
        uns.new_dataset_builder()
            .with_data(&rows)
            .create("ranks")
            .unwrap();
    }
    let source = H5ad::open(&first).unwrap();
    let element = source.read("uns/ranks").unwrap();
    assert!(matches!(&element, Elem::Foreign { encoding, .. } if encoding == "compound"));
    let mut writer = H5adWriter::create(&second, false).unwrap();
    writer.write("uns/kept", &element).unwrap();
    writer.commit().unwrap();
    let copy = hdf5_metno::File::open(&second).unwrap();
    assert_eq!(copy.dataset("uns/kept").unwrap().shape(), [2]);
}

#[test]
fn a_missing_element_says_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    H5adWriter::create(&path, false).unwrap().commit().unwrap();
    let file = H5ad::open(&path).unwrap();
    assert!(!file.exists("X") && file.exists("uns"));
    let error = file.read("layers2/counts").unwrap_err();
    assert!(
        error.to_string().contains("layers2 is not there"),
        "{error}"
    );
    let error = file.csr_source("X").err().unwrap();
    assert!(
        error
            .to_string()
            .contains("there is no element X; the file holds layers"),
        "{error}"
    );
}
