//! Who owns the graph that a step works on.

use crate::WeightedGraph;
use cellmill_engine::Reservation;
use std::borrow::Cow;
use std::ops::Deref;

/// A graph that is handed to a step: lent, or given away together with its memory, and then
/// dropped as soon as the step has made of it what it works on.
pub struct Handed<'a> {
    graph: Cow<'a, WeightedGraph>,
    _memory: Option<Reservation>,
}

impl<'a> Handed<'a> {
    /// A graph that is given away, and the reservation of its memory where there is one.
    pub fn given(graph: WeightedGraph, memory: Option<Reservation>) -> Self {
        Self {
            graph: Cow::Owned(graph),
            _memory: memory,
        }
    }
}

impl Deref for Handed<'_> {
    type Target = WeightedGraph;

    fn deref(&self) -> &WeightedGraph {
        &self.graph
    }
}

impl<'a> From<&'a WeightedGraph> for Handed<'a> {
    fn from(graph: &'a WeightedGraph) -> Self {
        Self {
            graph: Cow::Borrowed(graph),
            _memory: None,
        }
    }
}
