//! Elements copied between files: in every layout, with every filter, from every version.

use crate::make::{Counts, Layout, file, read, text};
use cellmill_engine::{Block, Source};
use cellmill_io::{ArrayData, Column, DataFrame, Elem, H5ad, H5adWriter, ReadPath};
use hdf5_metno::dataset::{ChunkOpts, Layout as Arrangement};
use hdf5_metno::filters::ScaleOffset;
use hdf5_metno::types::{VarLenArray, VarLenUnicode};
use hdf5_metno::{File, Group, ObjectReference1};
use std::path::Path;

/// Copies these elements to a new file, opened with the library.
fn copied(source: &H5ad, target: &Path, addresses: &[&str]) -> File {
    let mut writer = H5adWriter::create(target, true).unwrap();
    for address in addresses {
        writer.copy_from(source, address, address).unwrap();
    }
    writer.commit().unwrap();
    File::open(target).unwrap()
}

/// X of `counts`, its values with the scale-offset filter.
fn scaled(path: &Path, counts: &Counts) {
    file(path, counts, Layout::default(), |i| i as i32, |v| v as i32);
    let file = File::open_rw(path).unwrap();
    let x = file.group("X").unwrap();
    x.unlink("data").unwrap();
    let values: Vec<i32> = counts.values.iter().map(|&v| v as i32).collect();
    let mut builder = x.new_dataset_builder().chunk(37);
    builder = builder.scale_offset(ScaleOffset::Integer(0));
    builder.with_data(&values).create("data").unwrap();
    let uns = file.create_group("uns").unwrap();
    let deep = uns.create_group("a").unwrap().create_group("b").unwrap();
    let builder = deep.new_dataset_builder().empty::<i32>();
    let builder = builder.shape((12, 5)).chunk((5, 3));
    let table = builder.scale_offset(ScaleOffset::Integer(0));
    table
        .create("table")
        .unwrap()
        .write_raw(&values[..60])
        .unwrap();
}

#[test]
fn values_with_the_scale_offset_filter_are_written_anew_while_they_are_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.h5ad"), folder.path().join("b.h5ad"));
    let counts = Counts::new(50, 40, 12, 5);
    scaled(&from, &counts);
    let source = H5ad::open(&from).unwrap();
    // Reading leaves a chunk in the cache of the library, where H5Ocopy would find it.
    let matrix = source.csr_source("X").unwrap();
    let path = source.matrix_info("X").unwrap().path;
    assert!(matches!(path, ReadPath::Library(_)), "{path:?}");
    let mut reader = matrix.open(0..1).unwrap();
    let mut block = Block::new(40);
    assert!(reader.next_block(&mut block).unwrap());
    let copy = copied(&source, &to, &["X", "uns"]);
    drop(reader);
    let filters = copy.dataset("X/data").unwrap().filters();
    assert_eq!(filters.len(), 2, "shuffle and gzip: {filters:?}");
    assert_eq!(copy.dataset("X/data").unwrap().chunk(), Some(vec![37]));
    let original = File::open(&from).unwrap();
    let table = |file: &File| {
        file.dataset("uns/a/b/table")
            .unwrap()
            .read_raw::<i32>()
            .unwrap()
    };
    assert_eq!(table(&copy), table(&original));
    drop((copy, original));
    let copy = H5ad::open(&to).unwrap();
    let matrix = copy.csr_source("X").unwrap();
    assert_eq!(read(&matrix, std::slice::from_ref(&(0..1))), counts);
}

#[test]
fn a_file_of_the_newest_format_is_copied_to_the_oldest() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.h5ad"), folder.path().join("b.h5ad"));
    let counts = Counts::new(60, 40, 12, 5);
    let n = counts.values.len();
    {
        let file = File::with_options()
            .with_fapl(|p| p.libver_latest())
            .create(&from)
            .unwrap();
        let x = file.create_group("X").unwrap();
        text(&x, "encoding-type", "csr_matrix");
        text(&x, "encoding-version", "0.1.0");
        let shape = [60i64, 40];
        x.new_attr_builder()
            .with_data(&shape)
            .create("shape")
            .unwrap();
        let data: Vec<f32> = counts.values.iter().map(|&v| v as f32).collect();
        let indices: Vec<i32> = counts.indices.iter().map(|&i| i as i32).collect();
        let indptr: Vec<i32> = counts.indptr.iter().map(|&i| i as i32).collect();
        // An extensible array, a fixed array and a single chunk index them.
        let builder = x.new_dataset_builder().empty::<f32>().shape(n..).chunk(31);
        let grows = builder.deflate(4).create("data").unwrap();
        grows.write_raw(&data).unwrap();
        let builder = x.new_dataset_builder().chunk(31).shuffle().deflate(4);
        builder.with_data(&indices).create("indices").unwrap();
        let builder = x.new_dataset_builder().chunk(indptr.len()).fletcher32();
        builder.with_data(&indptr).create("indptr").unwrap();
        let uns = file.create_group("uns").unwrap();
        let word: VarLenUnicode = "word".parse().unwrap();
        let scalar = uns.new_dataset::<VarLenUnicode>().create("word").unwrap();
        scalar.write_scalar(&word).unwrap();
        let flags = uns.new_dataset_builder().with_data(&[true, false]);
        flags.create("flags").unwrap();
        // Growing both ways takes a B-tree of the second version.
        let table = uns
            .new_dataset_builder()
            .empty::<f64>()
            .shape((9.., 4..))
            .chunk((2, 3));
        let values: Vec<f64> = (0..36).map(f64::from).collect();
        table.create("table").unwrap().write_raw(&values).unwrap();
    }
    let source = H5ad::open(&from).unwrap();
    let copy = copied(&source, &to, &["X", "uns"]);
    let table = copy.dataset("uns/table").unwrap();
    assert_eq!(
        table.read_raw::<f64>().unwrap(),
        (0..36).map(f64::from).collect::<Vec<_>>()
    );
    assert_eq!(table.chunk(), Some(vec![2, 3]));
    assert!(table.is_resizable());
    assert_eq!(
        copy.dataset("uns/flags")
            .unwrap()
            .read_raw::<bool>()
            .unwrap(),
        [true, false]
    );
    let stored = |info: &hdf5_metno::File| info.dataset("X/data").unwrap().storage_size();
    assert_eq!(
        stored(&copy),
        stored(&File::open(&from).unwrap()),
        "chunks as they are"
    );
    drop((table, copy));
    // The version of the superblock: what HDF5 1.8 and everything after it reads.
    assert_eq!(std::fs::read(&to).unwrap()[8], 0);
    let copy = H5ad::open(&to).unwrap();
    let matrix = copy.csr_source("X").unwrap();
    assert_eq!(read(&matrix, std::slice::from_ref(&(0..1))), counts);
    assert_eq!(
        copy.read("uns/word").unwrap(),
        source.read("uns/word").unwrap()
    );
}

/// A dataframe as anndata 0.7 wrote it, with references to the categories.
fn old_frame(at: &Group) {
    text(at, "encoding-type", "dataframe");
    text(at, "encoding-version", "0.1.0");
    text(at, "_index", "index");
    let words = |values: &[&str]| -> Vec<VarLenUnicode> {
        values.iter().map(|v| v.parse().unwrap()).collect()
    };
    let order = words(&["kind", "n"]);
    at.new_attr_builder()
        .with_data(&order)
        .create("column-order")
        .unwrap();
    let all = at.create_group("__categories").unwrap();
    let add = |group: &Group, name: &str, values: &[&str]| {
        let values = words(values);
        let builder = group.new_dataset_builder().with_data(&values);
        builder.create(name).unwrap()
    };
    let labels = add(&all, "kind", &["T", "B"]);
    labels
        .new_attr::<bool>()
        .create("ordered")
        .unwrap()
        .write_scalar(&true)
        .unwrap();
    add(at, "index", &["x", "y", "z"]);
    let codes = at
        .new_dataset_builder()
        .with_data(&[1i8, -1, 0])
        .create("kind")
        .unwrap();
    let reference: ObjectReference1 = all.reference("kind").unwrap();
    let attribute = codes
        .new_attr::<ObjectReference1>()
        .create("categories")
        .unwrap();
    attribute.write_scalar(&reference).unwrap();
    at.new_dataset_builder()
        .with_data(&[5i64, 6, 7])
        .create("n")
        .unwrap();
}

#[test]
fn dataframes_of_anndata_0_7_are_written_in_their_present_form_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.h5ad"), folder.path().join("b.h5ad"));
    let places = ["obsm/df", "uns/deep/er/df", "raw/var"];
    {
        let file = File::create(&from).unwrap();
        for place in places {
            old_frame(&file.create_group(place).unwrap());
        }
    }
    let source = H5ad::open(&from).unwrap();
    let copy = copied(&source, &to, &["obsm/df", "uns", "raw"]);
    for place in places {
        let group = copy.group(place).unwrap();
        assert!(!group.link_exists("__categories"), "{place}");
        let version = group.attr("encoding-version").unwrap();
        let version: VarLenUnicode = version.read_scalar().unwrap();
        assert_eq!(version.as_str(), "0.2.0", "{place}");
    }
    drop(copy);
    let copy = H5ad::open(&to).unwrap();
    for place in places {
        let Elem::DataFrame(frame) = copy.read(place).unwrap() else {
            panic!("{place} is a dataframe")
        };
        assert_eq!(Elem::DataFrame(frame.clone()), source.read(place).unwrap());
        let DataFrame { index, columns, .. } = frame;
        assert_eq!(index, ["x", "y", "z"]);
        let (_, Column::Categorical(kind)) = &columns[0] else {
            panic!("a categorical: {columns:?}")
        };
        assert_eq!(kind.codes, [1, -1, 0]);
        assert!(kind.ordered);
        assert_eq!(
            kind.categories,
            ArrayData::Str(vec!["T".into(), "B".into()])
        );
    }
}

#[test]
fn rare_layouts_types_and_links() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.h5ad"), folder.path().join("b.h5ad"));
    let many: Vec<i32> = (0..100).collect();
    {
        let file = File::with_options()
            .with_fapl(|p| p.libver_v110())
            .create(&from)
            .unwrap();
        let uns = file.create_group("uns").unwrap();
        let make = || uns.new_dataset_builder();
        let compact = make().layout(Arrangement::Compact).with_data(&many);
        compact.create("compact").unwrap();
        // The last chunk is stored without the filter.
        let edge = make()
            .chunk(30)
            .deflate(4)
            .chunk_opts(ChunkOpts::DONT_FILTER_PARTIAL_CHUNKS);
        edge.with_data(&many).create("edge").unwrap();
        // Only the second chunk is there.
        let holes = make()
            .empty::<i32>()
            .shape(100)
            .chunk(10)
            .fill_value(7i32)
            .deflate(4);
        let holes = holes.create("holes").unwrap();
        holes.write_slice(&many[10..20], 10..20).unwrap();
        let never = make().empty::<i32>().shape(5).no_chunk().fill_value(3i32);
        never.create("never").unwrap();
        let ragged = [
            VarLenArray::from_slice(&[1i32, 2]),
            VarLenArray::from_slice(&[]),
        ];
        make().with_data(&ragged).create("ragged").unwrap();
        let reference: ObjectReference1 = uns.reference("compact").unwrap();
        make().with_data(&[reference]).create("reference").unwrap();
        uns.link_soft("/uns/compact", "soft").unwrap();
        uns.link_soft("/uns/nothing", "dangling").unwrap();
        uns.link_external("absent.h5", "/x", "outside").unwrap();
        make().empty::<f32>().shape((0, 4)).create("empty").unwrap();
        text(&uns, "note", "kept");
    }
    let source = H5ad::open(&from).unwrap();
    let copy = copied(&source, &to, &["uns"]);
    let uns = copy.group("uns").unwrap();
    let note: VarLenUnicode = uns.attr("note").unwrap().read_scalar().unwrap();
    assert_eq!(note.as_str(), "kept");
    let numbers = |name: &str| uns.dataset(name).unwrap().read_raw::<i32>().unwrap();
    assert_eq!(numbers("compact"), many);
    assert_eq!(numbers("edge"), many);
    assert_eq!(numbers("soft"), many);
    assert_eq!(numbers("never"), [3; 5]);
    let mut holes = vec![7; 100];
    holes[10..20].copy_from_slice(&many[10..20]);
    assert_eq!(numbers("holes"), holes);
    assert_eq!(uns.dataset("holes").unwrap().num_chunks(), Some(1));
    let ragged: Vec<VarLenArray<i32>> = uns.dataset("ragged").unwrap().read_raw().unwrap();
    assert_eq!((ragged[0].as_slice(), ragged[1].len()), (&[1, 2][..], 0));
    assert_eq!(uns.dataset("empty").unwrap().shape(), [0, 4]);
    assert!(!uns.link_exists("dangling") && !uns.link_exists("outside"));
    // A reference into the other file would be wrong, so there is none.
    assert_eq!(uns.dataset("reference").unwrap().shape(), [1]);
    assert_eq!(uns.dataset("reference").unwrap().storage_size(), 0);
}

#[test]
fn groups_that_hold_themselves_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.h5ad"), folder.path().join("b.h5ad"));
    let file = File::create(&from).unwrap();
    let uns = file.create_group("uns").unwrap();
    uns.link_hard("/uns", "self").unwrap();
    uns.link_hard("/uns", "twice").unwrap();
    drop((uns, file));
    let source = H5ad::open(&from).unwrap();
    let mut writer = H5adWriter::create(&to, false).unwrap();
    let error = writer.copy_from(&source, "uns", "uns").unwrap_err();
    assert!(error.to_string().contains("nested deeper than"), "{error}");
}
