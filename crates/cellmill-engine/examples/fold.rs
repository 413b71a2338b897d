//! Nanoseconds an entry of the hot loops: `cargo run --release -p cellmill-engine --example fold`.

#[path = "../../../bench/atlas.rs"]
mod atlas;

use atlas::GENES;
use cellmill_engine::keep::Precision;
use cellmill_engine::linalg::{pca, project};
use cellmill_engine::op::ln_1p_in_place;
use cellmill_engine::reduce::{CellTotals, CountCheck, GeneMoments, Gram};
use cellmill_engine::{Block, Context, KeptColumns, Op, Reduce, Result, Source, run_stage};
use std::hint::black_box;
use std::time::Instant;

const CELLS: usize = 6_000;

/// CPU time of all threads so far, so that a busy machine does not matter (wall time where the
/// system does not tell).
fn cpu_ns() -> u64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return START.elapsed().as_nanos() as u64;
    };
    let of_task = |path: std::path::PathBuf| -> Option<u64> {
        std::fs::read_to_string(path.join("schedstat"))
            .ok()?
            .split(' ')
            .next()?
            .parse()
            .ok()
    };
    tasks.filter_map(|task| of_task(task.ok()?.path())).sum()
}

fn time<T>(what: &str, entries: u64, unit: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = cpu_ns();
    let result = work()?;
    let ns = (cpu_ns() - start) as f64;
    println!(
        "{what:<34} {:>8.2} ns/{unit}  ({:.0} ms)",
        ns / entries as f64,
        ns / 1e6
    );
    Ok(result)
}

fn main() -> Result<()> {
    let ctx = Context::quiet(1)?;
    let source = atlas::counts(CELLS)?;
    let nnz = source.nnz().unwrap_or(0);
    println!(
        "{CELLS} x {GENES}, {nnz} entries, {} a cell, one thread",
        nnz / CELLS as u64
    );
    let normalize = [
        Op::NormalizeTotal { target_sum: 1e4 },
        Op::Log1p { base: None },
    ];

    let mut values: Vec<f64> = (0..10_000_000)
        .map(|i| f64::from(i % 1000) * 0.37)
        .collect();
    time("ln_1p", values.len() as u64, "value", || {
        ln_1p_in_place(&mut values);
        Ok(())
    })?;
    let mut values: Vec<f64> = (0..10_000_000)
        .map(|i| f64::from(i % 1000) * 0.37)
        .collect();
    time("std ln_1p", values.len() as u64, "value", || {
        values.iter_mut().for_each(|x| *x = x.ln_1p());
        Ok(())
    })?;
    black_box(&values);
    time("read only", nnz, "entry", || {
        run_stage(&ctx, "", &source, &[], &(), &())
    })?;
    time("cell totals", nnz, "entry", || {
        run_stage(&ctx, "", &source, &[], &CellTotals, &())
    })?;
    time("count check", nnz, "entry", || {
        run_stage(&ctx, "", &source, &[], &CountCheck, &())
    })?;
    let reduce = GeneMoments::new(GENES);
    let moments = time("moments", nnz, "entry", || {
        run_stage(&ctx, "", &source, &[], &reduce, &())
    })?;
    time("normalize, log1p", nnz, "entry", || {
        run_stage(&ctx, "", &source, &normalize, &(), &())
    })?;

    // Genes of middling frequency, as selections of variable genes mostly are.
    let mut order: Vec<u32> = (0..GENES).collect();
    order.sort_by_key(|&g| std::cmp::Reverse(moments.n_nonzero[g as usize]));
    let mut genes = order
        .iter()
        .copied()
        .step_by(7)
        .take(2000)
        .collect::<Vec<_>>();
    genes.sort_unstable();
    let ops = [&normalize[..], &[Op::SelectGenes { genes }, Op::RoundF32]].concat();
    time("normalize, log1p, select 2,000", nnz, "entry", || {
        run_stage(&ctx, "", &source, &ops, &(), &())
    })?;
    let kept = KeptColumns::new(&ctx, source.grid(), 2000, Precision::F32);
    time("the same, kept", nnz, "entry", || {
        run_stage(&ctx, "", &source, &ops, &(), &kept)
    })?;
    let kept_nnz = kept.nnz().unwrap_or(0);
    let pairs = run_stage(&ctx, "", &kept, &[], &Pairs, &())?;
    println!(
        "kept: {kept_nnz} entries, {} a cell, {} pairs a cell",
        kept_nnz / CELLS as u64,
        pairs / CELLS as u64
    );
    let gram = time("gram", pairs, "pair", || {
        run_stage(&ctx, "", &kept, &[], &Gram::new(2000), &())
    })?;
    // On a thread of its own, whose CPU time is gone with it: wall time.
    let start = Instant::now();
    let pca = pca(&ctx, &gram, 50, true)?;
    println!(
        "eigenproblem of 2,000 genes: {} ms of wall time",
        start.elapsed().as_millis()
    );
    std::thread::sleep(std::time::Duration::from_millis(100));
    time("project on 50", kept_nnz, "entry", || {
        project(&ctx, &kept, &pca)
    })?;
    Ok(())
}

/// Counts the pairs of entries of the upper triangle that the rows give.
struct Pairs;

impl Reduce for Pairs {
    type State = u64;
    type Output = u64;

    fn start(&self) -> u64 {
        0
    }

    fn fold(&self, state: &mut u64, block: &Block) -> Result<()> {
        *state += (0..block.n_rows())
            .map(|row| block.row(row).len() as u64)
            .map(|n| n * (n + 1) / 2)
            .sum::<u64>();
        Ok(())
    }

    fn merge(&self, left: u64, right: u64) -> Result<u64> {
        Ok(left + right)
    }

    fn finish(&self, state: u64) -> Result<u64> {
        Ok(state)
    }

    fn state_bytes(&self, _rows: u64) -> u64 {
        8
    }
}
