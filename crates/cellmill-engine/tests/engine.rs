//! The laws, on everything that this crate holds, and comparisons with the naive computation.
#![allow(missing_docs)]

#[path = "engine/counts.rs"]
mod counts;
#[path = "engine/executor.rs"]
mod executor;
#[path = "engine/group_totals.rs"]
mod group_totals;
#[path = "engine/groups.rs"]
mod groups;
#[path = "engine/krylov.rs"]
mod krylov;
#[path = "engine/laws.rs"]
mod laws;
#[path = "engine/pca.rs"]
mod pca;
#[path = "engine/plan.rs"]
mod plan;
#[path = "engine/properties.rs"]
mod properties;
#[path = "engine/regression.rs"]
mod regression;
