//! The extension module `cellmill._native`: convert, call, convert back. No number is computed here.
//!
//! `enter` runs long calls without the GIL and watches for Ctrl-C; `failure` maps errors to
//! exceptions; `matrix` is the lazy matrix of a file, `operand` what a fold may read; one thin file
//! for each namespace.
#![forbid(unsafe_code)]

mod aggregate;
mod command;
mod enter;
mod failure;
mod fold;
mod kept;
mod knn;
mod krylov;
mod matrix;
mod of_cells;
mod operand;
mod pl;
mod pp;
mod quality;
mod regress;
mod simulate;
mod task;
mod tl;

use pyo3::prelude::*;

/// The native half of cellmill.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::aggregate::Aggregation;
    #[pymodule_export]
    use crate::command::{default_memory, run_command};
    #[pymodule_export]
    use crate::fold::{
        fold_chunk, fold_size, hvg_groups, hvg_second_read, merge_states, merge_tree,
        project_chunk, read_highly_expressed, read_moments, read_sums, read_totals, solve_gram,
    };
    #[pymodule_export]
    use crate::kept::{fold_kept, keep_chunk, project_kept};
    #[pymodule_export]
    use crate::knn::{
        KnnLists, KnnSearch, kernels, knn_decide, knn_exact, knn_of_keys, knn_of_rows,
    };
    #[pymodule_export]
    use crate::krylov::{BlockKrylov, merge_passes, pass_chunk, pass_kept, pca_makes_gram};
    #[pymodule_export]
    use crate::matrix::{Matrix, matrices};
    #[pymodule_export]
    use crate::pl::{column, palette, raster_points};
    #[pymodule_export]
    use crate::pp::{
        apply, connectivities, downsample_counts, highly_expressed, highly_variable_genes,
        neighbors, norm_factors, pca, pca_components, pca_n_comps, scale_genes, totals,
    };
    #[pymodule_export]
    use crate::quality::{quality, quality_chunk, quality_frames, quality_merge};
    #[pymodule_export]
    use crate::regress::{Regressors, residuals};
    #[pymodule_export]
    use crate::simulate::simulate;
    #[pymodule_export]
    use crate::task::Task;
    #[pymodule_export]
    use crate::tl::{find_ab, leiden, umap};
}
