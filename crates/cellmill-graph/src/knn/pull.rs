//! Every point asks its neighbours for their neighbours, all on the same snapshot; one that its cells
//! served badly asks again.

use super::merge::Found;
use super::prepare::Prepared;
use crate::kernel::{Isa, key, prefetch, squared_distances};
use cellmill_engine::{Context, Result};
use rayon::prelude::*;
use std::ops::Range;

/// Points that one task takes.
const ROWS: usize = 512;
/// A point whose cells missed so many of its nearest asks again.
const HARD: usize = 2;
/// How often at most, each time those that it had not asked.
const AGAIN: usize = 2;
/// Points whose neighbours were tried before, by the low bits of a hash.
const SEEN: usize = 1024;

/// The `k` nearest of each point among the points of its list and of the lists of the nearer half
/// of these (and of more, where its cells had missed nearer ones), by exact differences in f32: `k`
/// keys a point, in order, for the points at `places`. `progress` is told of every few hundred points.
pub(super) fn pull(
    ctx: &Context,
    isa: Isa,
    points: &Prepared,
    found: &Found<'_>,
    k: usize,
    places: Range<usize>,
    progress: impl Fn(u64) + Sync,
) -> Result<Vec<u64>> {
    let mut nearest = vec![0u64; places.len() * k];
    nearest
        .par_chunks_mut(ROWS * k)
        .enumerate()
        .try_for_each_init(
            || Asker::new(isa, points, found),
            |asker, (task, rows)| {
                ctx.cancel().check()?;
                for (offset, row) in rows.chunks_exact_mut(k).enumerate() {
                    asker.ask(places.start + task * ROWS + offset, row);
                }
                progress((rows.len() / k) as u64);
                Ok::<_, cellmill_engine::Error>(())
            },
        )?;
    Ok(nearest)
}

/// The buffers of one thread.
struct Asker<'a> {
    isa: Isa,
    points: &'a Prepared,
    found: &'a Found<'a>,
    own: Vec<u64>,
    /// Whose lists were considered.
    told: Vec<u32>,
    seen: Vec<u32>,
    candidates: Vec<u32>,
    squares: Vec<f32>,
    keys: Vec<u64>,
}

impl<'a> Asker<'a> {
    fn new(isa: Isa, points: &'a Prepared, found: &'a Found<'a>) -> Self {
        Self {
            isa,
            points,
            found,
            own: Vec::new(),
            told: Vec::new(),
            seen: vec![u32::MAX; SEEN],
            candidates: Vec::new(),
            squares: Vec::new(),
            keys: Vec::new(),
        }
    }

    fn ask(&mut self, point: usize, nearest: &mut [u64]) {
        let (n, k) = (self.points.n, nearest.len());
        self.candidates.clear();
        self.seen.fill(u32::MAX);
        self.own.clear();
        self.own.extend(
            self.found
                .list(point)
                .iter()
                .filter(|&&key| ((key & 0xFFFF_FFFF) as usize) < n),
        );
        for at in 0..self.own.len() {
            self.consider(self.own[at] as u32, point);
        }
        let asked = self.found.length() / 2;
        if asked < self.own.len() {
            self.own.select_nth_unstable(asked);
        }
        let asked = self.own.len().min(asked);
        self.told.clear();
        self.told
            .extend(self.own[..asked].iter().map(|&key| key as u32));
        self.take_lists(0, point);
        self.keys.clear();
        self.measure(0, point, k);
        if self.keys.len() < k {
            // Nearly alone in its cells: it asks everybody.
            self.candidates.clear();
            self.candidates
                .extend((0..n as u32).filter(|&id| id as usize != point));
            self.keys.clear();
            self.measure(0, point, k);
        }
        let missed = |key: &&u64| !self.own.iter().any(|&own| own as u32 == **key as u32);
        if self.keys[..k].iter().filter(missed).count() >= HARD {
            for _ in 0..AGAIN {
                let (asked, measured) = (self.told.len(), self.candidates.len());
                for &key in &self.keys[..k] {
                    if !self.told.contains(&(key as u32)) {
                        self.told.push(key as u32);
                    }
                }
                self.take_lists(asked, point);
                if self.candidates.len() == measured {
                    break;
                }
                self.measure(measured, point, k);
            }
        }
        nearest.copy_from_slice(&self.keys[..k]);
    }

    /// Considers the lists of those that are told to tell, from the one at `first` on.
    fn take_lists(&mut self, first: usize, point: usize) {
        for &id in &self.told[first..] {
            prefetch(self.found.list(id as usize));
        }
        for at in first..self.told.len() {
            for &key in self.found.list(self.told[at] as usize) {
                self.consider(key as u32, point);
            }
        }
    }

    /// Measures the candidates from the one at `first` on, and keeps the nearest of all, in order:
    /// `k` or more, or all that there are.
    fn measure(&mut self, first: usize, point: usize, k: usize) {
        let Self {
            isa,
            points,
            candidates,
            squares,
            keys,
            ..
        } = self;
        let candidates = &candidates[first..];
        squared_distances(
            *isa,
            &points.data,
            points.stride,
            point,
            candidates,
            squares,
        );
        keys.extend(
            squares
                .iter()
                .zip(candidates)
                .map(|(&square, &id)| key(square, id)),
        );
        // A candidate that the small table forgot is there more than once.
        if !keys.is_empty() {
            let last = (2 * k).min(keys.len() - 1);
            keys.select_nth_unstable(last);
            let near = &mut keys[..=last];
            near.sort_unstable();
            let distinct = near.chunk_by(|a, b| a == b).count();
            if distinct >= k {
                keys.truncate(last + 1);
            } else {
                keys.sort_unstable();
            }
            keys.dedup();
        }
    }

    /// Adds a candidate unless the table has it, which forgets when it is crowded.
    fn consider(&mut self, id: u32, point: usize) {
        if id as usize >= self.points.n || id as usize == point {
            return;
        }
        let at = (id.wrapping_mul(0x9E37_79B1) >> 22) as usize;
        for probe in 0..8 {
            let slot = &mut self.seen[(at + probe) % SEEN];
            if *slot == id {
                return;
            }
            if *slot == u32::MAX {
                *slot = id;
                break;
            }
        }
        self.candidates.push(id);
    }
}
