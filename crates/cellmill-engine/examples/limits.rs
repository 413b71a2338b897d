//! What the machine can do at most, to hold the other measurements against:
//! `cargo run --release -p cellmill-engine --example limits -- [THREADS] [MIB] [ROUNDS]`.
//!
//! Prints a line of JSON for each limit, the best of ROUNDS (10) on THREADS threads at once
//! (all cores by default): memory read, copied and in STREAM's triad (a = b + s c), with arrays of
//! MIB together (by default the largest of 256 MiB and eight times the last-level cache) and bytes
//! counted as STREAM counts them, without what the cache fetches before it writes; and fused
//! multiply-adds that stay in registers, a multiply-add being two operations.
//!
//! The multiply-adds run on the widest instruction set that pulp has in this build, which is AVX2
//! on x86-64. Where the machine's AVX-512 units are wider than AVX2's, its limit lies higher, up to
//! twice; where they are AVX2's used twice (Zen 4), it is the same.

use pulp::{Arch, Simd, WithSimd};
use serde_json::json;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

/// Chains of multiply-adds that run at once: enough to hide the time that each step takes, few
/// enough for sixteen registers.
const CHAINS: usize = 10;
/// Steps of each chain in a round.
const STEPS: usize = 10_000_000;

/// The seconds of the best of the rounds on `threads` threads, each round from the first thread's
/// start to the last one's end, so that a thread that had to wait for a core makes it longer,
/// never shorter. Each thread runs `round` with what `make` made there.
fn fastest<T>(
    threads: usize,
    rounds: usize,
    make: impl Fn() -> T + Sync,
    round: impl Fn(&mut T) + Sync,
) -> f64 {
    let barrier = Barrier::new(threads);
    let work = || {
        let mut own = make();
        // The first round warms up.
        let times: Vec<(Instant, Instant)> = (0..=rounds)
            .map(|_| {
                barrier.wait();
                let start = Instant::now();
                round(&mut own);
                (start, Instant::now())
            })
            .collect();
        times
    };
    let times: Vec<Vec<(Instant, Instant)>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a measuring thread panicked"))
            .collect()
    });
    (1..=rounds)
        .filter_map(|round| {
            let start = times.iter().map(|own| own[round].0).min()?;
            let end = times.iter().map(|own| own[round].1).max()?;
            Some((end - start).as_secs_f64())
        })
        .fold(f64::INFINITY, f64::min)
}

/// Chains in f32.
struct Single;
/// Chains in f64.
struct Double;

impl WithSimd for Single {
    /// Numbers in a register.
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let (factor, term) = (
            simd.splat_f32s(black_box(0.5)),
            simd.splat_f32s(black_box(1.0)),
        );
        let mut chains = [term; CHAINS];
        for _ in 0..STEPS {
            for chain in &mut chains {
                *chain = simd.mul_add_f32s(*chain, factor, term);
            }
        }
        black_box(chains.map(|chain| simd.reduce_sum_f32s(chain)));
        S::F32_LANES
    }
}

impl WithSimd for Double {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let (factor, term) = (
            simd.splat_f64s(black_box(0.5)),
            simd.splat_f64s(black_box(1.0)),
        );
        let mut chains = [term; CHAINS];
        for _ in 0..STEPS {
            for chain in &mut chains {
                *chain = simd.mul_add_f64s(*chain, factor, term);
            }
        }
        black_box(chains.map(|chain| simd.reduce_sum_f64s(chain)));
        S::F64_LANES
    }
}

/// Bytes of the largest cache of the first core (Linux; 0 where the system does not tell).
fn last_cache() -> usize {
    let size = |level: usize| -> Option<usize> {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{level}/size");
        let text = std::fs::read_to_string(path).ok()?;
        Some(text.trim().strip_suffix('K')?.parse::<usize>().ok()? << 10)
    };
    (0..8).filter_map(size).max().unwrap_or(0)
}

/// The sum of numbers that are whole, in eight sums side by side.
fn sum(numbers: &[u64]) -> u64 {
    let mut sums = [0u64; 8];
    for eight in numbers.as_chunks::<8>().0 {
        for (sum, &x) in sums.iter_mut().zip(eight) {
            *sum = sum.wrapping_add(x);
        }
    }
    sums.iter().fold(0, |a, &b| a.wrapping_add(b))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let threads = match arguments.next() {
        Some(n) => n.parse()?,
        None => std::thread::available_parallelism()?.get(),
    };
    let cache = last_cache();
    let mib = match arguments.next() {
        Some(n) => n.parse()?,
        None => (256 << 20).max(8 * cache) >> 20,
    };
    let rounds = arguments.next().map_or(Ok(10), |n| n.parse())?;
    if threads == 0 || mib == 0 || rounds == 0 {
        return Err("usage: limits [THREADS] [MIB] [ROUNDS], all above 0".into());
    }
    let print = |limit: &str, value: f64, unit: &str, on: String| {
        println!(
            "{}",
            json!({"limit": limit, "threads": threads, "value": value, "unit": unit, "on": on})
        );
    };

    let bytes = mib << 20;
    let on = format!("{mib} MiB together, last-level cache {} MiB", cache >> 20);
    let gigabytes = |arrays: usize, seconds: f64| {
        (bytes / arrays / threads / 8 * 8 * arrays * threads) as f64 / seconds / 1e9
    };
    // Not zeros, whose pages might be one.
    let array = |arrays: usize| vec![1u64; bytes / arrays / threads / 8];
    let took = fastest(
        threads,
        rounds,
        || array(1),
        |a| {
            black_box(sum(a));
        },
    );
    print("memory read", gigabytes(1, took), "GB/s", on.clone());
    let took = fastest(
        threads,
        rounds,
        || (array(2), array(2)),
        |(a, b)| black_box(a).copy_from_slice(b),
    );
    print("memory copy", gigabytes(2, took), "GB/s", on.clone());
    let floats = || vec![1f64; bytes / 3 / threads / 8];
    let took = fastest(
        threads,
        rounds,
        || (floats(), floats(), floats()),
        |(a, b, c)| {
            let scale = black_box(3.0);
            for ((a, b), c) in a.iter_mut().zip(&*b).zip(&*c) {
                *a = b + scale * c;
            }
            black_box(a);
        },
    );
    print("memory triad", gigabytes(3, took), "GB/s", on);

    let arch = Arch::new();
    let measure = |limit: &str, run: &(dyn Fn() -> usize + Sync)| {
        let lanes = run();
        let took = fastest(
            threads,
            rounds,
            || (),
            |()| {
                black_box(run());
            },
        );
        let operations = (2 * STEPS * CHAINS * lanes * threads) as f64;
        let on = format!("{lanes} numbers an instruction");
        print(limit, operations / took / 1e9, "GFLOP/s", on);
    };
    measure("f32 multiply-add", &|| arch.dispatch(Single));
    measure("f64 multiply-add", &|| arch.dispatch(Double));
    Ok(())
}
