//! What a run has made and wants again later: in memory where the budget has room for it beside
//! the step at hand, in scratch where it has not. Results are the same either way.

use crate::Result;
use crate::tl::leiden::Keeper;
use bytemuck::Pod;
use cellmill_engine::keep::Aside;
use cellmill_engine::{Context, Event, Reservation};
use cellmill_graph::{Handed, Rows, WeightedGraph};
use cellmill_io::{ArrayData, SparseMatrix};

/// Rows of the scores that are read at once.
const ROWS: usize = 1 << 12;

/// Numbers that wait.
pub(super) struct Waiting<T> {
    what: &'static str,
    place: Place<T>,
}

enum Place<T> {
    Memory(Vec<T>, Reservation),
    Scratch(Aside<T>),
}

impl<T: Pod> Waiting<T> {
    /// Numbers in memory, and the reservation of their bytes.
    pub(super) fn new(what: &'static str, numbers: Vec<T>, memory: Reservation) -> Self {
        Self {
            what,
            place: Place::Memory(numbers, memory),
        }
    }

    /// Goes to scratch, unless the budget has `room` bytes already.
    ///
    /// # Errors
    /// When scratch is full or the run is cancelled.
    pub(super) fn make_room(&mut self, ctx: &Context, room: u64) -> Result<()> {
        if let Place::Memory(numbers, memory) = &self.place
            && ctx.budget().free() < room
        {
            let aside = Aside::write(ctx, numbers, self.what)?;
            say(ctx, self.what, memory.bytes());
            self.place = Place::Scratch(aside);
        }
        Ok(())
    }

    /// The numbers in memory, and their reservation.
    ///
    /// # Errors
    /// When they do not fit the budget, scratch cannot be read, or the run is cancelled.
    pub(super) fn take(self, ctx: &Context) -> Result<(Vec<T>, Reservation)> {
        match self.place {
            Place::Memory(numbers, memory) => Ok((numbers, memory)),
            Place::Scratch(aside) => {
                let bytes = (aside.len() * size_of::<T>()) as u64;
                let memory = ctx.budget().reserve(bytes, self.what)?;
                Ok((aside.read(ctx)?, memory))
            }
        }
    }
}

fn say(ctx: &Context, what: &str, bytes: u64) {
    ctx.emit(Event::Note {
        text: format!(
            "set aside in scratch, so that the next step fits the budget: {what}, {}",
            cellmill_engine::error::human_bytes(bytes)
        ),
    });
}

/// Scores that wait, as rows of `d` columns.
pub(super) struct ScoreRows<'a> {
    pub(super) ctx: &'a Context,
    pub(super) scores: &'a Waiting<f32>,
    pub(super) d: usize,
}

impl std::fmt::Debug for ScoreRows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} columns", self.scores.what, self.d)
    }
}

impl Rows for ScoreRows<'_> {
    fn n(&self) -> usize {
        let len = match &self.scores.place {
            Place::Memory(numbers, _) => numbers.len(),
            Place::Scratch(aside) => aside.len(),
        };
        len / self.d.max(1)
    }

    fn d(&self) -> usize {
        self.d
    }

    fn each(&self, visit: &mut dyn FnMut(&[f32])) -> cellmill_engine::Result<()> {
        match &self.scores.place {
            Place::Memory(numbers, _) => numbers.chunks_exact(self.d).for_each(visit),
            Place::Scratch(aside) => {
                let mut piece = vec![0.0; (ROWS * self.d).min(aside.len())];
                for first in (0..aside.len()).step_by(ROWS * self.d) {
                    let length = piece.len().min(aside.len() - first);
                    aside.read_part(self.ctx, first, &mut piece[..length])?;
                    piece[..length].chunks_exact(self.d).for_each(&mut *visit);
                }
            }
        }
        Ok(())
    }
}

/// The distances between neighbours, which only the result wants.
pub(super) struct WaitingDistances {
    /// Without its entries.
    frame: SparseMatrix,
    indices: Waiting<u32>,
    data: WaitingData,
}

enum WaitingData {
    F32(Waiting<f32>),
    /// Of an exact search, which is of few cells.
    Other(ArrayData, Reservation),
}

impl WaitingDistances {
    /// The distances, whose bytes are reserved here.
    ///
    /// # Errors
    /// When they do not fit the budget.
    pub(super) fn new(ctx: &Context, mut distances: SparseMatrix) -> Result<Self> {
        let what = "the distances of neighbours";
        let entries = distances.indices.len() as u64;
        let indices = std::mem::take(&mut distances.indices);
        let data = std::mem::replace(&mut distances.data, ArrayData::F32(Vec::new()));
        let reserve = |bytes: u64| ctx.budget().reserve(bytes, what);
        Ok(Self {
            frame: distances,
            indices: Waiting::new(what, indices, reserve(4 * entries)?),
            data: match data {
                ArrayData::F32(data) => {
                    WaitingData::F32(Waiting::new(what, data, reserve(4 * entries)?))
                }
                other => WaitingData::Other(other, reserve(8 * entries)?),
            },
        })
    }

    /// As [`Waiting::make_room`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn make_room(&mut self, ctx: &Context, room: u64) -> Result<()> {
        self.indices.make_room(ctx, room)?;
        match &mut self.data {
            WaitingData::F32(data) => data.make_room(ctx, room),
            WaitingData::Other(..) => Ok(()),
        }
    }

    /// The distances in memory, and their reservations.
    ///
    /// # Errors
    /// As [`Waiting::take`].
    pub(super) fn take(self, ctx: &Context) -> Result<(SparseMatrix, [Reservation; 2])> {
        let (indices, first) = self.indices.take(ctx)?;
        let (data, second) = match self.data {
            WaitingData::F32(data) => {
                let (data, memory) = data.take(ctx)?;
                (ArrayData::F32(data), memory)
            }
            WaitingData::Other(data, memory) => (data, memory),
        };
        let distances = SparseMatrix {
            indices,
            data,
            ..self.frame
        };
        Ok((distances, [first, second]))
    }
}

/// The neighbour graph between steps.
pub(super) struct WaitingGraph {
    here: Option<(WeightedGraph, Reservation)>,
    aside: Option<(Aside<u64>, Aside<u32>, Aside<f32>)>,
    n: u64,
    nnz: u64,
}

const GRAPH: &str = "the neighbour graph";

impl WaitingGraph {
    /// A graph, whose bytes are reserved here.
    ///
    /// # Errors
    /// When they do not fit the budget.
    pub(super) fn new(ctx: &Context, graph: WeightedGraph) -> Result<Self> {
        let (n, nnz) = (graph.n() as u64, graph.nnz());
        let memory = ctx.budget().reserve(WeightedGraph::bytes(n, nnz), GRAPH)?;
        Ok(Self {
            here: Some((graph, memory)),
            aside: None,
            n,
            nnz,
        })
    }

    fn bytes(&self) -> u64 {
        WeightedGraph::bytes(self.n, self.nnz)
    }

    /// The graph in memory, and its reservation.
    ///
    /// # Errors
    /// When the graph does not fit the budget, scratch cannot be read, or the run is cancelled.
    pub(super) fn take(&mut self, ctx: &Context) -> Result<(WeightedGraph, Reservation)> {
        match (self.here.take(), &self.aside) {
            (Some(here), _) => Ok(here),
            (None, Some((indptr, indices, weights))) => {
                let memory = ctx.budget().reserve(self.bytes(), GRAPH)?;
                let graph = WeightedGraph {
                    indptr: indptr.read(ctx)?,
                    indices: indices.read(ctx)?,
                    weights: weights.read(ctx)?,
                };
                Ok((graph, memory))
            }
            (None, None) => {
                let text = "the neighbour graph was taken twice".to_owned();
                Err(cellmill_engine::Error::Bug(text).into())
            }
        }
    }
}

impl Keeper for WaitingGraph {
    fn size(&self) -> (u64, u64) {
        (self.n, self.nnz)
    }

    fn hand(&mut self, ctx: &Context, room: u64) -> Result<Handed<'_>> {
        let (graph, memory) = self.take(ctx)?;
        if ctx.budget().free() >= room {
            return Ok((&self.here.insert((graph, memory)).0).into());
        }
        if self.aside.is_none() {
            self.aside = Some((
                Aside::write(ctx, &graph.indptr, GRAPH)?,
                Aside::write(ctx, &graph.indices, GRAPH)?,
                Aside::write(ctx, &graph.weights, GRAPH)?,
            ));
            say(ctx, GRAPH, self.bytes());
        }
        Ok(Handed::given(graph, Some(memory)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellmill_engine::Budget;
    use std::sync::Arc;

    fn context(limit: u64) -> Context {
        let folder = std::env::temp_dir();
        Context::new(1, Budget::new(limit), Arc::new(()), folder).unwrap()
    }

    fn scores(ctx: &Context) -> Waiting<f32> {
        let numbers: Vec<f32> = (0..3 * (ROWS as u32 + 2)).map(|x| x as f32).collect();
        let memory = ctx.budget().reserve(numbers.len() as u64 * 4, "").unwrap();
        Waiting::new("the scores", numbers, memory)
    }

    #[test]
    fn numbers_wait_where_there_is_room_and_come_back() {
        let ctx = context(1 << 20);
        let (mut here, mut away) = (scores(&ctx), None);
        here.make_room(&ctx, 100).unwrap();
        assert!(matches!(here.place, Place::Memory(..)));
        let seen = |scores: &Waiting<f32>| {
            let rows = ScoreRows {
                ctx: &ctx,
                scores,
                d: 3,
            };
            let mut seen = Vec::new();
            rows.each(&mut |row| seen.extend_from_slice(row)).unwrap();
            assert_eq!(rows.n(), ROWS + 2);
            seen
        };
        let first = seen(&here);
        here.make_room(&ctx, 1 << 20).unwrap();
        assert!(matches!(here.place, Place::Scratch(_)));
        assert_eq!(ctx.budget().used(), 0);
        assert_eq!(seen(&here), first);
        away.replace(here.take(&ctx).unwrap());
        assert_eq!(away.unwrap().0, first);
    }

    #[test]
    fn a_graph_is_lent_or_given_and_comes_back() {
        let graph = WeightedGraph {
            indptr: vec![0, 1, 2],
            indices: vec![1, 0],
            weights: vec![0.5, 0.5],
        };
        let ctx = context(100);
        let mut waiting = WaitingGraph::new(&ctx, graph.clone()).unwrap();
        assert_eq!(ctx.budget().free(), 60);
        for room in [50, 70, 50, 70] {
            let handed = waiting.hand(&ctx, room).unwrap();
            assert_eq!(*handed, graph);
            assert_eq!(ctx.budget().free(), 60);
            drop(handed);
            let gone = if room > 60 { 100 } else { 60 };
            assert_eq!(ctx.budget().free(), gone);
        }
        assert_eq!(waiting.take(&ctx).unwrap().0, graph);
    }
}
