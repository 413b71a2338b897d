//! Single-cell atlases, out of core: from counts to clusters and pictures.
#![forbid(unsafe_code)]

pub mod convert;
pub mod counts;
pub mod draw;
pub mod error;
pub mod get;
pub mod identity;
pub mod input;
pub mod keys;
pub mod matrix;
pub mod mixing;
pub mod needs;
pub mod of_cells;
pub mod params;
pub mod plan;
pub mod plot;
pub mod pp;
pub mod result;
pub mod run;
pub mod simulate;
pub mod slot;
pub mod step;
pub mod tl;

pub use error::{Error, Result};

use cellmill_engine::{Context, Event};

/// Runs `work` as a stage that the observer sees.
pub(crate) fn staged<T>(ctx: &Context, stage: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = std::time::Instant::now();
    ctx.emit(Event::StageStarted {
        stage: stage.to_owned(),
        total: 0,
        unit: String::new(),
    });
    let done = work()?;
    ctx.emit(Event::StageFinished {
        stage: stage.to_owned(),
        seconds: started.elapsed().as_secs_f64(),
        bytes_read: 0,
    });
    Ok(done)
}
