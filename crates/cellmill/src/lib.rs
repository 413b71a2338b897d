//! Single-cell atlases, out of core: from counts to clusters and pictures.

pub mod counts;
pub mod draw;
pub mod error;
pub mod input;
pub mod keys;
pub mod params;
pub mod pp;
pub mod result;
pub mod simulate;
pub mod slot;
pub mod tl;

pub use error::{Error, Result};
