//! What the machine can do at most, to hold the other measurements against:
//! `cargo run --release -p cellmill-engine --example limits -- [THREADS] [MIB] [SECONDS]`.
//!
//! Prints a line of JSON for each limit, the best of several rounds on THREADS threads at once
//! (all cores by default): memory read, copied and in STREAM's triad (a = b + s c), with arrays of
//! MIB together (by default the largest of 256 MiB and eight times the last-level cache) and bytes
//! counted as STREAM counts them, without what the cache fetches before it writes; and fused
//! multiply-adds that stay in registers, a multiply-add being two operations. SECONDS is the least
//! that each takes.
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
const STEPS: usize = 4_000_000;

/// Runs `round` on each of `threads` threads, each with what `make` made there, again and again
/// for `seconds`, and returns the least seconds between a common start and the last one's end.
fn fastest<T>(
    threads: usize,
    seconds: f64,
    make: impl Fn() -> T + Sync,
    round: impl Fn(&mut T) + Sync,
) -> f64 {
    let barrier = Barrier::new(threads + 1);
    let mut best = f64::INFINITY;
    // At least three rounds, of which the first warms up.
    let rounds = |took: f64| ((seconds / took) as usize).clamp(3, 1_000);
    let turns = std::sync::OnceLock::new();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut own = make();
                barrier.wait();
                round(&mut own);
                barrier.wait();
                barrier.wait();
                for _ in 0..turns.get().copied().unwrap_or(0) {
                    barrier.wait();
                    round(&mut own);
                    barrier.wait();
                }
            });
        }
        barrier.wait();
        let start = Instant::now();
        barrier.wait();
        let turns = *turns.get_or_init(|| rounds(start.elapsed().as_secs_f64()));
        barrier.wait();
        for _ in 0..turns {
            barrier.wait();
            let start = Instant::now();
            barrier.wait();
            best = best.min(start.elapsed().as_secs_f64());
        }
    });
    best
}

/// Chains in f32.
struct Single;
/// Chains in f64.
struct Double;

impl WithSimd for Single {
    /// Multiply-adds that were made.
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
        STEPS * CHAINS * S::F32_LANES
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
        STEPS * CHAINS * S::F64_LANES
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
    let seconds: f64 = arguments.next().map_or(Ok(1.0), |n| n.parse())?;
    if threads == 0 || mib == 0 {
        return Err("usage: limits [THREADS] [MIB] [SECONDS], all above 0".into());
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
        seconds,
        || array(1),
        |a| {
            black_box(sum(a));
        },
    );
    print("memory read", gigabytes(1, took), "GB/s", on.clone());
    let took = fastest(
        threads,
        seconds,
        || (array(2), array(2)),
        |(a, b)| black_box(a).copy_from_slice(b),
    );
    print("memory copy", gigabytes(2, took), "GB/s", on.clone());
    let floats = || vec![1f64; bytes / 3 / threads / 8];
    let took = fastest(
        threads,
        seconds,
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
    let on = format!("{arch:?}");
    let rate = |run: &(dyn Fn() -> usize + Sync)| {
        let fmas = run();
        let took = fastest(
            threads,
            seconds,
            || (),
            |()| {
                black_box(run());
            },
        );
        2.0 * (fmas * threads) as f64 / took / 1e9
    };
    print(
        "f32 multiply-add",
        rate(&|| arch.dispatch(Single)),
        "GFLOP/s",
        on.clone(),
    );
    print(
        "f64 multiply-add",
        rate(&|| arch.dispatch(Double)),
        "GFLOP/s",
        on,
    );
    Ok(())
}
