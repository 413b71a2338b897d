use cellmill_engine::keep::Precision;
use cellmill_engine::op::{CellSet, Pipeline, ScaleGenes};
use cellmill_engine::reduce::{
    Bounds, CellTotals, CountCheck, GeneMoments, Gram, GramMatrix, Moments, Quality, Via,
};
use cellmill_engine::source::{ConcatPart, ConcatSource, Selected};
use cellmill_engine::testing::{
    Matrix, op_laws, random_counts, reduce_laws, sink_laws, source_laws,
};
use cellmill_engine::{Context, Grid, KeptColumns, MemSource, Op, Source, run_stage, sink};
use std::sync::Arc;

fn normalize() -> Vec<Op> {
    vec![
        Op::NormalizeTotal { target_sum: 1e4 },
        Op::Log1p { base: None },
    ]
}

fn close(a: f64, b: f64, tolerance: f64) {
    assert!(
        (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs())),
        "{a} and {b}"
    );
}

pub(super) fn close_moments(a: &Moments, b: &Moments) {
    assert_eq!((a.n, &a.n_nonzero), (b.n, &b.n_nonzero));
    a.mean
        .iter()
        .zip(&b.mean)
        .for_each(|(x, y)| close(*x, *y, 1e-13));
    a.variance
        .iter()
        .zip(&b.variance)
        .for_each(|(x, y)| close(*x, *y, 1e-12));
}

fn close_gram(a: &GramMatrix, b: &GramMatrix) {
    assert_eq!((a.n, a.k), (b.n, b.k));
    a.packed
        .iter()
        .zip(&b.packed)
        .for_each(|(x, y)| close(*x, *y, 1e-12));
    a.sums
        .iter()
        .zip(&b.sums)
        .for_each(|(x, y)| close(*x, *y, 1e-13));
}

#[test]
fn sources() {
    let matrix = random_counts(300, 60, 1);
    let source = matrix.source().unwrap();
    for block_rows in [1, 7, 300, 1000] {
        source_laws(&source.clone().with_block_rows(block_rows));
    }
    source_laws(
        &source
            .clone()
            .with_grid(Grid::from_blocks(vec![0, 0, 5, 5, 300, 300]).unwrap())
            .unwrap(),
    );
    source_laws(
        &Matrix {
            n_cols: 4,
            rows: vec![],
        }
        .source()
        .unwrap(),
    );
    source_laws(&MemSource::new(3, vec![0, 1], vec![2], vec![1f32]).unwrap());
}

#[test]
fn selections_of_sources() {
    let matrix = random_counts(300, 60, 1);
    let genes: Vec<u32> = (0..60).filter(|g| g % 7 != 2).collect();
    for mask in [
        (0..300).map(|i| i % 3 == 1).collect::<Vec<_>>(),
        (0..300)
            .map(|i| (40..55).contains(&i) || i == 299)
            .collect(),
        vec![false; 300],
    ] {
        let cells = CellSet::from_mask(&mask);
        for block_rows in [1, 7, 300] {
            let source = matrix.source().unwrap().with_block_rows(block_rows);
            let whole = Selected::whole(source.clone()).unwrap();
            source_laws(&whole);
            let mut part = whole;
            part.select(Some(cells.clone()), Some(genes.clone()))
                .unwrap();
            source_laws(&part);
            assert_eq!((part.n_rows(), part.n_cols()), (cells.len(), 51));
            let ctx = Context::quiet(2).unwrap();
            let ops = [
                Op::SelectCells {
                    cells: cells.clone(),
                },
                Op::SelectGenes {
                    genes: genes.clone(),
                },
            ];
            let expected = run_stage(&ctx, "t", &source, &ops, &CellTotals, &()).unwrap();
            let found = run_stage(&ctx, "t", &part, &[], &CellTotals, &()).unwrap();
            assert_eq!(found, expected);
        }
    }
    let mut whole = Selected::whole(matrix.source().unwrap()).unwrap();
    let beyond = CellSet::from_mask(&[true; 301]);
    assert!(whole.select(Some(beyond), None).is_err());
}

#[test]
fn ops() {
    let matrix = random_counts(200, 50, 2);
    let genes = |step| Op::SelectGenes {
        genes: (0..50).step_by(step).collect(),
    };
    let cells = Op::SelectCells {
        cells: CellSet::from_mask(&(0..200).map(|i| i % 9 > 2).collect::<Vec<_>>()),
    };
    let factors = Op::ScaleRows {
        factors: (0..200).map(|i| f64::from(i % 13)).collect(),
    };
    op_laws(&matrix, &normalize());
    op_laws(
        &matrix,
        &[normalize(), vec![genes(3), Op::RoundF32]].concat(),
    );
    op_laws(
        &matrix,
        &[vec![genes(2), factors.clone()], normalize()].concat(),
    );
    op_laws(
        &matrix,
        &[
            Op::Log1p { base: Some(10.0) },
            Op::Expm1 { base: Some(10.0) },
            genes(50),
        ],
    );
    op_laws(
        &matrix,
        &[vec![factors, cells], normalize(), vec![genes(4)]].concat(),
    );
    let scale = Op::ScaleGenes(ScaleGenes {
        std: (1..51).map(f64::from).collect(),
        mean: Some((0..50).map(f64::from).collect()),
        max: Some(2.0),
    });
    op_laws(&matrix, &[normalize(), vec![scale, genes(3)]].concat());
    let downsample = |counts| Op::DownsampleCounts {
        counts,
        seed: 5,
        replace: false,
    };
    op_laws(
        &matrix,
        &[vec![downsample(vec![20])], normalize(), vec![genes(3)]].concat(),
    );
    let without = Op::NormalizeTotalWithout {
        target_sum: 50.0,
        genes: (0..50).step_by(4).collect(),
    };
    op_laws(
        &matrix,
        &[vec![without, Op::Sqrt], normalize(), vec![genes(3)]].concat(),
    );
    op_laws(&matrix, &[genes(2), downsample((0..200).collect())]);
    op_laws(
        &Matrix {
            n_cols: 50,
            rows: vec![],
        },
        &normalize(),
    );
}

#[test]
fn reductions() {
    let matrix = random_counts(500, 40, 3);
    let exact = |a: &_, b: &_| assert_eq!(a, b);
    reduce_laws(&matrix, &[], &(), exact);
    let quality = Quality::new(40)
        .with_sets(&[vec![0, 3, 39], vec![3]])
        .and_then(|r| r.with_top(&[1, 5, 40]))
        .unwrap();
    reduce_laws(&matrix, &[], &quality, |a, b| assert_eq!(a, b));
    let bounds = Bounds {
        min_genes: Some(5),
        max_percent: Some((0, 9.0)),
        ..Bounds::default()
    };
    let bounded = quality.with_bounds(bounds).unwrap();
    let found = reduce_laws(&matrix, &[], &bounded, |a, b| assert_eq!(a, b));
    assert!(found.within.contains(&true) && found.within.contains(&false));
    reduce_laws(&matrix, &[], &CellTotals, |a, b| assert_eq!(a, b));
    reduce_laws(&matrix, &normalize(), &CellTotals, |a, b| assert_eq!(a, b));
    reduce_laws(&matrix, &[], &CountCheck, |a, b| assert_eq!(a, b));
    reduce_laws(&matrix, &normalize(), &CountCheck, |a, b| assert_eq!(a, b));
    reduce_laws(&matrix, &[], &GeneMoments::new(40), close_moments);
    reduce_laws(&matrix, &normalize(), &GeneMoments::new(40), close_moments);
    reduce_laws(&matrix, &[], &Gram::new(40), close_gram);
    let select = Op::SelectGenes {
        genes: (0..40).step_by(3).collect(),
    };
    reduce_laws(
        &matrix,
        &[normalize(), vec![select.clone()]].concat(),
        &Gram::new(14),
        close_gram,
    );

    let ops = Pipeline::new(&normalize(), 500, 40).unwrap();
    let several = (
        CellTotals,
        CountCheck,
        Via::new(ops, GeneMoments::new(40)),
        GeneMoments::new(40),
    );
    // One cell or none does not fit a pipeline that is compiled for 500 rows, but its ops do not
    // look at the number of rows.
    let together = reduce_laws(&matrix, &[], &several, |a, b| {
        assert_eq!((&a.0, &a.1), (&b.0, &b.1));
        close_moments(&a.2, &b.2);
        close_moments(&a.3, &b.3);
    });
    let ctx = Context::quiet(2).unwrap();
    let source = matrix.source().unwrap();
    let alone = run_stage(
        &ctx,
        "alone",
        &source,
        &normalize(),
        &GeneMoments::new(40),
        &(),
    )
    .unwrap();
    assert_eq!(
        together.2, alone,
        "a reduction behind ops of its own sees what the stage's ops give"
    );
}

#[test]
fn sinks() {
    let matrix = random_counts(400, 30, 4);
    let read = |kept: &KeptColumns| Matrix::read(kept).unwrap();
    let in_memory = |ctx: &Context, grid: &Grid| KeptColumns::new(ctx, grid, 30, Precision::F32);
    let in_scratch =
        |ctx: &Context, grid: &Grid| KeptColumns::with_memory(ctx, grid, 30, Precision::F32, 0);
    let half =
        |ctx: &Context, grid: &Grid| KeptColumns::with_memory(ctx, grid, 30, Precision::F64, 4000);
    for _ in 0..2 {
        assert_eq!(sink_laws(&matrix, in_memory, read), matrix);
        assert_eq!(sink_laws(&matrix, in_scratch, read), matrix);
        assert_eq!(sink_laws(&matrix, half, read), matrix);
    }
    let genes = [Op::SelectGenes {
        genes: vec![2, 5, 29],
    }];
    let pair = sink_laws(
        &matrix,
        |ctx, grid| {
            let ops = Pipeline::new(&genes, 400, 30).unwrap();
            (
                in_memory(ctx, grid),
                sink::Via::new(ops, SharedKept::new(ctx, grid)),
            )
        },
        |pair| read(&pair.0),
    );
    assert_eq!(pair, matrix);
}

/// Three kept columns; stands for any second sink.
struct SharedKept(KeptColumns);

impl SharedKept {
    fn new(ctx: &Context, grid: &Grid) -> Self {
        Self(KeptColumns::new(ctx, grid, 3, Precision::F32))
    }
}

impl cellmill_engine::Sink for SharedKept {
    type Part = cellmill_engine::keep::KeptPart;

    fn start(&self, span: usize) -> Self::Part {
        self.0.start(span)
    }

    fn push(
        &self,
        part: &mut Self::Part,
        block: &cellmill_engine::Block,
    ) -> cellmill_engine::Result<()> {
        self.0.push(part, block)
    }

    fn accept(&self, part: Self::Part) -> cellmill_engine::Result<()> {
        self.0.accept(part)
    }

    fn part_bytes(&self, span_entries: u64, span_rows: u64) -> u64 {
        self.0.part_bytes(span_entries, span_rows)
    }
}

#[test]
fn kept_columns_are_a_source() {
    let matrix = random_counts(400, 70_000, 5);
    let matrix = Matrix {
        n_cols: matrix.n_cols,
        rows: matrix
            .rows
            .into_iter()
            .map(|r| r.into_iter().step_by(200).collect())
            .collect(),
    };
    let source = matrix.source().unwrap().with_block_rows(1);
    let ctx = Context::quiet(3).unwrap();
    let cells: Vec<bool> = (0..400)
        .map(|i| i % 5 != 1 && !(100..140).contains(&i))
        .collect();
    for (cols, ops) in [
        (70_000, vec![]),
        (
            35_000,
            vec![Op::SelectGenes {
                genes: (0..70_000).step_by(2).collect(),
            }],
        ),
        (
            70_000,
            vec![Op::SelectCells {
                cells: CellSet::from_mask(&cells),
            }],
        ),
    ] {
        for (memory, precision) in [
            (u64::MAX, Precision::F32),
            (0, Precision::F32),
            (20_000, Precision::F64),
        ] {
            let kept = KeptColumns::with_memory(&ctx, source.grid(), cols, precision, memory);
            run_stage(&ctx, "keep", &source, &ops, &(), &kept).unwrap();
            source_laws(&kept);
            assert_eq!(Matrix::read(&kept).unwrap(), op_laws(&matrix, &ops));
            assert_eq!(kept.grid().n_spans(), source.grid().n_spans());
            assert_eq!(kept.scratch_bytes() > 0, memory < u64::MAX);
            assert_eq!(kept.memory_bytes() > 0, memory > 0);
        }
    }
}

#[test]
fn concatenations() {
    let (a, b) = (random_counts(120, 40, 4), random_counts(75, 30, 5));
    let part = |matrix: &Matrix, rows: u64, ops: &[Op], columns: Option<Vec<u32>>| {
        let source = Arc::new(matrix.source().unwrap().with_block_rows(rows));
        ConcatPart::new(source, ops, columns).unwrap()
    };
    let cells = Op::SelectCells {
        cells: CellSet::from_mask(&(0..75).map(|i| i > 20 && i % 3 > 0).collect::<Vec<_>>()),
    };
    let turned: Vec<u32> = (0..30).map(|j| (j * 7 + 3) % 45).collect();
    let parts = || {
        vec![
            part(&a, 7, &[], None),
            part(&b, 11, std::slice::from_ref(&cells), Some(turned.clone())),
            part(&a, 50, &normalize(), Some((5..45).collect())),
        ]
    };
    let whole = ConcatSource::new(parts(), 45).unwrap();
    source_laws(&whole);
    assert_eq!(whole.n_rows(), 120 + 36 + 120);
    for one in [0..1, 1..2, 2..3] {
        source_laws(&ConcatSource::new(parts().drain(one).collect(), 45).unwrap());
    }
    source_laws(&ConcatSource::new(Vec::new(), 3).unwrap());
    assert_eq!(
        ConcatSource::new(vec![part(&a, 7, &[], None), part(&a, 9, &[], None)], 40)
            .unwrap()
            .nnz(),
        Some(2 * a.source().unwrap().nnz().unwrap())
    );

    let totals = |source: &dyn Source, ops: &[Op]| {
        let ctx = Context::quiet(2).unwrap();
        run_stage(&ctx, "t", source, ops, &CellTotals, &())
            .unwrap()
            .total
    };
    let expected = [
        totals(&a.source().unwrap(), &[]),
        totals(&b.source().unwrap(), std::slice::from_ref(&cells)),
        totals(&a.source().unwrap(), &normalize()),
    ]
    .concat();
    assert_eq!(totals(&whole, &[]), expected);
    // Column 3 + 7j of the whole is column j of the second part.
    let genes = Op::SelectGenes { genes: vec![10] };
    let moved = ConcatSource::new(vec![part(&b, 8, &[], Some(turned))], 45).unwrap();
    assert_eq!(
        totals(&moved, &[genes]),
        totals(&b.source().unwrap(), &[Op::SelectGenes { genes: vec![1] }])
    );
}

#[test]
fn concatenations_that_do_not_fit() {
    let matrix = random_counts(10, 4, 6);
    let part = |columns| ConcatPart::new(Arc::new(matrix.source().unwrap()), &[], columns);
    for columns in [vec![0, 1, 2], vec![0, 1, 1, 2]] {
        let error = part(Some(columns)).err().unwrap().to_string();
        assert!(error.contains("which must differ"), "{error}");
    }
    let error = ConcatSource::new(vec![part(Some(vec![0, 1, 2, 9])).unwrap()], 9)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("column 9 of 9"), "{error}");
}
