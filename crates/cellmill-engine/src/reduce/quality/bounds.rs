//! Bounds of a cell's numbers.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a cell must keep to, looked at one cell at a time. A bound that is `None` holds always;
/// bounds are inclusive.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// Least number of genes.
    pub min_genes: Option<u64>,
    /// Most genes.
    pub max_genes: Option<u64>,
    /// Least total.
    pub min_total: Option<f64>,
    /// Highest total.
    pub max_total: Option<f64>,
    /// A set of genes, and its highest share of the total in percent. A cell without counts has no
    /// share, and is out.
    pub max_percent: Option<(usize, f64)>,
    /// Whether shares are taken in f64; else in f32, as scanpy has them for f32 matrices.
    pub wide: bool,
}

impl Bounds {
    /// Whether no bound is set.
    pub fn is_open(&self) -> bool {
        let Self {
            min_genes,
            max_genes,
            min_total,
            max_total,
            max_percent,
            wide: _,
        } = self;
        min_genes.is_none()
            && max_genes.is_none()
            && min_total.is_none()
            && max_total.is_none()
            && max_percent.is_none()
    }

    pub(super) fn check(&self, n_sets: usize) -> Result<()> {
        match self.max_percent {
            Some((set, _)) if set >= n_sets => Err(Error::Parameter(format!(
                "a bound is of set {set} of genes, and there are {n_sets}"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether a cell lies within: its total, number of genes, and totals of the sets.
    pub(super) fn hold(&self, total: f64, n_genes: u32, sets: &[f64]) -> bool {
        let n = u64::from(n_genes);
        self.min_genes.is_none_or(|least| n >= least)
            && self.max_genes.is_none_or(|most| n <= most)
            && self.min_total.is_none_or(|least| total >= least)
            && self.max_total.is_none_or(|most| total <= most)
            && self
                .max_percent
                .is_none_or(|(set, most)| self.share(sets[set], total, most))
    }

    fn share(&self, part: f64, total: f64, most: f64) -> bool {
        if self.wide {
            part / total * 100.0 <= most
        } else {
            part as f32 / total as f32 * 100.0 <= most as f32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive() {
        let bounds = Bounds {
            min_genes: Some(2),
            max_genes: Some(4),
            min_total: Some(3.0),
            max_total: Some(9.0),
            ..Bounds::default()
        };
        assert!(bounds.hold(3.0, 2, &[]) && bounds.hold(9.0, 4, &[]));
        assert!(!bounds.hold(2.9, 2, &[]) && !bounds.hold(9.1, 4, &[]));
        assert!(!bounds.hold(5.0, 1, &[]) && !bounds.hold(5.0, 5, &[]));
        assert!(Bounds::default().is_open() && !bounds.is_open());
    }

    #[test]
    fn an_empty_cell_has_no_share() {
        for wide in [false, true] {
            let bounds = Bounds {
                max_percent: Some((0, 7.0)),
                wide,
                ..Bounds::default()
            };
            assert!(!bounds.hold(0.0, 0, &[0.0]));
            assert!(bounds.hold(200.0, 9, &[13.0]));
            assert!(!bounds.hold(200.0, 9, &[15.0]));
        }
    }
}
