//! A case of a micro-benchmark: criterion times it, or it runs as often as it is told, so that
//! `bench/instructions.py` can count what one run costs.

use criterion::{BatchSize, Criterion, Throughput};
use std::hint::black_box;
use std::time::Duration;

/// The cases of one subject.
pub struct Cases {
    subject: &'static str,
    mode: Mode,
}

enum Mode {
    /// Criterion times every case.
    Time(Box<Criterion>),
    /// `--list-cases`: their names and amounts, a line each.
    List,
    /// `--run-case NAME TIMES`.
    Run { name: String, times: usize },
}

impl Cases {
    /// Does what the arguments of the program ask for. `subject` is the first half of the names.
    pub fn of(subject: &'static str) -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let mode = match &arguments[..] {
            [list, ..] if list == "--list-cases" => Mode::List,
            [run, name, times, ..] if run == "--run-case" => Mode::Run {
                name: name.clone(),
                times: times.parse().expect("--run-case NAME TIMES"),
            },
            // Short, so that all cases of the workspace take about a minute.
            _ => Mode::Time(Box::new(
                Criterion::default()
                    .without_plots()
                    .sample_size(10)
                    .warm_up_time(Duration::from_millis(300))
                    .measurement_time(Duration::from_secs(3))
                    .configure_from_args(),
            )),
        };
        Self { subject, mode }
    }

    /// Measures `body`, which works through `amount` things called `unit`; what it consumes comes
    /// from `prepare`, whose cost is not counted.
    pub fn case<I, T>(
        &mut self,
        name: &str,
        (amount, unit): (u64, &str),
        mut prepare: impl FnMut() -> I,
        mut body: impl FnMut(I) -> T,
    ) {
        let full = format!("{}/{name}", self.subject);
        match &mut self.mode {
            Mode::Time(criterion) => {
                let mut group = criterion.benchmark_group(self.subject);
                group.throughput(match unit {
                    "bytes" => Throughput::Bytes(amount),
                    _ => Throughput::Elements(amount),
                });
                group.bench_function(name, |bencher| {
                    bencher.iter_batched(&mut prepare, &mut body, BatchSize::PerIteration);
                });
                group.finish();
            }
            Mode::List => println!(r#"{{"case": "{full}", "amount": {amount}, "unit": "{unit}"}}"#),
            Mode::Run { name, times } if *name == full => {
                // As many inputs whatever TIMES is, so that a difference of two runs is of bodies.
                let inputs: Vec<I> = (0..2).map(|_| prepare()).collect();
                for input in inputs.into_iter().take(*times) {
                    black_box(body(input));
                }
            }
            Mode::Run { .. } => {}
        }
    }
}
