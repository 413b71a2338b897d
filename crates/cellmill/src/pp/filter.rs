//! Filters of cells and genes (`sc.pp.filter_cells`, `sc.pp.filter_genes`), as a run applies them.

use super::calculate_qc_metrics::{MT, QcParams};
use crate::{Error, Result};
use cellmill_engine::reduce::{Bounds, Metrics};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Thresholds of a run, all inclusive; `None`: no threshold.
///
/// They act in scanpy's order: cells by their numbers over all genes, then genes by the cells that
/// are left, then normalisation over the genes that are left.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Filters {
    /// A file of obs names, one a line: the cells that are looked at.
    pub cells: Option<PathBuf>,
    /// Least number of genes of a cell.
    pub min_genes: Option<u64>,
    /// Most genes of a cell.
    pub max_genes: Option<u64>,
    /// Least total of a cell.
    pub min_counts: Option<f64>,
    /// Highest total of a cell.
    pub max_counts: Option<f64>,
    /// Highest share of mitochondrial genes in a cell's total, in percent.
    pub max_mt: Option<f64>,
    /// Least number of cells of a gene.
    pub min_cells: Option<u64>,
}

impl Filters {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a threshold needs a read of its own, before it is known which cells and genes stay.
    pub fn need_a_read(&self) -> bool {
        *self
            != Self {
                cells: self.cells.clone(),
                ..Self::default()
            }
    }

    /// Refuses thresholds that cannot work.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the threshold and its range.
    pub fn validate(&self) -> Result<()> {
        let least = |name: &str, value: Option<f64>, most: f64| match value {
            Some(x) if !(x.is_finite() && (0.0..=most).contains(&x)) => Err(Error::Parameter(
                format!("{name} is {x}, and must be a number from 0 to {most}"),
            )),
            _ => Ok(()),
        };
        least("min_counts", self.min_counts, f64::MAX)?;
        least("max_counts", self.max_counts, f64::MAX)?;
        least("max_mt", self.max_mt, 100.0)?;
        let crossed = |low: &str, a: Option<f64>, high: &str, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) if a > b => Err(Error::Parameter(format!(
                "{low} is {a} and {high} is {b}: no cell can be within both"
            ))),
            _ => Ok(()),
        };
        let wide = |x: Option<u64>| x.map(|x| x as f64);
        crossed(
            "min_genes",
            wide(self.min_genes),
            "max_genes",
            wide(self.max_genes),
        )?;
        crossed("min_counts", self.min_counts, "max_counts", self.max_counts)
    }

    /// The bounds of a cell's numbers, for the sets of genes of `qc`.
    ///
    /// # Errors
    /// [`Error::Data`] when the share of mitochondrial genes is bounded and there is no such gene.
    pub fn bounds(&self, qc: &QcParams) -> Result<Bounds> {
        let mt = || {
            qc.qc_vars.iter().position(|(name, _)| name == MT).ok_or_else(|| {
                Error::Data(
                    "--max-mt was given, and no gene is mitochondrial by its name (MT-, mt-); name the \
                     column of var that holds symbols with --gene-symbols"
                        .to_owned(),
                )
            })
        };
        Ok(Bounds {
            min_genes: self.min_genes,
            max_genes: self.max_genes,
            min_total: self.min_counts,
            max_total: self.max_counts,
            max_percent: self
                .max_mt
                .map(|most| Ok::<_, Error>((mt()?, most)))
                .transpose()?,
            wide: qc.dtype.is_wide(),
        })
    }

    /// The genes that stay: those in enough of the cells within the bounds; `None`: all.
    pub fn genes(&self, found: &Metrics) -> Option<Vec<u32>> {
        let least = self.min_cells?;
        Some(
            (0u32..)
                .zip(&found.genes_within)
                .filter(|(_, gene)| gene.n >= least)
                .map(|(i, _)| i)
                .collect(),
        )
    }

    /// The thresholds by name, for plans, notes and `uns`.
    pub fn entries(&self) -> Vec<(&'static str, f64)> {
        let wide = |x: Option<u64>| x.map(|x| x as f64);
        [
            ("min_genes", wide(self.min_genes)),
            ("max_genes", wide(self.max_genes)),
            ("min_counts", self.min_counts),
            ("max_counts", self.max_counts),
            ("max_mt", self.max_mt),
            ("min_cells", wide(self.min_cells)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

impl std::fmt::Display for Filters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<String> = self
            .entries()
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        if let Some(path) = &self.cells {
            parts.insert(0, format!("cells {}", path.display()));
        }
        f.write_str(&parts.join(", "))
    }
}

/// The cells that a file names, one a line, as a mask of `obs`. Empty lines are passed over.
///
/// # Errors
/// [`Error::Data`] when the file cannot be read as text, names no cell, or names a cell that is not
/// there (the first few are listed).
pub fn cells_of_file(path: &Path, obs: &[String]) -> Result<Vec<bool>> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::Data(format!("the list of cells {}: {e}", path.display())))?;
    let names: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    if names.is_empty() {
        return Err(Error::Data(format!(
            "the list of cells {} names no cell",
            path.display()
        )));
    }
    let mut named: HashMap<&str, bool> = names.iter().map(|&name| (name, false)).collect();
    let mask: Vec<bool> = obs
        .iter()
        .map(|name| match named.get_mut(name.as_str()) {
            Some(found) => {
                *found = true;
                true
            }
            None => false,
        })
        .collect();
    let unknown: Vec<&str> = names.iter().copied().filter(|name| !named[name]).collect();
    if unknown.is_empty() {
        return Ok(mask);
    }
    Err(Error::Data(format!(
        "{}: {} of {} cells are not in the index of obs: {}; the index begins with {}",
        path.display(),
        unknown.len(),
        names.len(),
        unknown[..unknown.len().min(5)].join(", "),
        obs.first().map_or("nothing", String::as_str)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pp::calculate_qc_metrics::SumDtype;

    #[test]
    fn what_cannot_work_is_refused() {
        let bad = |change: fn(&mut Filters), name: &str| {
            let mut filters = Filters::default();
            change(&mut filters);
            let message = filters.validate().unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        };
        bad(|f| f.max_mt = Some(120.0), "max_mt");
        bad(|f| f.min_counts = Some(f64::NAN), "min_counts");
        bad(
            |f| (f.min_genes, f.max_genes) = (Some(9), Some(3)),
            "min_genes",
        );
        Filters::default().validate().unwrap();
    }

    #[test]
    fn a_share_of_no_gene_is_refused() {
        let filters = Filters {
            max_mt: Some(20.0),
            ..Filters::default()
        };
        let mut qc = QcParams::new(SumDtype::F32);
        let message = filters.bounds(&qc).unwrap_err().to_string();
        assert!(message.contains("--gene-symbols"), "{message}");
        qc.qc_vars = vec![("ribo".into(), vec![0]), (MT.into(), vec![1])];
        let bounds = filters.bounds(&qc).unwrap();
        assert_eq!(bounds.max_percent, Some((1, 20.0)));
    }

    #[test]
    fn cells_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keep.txt");
        let obs: Vec<String> = ["a", "b", "c", "b"].map(str::to_owned).to_vec();
        std::fs::write(&path, "b\r\n\n a \n").unwrap();
        let mask = cells_of_file(&path, &obs).unwrap();
        assert_eq!(mask, [true, true, false, true]);
        std::fs::write(&path, "b\nx\ny\n").unwrap();
        let message = cells_of_file(&path, &obs).unwrap_err().to_string();
        assert!(
            message.contains("2 of 3") && message.contains("x, y"),
            "{message}"
        );
        std::fs::write(&path, "\n").unwrap();
        assert!(cells_of_file(&path, &obs).is_err());
        assert!(cells_of_file(&folder.path().join("none"), &obs).is_err());
    }
}
