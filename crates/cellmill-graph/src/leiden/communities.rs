//! A partition of a level's vertices, with the totals of its communities.

use super::level::{Adjacency, Rule};

/// Which community each vertex is in, and what each community weighs.
pub(super) struct Communities {
    /// The community of each vertex.
    pub(super) of: Vec<u32>,
    /// The sum of node weights of each community.
    pub(super) total: Vec<i64>,
    /// The number of vertices of each community.
    pub(super) size: Vec<u32>,
    /// Communities without vertices.
    free: Vec<u32>,
}

impl Communities {
    /// The partition `of`, whose labels are below the number of vertices.
    pub(super) fn new(of: Vec<u32>, node_weight: &[i64]) -> Self {
        let n = of.len();
        let mut total = vec![0; n];
        let mut size = vec![0; n];
        for (&c, &w) in of.iter().zip(node_weight) {
            total[c as usize] += w;
            size[c as usize] += 1;
        }
        let free = (0..n as u32)
            .rev()
            .filter(|&c| size[c as usize] == 0)
            .collect();
        Self {
            of,
            total,
            size,
            free,
        }
    }

    /// A community without vertices. There is one whenever a community has two vertices.
    pub(super) fn vacant(&self) -> Option<u32> {
        self.free.last().copied()
    }

    /// Moves `vertex` of node weight `weight` to a community that has vertices, or to the vacant one.
    pub(super) fn relocate(&mut self, vertex: u32, weight: i64, to: u32) {
        let from = std::mem::replace(&mut self.of[vertex as usize], to);
        self.total[from as usize] -= weight;
        self.size[from as usize] -= 1;
        self.total[to as usize] += weight;
        self.size[to as usize] += 1;
        if self.free.last() == Some(&to) {
            self.free.pop();
        }
        if self.size[from as usize] == 0 {
            self.free.push(from);
        }
    }
}

/// What the partition `labels` is worth, in units, beside the edges inside vertices; labels are
/// below the number of vertices.
pub(super) fn quality<A: Adjacency>(
    adjacency: &A,
    rule: &Rule,
    node_weight: &[i64],
    labels: &[u32],
) -> f64 {
    let mut total = vec![0i64; labels.len()];
    let mut inside = 0i64;
    for (v, (&c, &weight)) in labels.iter().zip(node_weight).enumerate() {
        total[c as usize] += weight;
        let row = adjacency.row(v);
        inside += row
            .filter(|&(u, _)| labels[u as usize] == c)
            .map(|(_, w)| w)
            .sum::<i64>();
    }
    let expected: f64 = total.iter().map(|&t| (t as f64).powi(2)).sum();
    (inside as f64 - rule.rho * expected) / 2.0
}

/// Renumbers labels to `0..count` by first appearance and returns the count; labels are below
/// `labels.len()`.
pub(super) fn compact(labels: &mut [u32]) -> usize {
    let mut new = vec![u32::MAX; labels.len()];
    let mut count = 0;
    for label in labels {
        let slot = &mut new[*label as usize];
        if *slot == u32::MAX {
            *slot = count;
            count += 1;
        }
        *label = *slot;
    }
    count as usize
}

/// Vertices sorted by community: community `c` has `members[starts[c]..starts[c + 1]]`, in
/// increasing order.
pub(super) struct Members {
    pub(super) starts: Vec<u32>,
    pub(super) members: Vec<u32>,
}

impl Members {
    /// Sorts by the labels `of`, all below `count`.
    pub(super) fn new(of: &[u32], count: usize) -> Self {
        let mut starts = vec![0u32; count + 1];
        for &c in of {
            starts[c as usize + 1] += 1;
        }
        for c in 0..count {
            starts[c + 1] += starts[c];
        }
        let mut next = starts.clone();
        let mut members = vec![0; of.len()];
        for (vertex, &c) in of.iter().enumerate() {
            let slot = &mut next[c as usize];
            members[*slot as usize] = vertex as u32;
            *slot += 1;
        }
        Self { starts, members }
    }

    /// The members of `community`.
    pub(super) fn of(&self, community: usize) -> &[u32] {
        &self.members[self.starts[community] as usize..self.starts[community + 1] as usize]
    }
}
