//! Where the folds and the search of a run happen, if not on the threads of this process.

use crate::Result;
use crate::input::Input;
use crate::params::RunParams;
use crate::pp::pca::Pca;
use cellmill_engine::Context;
use cellmill_graph::{KnnGraph, Points};

/// A cluster, as [`super::run_on`] sees it. What it gives has the bits of this process's threads.
pub trait Elsewhere: Send + Sync {
    /// The state of [`super::counts_reduction`] over all cells of the input's matrix, in wire form.
    ///
    /// # Errors
    /// Whatever went wrong there.
    fn counts(&self, input: &Input, params: &RunParams) -> Result<Vec<u8>>;

    /// Principal components of the `selected` genes, normalised to `target_sum`, logarithmised.
    ///
    /// # Errors
    /// As [`Elsewhere::counts`].
    fn components(
        &self,
        input: &Input,
        params: &RunParams,
        target_sum: f64,
        selected: &[u32],
        n_comps: usize,
    ) -> Result<Pca>;

    /// The nearest neighbours of the points.
    ///
    /// # Errors
    /// As [`Elsewhere::counts`].
    fn knn(&self, ctx: &Context, points: Points<'_>, params: &RunParams) -> Result<KnnGraph>;
}
