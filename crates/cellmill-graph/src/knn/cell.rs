//! The points of one cell compared with each other.

use super::prepare::Prepared;
use crate::kernel::{CellPanels, Isa, isa, search_pairs};
use cellmill_engine::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a cell found: a list of `length` keys (the squared distance in whole numbers above the
/// place of the neighbour) for each of its points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellLists {
    /// The cell's points, by place.
    pub members: Vec<u32>,
    /// Slots of a list.
    pub length: usize,
    /// The lists, one after the other; slots of a list are in no order.
    pub lists: Vec<u64>,
}

/// All that is needed to search one cell, here or on another machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CellTask {
    panels: CellPanels,
    lists: CellLists,
}

impl CellTask {
    /// The cell of the points whose lists these are.
    pub(super) fn new(points: &Prepared, lists: CellLists) -> Self {
        let panels = points.panels(isa(), &lists.members);
        Self { panels, lists }
    }

    /// Offers every point of the cell to every other one.
    ///
    /// What the lists held before makes this faster and does not change what is found in the
    /// end, since a list keeps the nearest of all points that it was ever offered.
    ///
    /// # Errors
    /// [`Error::Wire`] when the task did not come whole.
    pub fn search(self, isa: Isa) -> Result<CellLists> {
        let Self { panels, mut lists } = self;
        let points = lists.members.len();
        if !panels.are_whole(points)
            || lists.length == 0
            || lists.length % 16 != 0
            || lists.lists.len() != points * lists.length
        {
            return Err(Error::Wire {
                what: "cell of the neighbour search",
                reason: format!("its panels and lists are not those of {points} points"),
            });
        }
        search_pairs(isa, &panels, &lists.members, &mut lists.lists, lists.length);
        Ok(lists)
    }
}
