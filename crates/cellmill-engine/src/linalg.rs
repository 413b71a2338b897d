//! Dense linear algebra on small matrices, and the products of the kept columns with them.

mod pca;
mod project;

pub use pca::{Pca, pca};
pub use project::{Scores, project};
