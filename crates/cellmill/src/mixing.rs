//! How well donors (samples, batches) mix in the neighbour graph and in the clusters.

use crate::slot::{Patch, Slot, Value};
use crate::{Result, input::labels};
use cellmill_graph::KnnGraph;
use cellmill_io::{ArrayData, Column, H5ad};
use serde::Serialize;

/// Names of obs columns that tell donors or samples apart, those that matter most first; compared
/// without case, `.`, `-` and ` ` as `_`.
const NAMES: [&str; 19] = [
    "batch",
    "batch_id",
    "donor_id",
    "donor",
    "sample_id",
    "sample",
    "sample_name",
    "library_id",
    "library",
    "patient_id",
    "patient",
    "individual",
    "subject_id",
    "subject",
    "replicate",
    "channel",
    "orig_ident",
    "dataset",
    "study",
];

/// Above this share of cells from one donor, a cluster is named.
const DOMINATED: f64 = 0.9;

/// Donors among neighbours and clusters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mixing {
    /// The obs column.
    pub column: String,
    /// Donors that have cells.
    pub n_groups: usize,
    /// Share of the neighbours of a cell that are of its donor, over all cells that have one.
    pub same: f64,
    /// The share that chance gives: neighbours drawn from all other cells.
    pub chance: f64,
    /// Clusters of which more than 90 % are one donor's.
    pub dominated: Vec<Dominated>,
}

/// A cluster that is nearly one donor's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dominated {
    /// The column of clusters.
    pub clusters: String,
    /// The cluster.
    pub cluster: String,
    /// Its cells.
    pub n_cells: u64,
    /// The donor.
    pub group: String,
    /// The donor's share of the cells.
    pub share: f64,
}

/// The column of obs that tells donors or samples apart, if there is one with at least two that
/// have two cells each on average.
///
/// # Errors
/// When obs cannot be read.
pub fn find_column(file: &H5ad) -> Result<Option<String>> {
    let plain = |name: &str| name.to_lowercase().replace(['.', '-', ' '], "_");
    let columns = file.dataframe_columns("obs")?;
    for name in NAMES {
        for column in columns.iter().filter(|column| plain(column) == name) {
            // A column of fractions is no column of donors.
            let Ok((codes, names)) = labels::of_column(file, column) else {
                continue;
            };
            let used = used(&codes, names.len());
            if used > 1 && 2 * used <= codes.len() {
                return Ok(Some(column.clone()));
            }
        }
    }
    Ok(None)
}

fn sizes(codes: &[i64], n: usize) -> Vec<u64> {
    let mut sizes = vec![0; n];
    for &code in codes {
        if let Some(size) = usize::try_from(code).ok().and_then(|c| sizes.get_mut(c)) {
            *size += 1;
        }
    }
    sizes
}

fn used(codes: &[i64], n: usize) -> usize {
    sizes(codes, n).iter().filter(|&&size| size > 0).count()
}

impl Mixing {
    /// Donors among the neighbours of cells: `codes` are places in `names`, below 0 for none.
    pub fn of_neighbors(column: &str, codes: &[i64], names: &[String], knn: &KnnGraph) -> Self {
        let (mut same, mut all) = (0u64, 0u64);
        for (cell, &code) in codes.iter().enumerate().filter(|(_, code)| **code >= 0) {
            for &neighbor in &knn.indices[cell * knn.k..(cell + 1) * knn.k] {
                let other = codes[neighbor as usize];
                all += u64::from(other >= 0);
                same += u64::from(other == code);
            }
        }
        let sizes = sizes(codes, names.len());
        let n = sizes.iter().sum::<u64>() as f64;
        let pairs: f64 = sizes.iter().map(|&s| s as f64 * (s as f64 - 1.0)).sum();
        Self {
            column: column.to_owned(),
            n_groups: used(codes, names.len()),
            same: same as f64 / all.max(1) as f64,
            chance: pairs / (n * (n - 1.0)).max(1.0),
            dominated: Vec::new(),
        }
    }

    /// Adds the clusters of a patch's obs columns that are nearly one donor's.
    pub fn add_clusters(&mut self, codes: &[i64], names: &[String], patch: &Patch) {
        for (slot, value) in patch.entries() {
            let (Slot::Obs(clusters), Value::Column(Column::Categorical(found))) = (slot, value)
            else {
                continue;
            };
            let ArrayData::Str(categories) = &found.categories else {
                continue;
            };
            let mut counts = vec![vec![0u64; names.len()]; categories.len()];
            for (&cluster, &code) in found.codes.iter().zip(codes) {
                if let (Ok(cluster), Ok(code)) = (usize::try_from(cluster), usize::try_from(code)) {
                    counts[cluster][code] += 1;
                }
            }
            for (cluster, counts) in categories.iter().zip(counts) {
                let n_cells: u64 = counts.iter().sum();
                let most = counts.iter().zip(names).max_by_key(|(count, _)| **count);
                let Some((&count, group)) = most.filter(|_| n_cells > 0) else {
                    continue;
                };
                let share = count as f64 / n_cells as f64;
                if share > DOMINATED {
                    self.dominated.push(Dominated {
                        clusters: clusters.clone(),
                        cluster: cluster.clone(),
                        n_cells,
                        group: group.clone(),
                        share,
                    });
                }
            }
        }
    }
}

/// A sentence for the neighbours, and one for the clusters where there are any to name.
impl std::fmt::Display for Mixing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "obs/{}: {:.1} % of neighbours are of the same of {} groups, {:.1} % would be by chance",
            self.column,
            100.0 * self.same,
            self.n_groups,
            100.0 * self.chance
        )?;
        for d in &self.dominated {
            write!(
                f,
                "\n  cluster {} of {} ({} cells) is {:.1} % {}",
                d.cluster,
                d.clusters,
                d.n_cells,
                100.0 * d.share,
                d.group
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_neighbours_and_clusters() {
        let names = ["a", "b"].map(str::to_owned);
        let codes = [0, 0, 1, 1, -1];
        let knn = KnnGraph {
            n: 5,
            k: 2,
            indices: vec![1, 2, 0, 4, 3, 0, 2, 1, 0, 1],
            distances: vec![1.0; 10],
            exact: true,
        };
        let mut mixing = Mixing::of_neighbors("donor", &codes, &names, &knn);
        // Seven neighbours have a donor; one each of cells 0, 1, 2 and 3 is of the same.
        assert_eq!(mixing.same, 4.0 / 7.0);
        assert_eq!(mixing.chance, 4.0 / 12.0);
        let patch = crate::tl::leiden::patch("leiden", &[0, 0, 0, 1, 1], 0.0, 1.0, 0, 2);
        mixing.add_clusters(&codes, &names, &patch);
        let [only] = mixing.dominated.as_slice() else {
            panic!("{:?}", mixing.dominated)
        };
        assert_eq!((only.cluster.as_str(), only.group.as_str()), ("1", "b"));
        assert_eq!((only.n_cells, only.share), (1, 1.0));
        assert_eq!(
            mixing.to_string(),
            "obs/donor: 57.1 % of neighbours are of the same of 2 groups, 33.3 % would be by chance\n  \
             cluster 1 of leiden (1 cells) is 100.0 % b"
        );
    }
}
