//! Genes of unit variance, and what they are where a cell has no entry.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Divides each column by its standard deviation, after its mean was subtracted where there is one,
/// and clips (scanpy.pp.scale).
///
/// With means, what has no entry has a value too: [`ScaleGenes::zero`], the same in every row. Entries
/// then hold the difference from it, so that the block stays sparse: the scaled matrix is the block
/// plus one row. What does not change when every row is shifted, such as PCA, needs no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScaleGenes {
    /// Standard deviation of each column, not 0.
    pub std: Vec<f64>,
    /// Mean of each column, where columns are centred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// Values are at most this, and with means at least its negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl ScaleGenes {
    /// The scaled value of `x` in column `gene`.
    #[inline]
    pub fn scaled(&self, gene: usize, x: f64) -> f64 {
        let Some(mean) = &self.mean else {
            let y = x / self.std[gene];
            return self.max.map_or(y, |max| y.min(max));
        };
        let y = (x - mean[gene]) / self.std[gene];
        self.max.map_or(y, |max| y.min(max).max(-max))
    }

    /// The value of column `gene` where a row has no entry.
    #[inline]
    pub fn zero(&self, gene: usize) -> f64 {
        match self.mean {
            Some(_) => self.scaled(gene, 0.0),
            None => 0.0,
        }
    }

    /// The entry of `x` in column `gene`: its difference from what has no entry.
    #[inline]
    pub fn entry(&self, gene: usize, x: f64) -> f64 {
        self.scaled(gene, x) - self.zero(gene)
    }

    /// The same of those columns only.
    #[must_use]
    pub fn of_columns(&self, genes: &[u32]) -> Self {
        let pick = |all: &Vec<f64>| genes.iter().map(|&g| all[g as usize]).collect();
        Self {
            std: pick(&self.std),
            mean: self.mean.as_ref().map(pick),
            max: self.max,
        }
    }

    /// # Errors
    /// [`Error::Parameter`] unless there are finite numbers for `width` columns, deviations not 0, and
    /// a limit above 0.
    pub(super) fn check(&self, width: u32) -> Result<()> {
        let lists = [
            ("deviations", Some(&self.std)),
            ("means", self.mean.as_ref()),
        ];
        for (what, list) in lists {
            let Some(list) = list else { continue };
            if list.len() != width as usize {
                return Err(Error::Parameter(format!(
                    "scale was given {} {what} for {width} columns",
                    list.len()
                )));
            }
            if let Some(gene) = list.iter().position(|x| !x.is_finite()) {
                return Err(Error::Parameter(format!(
                    "scale was given {} as one of its {what}, that of column {gene}",
                    list[gene]
                )));
            }
        }
        if let Some(gene) = self.std.iter().position(|&s| s <= 0.0) {
            return Err(Error::Parameter(format!(
                "the deviation of column {gene} is {}, and must be above 0",
                self.std[gene]
            )));
        }
        match self.max {
            Some(max) if !(max.is_finite() && max >= 0.0) => Err(Error::Parameter(format!(
                "max_value is {max}, and must be a number of at least 0"
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_differences_from_what_has_none() {
        let scale = ScaleGenes {
            std: vec![0.5, 2.0],
            mean: Some(vec![1.0, 8.0]),
            max: Some(3.0),
        };
        assert_eq!((scale.zero(0), scale.zero(1)), (-2.0, -3.0));
        assert_eq!((scale.scaled(0, 1.5), scale.scaled(0, 9.0)), (1.0, 3.0));
        assert_eq!(scale.entry(0, 1.5), 3.0);
        let plain = ScaleGenes {
            mean: None,
            ..scale
        };
        assert_eq!(
            (plain.zero(0), plain.entry(0, 1.0), plain.entry(0, 9.0)),
            (0.0, 2.0, 3.0)
        );
        assert_eq!(plain.of_columns(&[1]).std, [2.0]);
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let good = ScaleGenes {
            std: vec![1.0],
            mean: Some(vec![0.0]),
            max: None,
        };
        assert!(good.check(1).is_ok());
        let bad = [
            ScaleGenes {
                std: vec![0.0],
                ..good.clone()
            },
            ScaleGenes {
                mean: Some(vec![f64::NAN]),
                ..good.clone()
            },
            ScaleGenes {
                max: Some(-1.0),
                ..good.clone()
            },
        ];
        assert!(bad.iter().all(|scale| scale.check(1).is_err()));
        assert!(good.check(2).is_err());
    }
}
