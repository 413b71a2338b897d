//! What all cells found, joined in any order.

use super::cell::CellLists;
use crate::kernel::{AHEAD, Isa, empty, merge_rows, prefetch};
use cellmill_engine::{Context, Error, Reservation, Result};
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Points that share a lock.
const GROUP: usize = 64;

/// The list of every point. Lists are sets, so that the order of merges changes nothing.
pub(super) struct Lists {
    length: usize,
    /// One list after the other. Plain numbers for who holds the lock; atomic so that different
    /// threads can write different lists of one allocation.
    slots: Vec<AtomicU64>,
    /// For the lists of [`GROUP`] points each.
    locks: Vec<Mutex<()>>,
    _memory: Reservation,
}

impl Lists {
    /// Empty lists of `length` slots for `n` points.
    pub(super) fn new(ctx: &Context, n: usize, length: usize) -> Result<Self> {
        let memory = ctx
            .budget()
            .reserve(n as u64 * length as u64 * 8, "the neighbour lists")?;
        let slot = |at| AtomicU64::new(empty(at % length));
        Ok(Self {
            length,
            slots: (0..n * length).map(slot).collect(),
            locks: (0..n.div_ceil(GROUP)).map(|_| Mutex::new(())).collect(),
            _memory: memory,
        })
    }

    /// The lists of a cell's points as they are now.
    pub(super) fn read(&self, members: &[u32]) -> CellLists {
        let mut lists = Vec::with_capacity(members.len() * self.length);
        self.each(members, |_, slots| {
            lists.extend(slots.iter().map(|slot| slot.load(Ordering::Relaxed)));
        });
        CellLists {
            members: members.to_vec(),
            length: self.length,
            lists,
        }
    }

    /// Offers what a cell found.
    pub(super) fn merge(&self, isa: Isa, found: &CellLists) -> Result<()> {
        let n = self.slots.len() / self.length;
        if found.length != self.length
            || found.lists.len() != found.members.len() * self.length
            || found.members.iter().any(|&id| id as usize >= n)
        {
            return Err(Error::Wire {
                what: "answer of a cell of the neighbour search",
                reason: format!("it is not of {n} points with lists of {}", self.length),
            });
        }
        let mut into = Vec::with_capacity(self.length);
        self.each(&found.members, |at, slots| {
            let list = &found.lists[at * self.length..][..self.length];
            into.clear();
            into.extend(slots.iter().map(|slot| slot.load(Ordering::Relaxed)));
            if into != list {
                merge_rows(isa, &mut into, list, self.length);
                for (slot, &key) in slots.iter().zip(&into) {
                    slot.store(key, Ordering::Relaxed);
                }
            }
        });
        Ok(())
    }

    /// Calls `visit` with each member's number and list, under the lock of its group. Members
    /// increase.
    fn each(&self, members: &[u32], mut visit: impl FnMut(usize, &[AtomicU64])) {
        let list = |id: u32| &self.slots[id as usize * self.length..][..self.length];
        let mut at = 0;
        for same in members.chunk_by(|a, b| *a as usize / GROUP == *b as usize / GROUP) {
            // A thread that panicked while it held the lock takes the whole run with it.
            let _group = self.locks[same[0] as usize / GROUP]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            for &id in same {
                if let Some(&later) = members.get(at + AHEAD) {
                    prefetch(list(later));
                }
                visit(at, list(id));
                at += 1;
            }
        }
    }

    /// The lists, read only.
    pub(super) fn finish(self) -> Found<'static> {
        let lists = self.slots.into_iter().map(AtomicU64::into_inner);
        Found {
            length: self.length,
            lists: Cow::Owned(lists.collect()),
            _memory: Some(self._memory),
        }
    }
}

/// The merged list of every point.
pub(super) struct Found<'a> {
    length: usize,
    lists: Cow<'a, [u64]>,
    _memory: Option<Reservation>,
}

impl<'a> Found<'a> {
    /// Lists that follow each other, a list for every point.
    pub(super) fn of_all(lists: &'a [u64], length: usize) -> Self {
        Self {
            length,
            lists: Cow::Borrowed(lists),
            _memory: None,
        }
    }

    /// Slots of a list.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The list of the point at a place, in no order; empty slots are infinitely far.
    pub(super) fn list(&self, id: usize) -> &[u64] {
        &self.lists[id * self.length..][..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_lists_are_not_copied() {
        let ctx = Context::quiet(1).unwrap();
        let lists = Lists::new(&ctx, 1000, 16).unwrap();
        let before = lists.slots.as_ptr() as usize;
        let found = lists.finish();
        assert_eq!(found.lists.as_ptr() as usize, before);
        assert_eq!(found.list(999)[15], empty(15));
    }
}
