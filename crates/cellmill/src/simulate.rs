//! A realistic synthetic atlas, streamed: raw counts that are made on the fly, block by block.
//!
//! [`Simulator`] is a [`cellmill_engine::Source`] of raw counts. What a cell is (its type, sample,
//! depth and programs) and what it counts come from random streams of its own, keyed by the seed
//! and the cell's number, so that the same bits come out of any number of threads and any order of
//! blocks. Memory is tables of genes x types, whatever the number of cells.
//!
//! The model, from the cell inwards:
//! - a tree of cell types, three levels deep ([`CellTypes`]): neighbouring leaves share the genes
//!   that their branches change and most markers; frequencies fall geometrically to
//!   [`SimulateParams::rare_fraction`];
//! - inside a type, a cell is more or less mature (it lies between its branch and its leaf) and
//!   runs a few programs (cycling, interferon, stress, …), so that a type is a cloud with axes and
//!   not a ball;
//! - samples of donors in batches, with their own depth, composition and small multiplicative
//!   effects on genes; an ambient profile mixed into every cell;
//! - a log-normal depth, calibrated so that cells have [`SimulateParams::entries_per_cell`]
//!   entries on average;
//! - given all that, the count of a gene is negative binomial, and zeros are those of the negative
//!   binomial, no more. How the dispersion falls with a gene's abundance, and how abundances are
//!   spread, was fitted to real cells (`docs/simulate/fit_dispersion.py`).
//!
//! [`Resampler`] draws from real cells instead: a cell and a near neighbour, thinned and added.

mod arith;
mod cohort;
mod genes;
mod inversion;
mod law;
mod params;
mod profile;
mod random;
mod resample;
mod simulator;
mod tables;
mod types;
mod write;

pub use params::{Layout, SimulateFrom, SimulateParams};
pub use resample::Resampler;
pub use simulator::Simulator;
pub use types::CellTypes;
pub use write::{SimulateSummary, resample_to_file, simulate_to_file};
