//! `cellmill.datasets.simulate`: a synthetic atlas in a file.

use crate::enter::{Machine, enter};
use cellmill::simulate::{Layout, SimulateParams, simulate_to_file};
use pyo3::prelude::*;
use std::path::PathBuf;

/// What the user asked of simulate.
#[derive(FromPyObject)]
pub struct Asked {
    n_cells: u64,
    n_genes: u32,
    n_types: Option<u32>,
    n_batches: Option<u32>,
    entries_per_cell: Option<f64>,
    seed: u64,
    plain: bool,
}

/// Writes a synthetic atlas; returns the address of its counts.
#[pyfunction]
pub fn simulate(
    py: Python<'_>,
    machine: Machine,
    target: PathBuf,
    overwrite: bool,
    asked: Asked,
) -> PyResult<String> {
    let default = SimulateParams::default();
    let params = SimulateParams {
        n_cells: asked.n_cells,
        n_genes: asked.n_genes,
        n_types: asked.n_types,
        n_batches: asked.n_batches.unwrap_or(default.n_batches),
        entries_per_cell: asked.entries_per_cell.unwrap_or(default.entries_per_cell),
        seed: asked.seed,
        layout: if asked.plain {
            Layout::Plain
        } else {
            Layout::Cellxgene
        },
        ..default
    };
    let summary = enter(py, machine, |ctx| {
        Ok(simulate_to_file(ctx, &params, &target, overwrite)?)
    })?;
    Ok(summary.matrix)
}
