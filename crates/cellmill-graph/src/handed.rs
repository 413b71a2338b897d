//! Who owns the graph that a step works on.

use crate::WeightedGraph;
use cellmill_engine::{Context, Reservation, Result};
use std::borrow::Cow;
use std::ops::Deref;

/// A graph that is handed to a step: lent, or given away together with its memory, and then
/// dropped as soon as the step has made of it what it works on.
pub struct Handed<'a> {
    graph: Cow<'a, WeightedGraph>,
    memory: Option<Reservation>,
}

impl<'a> Handed<'a> {
    /// A graph that is given away, and the reservation of its memory where there is one.
    pub fn given(graph: WeightedGraph, memory: Option<Reservation>) -> Self {
        Self {
            graph: Cow::Owned(graph),
            memory,
        }
    }

    /// The graph without the entries that `keep` refuses: itself where it keeps all; where it is lent,
    /// a copy.
    pub(crate) fn pruned(self, ctx: &Context, keep: impl Fn(f32) -> bool) -> Result<Self> {
        if self.weights.iter().all(|&w| keep(w)) {
            return Ok(self);
        }
        let memory = match &self.graph {
            Cow::Owned(_) => self.memory,
            Cow::Borrowed(graph) => Some(ctx.budget().reserve(
                WeightedGraph::bytes(graph.n() as u64, graph.nnz()),
                "the graph without its lightest edges",
            )?),
        };
        let mut graph = self.graph.into_owned();
        graph.keep(|_, weight| keep(weight));
        Ok(Self::given(graph, memory))
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
            memory: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_graph_is_pruned_as_a_lent_one() {
        let ctx = Context::quiet(1).unwrap();
        let graph = WeightedGraph {
            indptr: vec![0, 2, 4, 6, 6],
            indices: vec![1, 2, 0, 2, 0, 1],
            weights: vec![0.9, 0.1, 0.9, 0.5, 0.1, 0.5],
        };
        let keep = |w| w > 0.2;
        let lent = Handed::from(&graph).pruned(&ctx, keep).unwrap();
        let given = Handed::given(graph.clone(), None)
            .pruned(&ctx, keep)
            .unwrap();
        assert_eq!(*lent, *given);
        assert_eq!(lent.indptr, [0, 1, 3, 4, 4]);
        assert_eq!(lent.indices, [1, 0, 2, 1]);
        let all = Handed::from(&graph).pruned(&ctx, |_| true).unwrap();
        assert!(std::ptr::eq(&*all, &graph));
    }
}
