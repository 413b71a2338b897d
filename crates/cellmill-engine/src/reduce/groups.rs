//! Which group each cell belongs to.

use crate::op::CellSet;
use crate::{Block, Error, Op, Result};
use std::sync::Arc;

/// The group of every row of a source: its batch, its cluster.
///
/// ```
/// use cellmill_engine::reduce::Groups;
/// let batches = Groups::new(2, vec![0, 1, Groups::NONE, 1])?;
/// assert_eq!((batches.len(), batches.counts(4)), (2, vec![1, 2]));
/// assert_eq!(Groups::whole().counts(4), [4]);
/// # Ok::<(), cellmill_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    n: usize,
    /// A group for each row of the source; `None`: all rows are of group 0.
    ids: Option<Arc<[u32]>>,
    /// The rows that arrive, where ops before the reduction drop others.
    left: Option<CellSet>,
}

impl Groups {
    /// The group of a row that belongs to none: reductions pass over it.
    pub const NONE: u32 = u32::MAX;

    /// One group that holds every row.
    pub fn whole() -> Self {
        Self {
            n: 1,
            ids: None,
            left: None,
        }
    }

    /// `n` groups, from the group of each row of the source ([`Groups::NONE`] for none).
    ///
    /// # Errors
    /// [`Error::Parameter`] when a row has a group that is not one of the `n`.
    pub fn new(n: usize, ids: Vec<u32>) -> Result<Self> {
        let bad = |&(_, &id): &(usize, &u32)| id != Self::NONE && id as usize >= n;
        if let Some((row, id)) = ids.iter().enumerate().find(bad) {
            return Err(Error::Parameter(format!(
                "row {row} is said to be of group {id}, and there are {n} groups"
            )));
        }
        Ok(Self {
            n,
            ids: Some(ids.into()),
            left: None,
        })
    }

    /// The groups of the rows that `ops` leave of a source of `n_rows`. Where `ids` were given for
    /// the rows that are left, and not for those of the source, they are put into their places.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the ids are neither.
    pub fn behind(mut self, ops: &[Op], n_rows: u64) -> Result<Self> {
        let left = CellSet::of_ops(ops);
        let Some(ids) = &self.ids else {
            return Ok(self);
        };
        let given = ids.len() as u64;
        if given != n_rows {
            let left = left.as_ref().filter(|left| left.len() == given);
            let left = left.ok_or_else(|| {
                Error::Parameter(format!(
                    "groups of {given} rows were given for a matrix of {n_rows}"
                ))
            })?;
            let mut placed = vec![Self::NONE; n_rows as usize];
            for (row, &id) in left.within(0..n_rows).zip(ids.iter()) {
                placed[row] = id;
            }
            self.ids = Some(placed.into());
        }
        self.left = left;
        Ok(self)
    }

    /// The number of groups.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Whether every row is of the one group.
    pub fn is_whole(&self) -> bool {
        self.ids.is_none()
    }

    /// The group of each row that arrives, of a source of `n_rows`.
    pub fn ids(&self, n_rows: u64) -> Vec<u32> {
        match (&self.ids, &self.left) {
            (None, _) => vec![0; n_rows as usize],
            (Some(ids), None) => ids.to_vec(),
            (Some(ids), Some(left)) => left.within(0..ids.len() as u64).map(|r| ids[r]).collect(),
        }
    }

    /// Rows of each group, of a source of `n_rows`.
    pub fn counts(&self, n_rows: u64) -> Vec<u64> {
        let mut counts = vec![0; self.n];
        for id in self.ids(n_rows).into_iter().filter(|&id| id != Self::NONE) {
            counts[id as usize] += 1;
        }
        counts
    }

    /// Heap bytes of the ids.
    pub fn bytes(&self) -> u64 {
        self.ids.as_ref().map_or(0, |ids| 4 * ids.len() as u64)
    }

    /// The group of each row of a block.
    ///
    /// # Errors
    /// [`Error::Data`] when the block has rows beyond those that have a group.
    pub(crate) fn of(&self, block: &Block, groups: &mut Vec<u32>) -> Result<()> {
        groups.clear();
        let n = block.n_rows();
        match (&self.ids, &self.left) {
            (None, _) => groups.resize(n, 0),
            (Some(ids), None) => {
                let first = block.first_row as usize;
                groups.extend(ids.iter().skip(first).take(n));
            }
            (Some(ids), Some(left)) => {
                let end = ids.len() as u64;
                let first = block.first_row;
                let rows = left.within(first..end).take(n);
                groups.extend(rows.map(|r| ids[first as usize + r]));
            }
        }
        if groups.len() == n {
            Ok(())
        } else {
            Err(Error::Data(format!(
                "the block at row {} has {n} rows, of which {} have a group",
                block.first_row,
                groups.len()
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(first_row: u64, rows: usize) -> Block {
        Block {
            first_row,
            indptr: vec![0; rows + 1],
            ..Block::new(1)
        }
    }

    #[test]
    fn rows_that_are_left_keep_their_groups() {
        let cells = CellSet::from_mask(&[true, false, true, true, false, true]);
        let ops = [Op::SelectCells { cells }];
        let all = Groups::new(3, vec![0, 9, 1, 2, 9, 0]);
        assert!(all.is_err());
        let all = Groups::new(3, vec![0, 2, 1, 2, 2, 0]).unwrap();
        let few = Groups::new(3, vec![0, 1, 2, 0]).unwrap();
        let mut found = Vec::new();
        for groups in [all.behind(&ops, 6).unwrap(), few.behind(&ops, 6).unwrap()] {
            assert_eq!(groups.counts(6), [2, 1, 1]);
            groups.of(&block(2, 2), &mut found).unwrap();
            assert_eq!(found, [1, 2]);
            groups.of(&block(4, 1), &mut found).unwrap();
            assert_eq!(found, [0]);
            assert!(groups.of(&block(4, 2), &mut found).is_err());
        }
        assert!(Groups::new(1, vec![0]).unwrap().behind(&ops, 6).is_err());
    }
}
