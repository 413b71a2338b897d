//! Connected components, and where they lie relative to each other.

use super::random;
use crate::{Handed, Rows, WeightedGraph, relabel};
use cellmill_engine::{Context, Error, Result};
use faer::{Mat, Side};

/// Above this many components they are placed by their centroids' own coordinates, or at random.
const EMBEDDED: usize = 1000;
/// Streams of random numbers.
const PLACES: u64 = 12;

/// The connected components of a graph, in the order of their first vertices.
pub(super) struct Components {
    of: Vec<u32>,
    /// The place of each vertex among the members of its component.
    local: Vec<u32>,
    starts: Vec<usize>,
    members: Vec<u32>,
}

impl Components {
    pub(super) fn of(ctx: &Context, graph: &WeightedGraph) -> Result<Self> {
        let n = graph.n();
        let mut of = vec![u32::MAX; n];
        let mut queue = Vec::new();
        let mut count = 0;
        let mut steps = 0usize;
        for start in 0..n {
            if of[start] != u32::MAX {
                continue;
            }
            of[start] = count;
            queue.push(start as u32);
            while let Some(v) = queue.pop() {
                steps += 1;
                if steps.is_multiple_of(1 << 14) {
                    ctx.cancel().check()?;
                }
                // What is on top now is looked at soon, if not next.
                if let Some(&later) = queue.get(queue.len().wrapping_sub(2)) {
                    graph.expect(later as usize);
                }
                for e in graph.row(v as usize) {
                    let j = graph.indices[e];
                    if graph.weights[e] > 0.0 && of[j as usize] == u32::MAX {
                        of[j as usize] = count;
                        queue.push(j);
                    }
                }
            }
            count += 1;
        }
        let mut starts = vec![0usize; count as usize + 1];
        for &c in &of {
            starts[c as usize + 1] += 1;
        }
        for c in 0..count as usize {
            starts[c + 1] += starts[c];
        }
        let mut next = starts.clone();
        let mut members = vec![0; n];
        let mut local = vec![0; n];
        for (v, &c) in of.iter().enumerate() {
            members[next[c as usize]] = v as u32;
            local[v] = (next[c as usize] - starts[c as usize]) as u32;
            next[c as usize] += 1;
        }
        Ok(Self {
            of,
            local,
            starts,
            members,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The vertices of component `c`, increasing.
    pub(super) fn members(&self, c: usize) -> &[u32] {
        &self.members[self.starts[c]..self.starts[c + 1]]
    }

    /// Component `c` as a graph of its own.
    pub(super) fn subgraph(
        &self,
        ctx: &Context,
        graph: &WeightedGraph,
        c: usize,
    ) -> Result<Handed<'static>> {
        let members = self.members(c);
        let entries: usize = members.iter().map(|&v| graph.row(v as usize).len()).sum();
        let memory = ctx.budget().reserve(
            WeightedGraph::bytes(members.len() as u64, entries as u64),
            "a part of the graph",
        )?;
        // An entry of weight 0 may lead to another component.
        let inside = |j: u32| self.of[j as usize] as usize == c;
        let part = relabel::part(ctx, graph, members, &self.local, inside)?;
        Ok(Handed::given(part, Some(memory)))
    }

    /// A place for each component, `count` x `dim`.
    ///
    /// Up to 2 `dim` components sit at the ends of the axes. More are embedded by their
    /// centroids, as in umap-learn, but with the affinity exp(-d² / median d²): without that
    /// scale it underflows for centroids in the units of principal components, and the places
    /// are arbitrary. Without points they are random, as in umap-learn.
    pub(super) fn places(
        &self,
        points: Option<&dyn Rows>,
        dim: usize,
        seed: u64,
    ) -> Result<Vec<f64>> {
        let count = self.count();
        if count <= 2 * dim {
            let half = count.div_ceil(2);
            let mut places = vec![0.0; count * dim];
            for c in 0..count {
                places[c * dim + c % half] = if c < half { 1.0 } else { -1.0 };
            }
            return Ok(places);
        }
        let Some(points) = points else {
            let random = |i| 10.0 * random::unit(random::word(seed, PLACES, i));
            return Ok((0..(count * dim) as u64).map(random).collect());
        };
        let centroids = self.centroids(points)?;
        let d = points.d();
        if count > EMBEDDED || d == 0 {
            // The leading coordinates, in units of the largest; points come as principal
            // components, so these are the axes that matter.
            let places: Vec<f64> = (0..count * dim)
                .map(|i| {
                    if i % dim < d {
                        centroids[i / dim * d + i % dim]
                    } else {
                        0.0
                    }
                })
                .collect();
            let largest = places.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            let scale = if largest > 0.0 { 1.0 / largest } else { 1.0 };
            return Ok(places.into_iter().map(|x| x * scale).collect());
        }
        embed(&centroids, count, d, dim)
    }

    fn centroids(&self, points: &dyn Rows) -> Result<Vec<f64>> {
        let d = points.d();
        let mut centroids = vec![0.0; self.count() * d];
        let mut of = self.of.iter();
        points.each(&mut |row| {
            let Some(&c) = of.next() else { return };
            let sums = &mut centroids[c as usize * d..][..d];
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum += f64::from(x);
            }
        })?;
        for c in 0..self.count() {
            let size = self.members(c).len() as f64;
            centroids[c * d..(c + 1) * d]
                .iter_mut()
                .for_each(|x| *x /= size);
        }
        Ok(centroids)
    }
}

/// scikit-learn's spectral embedding of the centroids, divided by its largest coordinate.
fn embed(centroids: &[f64], count: usize, d: usize, dim: usize) -> Result<Vec<f64>> {
    let square = |i: usize, j: usize| -> f64 {
        let (x, y) = (
            &centroids[i * d..(i + 1) * d],
            &centroids[j * d..(j + 1) * d],
        );
        x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum()
    };
    let mut squares: Vec<f64> = (0..count)
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .map(|(i, j)| square(i, j))
        .collect();
    squares.sort_by(f64::total_cmp);
    let median = squares[squares.len() / 2].max(f64::MIN_POSITIVE);
    let affinity = Mat::from_fn(count, count, |i, j| {
        if i == j {
            0.0
        } else {
            (-square(i, j) / median).exp()
        }
    });
    let scale: Vec<f64> = (0..count)
        .map(|i| {
            let degree: f64 = (0..count).map(|j| affinity[(i, j)]).sum();
            1.0 / degree.max(f64::MIN_POSITIVE).sqrt()
        })
        .collect();
    let laplacian = Mat::from_fn(count, count, |i, j| {
        if i == j {
            1.0
        } else {
            -affinity[(i, j)] * scale[i] * scale[j]
        }
    });
    let eigen = laplacian.self_adjoint_eigen(Side::Lower).map_err(|e| {
        Error::Data(format!(
            "the places of {count} components were not found ({e:?}); take another initialisation"
        ))
    })?;
    let vectors = eigen.U();
    let mut places = vec![0.0; count * dim];
    for k in 0..dim {
        let column: Vec<f64> = (0..count).map(|c| vectors[(c, k + 1)] * scale[c]).collect();
        let largest = column
            .iter()
            .fold(0.0f64, |m, &x| if x.abs() > m.abs() { x } else { m });
        for (c, x) in column.iter().enumerate() {
            places[c * dim + k] = x * largest.signum();
        }
    }
    let largest = places.iter().fold(f64::MIN, |m, &x| m.max(x));
    let scale = if largest > 0.0 { 1.0 / largest } else { 1.0 };
    Ok(places.into_iter().map(|x| x * scale).collect())
}

/// Half the distance from each place to the nearest other one.
pub(super) fn ranges(places: &[f64], dim: usize) -> Vec<f64> {
    let count = places.len() / dim;
    let square = |i: usize, j: usize| -> f64 {
        let (x, y) = (
            &places[i * dim..(i + 1) * dim],
            &places[j * dim..(j + 1) * dim],
        );
        x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum()
    };
    if count > 20_000 {
        // Too many to compare: what each would have if they filled the square evenly.
        let (low, high) = places
            .iter()
            .fold((f64::MAX, f64::MIN), |(l, h), &x| (l.min(x), h.max(x)));
        return vec![(high - low) / (count as f64).powf(1.0 / dim as f64) / 2.0; count];
    }
    (0..count)
        .map(|i| {
            let nearest = (0..count)
                .map(|j| square(i, j))
                .filter(|&s| s > 0.0)
                .fold(f64::MAX, f64::min);
            if nearest < f64::MAX {
                nearest.sqrt() / 2.0
            } else {
                0.5
            }
        })
        .collect()
}
