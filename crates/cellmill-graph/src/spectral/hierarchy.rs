//! What the order of a graph knows of coarser graphs.

use super::coarsen::Aggregates;
use std::ops::Range;

/// Aggregates of vertices, aggregates of these, and so on. The vertices of each level come in an order
/// in which the members of an aggregate follow each other.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    /// Of each level, finest first: where the members of each vertex of the next one begin, and the
    /// end.
    levels: Vec<Vec<u32>>,
}

impl Hierarchy {
    /// A hierarchy of these levels, finest first.
    pub(crate) fn new(levels: Vec<Vec<u32>>) -> Self {
        Self { levels }
    }

    /// The aggregates of some vertices of a level, numbered from the first of them on, and which
    /// vertices of the next level they are; `None` beyond the last level, and for vertices that are
    /// not whole aggregates.
    pub(crate) fn aggregates(
        &self,
        level: usize,
        vertices: &Range<usize>,
    ) -> Option<(Aggregates, Range<usize>)> {
        let starts = self.levels.get(level)?;
        let place = |vertex: usize| starts.binary_search(&(vertex as u32)).ok();
        let coarser = place(vertices.start)?..place(vertices.end)?;
        let first = vertices.start as u32;
        let starts: Vec<u32> = starts[coarser.start..=coarser.end]
            .iter()
            .map(|start| start - first)
            .collect();
        let mut of = Vec::with_capacity(vertices.len());
        for (aggregate, ends) in (0u32..).zip(starts.windows(2)) {
            of.resize(ends[1] as usize, aggregate);
        }
        let members = (0..of.len() as u32).collect();
        let aggregates = Aggregates {
            of,
            starts,
            members,
        };
        Some((aggregates, coarser))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_aggregates_are_vertices_of_the_next_level() {
        let hierarchy = Hierarchy::new(vec![vec![0, 2, 3, 6, 8], vec![0, 1, 4]]);
        let (found, coarser) = hierarchy.aggregates(0, &(2..8)).unwrap();
        assert_eq!(coarser, 1..4);
        assert_eq!(found.of, [0, 1, 1, 1, 2, 2]);
        assert_eq!(found.starts, [0, 1, 4, 6]);
        assert_eq!(found.members, [0, 1, 2, 3, 4, 5]);
        let (found, coarser) = hierarchy.aggregates(1, &coarser).unwrap();
        assert_eq!((found.of, coarser), (vec![0, 0, 0], 1..2));
        assert!(hierarchy.aggregates(0, &(1..8)).is_none());
        assert!(hierarchy.aggregates(2, &(0..2)).is_none());
    }
}
