//! Folds over a stream of row blocks.
//!
//! A matrix is a stream of row [`Block`]s; every analysis is a fold over it. A [`Source`] hands
//! out blocks, an [`Op`] edits the block that it is lent, a [`Reduce`] folds blocks into a
//! mergeable state, a [`Sink`] takes blocks in order, and [`run`] drives them on a thread pool.
//!
//! The engine knows no file format, no gene name and no Python, and holds no unsafe code.
//! The [`Grid`] is set by the data alone and the merge tree by the grid, so the same bits come
//! out of any number of threads and any memory budget.
#![forbid(unsafe_code)]

pub mod block;
pub mod error;
pub mod grid;
pub mod keep;
pub mod linalg;
pub mod op;
pub mod plan;
pub mod reduce;
pub mod run;
pub mod sink;
pub mod source;
pub mod testing;

pub use block::{Block, Values};
pub use error::{Error, Result};
pub use grid::Grid;
pub use keep::KeptColumns;
pub use op::Op;
pub use reduce::Reduce;
pub use run::{Budget, Cancel, Context, Event, Observer, Reservation, run_stage};
pub use sink::Sink;
pub use source::{BlockReader, MemSource, Source};
