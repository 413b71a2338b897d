//! What is known of cells and genes beside the numbers.

use crate::{Error, Result};
use cellmill_engine::Op;
use cellmill_engine::reduce::Groups;

/// Batches of the cells, names of the genes, and genes that must not be selected.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// The batch of each cell; one group where there are no batches.
    pub groups: Groups,
    /// The name of each batch; `None`: there are no batches.
    pub batches: Option<Vec<String>>,
    /// Names of the genes, by which ties between batches are broken; empty: by place.
    pub genes: Vec<String>,
    /// Genes that are measured, and never selected; empty: none.
    pub excluded: Vec<bool>,
}

impl Default for Labels {
    fn default() -> Self {
        Self {
            groups: Groups::whole(),
            batches: None,
            genes: Vec::new(),
            excluded: Vec::new(),
        }
    }
}

impl Labels {
    /// The labels of cells that have batches: `codes` are places in `names`, below 0 for none, one
    /// for each row of a source of `n_rows`, or for each that `ops` leave. Batches without cells are
    /// left out.
    ///
    /// # Errors
    /// [`Error::Parameter`] when a code is none of the names, or the codes are of other rows;
    /// [`Error::Data`] when no cell has a batch.
    pub fn with_batches(
        mut self,
        codes: &[i64],
        names: &[String],
        ops: &[Op],
        n_rows: u64,
    ) -> Result<Self> {
        let mut place = vec![Groups::NONE; names.len()];
        for &code in codes.iter().filter(|&&c| c >= 0) {
            let known = usize::try_from(code).ok().and_then(|c| place.get_mut(c));
            *known.ok_or_else(|| {
                Error::Parameter(format!(
                    "a cell is said to be of batch {code}, and there are {}",
                    names.len()
                ))
            })? = 0;
        }
        let mut used = Vec::new();
        for (place, name) in place.iter_mut().zip(names) {
            if *place != Groups::NONE {
                *place = used.len() as u32;
                used.push(name.clone());
            }
        }
        if used.is_empty() {
            return Err(Error::Data(
                "no cell has a batch: every value of the batch key is missing".to_owned(),
            ));
        }
        let group = |&code: &i64| usize::try_from(code).map_or(Groups::NONE, |c| place[c]);
        let ids = codes.iter().map(group).collect();
        self.groups = Groups::new(used.len(), ids)?.behind(ops, n_rows)?;
        self.batches = Some(used);
        Ok(self)
    }

    /// The name of a batch, for a sentence.
    pub(super) fn batch(&self, group: usize) -> String {
        match self.batches.as_ref().and_then(|names| names.get(group)) {
            Some(name) => format!("batch {name:?}"),
            None => "this matrix".to_owned(),
        }
    }

    /// Whether a gene must not be selected.
    pub(super) fn is_excluded(&self, gene: usize) -> bool {
        self.excluded.get(gene).copied().unwrap_or(false)
    }

    /// Places of the genes in the order in which ties are broken.
    pub(super) fn tie_order(&self, n_genes: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n_genes).collect();
        if self.genes.len() == n_genes {
            order.sort_by(|&a, &b| self.genes[a].cmp(&self.genes[b]));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_without_cells_are_left_out() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let labels = Labels::default()
            .with_batches(&[2, -1, 0, 2], &names, &[], 4)
            .unwrap();
        assert_eq!(
            labels.batches.as_deref(),
            Some(&["a".to_owned(), "c".to_owned()][..])
        );
        assert_eq!(labels.groups.counts(4), [1, 2]);
        let bad = |codes: &[i64]| {
            Labels::default()
                .with_batches(codes, &names, &[], 4)
                .is_err()
        };
        assert!(bad(&[3, 0, 0, 0]) && bad(&[-1; 4]) && bad(&[0; 3]));
    }
}
