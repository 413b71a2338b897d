//! What all cells found, joined in any order.

use super::cell::CellLists;
use crate::kernel::{Isa, empty, merge_rows};
use cellmill_engine::{Context, Error, Reservation, Result};
use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Points that share a lock.
const GROUP: usize = 64;

/// The list of every point. Lists are sets, so that the order of merges changes nothing.
pub(super) struct Lists {
    n: usize,
    length: usize,
    groups: Vec<Mutex<Vec<u64>>>,
    _memory: Reservation,
}

impl Lists {
    /// Empty lists of `length` slots for `n` points.
    pub(super) fn new(ctx: &Context, n: usize, length: usize) -> Result<Self> {
        let memory = ctx
            .budget()
            .reserve(n as u64 * length as u64 * 8, "the neighbour lists")?;
        let group = |g: usize| GROUP.min(n - g * GROUP) * length;
        let groups = (0..n.div_ceil(GROUP))
            .map(|g| Mutex::new((0..group(g)).map(|at| empty(at % length)).collect()))
            .collect();
        Ok(Self {
            n,
            length,
            groups,
            _memory: memory,
        })
    }

    /// The lists of a cell's points as they are now.
    pub(super) fn read(&self, members: &[u32]) -> CellLists {
        let mut lists = Vec::with_capacity(members.len() * self.length);
        for same in members.chunk_by(|a, b| *a as usize / GROUP == *b as usize / GROUP) {
            let group = self.lock(same[0]);
            for &id in same {
                lists.extend_from_slice(&group[self.slots(id)]);
            }
        }
        CellLists {
            members: members.to_vec(),
            length: self.length,
            lists,
        }
    }

    /// Offers what a cell found.
    pub(super) fn merge(&self, isa: Isa, found: &CellLists) -> Result<()> {
        if found.length != self.length
            || found.lists.len() != found.members.len() * self.length
            || found.members.iter().any(|&id| id as usize >= self.n)
        {
            return Err(Error::Wire {
                what: "answer of a cell of the neighbour search",
                reason: format!(
                    "it is not of {} points with lists of {}",
                    self.n, self.length
                ),
            });
        }
        let members = found
            .members
            .chunk_by(|a, b| *a as usize / GROUP == *b as usize / GROUP);
        let mut lists = found.lists.chunks_exact(self.length);
        for same in members {
            let mut group = self.lock(same[0]);
            for (&id, list) in same.iter().zip(&mut lists) {
                let into = &mut group[self.slots(id)];
                if into != list {
                    merge_rows(isa, into, list, self.length);
                }
            }
        }
        Ok(())
    }

    /// The lists, read only.
    pub(super) fn finish(self) -> Found<'static> {
        let groups = self.groups.into_iter();
        Found {
            length: self.length,
            piece: GROUP,
            pieces: groups
                .map(|group| group.into_inner().unwrap_or_else(PoisonError::into_inner))
                .map(Cow::Owned)
                .collect(),
            _memory: Some(self._memory),
        }
    }

    fn lock(&self, id: u32) -> MutexGuard<'_, Vec<u64>> {
        // A thread that panicked while it held the lock takes the whole run with it.
        self.groups[id as usize / GROUP]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self, id: u32) -> std::ops::Range<usize> {
        let at = (id as usize % GROUP) * self.length;
        at..at + self.length
    }
}

/// The merged list of every point.
pub(super) struct Found<'a> {
    length: usize,
    /// Points of a piece.
    piece: usize,
    pieces: Vec<Cow<'a, [u64]>>,
    _memory: Option<Reservation>,
}

impl<'a> Found<'a> {
    /// Lists that follow each other, a list for every point.
    pub(super) fn of_all(lists: &'a [u64], length: usize) -> Self {
        Self {
            length,
            piece: (lists.len() / length).max(1),
            pieces: vec![Cow::Borrowed(lists)],
            _memory: None,
        }
    }

    /// Slots of a list.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The list of the point at a place, in no order; empty slots are infinitely far.
    pub(super) fn list(&self, id: usize) -> &[u64] {
        &self.pieces[id / self.piece][(id % self.piece) * self.length..][..self.length]
    }
}
