//! The merge tree: fixed by the number of spans.

use std::collections::BTreeMap;

/// One merge of the tree: `left` and `right` give `node`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// Node of the earlier rows.
    pub left: usize,
    /// Node of the later rows.
    pub right: usize,
    /// The new node.
    pub node: usize,
}

/// The merges of `n_spans` states, in an order that can be executed. Nodes below `n_spans` are
/// the spans; the last join's node is the whole (with one span there is no join).
///
/// Neighbours are merged in aligned powers of two; what is left over at the end is merged from
/// right to left.
///
/// ```
/// use cellmill_engine::run::{Join, merge_tree};
/// let joins = merge_tree(3);
/// assert_eq!(joins, [Join { left: 0, right: 1, node: 3 }, Join { left: 3, right: 2, node: 4 }]);
/// ```
pub fn merge_tree(n_spans: usize) -> Vec<Join> {
    let mut joins = Vec::new();
    let mut next = n_spans;
    let mut tree = Tree::default();
    let mut push = |left, right| {
        let node = next;
        next += 1;
        joins.push(Join { left, right, node });
        node
    };
    for span in 0..n_spans {
        let (mut at, mut node) = (Place::leaf(span), span);
        while let Some(sibling) = tree.take_or_put(at, &mut Some(node)) {
            node = if at.is_left() {
                push(node, sibling)
            } else {
                push(sibling, node)
            };
            at = at.parent();
        }
    }
    let mut rest = tree.into_rest();
    if let Some(mut whole) = rest.pop() {
        while let Some(left) = rest.pop() {
            whole = push(left, whole);
        }
    }
    joins
}

/// A node's place: it covers spans `index << level` to `(index + 1) << level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    level: u32,
    index: usize,
}

impl Place {
    pub(super) fn leaf(span: usize) -> Self {
        Self {
            level: 0,
            index: span,
        }
    }

    pub(super) fn is_left(self) -> bool {
        self.index.is_multiple_of(2)
    }

    pub(super) fn parent(self) -> Self {
        Self {
            level: self.level + 1,
            index: self.index / 2,
        }
    }

    /// The first span covered, which orders the nodes that wait.
    fn first(self) -> usize {
        self.index << self.level
    }
}

/// The nodes that wait for their sibling.
#[derive(Debug)]
pub(super) struct Tree<S> {
    /// By first span: no two waiting nodes cover the same span.
    waiting: BTreeMap<usize, (Place, S)>,
}

impl<S> Default for Tree<S> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
        }
    }
}

impl<S> Tree<S> {
    /// The sibling of the node at `at`, taken out if it waits; else the node is put to wait.
    pub(super) fn take_or_put(&mut self, at: Place, node: &mut Option<S>) -> Option<S> {
        let sibling = Place {
            level: at.level,
            index: at.index ^ 1,
        };
        if self
            .waiting
            .get(&sibling.first())
            .is_some_and(|(place, _)| *place == sibling)
        {
            return self.waiting.remove(&sibling.first()).map(|(_, node)| node);
        }
        if let Some(node) = node.take() {
            self.waiting.insert(at.first(), (at, node));
        }
        None
    }

    /// What waits when every span has arrived, in row order.
    pub(super) fn into_rest(self) -> Vec<S> {
        self.waiting.into_values().map(|(_, node)| node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_join_takes_neighbours_in_row_order() {
        for n in 0..70 {
            let mut covers: Vec<std::ops::Range<usize>> = (0..n).map(|i| i..i + 1).collect();
            let mut used = vec![false; 2 * n + 1];
            for join in merge_tree(n) {
                assert_eq!(join.node, covers.len());
                assert!(!used[join.left] && !used[join.right]);
                (used[join.left], used[join.right]) = (true, true);
                assert_eq!(covers[join.left].end, covers[join.right].start);
                covers.push(covers[join.left].start..covers[join.right].end);
            }
            if n > 0 {
                assert_eq!(covers[covers.len() - 1], 0..n);
                assert_eq!(covers.len(), 2 * n - 1);
            }
        }
    }
}
