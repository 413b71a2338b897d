//! Progress: a line a stage on a terminal, plain lines elsewhere, JSON lines in a file.

use crate::machine;
use anyhow::{Context as _, Result};
use cellmill_engine::error::human_bytes;
use cellmill_engine::{Budget, Event, Observer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// One line of the table at the end.
#[derive(Debug, Clone)]
struct Row {
    stage: String,
    seconds: f64,
    bytes_read: u64,
    peak: Option<u64>,
}

struct State {
    bar: Option<ProgressBar>,
    started: Instant,
    rows: Vec<Row>,
    events: Option<BufWriter<File>>,
}

/// Shows events, and keeps what the table at the end needs.
pub struct Progress {
    quiet: bool,
    terminal: bool,
    budget: Budget,
    begun: Instant,
    state: Mutex<State>,
}

impl Progress {
    /// Progress on standard error, and in `events` if given.
    pub fn new(quiet: bool, events: Option<&Path>, budget: Budget) -> Result<Self> {
        let events = events
            .map(|path| {
                File::create(path).map(BufWriter::new).with_context(|| {
                    format!("the events file {} could not be written", path.display())
                })
            })
            .transpose()?;
        Ok(Self {
            quiet,
            terminal: std::io::stderr().is_terminal(),
            budget,
            begun: Instant::now(),
            state: Mutex::new(State {
                bar: None,
                started: Instant::now(),
                rows: Vec::new(),
                events,
            }),
        })
    }

    fn memory(&self) -> String {
        let limit = human_bytes(self.budget.limit());
        machine::resident().map_or(String::new(), |now| {
            format!("{} of {limit}", human_bytes(now))
        })
    }

    fn line(&self, state: &State, text: &str) {
        if self.quiet {
            return;
        }
        match &state.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    fn write_event(&self, state: &mut State, event: &Event) {
        let Some(file) = &mut state.events else {
            return;
        };
        let Ok(serde_json::Value::Object(mut line)) = serde_json::to_value(event) else {
            return;
        };
        line.insert("at".to_owned(), self.begun.elapsed().as_secs_f64().into());
        if let Some(bytes) = machine::resident() {
            line.insert("resident".to_owned(), bytes.into());
        }
        // A full disk must not end a run that writes elsewhere: the events are lost, not the result.
        let _ = serde_json::to_writer(&mut *file, &line);
        let _ = file.write_all(b"\n");
        let _ = file.flush();
    }

    fn show(&self, state: &mut State, event: &Event) {
        match event {
            Event::StageStarted { stage, total, unit } => {
                state.started = Instant::now();
                if self.quiet {
                    return;
                }
                if self.terminal {
                    let bar = ProgressBar::with_draw_target(
                        Some(*total),
                        ProgressDrawTarget::stderr_with_hz(8),
                    );
                    let template = if *total > 0 {
                        format!(
                            "{{prefix:<28}} {{bar:24}} {{percent:>3}} %  {{per_sec}} {unit}  {{msg}}  {{eta}} left"
                        )
                    } else {
                        "{prefix:<28} {spinner} {elapsed}  {msg}".to_owned()
                    };
                    if let Ok(style) = ProgressStyle::with_template(&template) {
                        bar.set_style(style);
                    }
                    bar.set_prefix(stage.clone());
                    bar.set_message(self.memory());
                    state.bar = Some(bar);
                } else if *total > 0 {
                    eprintln!("{stage}: {total} {unit}");
                } else {
                    eprintln!("{stage}");
                }
            }
            Event::Progress {
                done, bytes_read, ..
            } => {
                if let Some(bar) = &state.bar {
                    bar.set_position(*done);
                    let rate = *bytes_read as f64 / state.started.elapsed().as_secs_f64().max(1e-9);
                    let read = if *bytes_read > 0 {
                        format!("{}/s read  ", human_bytes(rate as u64))
                    } else {
                        String::new()
                    };
                    bar.set_message(format!("{read}{}", self.memory()));
                }
            }
            Event::StageFinished {
                stage,
                seconds,
                bytes_read,
            } => {
                if let Some(bar) = state.bar.take() {
                    bar.finish_and_clear();
                }
                if !self.quiet {
                    let read = if *bytes_read > 0 {
                        format!(", {} read", human_bytes(*bytes_read))
                    } else {
                        String::new()
                    };
                    eprintln!("{stage}: {seconds:.1} s{read}, {}", self.memory());
                }
                state.rows.push(Row {
                    stage: stage.clone(),
                    seconds: *seconds,
                    bytes_read: *bytes_read,
                    peak: machine::peak_resident(),
                });
            }
            Event::Note { text } => self.line(state, text),
            Event::Warning { text } => self.line(state, &format!("warning: {text}")),
        }
    }

    /// The table at the end: stage, seconds, bytes read, peak memory.
    pub fn table(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let width = state
            .rows
            .iter()
            .map(|r| r.stage.len())
            .max()
            .unwrap_or(0)
            .max(5);
        let bytes = |n: Option<u64>| n.map_or("n/a".to_owned(), human_bytes);
        let mut out = format!(
            "{:<width$}  {:>8}  {:>10}  {:>11}\n",
            "stage", "seconds", "read", "peak memory"
        );
        for row in &state.rows {
            let read = if row.bytes_read > 0 {
                human_bytes(row.bytes_read)
            } else {
                String::new()
            };
            out.push_str(&format!(
                "{:<width$}  {:>8.1}  {:>10}  {:>11}\n",
                row.stage,
                row.seconds,
                read,
                bytes(row.peak)
            ));
        }
        let read: u64 = state.rows.iter().map(|r| r.bytes_read).sum();
        out.push_str(&format!(
            "{:<width$}  {:>8.1}  {:>10}  {:>11}\n",
            "total",
            self.begun.elapsed().as_secs_f64(),
            human_bytes(read),
            bytes(machine::peak_resident())
        ));
        out
    }
}

impl Observer for Progress {
    fn event(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_event(&mut state, event);
        self.show(&mut state, event);
    }
}
