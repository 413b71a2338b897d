//! All pairs, in f64 (scikit-learn's `algorithm="brute"`).

use super::Metric;
use crate::{KnnGraph, Points};
use cellmill_engine::{Context, Event, Result};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Queries that one task answers; small, so that cancelling is heard.
const QUERIES: usize = 16;

/// Bytes that a search reserves: the lists, and the points in f64.
pub(super) fn bytes(n: u64, d: u64, k: u64) -> u64 {
    KnnGraph::bytes(n, k) + copy_bytes(n, d)
}

fn copy_bytes(n: u64, d: u64) -> u64 {
    8 * n * d
}

/// Finds the `k` nearest of every point by looking at all pairs.
pub(super) fn search(ctx: &Context, points: Points, k: usize, metric: Metric) -> Result<KnnGraph> {
    let (n, d) = (points.n(), points.d());
    let start = Instant::now();
    let stage = "neighbors".to_owned();
    ctx.emit(Event::StageStarted {
        stage: stage.clone(),
        total: n as u64,
        unit: "points".to_owned(),
    });
    let _graph = ctx
        .budget()
        .reserve(KnnGraph::bytes(n as u64, k as u64), "the neighbour lists")?;
    let _copy = ctx
        .budget()
        .reserve(copy_bytes(n as u64, d as u64), "the points in f64")?;

    let coordinates = coordinates(points, metric);
    let mut indices = vec![0u32; n * k];
    let mut distances = vec![0f64; n * k];
    let done = AtomicU64::new(0);
    ctx.pool().install(|| {
        indices
            .par_chunks_mut(QUERIES * k)
            .zip(distances.par_chunks_mut(QUERIES * k))
            .enumerate()
            .try_for_each(|(task, (indices, distances))| {
                let first = task * QUERIES;
                answer(
                    ctx,
                    &coordinates,
                    (n, d, k),
                    metric,
                    first,
                    indices,
                    distances,
                )?;
                let before = done.fetch_add(QUERIES as u64, Ordering::Relaxed);
                if before / 4096 != (before + QUERIES as u64) / 4096 {
                    ctx.emit(Event::Progress {
                        stage: stage.clone(),
                        done: before,
                        bytes_read: 0,
                    });
                }
                Ok::<_, cellmill_engine::Error>(())
            })
    })?;
    ctx.emit(Event::StageFinished {
        stage,
        seconds: start.elapsed().as_secs_f64(),
        bytes_read: 0,
    });
    Ok(KnnGraph {
        n,
        k,
        indices,
        distances,
        exact: true,
    })
}

/// The `k` nearest of the points `rows`, on the calling thread: what [`search`] finds for them.
pub(super) fn rows(
    ctx: &Context,
    points: Points,
    k: usize,
    metric: Metric,
    rows: Range<usize>,
) -> Result<(Vec<u32>, Vec<f64>)> {
    let (n, d) = (points.n(), points.d());
    let coordinates = coordinates(points, metric);
    let mut indices = vec![0u32; rows.len() * k];
    let mut distances = vec![0f64; rows.len() * k];
    answer(
        ctx,
        &coordinates,
        (n, d, k),
        metric,
        rows.start,
        &mut indices,
        &mut distances,
    )?;
    Ok((indices, distances))
}

fn coordinates(points: Points, metric: Metric) -> Vec<f64> {
    match metric {
        Metric::Euclidean => points.data().iter().map(|&x| f64::from(x)).collect(),
        Metric::Cosine => unit_rows(points),
    }
}

/// Answers consecutive queries from `first` on.
fn answer(
    ctx: &Context,
    coordinates: &[f64],
    (n, d, k): (usize, usize, usize),
    metric: Metric,
    first: usize,
    indices: &mut [u32],
    distances: &mut [f64],
) -> Result<()> {
    let row = |i: usize| &coordinates[i * d..(i + 1) * d];
    let mut nearest = Nearest::new(k);
    let rows = indices.chunks_mut(k).zip(distances.chunks_mut(k));
    for (i, (indices, distances)) in (first..).zip(rows) {
        ctx.cancel().check()?;
        nearest.clear();
        for j in (0..n).filter(|&j| j != i) {
            nearest.offer(dissimilarity(metric, row(i), row(j)), j as u32);
        }
        nearest.sort();
        for (slot, &(value, j)) in nearest.found.iter().enumerate() {
            indices[slot] = j;
            distances[slot] = match metric {
                Metric::Euclidean => value.sqrt(),
                Metric::Cosine => value,
            };
        }
    }
    Ok(())
}

/// Rows divided by their lengths; a row of zeros stays.
fn unit_rows(points: Points) -> Vec<f64> {
    let mut out = Vec::with_capacity(points.data().len());
    for i in 0..points.n() {
        let row = points.row(i);
        let norm = row
            .iter()
            .map(|&x| f64::from(x) * f64::from(x))
            .sum::<f64>()
            .sqrt();
        let divisor = if norm > 0.0 { norm } else { 1.0 };
        out.extend(row.iter().map(|&x| f64::from(x) / divisor));
    }
    out
}

/// What neighbours are ordered by: the squared length, or the cosine distance.
fn dissimilarity(metric: Metric, a: &[f64], b: &[f64]) -> f64 {
    match metric {
        Metric::Euclidean => lanes(a, b, |x, y| (x - y) * (x - y)),
        Metric::Cosine => (1.0 - lanes(a, b, |x, y| x * y)).clamp(0.0, 2.0),
    }
}

/// A sum over coordinates in eight running sums, added in a fixed order.
fn lanes(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut sums = [0f64; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (x, y) in a8.iter().zip(b8) {
        for lane in 0..8 {
            sums[lane] += term(x[lane], y[lane]);
        }
    }
    for (lane, (&x, &y)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += term(x, y);
    }
    ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
}

/// The smallest `k` of (distance, index), as a heap whose root is the largest.
struct Nearest {
    k: usize,
    found: Vec<(f64, u32)>,
}

impl Nearest {
    fn new(k: usize) -> Self {
        Self {
            k,
            found: Vec::with_capacity(k),
        }
    }

    fn clear(&mut self) {
        self.found.clear();
    }

    /// Takes a candidate. Indices must come in increasing order: then a tie never displaces.
    fn offer(&mut self, value: f64, j: u32) {
        if self.found.len() < self.k {
            self.found.push((value, j));
            if self.found.len() == self.k {
                for root in (0..self.k / 2).rev() {
                    self.sift(root);
                }
            }
        } else if value < self.found[0].0 {
            self.found[0] = (value, j);
            self.sift(0);
        }
    }

    fn sift(&mut self, mut root: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= self.found.len() {
                return;
            }
            if child + 1 < self.found.len() && above(self.found[child + 1], self.found[child]) {
                child += 1;
            }
            if !above(self.found[child], self.found[root]) {
                return;
            }
            self.found.swap(root, child);
            root = child;
        }
    }

    fn sort(&mut self) {
        self.found
            .sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    }
}

/// Whether `a` is farther than `b`, the larger index being farther in a tie.
fn above(a: (f64, u32), b: (f64, u32)) -> bool {
    a.0 > b.0 || (a.0 == b.0 && a.1 > b.1)
}

#[cfg(test)]
mod tests {
    use crate::knn::sample::mixture;
    use crate::knn::{KnnParams, Method, Metric, knn};
    use crate::{KnnGraph, Points};
    use cellmill_engine::{Context, Error};

    fn naive(points: Points, k: usize, metric: Metric) -> Vec<Vec<(f64, u32)>> {
        let dot = |i: usize, j: usize| {
            let pairs = points.row(i).iter().zip(points.row(j));
            pairs
                .map(|(&x, &y)| f64::from(x) * f64::from(y))
                .sum::<f64>()
        };
        (0..points.n())
            .map(|i| {
                let mut all: Vec<(f64, u32)> = (0..points.n())
                    .filter(|&j| j != i)
                    .map(|j| {
                        let value = match metric {
                            Metric::Euclidean => {
                                let pairs = points.row(i).iter().zip(points.row(j));
                                pairs
                                    .map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2))
                                    .sum::<f64>()
                                    .sqrt()
                            }
                            Metric::Cosine if dot(i, i) == 0.0 || dot(j, j) == 0.0 => 1.0,
                            Metric::Cosine => 1.0 - dot(i, j) / (dot(i, i) * dot(j, j)).sqrt(),
                        };
                        (value, j as u32)
                    })
                    .collect();
                all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                all.truncate(k);
                all
            })
            .collect()
    }

    fn exact(points: Points, n_neighbors: usize, metric: Metric, threads: usize) -> KnnGraph {
        let params = KnnParams {
            n_neighbors,
            metric,
            method: Method::Exact,
            seed: 0,
        };
        knn(&Context::quiet(threads).unwrap(), points, &params).unwrap()
    }

    #[test]
    fn agrees_with_a_sort_of_all_pairs() {
        for (n, d) in [(2, 1), (40, 3), (333, 50), (200, 19)] {
            let data = mixture(n, d, 4, 7);
            let points = Points::new(&data, n, d).unwrap();
            for metric in [Metric::Euclidean, Metric::Cosine] {
                let wanted = 15.min(n);
                let graph = exact(points, wanted, metric, 2);
                assert_eq!(graph.k, wanted - 1);
                for (i, expected) in naive(points, graph.k, metric).iter().enumerate() {
                    for (slot, &(value, j)) in expected.iter().enumerate() {
                        let at = i * graph.k + slot;
                        assert_eq!(
                            graph.indices[at], j,
                            "{metric:?} n={n} point {i} slot {slot}"
                        );
                        assert!((graph.distances[at] - value).abs() < 1e-9);
                    }
                }
            }
        }
    }

    #[test]
    fn ties_are_in_order_of_the_index() {
        let data = [1.0f32; 12];
        let graph = exact(Points::new(&data, 6, 2).unwrap(), 4, Metric::Euclidean, 1);
        assert_eq!(graph.indices[..3], [1, 2, 3]);
        assert_eq!(graph.indices[15..], [0, 1, 2]);
        assert!(graph.distances.iter().all(|&x| x == 0.0));
    }

    #[test]
    fn zeros_are_at_cosine_distance_one() {
        let data = [0.0f32, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0];
        let graph = exact(Points::new(&data, 4, 2).unwrap(), 3, Metric::Cosine, 1);
        assert_eq!(graph.indices, [1, 2, 0, 2, 3, 0, 2, 0]);
        assert_eq!(graph.distances[..4], [1.0; 4]);
        assert!(graph.distances[4] < 1e-12);
    }

    #[test]
    fn equal_bits_for_any_number_of_threads() {
        let data = mixture(500, 12, 5, 3);
        let points = Points::new(&data, 500, 12).unwrap();
        let one = exact(points, 15, Metric::Euclidean, 1);
        assert_eq!(one, exact(points, 15, Metric::Euclidean, 5));
    }

    #[test]
    fn too_many_neighbours_become_half_the_points() {
        let data = mixture(9, 2, 1, 1);
        let graph = exact(Points::new(&data, 9, 2).unwrap(), 15, Metric::Euclidean, 1);
        assert_eq!(graph.k, 4);
    }

    #[test]
    fn one_point_has_no_neighbour() {
        let ctx = Context::quiet(1).unwrap();
        let error = knn(
            &ctx,
            Points::new(&[1.0], 1, 1).unwrap(),
            &KnnParams::default(),
        )
        .unwrap_err();
        assert!(matches!(error, Error::Parameter(_)), "{error}");
    }
}
