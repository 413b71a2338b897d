//! Samples of counts (`sc.pp.downsample_counts`) of a matrix in memory. Of a file's matrix it is
//! [`cellmill_engine::Op::DownsampleCounts`].

use crate::{Error, Result};
use cellmill_engine::op::{Draw, downsample};

/// The values of a CSR matrix after each row that has more than its number in `counts` (or the only
/// one) kept a sample of so many; in the order of the old ones, zeros among them.
///
/// # Errors
/// [`Error::Data`] where a value is no whole number of at least 0; [`Error::Parameter`] when there
/// are neither one number nor as many as rows, or the rows are not those of the values.
pub fn of_rows(indptr: &[i64], values: &[f64], counts: &[u64], draw: Draw) -> Result<Vec<f64>> {
    let n_rows = indptr.len().saturating_sub(1);
    if counts.len() != 1 && counts.len() != n_rows {
        return Err(Error::Parameter(format!(
            "{} numbers of counts were given for {n_rows} cells",
            counts.len()
        )));
    }
    let mut found = values.to_vec();
    let mut molecules = Vec::new();
    for (row, ends) in indptr.windows(2).enumerate() {
        let range = ends[0] as usize..ends[1] as usize;
        let Some(values) = found.get_mut(range) else {
            return Err(Error::Parameter(format!(
                "row {row} ends outside the {} values",
                values.len()
            )));
        };
        if let Some(bad) = values.iter().find(|x| !(**x >= 0.0 && x.fract() == 0.0)) {
            return Err(Error::Data(format!(
                "downsample_counts needs values that are whole numbers of at least 0 and found {bad} \
                 in row {row}"
            )));
        }
        let target = counts[if counts.len() == 1 { 0 } else { row }];
        downsample(values, target, draw, &mut molecules)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAW: Draw = Draw {
        seed: 0,
        replace: false,
    };

    #[test]
    fn rows_have_targets_of_their_own() {
        let values = [3.0, 9.0, 5.0, 2.0];
        let found = of_rows(&[0, 2, 2, 4], &values, &[6, 0, 7], DRAW).unwrap();
        assert_eq!(found[0] + found[1], 6.0);
        assert_eq!(found[2..], [5.0, 2.0]);
    }

    #[test]
    fn what_are_no_counts_is_refused() {
        for bad in [1.5, -1.0, f64::NAN] {
            assert!(of_rows(&[0, 1], &[bad], &[1], DRAW).is_err());
        }
        assert!(of_rows(&[0, 1], &[1.0], &[1, 2], DRAW).is_err());
        assert!(of_rows(&[0, 2], &[1.0], &[1], DRAW).is_err());
    }
}
