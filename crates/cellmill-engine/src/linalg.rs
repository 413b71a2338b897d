//! Dense linear algebra on small matrices, and the products of the kept columns with them.

mod krylov;
mod pca;
mod project;
mod tiles;

pub use krylov::{BlockKrylov, Pass, block_krylov};
pub use pca::{MOST_GRAM, Pca, pca};
pub use project::{Scores, project};
pub(crate) use tiles::{TILE, Tiles};
