//! The stages of the approximate search, and how they run on this machine.

use super::cell::{CellLists, CellTask};
use super::merge::Lists;
use super::plan::{self, Plan};
use super::prepare::{Prepared, point_bytes};
use super::{Metric, finish, pull};
use crate::kernel::{Isa, JOINED, list_length};
use crate::{KnnGraph, Points, give_back};
use cellmill_engine::{Context, Error, Event, Reservation, Result};
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Work of a search for one point: 4 to plan it, 1 in each of 16 cells, 3 to pull.
const WORK: u64 = 4 + JOINED as u64 + 3;
/// Bytes of planning for one point of `d` coordinates: its nearest leaders, the cells it is in, its
/// place in two orders, and its share of the leaders.
fn planning_bytes(d: u64) -> u64 {
    2 * 4 * JOINED as u64 + 2 * 8 + point_bytes(d).div_ceil(64)
}
/// Bytes of the plan for one point: the cells it is in, its place, its share of the cells' starts.
pub(super) const PLAN_BYTES: u64 = 4 * JOINED as u64 + 8;

/// Bytes that a search of `n` points of `d` coordinates for `k` neighbours of each reserves at
/// once, at most.
pub(super) fn bytes(n: u64, d: u64, k: u64) -> u64 {
    let points = point_bytes(d);
    let lists = 8 * list_length(k as usize) as u64;
    let searching = points + (lists + PLAN_BYTES).max(planning_bytes(d));
    let pulling = points + lists + 4 + 8 * k;
    let finishing = n * (4 + 8 * k) + finish_bytes(n, k);
    (n * searching.max(pulling)).max(finishing)
}

/// Bytes of the graph, and of the place of each point.
pub(super) fn finish_bytes(n: u64, k: u64) -> u64 {
    KnnGraph::bytes(n, k) + 4 * n
}

/// An approximate search between its stages.
///
/// After [`Search::new`] every cell is a [`CellTask`], which can be sent elsewhere and searched
/// in any order; [`Search::merge`] takes the answers in any order, and [`Search::finish`] makes
/// the graph. The result depends on the points, `k`, the metric and the seed alone.
pub struct Search<'a> {
    points: Points<'a>,
    k: usize,
    metric: Metric,
    isa: Isa,
    prepared: Prepared,
    plan: Plan,
    lists: Lists,
    plan_memory: Reservation,
}

impl<'a> Search<'a> {
    /// Orders the points and says who meets whom. `k` does not count the point itself.
    ///
    /// # Errors
    /// [`Error::Parameter`] when `k` is not below the number of points or there are too many
    /// points to number, [`Error::Budget`], [`Error::Cancelled`].
    pub fn new(
        ctx: &Context,
        points: Points<'a>,
        k: usize,
        metric: Metric,
        seed: u64,
        isa: Isa,
    ) -> Result<Self> {
        let n = points.n();
        ctx.pool().install(|| {
            let (plan, prepared, plan_memory) = begin(ctx, points, k, metric, seed, isa)?;
            let lists = Lists::new(ctx, n, list_length(k))?;
            Ok(Self {
                points,
                k,
                metric,
                isa,
                prepared,
                plan,
                lists,
                plan_memory,
            })
        })
    }

    /// Who meets whom.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The task of searching a cell, with what is known of its points' neighbours by now.
    pub fn task(&self, cell: usize) -> CellTask {
        CellTask::new(&self.prepared, self.lists.read(self.plan.cell(cell)))
    }

    /// Takes what a cell found.
    ///
    /// # Errors
    /// [`Error::Wire`] when it is not the answer to a task of this search.
    pub fn merge(&self, found: &CellLists) -> Result<()> {
        self.lists.merge(self.isa, found)
    }

    /// Asks every point's neighbours for theirs, and makes the graph. `progress` is told the
    /// number of points done, a few hundred at a time.
    ///
    /// # Errors
    /// [`Error::Budget`], [`Error::Cancelled`].
    pub fn finish(self, ctx: &Context, progress: impl Fn(u64) + Send + Sync) -> Result<KnnGraph> {
        let Self {
            points,
            k,
            metric,
            isa,
            prepared,
            plan,
            lists,
            plan_memory,
        } = self;
        let n = points.n() as u64;
        let order = plan.order;
        drop((plan.starts, plan.members, plan_memory));
        give_back();
        ctx.pool().install(|| {
            let _nearest = ctx
                .budget()
                .reserve(n * (k as u64 * 8 + 4), "the neighbours' neighbours")?;
            let all = 0..prepared.n;
            let nearest = pull::pull(ctx, isa, &prepared, &lists.finish(), k, all, progress)?;
            let scale = prepared.scale;
            drop(prepared);
            let _graph = ctx
                .budget()
                .reserve(finish_bytes(n, k as u64), "the neighbour graph")?;
            finish::finish(ctx, points, metric, &order, &nearest, k, scale)
        })
    }
}

/// Orders the points and says who meets whom: the plan, the points in its order, and the plan's
/// memory. To be run on the context's pool.
pub(super) fn begin(
    ctx: &Context,
    points: Points,
    k: usize,
    metric: Metric,
    seed: u64,
    isa: Isa,
) -> Result<(Plan, Prepared, Reservation)> {
    let n = points.n();
    if k == 0 || k >= n || n as u64 > u64::from(u32::MAX) - 4096 {
        return Err(Error::Parameter(format!(
            "{k} neighbours of each of {n} points cannot be searched; at least 1 and fewer \
             than there are points are needed, and at most 2^32 - 4097 points"
        )));
    }
    let reserve = |bytes: u64| {
        ctx.budget()
            .reserve(n as u64 * bytes, "the cells of the neighbour search")
    };
    let d = points.d() as u64 + u64::from(metric == Metric::Cosine);
    let planning = reserve(planning_bytes(d))?;
    let (plan, prepared) = plan::plan(ctx, isa, points, metric, seed)?;
    drop(planning);
    give_back();
    Ok((plan, prepared, reserve(PLAN_BYTES)?))
}

/// Finds nearly all of the `k` nearest of every point.
pub(super) fn search(
    ctx: &Context,
    points: Points,
    k: usize,
    metric: Metric,
    seed: u64,
    isa: Isa,
) -> Result<KnnGraph> {
    let n = points.n() as u64;
    let start = Instant::now();
    let stage = "neighbors".to_owned();
    ctx.emit(Event::StageStarted {
        stage: stage.clone(),
        total: n,
        unit: "points".to_owned(),
    });
    let (shown, worked) = (n / 32 + 1, AtomicU64::new(0));
    let progress = |work: u64| {
        let before = worked.fetch_add(work, Ordering::Relaxed);
        let done = ((before + work) / WORK).min(n);
        if before / WORK / shown != done / shown {
            ctx.emit(Event::Progress {
                stage: stage.clone(),
                done,
                bytes_read: 0,
            });
        }
    };

    let search = Search::new(ctx, points, k, metric, seed, isa)?;
    progress(4 * n);
    // In order: cells that follow each other share points, which are then still in the caches.
    let cells = 0..search.plan.cells();
    ctx.pool().install(|| {
        cells.into_par_iter().try_for_each(|cell| {
            ctx.cancel().check()?;
            let found = search.task(cell).search(isa)?;
            search.merge(&found)?;
            progress(found.members.len() as u64);
            Ok::<_, Error>(())
        })
    })?;
    let graph = search.finish(ctx, |points| progress(3 * points))?;
    ctx.emit(Event::StageFinished {
        stage,
        seconds: start.elapsed().as_secs_f64(),
        bytes_read: 0,
    });
    Ok(graph)
}
