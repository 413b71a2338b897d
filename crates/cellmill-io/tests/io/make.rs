//! Small matrices, and files that hold them in every layout, made with the HDF5 library.

use cellmill_engine::{Block, Source, Values};
use hdf5_metno::types::VarLenUnicode;
use hdf5_metno::{File, Group, H5Type};
use std::path::Path;

/// A CSR matrix of counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    pub n_cols: u32,
    pub indptr: Vec<u64>,
    pub indices: Vec<u32>,
    pub values: Vec<f64>,
}

impl Counts {
    /// `rows` rows; row r has about `per_row` entries, row 3 none.
    pub fn new(rows: usize, n_cols: u32, per_row: u32, seed: u64) -> Self {
        let mut state = seed | 1;
        let mut draw = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 16
        };
        let (mut indptr, mut indices, mut values) = (vec![0], vec![], vec![]);
        for row in 0..rows {
            for column in 0..n_cols {
                if row != 3 && draw() % u64::from(n_cols) < u64::from(per_row) {
                    indices.push(column);
                    values.push((draw() % 100) as f64);
                }
            }
            indptr.push(indices.len() as u64);
        }
        Self {
            n_cols,
            indptr,
            indices,
            values,
        }
    }

    pub fn rows(&self) -> usize {
        self.indptr.len() - 1
    }
}

/// How an array is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// Entries in a chunk; 0: contiguous.
    pub chunk: usize,
    pub gzip: bool,
    pub shuffle: bool,
    pub lzf: bool,
    pub fletcher: bool,
}

pub fn text(group: &Group, name: &str, value: &str) {
    let value: VarLenUnicode = value.parse().unwrap();
    group
        .new_attr::<VarLenUnicode>()
        .create(name)
        .unwrap()
        .write_scalar(&value)
        .unwrap();
}

pub fn array<T: H5Type>(group: &Group, name: &str, values: &[T], layout: Layout) {
    let mut builder = group.new_dataset_builder();
    if layout.chunk > 0 {
        builder = builder.chunk(layout.chunk.min(values.len()));
    }
    if layout.shuffle {
        builder = builder.shuffle();
    }
    if layout.fletcher && !layout.gzip {
        builder = builder.fletcher32();
    }
    if layout.gzip {
        builder = builder.deflate(4);
    }
    if layout.lzf {
        builder = builder.lzf();
    }
    if layout.fletcher && layout.gzip {
        builder = builder.fletcher32();
    }
    builder.with_data(values).create(name).unwrap();
}

/// An h5ad file with the counts as X.
pub fn file<I: H5Type, D: H5Type>(
    path: &Path,
    counts: &Counts,
    layout: Layout,
    index: impl Fn(u64) -> I,
    value: impl Fn(f64) -> D,
) {
    // The oldest format, as h5py writes it by default.
    let file = File::with_options()
        .with_fapl(|p| p.libver_earliest())
        .create(path)
        .unwrap();
    let x = file.create_group("X").unwrap();
    text(&x, "encoding-type", "csr_matrix");
    text(&x, "encoding-version", "0.1.0");
    let shape = [counts.rows() as i64, i64::from(counts.n_cols)];
    x.new_attr_builder()
        .with_data(&shape)
        .create("shape")
        .unwrap();
    let indices: Vec<I> = counts.indices.iter().map(|&i| index(i.into())).collect();
    let indptr: Vec<I> = counts.indptr.iter().map(|&i| index(i)).collect();
    let data: Vec<D> = counts.values.iter().map(|&v| value(v)).collect();
    array(&x, "indices", &indices, layout);
    array(&x, "indptr", &indptr, layout);
    array(&x, "data", &data, layout);
}

/// All blocks of these ranges of blocks, read one after another, as one matrix.
pub fn read(source: &dyn Source, blocks: &[std::ops::Range<usize>]) -> Counts {
    let mut all = Counts {
        n_cols: source.n_cols(),
        indptr: vec![0],
        indices: vec![],
        values: vec![],
    };
    let mut block = Block::new(source.n_cols());
    for range in blocks {
        let mut reader = source.open(range.clone()).unwrap();
        while reader.next_block(&mut block).unwrap() {
            assert_eq!(block.first_row, all.rows() as u64);
            assert_eq!(block.indptr[0], 0);
            assert_eq!(*block.indptr.last().unwrap(), block.indices.len());
            assert_eq!(block.values.len(), block.indices.len());
            let before = all.indices.len() as u64;
            all.indptr
                .extend(block.indptr[1..].iter().map(|&p| before + p as u64));
            all.indices.extend_from_slice(&block.indices);
            match &block.values {
                Values::F32(v) => all.values.extend(v.iter().map(|&x| f64::from(x))),
                Values::F64(v) => all.values.extend_from_slice(v),
            }
        }
        assert_eq!(block.n_rows(), 0, "after the last block the block is empty");
    }
    all
}
