//! The stages of a search as functions of plain values: what tasks of a cluster compute.
//!
//! `SearchData::new`, then `search` for groups of cells in any order, `CellLists::join` of the
//! answers in any tree, `pull` for ranges of places, `finish_search`: the graph that
//! [`super::Search`] makes, to the last bit.

use super::cell::{CellLists, CellTask};
use super::merge::Found;
use super::plan::Plan;
use super::prepare::Prepared;
use super::{Metric, exact, finish, pull, search};
use crate::kernel::{Isa, empty, list_length, merge_rows};
use crate::{KnnGraph, Points};
use cellmill_engine::{Context, Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The points in the order of the plan, and the plan: all that the tasks of a search read.
#[derive(Serialize, Deserialize)]
pub struct SearchData {
    k: usize,
    prepared: Prepared,
    plan: Plan,
}

impl SearchData {
    /// Orders the points and says who meets whom. `k` does not count the point itself.
    ///
    /// # Errors
    /// As [`super::Search::new`].
    pub fn new(
        ctx: &Context,
        points: Points,
        k: usize,
        metric: Metric,
        seed: u64,
        isa: Isa,
    ) -> Result<Self> {
        let (plan, prepared, _memory) = ctx
            .pool()
            .install(|| search::begin(ctx, points, k, metric, seed, isa))?;
        Ok(Self { k, prepared, plan })
    }

    /// Bytes that a search of `n` points of `d` coordinates needs at most on each machine that takes
    /// part: the points, the plan, and the lists of all points; the graph where that is more.
    pub fn bytes_needed(n: u64, d: u64, k: usize) -> u64 {
        search::bytes(n, d, k as u64)
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        (self.prepared.data.len() * 64
            + self.prepared.norms.len() * 4
            + (self.plan.order.len() + self.plan.members.len()) * 4
            + self.plan.starts.len() * 8) as u64
    }

    /// The number of points.
    pub fn n(&self) -> usize {
        self.prepared.n
    }

    /// Who meets whom.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// By what the caller's distances were multiplied.
    pub fn scale(&self) -> f64 {
        self.prepared.scale
    }

    /// Checks what came from another machine.
    ///
    /// # Errors
    /// [`Error::Wire`] when its parts do not fit each other.
    pub fn check(&self) -> Result<()> {
        let (n, plan) = (self.prepared.n, &self.plan);
        let inside = |places: &[u32]| places.iter().all(|&place| (place as usize) < n);
        if self.prepared.is_whole()
            && self.k > 0
            && self.k < n
            && plan.order.len() == n
            && inside(&plan.order)
            && inside(&plan.members)
            && plan.starts.first() == Some(&0)
            && plan.starts.last() == Some(&(plan.members.len() as u64))
            && plan.starts.is_sorted()
        {
            Ok(())
        } else {
            Err(wire("plan of the neighbour search", "its parts do not fit"))
        }
    }

    /// The cells of part `part` of `parts`: parts of about equal work, some of them empty where
    /// there are fewer cells.
    pub fn part(&self, part: usize, parts: usize) -> Range<usize> {
        let work = |cell: usize| {
            let points = (self.plan.starts[cell + 1] - self.plan.starts[cell]) as f64;
            points * (points + 64.0)
        };
        let cells = self.plan.cells();
        let total: f64 = (0..cells).map(work).sum();
        let parts = parts.max(1);
        let (mut at, mut done) = (0, 0.0);
        let mut bound = |part: usize| {
            let until = total * part as f64 / parts as f64;
            while at < cells && done + work(at) / 2.0 < until {
                done += work(at);
                at += 1;
            }
            if part >= parts { cells } else { at }
        };
        bound(part)..bound(part + 1)
    }

    /// Compares the points of each of the cells with each other, on the calling thread.
    ///
    /// # Errors
    /// [`Error::Parameter`] when there are no such cells, [`Error::Cancelled`].
    pub fn search(&self, ctx: &Context, isa: Isa, cells: Range<usize>) -> Result<CellLists> {
        if cells.start > cells.end || cells.end > self.plan.cells() {
            return Err(Error::Parameter(format!(
                "the cells {}..{} were asked of {}",
                cells.start,
                cells.end,
                self.plan.cells()
            )));
        }
        let length = list_length(self.k);
        let mut members: Vec<u32> = cells
            .clone()
            .flat_map(|cell| self.plan.cell(cell))
            .copied()
            .collect();
        members.sort_unstable();
        members.dedup();
        let mut all = CellLists::empty(members, length);
        for cell in cells {
            ctx.cancel().check()?;
            let members = self.plan.cell(cell);
            let places: Vec<usize> = members
                .iter()
                .filter_map(|id| all.members.binary_search(id).ok())
                .collect();
            let mut lists = Vec::with_capacity(members.len() * length);
            for &place in &places {
                lists.extend_from_slice(&all.lists[place * length..][..length]);
            }
            let known = CellLists {
                members: members.to_vec(),
                length,
                lists,
            };
            let found = CellTask::new(&self.prepared, known).search(isa)?;
            for (&place, list) in places.iter().zip(found.lists.chunks_exact(length)) {
                all.lists[place * length..][..length].copy_from_slice(list);
            }
        }
        Ok(all)
    }

    /// Asks the neighbours of the points at `places` for theirs: `k` keys a point. `lists` are
    /// those of all points ([`CellLists::of_all`]).
    ///
    /// # Errors
    /// [`Error::Wire`] when the lists are not of all points, [`Error::Parameter`] when there are no
    /// such places, [`Error::Cancelled`].
    pub fn pull(
        &self,
        ctx: &Context,
        isa: Isa,
        lists: &CellLists,
        places: Range<usize>,
    ) -> Result<Vec<u64>> {
        let length = list_length(self.k);
        if lists.length != length || lists.lists.len() != self.n() * length {
            return Err(wire(
                "lists of the neighbour search",
                "they are not those of all points",
            ));
        }
        if places.start > places.end || places.end > self.n() {
            return Err(Error::Parameter(format!(
                "the places {}..{} were asked of {}",
                places.start,
                places.end,
                self.n()
            )));
        }
        let found = Found::of_all(&lists.lists, length);
        ctx.pool()
            .install(|| pull::pull(ctx, isa, &self.prepared, &found, self.k, places, |_| {}))
    }
}

impl CellLists {
    fn empty(members: Vec<u32>, length: usize) -> Self {
        let slots = members.len() * length;
        Self {
            members,
            length,
            lists: (0..slots).map(|at| empty(at % length)).collect(),
        }
    }

    /// Checks what came from another machine.
    ///
    /// # Errors
    /// [`Error::Wire`] when these are no lists of increasing points.
    pub fn check(&self) -> Result<()> {
        if self.length > 0
            && self.length.is_multiple_of(16)
            && self.members.len().checked_mul(self.length) == Some(self.lists.len())
            && self.members.is_sorted_by(|a, b| a < b)
        {
            Ok(())
        } else {
            Err(wire(
                "lists of the neighbour search",
                "they are not of increasing points",
            ))
        }
    }

    /// The lists of the points of either side; a point of both keeps the nearest of both.
    ///
    /// # Errors
    /// [`Error::Wire`] when the lists have different lengths.
    pub fn join(&self, isa: Isa, other: &Self) -> Result<Self> {
        let length = self.length;
        if other.length != length {
            return Err(wire(
                "lists of the neighbour search",
                "they are of two searches",
            ));
        }
        let most = self.members.len() + other.members.len();
        let mut members = Vec::with_capacity(most);
        let mut lists = Vec::with_capacity(most * length);
        let (mut a, mut b) = (0, 0);
        loop {
            let (left, right) = (self.members.get(a), other.members.get(b));
            let (from, at) = match (left, right) {
                (Some(l), Some(r)) if r < l => (other, b),
                (Some(_), _) => (self, a),
                (None, Some(_)) => (other, b),
                (None, None) => break,
            };
            members.push(from.members[at]);
            let start = lists.len();
            lists.extend_from_slice(&from.lists[at * length..][..length]);
            if left == right {
                let list = &other.lists[b * length..][..length];
                merge_rows(isa, &mut lists[start..], list, length);
            }
            a += usize::from(left.is_some_and(|l| right.is_none_or(|r| l <= r)));
            b += usize::from(right.is_some_and(|r| left.is_none_or(|l| r <= l)));
        }
        Ok(Self {
            members,
            length,
            lists,
        })
    }

    /// The lists of all `n` points, those of points that no cell holds being empty.
    ///
    /// # Errors
    /// [`Error::Wire`] when a point lies beyond `n`.
    pub fn of_all(&self, n: usize) -> Result<Self> {
        let mut all = Self::empty((0..n as u32).collect(), self.length);
        for (&id, list) in self
            .members
            .iter()
            .zip(self.lists.chunks_exact(self.length))
        {
            let Some(to) = all.lists.chunks_exact_mut(self.length).nth(id as usize) else {
                return Err(wire(
                    "lists of the neighbour search",
                    "they are of other points",
                ));
            };
            to.copy_from_slice(list);
        }
        Ok(all)
    }
}

/// The `k` nearest of the points `rows` by looking at all pairs: indices and distances, `k` a
/// point, as [`super::knn`] finds them where it is exact.
///
/// # Errors
/// [`Error::Parameter`] when there are no such points or `k` is not below their number,
/// [`Error::Cancelled`].
pub fn exact_rows(
    ctx: &Context,
    points: Points,
    k: usize,
    metric: Metric,
    rows: Range<usize>,
) -> Result<(Vec<u32>, Vec<f64>)> {
    if rows.start > rows.end || rows.end > points.n() || k == 0 || k >= points.n() {
        return Err(Error::Parameter(format!(
            "{k} neighbours of the points {}..{} were asked of {}",
            rows.start,
            rows.end,
            points.n()
        )));
    }
    exact::rows(ctx, points, k, metric, rows)
}

/// The graph, in the caller's order, units and indices, out of what [`SearchData::pull`] gave for
/// all places in order.
///
/// # Errors
/// [`Error::Wire`] when order and keys are not of the points; [`Error::Budget`],
/// [`Error::Cancelled`].
pub fn finish_search(
    ctx: &Context,
    points: Points,
    metric: Metric,
    order: &[u32],
    nearest: &[u64],
    scale: f64,
) -> Result<KnnGraph> {
    let n = points.n();
    let k = nearest.len() / n.max(1);
    let inside = |id: u64| ((id & 0xFFFF_FFFF) as usize) < n;
    if order.len() != n
        || nearest.len() != n * k
        || !order.iter().all(|&id| inside(u64::from(id)))
        || !nearest.iter().all(|&key| inside(key))
    {
        return Err(wire(
            "answer of the neighbour search",
            "it is not of these points",
        ));
    }
    let _graph = ctx.budget().reserve(
        search::finish_bytes(n as u64, k as u64),
        "the neighbour graph",
    )?;
    ctx.pool()
        .install(|| finish::finish(ctx, points, metric, order, nearest, k, scale))
}

fn wire(what: &'static str, reason: &str) -> Error {
    Error::Wire {
        what,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knn::sample::mixture;
    use crate::knn::{KnnParams, Method, knn, knn_on};

    fn bits(graph: &KnnGraph) -> (Vec<u32>, Vec<u64>) {
        let distances = graph.distances.iter().map(|d| d.to_bits()).collect();
        (graph.indices.clone(), distances)
    }

    #[test]
    fn stages_make_the_graph_of_the_search_in_any_order() {
        let ctx = Context::quiet(1).unwrap();
        let (n, d) = (9_001, 7);
        let mut data = mixture(n, d, 5, 3);
        // Two points of zeros, which cosine has to tell apart.
        data[..2 * d].fill(0.0);
        let points = Points::new(&data, n, d).unwrap();
        for (metric, isa) in [
            (Metric::Euclidean, crate::kernel::isa()),
            (Metric::Cosine, Isa::Portable),
        ] {
            let params = KnnParams {
                metric,
                method: Method::Approximate,
                seed: 4,
                ..KnnParams::default()
            };
            let whole = knn_on(&ctx, points, &params, isa).unwrap();
            let data = SearchData::new(&ctx, points, 14, metric, 4, isa).unwrap();
            data.check().unwrap();
            for parts in [1, 7, 2000] {
                let mut next = 0;
                for part in 0..parts {
                    let cells = data.part(part, parts);
                    assert_eq!(cells.start, next);
                    next = cells.end;
                }
                assert_eq!(next, data.plan().cells());
            }
            let mut found: Vec<CellLists> = (0..7)
                .rev()
                .map(|part| data.search(&ctx, isa, data.part(part, 7)).unwrap())
                .collect();
            while found.len() > 1 {
                let (a, b) = (found.remove(0), found.remove(0));
                found.push(a.join(isa, &b).unwrap());
                found.last().unwrap().check().unwrap();
            }
            let lists = found.pop().unwrap().of_all(n).unwrap();
            let nearest: Vec<u64> = [0..1, 1..5000, 5000..n]
                .into_iter()
                .flat_map(|places| data.pull(&ctx, isa, &lists, places).unwrap())
                .collect();
            let order = &data.plan().order;
            let graph = finish_search(&ctx, points, metric, order, &nearest, data.scale()).unwrap();
            assert_eq!(bits(&graph), bits(&whole));
        }
    }

    #[test]
    fn exact_rows_are_those_of_the_whole() {
        let ctx = Context::quiet(2).unwrap();
        let (n, d) = (203, 3);
        let data = mixture(n, d, 3, 1);
        let points = Points::new(&data, n, d).unwrap();
        for metric in [Metric::Euclidean, Metric::Cosine] {
            let params = KnnParams {
                metric,
                ..KnnParams::default()
            };
            let whole = knn(&ctx, points, &params).unwrap();
            let (mut indices, mut distances) = (Vec::new(), Vec::new());
            for rows in [0..100, 100..101, 101..203] {
                let found = exact_rows(&ctx, points, 14, metric, rows).unwrap();
                indices.extend(found.0);
                distances.extend(found.1);
            }
            assert_eq!((indices, distances), (whole.indices, whole.distances));
        }
        assert!(exact_rows(&ctx, points, 14, Metric::Euclidean, 0..204).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let ctx = Context::quiet(1).unwrap();
        let data = mixture(300, 4, 2, 1);
        let points = Points::new(&data, 300, 4).unwrap();
        let isa = crate::kernel::isa();
        let mut search = SearchData::new(&ctx, points, 5, Metric::Euclidean, 0, isa).unwrap();
        let lists = search.search(&ctx, isa, 0..1).unwrap();
        assert!(search.search(&ctx, isa, 0..2).is_err());
        assert!(lists.of_all(299).is_err());
        let mut short = lists.of_all(300).unwrap();
        assert!(search.pull(&ctx, isa, &short, 0..301).is_err());
        short.lists.pop();
        assert!(short.check().is_err() && search.pull(&ctx, isa, &short, 0..1).is_err());
        search.plan.members[0] = 300;
        assert!(search.check().is_err());
        let order: Vec<u32> = (0..300).collect();
        let keys = vec![300u64; 300];
        assert!(finish_search(&ctx, points, Metric::Euclidean, &order, &keys, 1.0).is_err());
    }
}
