//! Every slot name that cellmill reads or writes, in one table.
//!
//! The names are scanpy 1.12's.

/// `obsm`: the PCA scores (`sc.pp.pca`).
pub const X_PCA: &str = "X_pca";
/// `varm`: the PCA loadings (`sc.pp.pca`).
pub const PCS: &str = "PCs";
/// `uns`: parameters, variance and variance ratio of the PCA.
pub const PCA: &str = "pca";
/// `uns`: parameters and keys of the neighbour graph (`sc.pp.neighbors`).
pub const NEIGHBORS: &str = "neighbors";
/// `obsp`: distances to the nearest neighbours.
pub const DISTANCES: &str = "distances";
/// `obsp`: weights of the fuzzy set.
pub const CONNECTIVITIES: &str = "connectivities";
/// `obs` and `uns`: the clusters (`sc.tl.leiden`).
pub const LEIDEN: &str = "leiden";
/// `obsm`: the layout (`sc.tl.umap`).
pub const X_UMAP: &str = "X_umap";
/// `uns`: the layout's parameters.
pub const UMAP: &str = "umap";
/// `uns`: what `sc.pp.log1p` leaves.
pub const LOG1P: &str = "log1p";
/// `uns`: what `sc.pp.highly_variable_genes` leaves.
pub const HVG: &str = "hvg";
/// `var`: the selected genes.
pub const HIGHLY_VARIABLE: &str = "highly_variable";
/// `var`: mean of each gene, as the flavour defines it.
pub const MEANS: &str = "means";
/// `var`: dispersion of each gene, as the flavour defines it.
pub const DISPERSIONS: &str = "dispersions";
/// `var`: dispersion against that of genes of like mean.
pub const DISPERSIONS_NORM: &str = "dispersions_norm";
/// `var`: median over batches of the rank, 0 for the most variable gene.
pub const HIGHLY_VARIABLE_RANK: &str = "highly_variable_rank";
/// `var`: batches in which the gene is highly variable.
pub const HIGHLY_VARIABLE_NBATCHES: &str = "highly_variable_nbatches";
/// `var`: whether the gene is highly variable in all batches.
pub const HIGHLY_VARIABLE_INTERSECTION: &str = "highly_variable_intersection";
/// `var`: variance of the counts of each gene.
pub const VARIANCES: &str = "variances";
/// `var`: variance against that of genes of like mean, averaged over batches.
pub const VARIANCES_NORM: &str = "variances_norm";
/// `var`: variance of the Pearson residuals, averaged over batches.
pub const RESIDUAL_VARIANCES: &str = "residual_variances";
/// `layers`: the raw counts beside a log-normalised X.
pub const COUNTS: &str = "counts";
/// `uns`: the options of this run that changed numbers.
pub const CELLMILL: &str = "cellmill";

/// `var` columns that an earlier run of highly_variable_genes may have left.
pub const STALE_VAR: [&str; 11] = [
    HIGHLY_VARIABLE,
    MEANS,
    DISPERSIONS,
    DISPERSIONS_NORM,
    HIGHLY_VARIABLE_RANK,
    HIGHLY_VARIABLE_NBATCHES,
    HIGHLY_VARIABLE_INTERSECTION,
    VARIANCES,
    VARIANCES_NORM,
    RESIDUAL_VARIANCES,
    "mean_bin",
];

/// `uns` entries that describe an earlier run of steps that this run does anew.
pub const STALE_UNS: [&str; 4] = [LOG1P, HVG, PCA, NEIGHBORS];

/// `uns` entry of the colours of a categorical obs column (`leiden_colors`).
pub fn colors(column: &str) -> String {
    format!("{column}_colors")
}
