//! The smallest eigenvectors of a connected graph's Laplacian, from coarse to fine.

use super::Hierarchy;
use super::coarsen::{self, Aggregates, Contracted};
use super::walk::{Block, Gram, Row, Walk};
use crate::graph::Part;
use crate::umap::random;
use cellmill_engine::{Context, Error, Result};
use faer::{Mat, Side};
use std::ops::Range;

/// A dense eigendecomposition up to this many vertices.
const DENSE: usize = 320;
/// The degree of the Chebyshev filter between two Rayleigh–Ritz steps, at most.
const DEGREE: usize = 16;
/// A vector is done when its residual is below this fraction of the block's largest Ritz value.
const TOLERANCE: f64 = 2e-3;
/// The most applications of a level.
const MOST: u64 = 1600;
/// The fewest where they are cheap ...
const FEWEST: u64 = 40;
/// ... and where not: one filter of a lower degree.
const LEAST: u64 = 8;
/// What caps the iterations: work for a level, in entries times applications, of all components.
pub(super) const WORK: u64 = 1_000_000_000;

/// What is solved, on all levels.
pub(super) struct Task<'a> {
    pub(super) ctx: &'a Context,
    /// Of the graph of which this is a part.
    pub(super) hierarchy: &'a Hierarchy,
    pub(super) dim: usize,
    pub(super) seed: u64,
    /// What caps the steps of a level, in entries times applications, of all components ...
    pub(super) work: u64,
    /// ... and the share of this one.
    pub(super) share: f64,
}

impl Task<'_> {
    /// The `dim` eigenvectors of L = 1 - D^-1/2 A D^-1/2 that follow the trivial one, in order of
    /// eigenvalue, each of length 1 and with its largest entry positive; n x `dim`, row-major. `rows`
    /// are those of the graph in the hierarchy.
    ///
    /// `M` vectors travel together; more than `dim` of them speed up convergence. The number of steps
    /// is capped: this never stalls, and ends with the best vectors found.
    pub(super) fn eigenvectors<const M: usize>(
        &self,
        graph: Part<'_>,
        rows: Range<usize>,
    ) -> Result<Vec<f64>> {
        let dim = self.dim;
        let walk = Walk::new(self.ctx, graph, &[]);
        if walk.n() <= DENSE {
            let (vectors, width) = dense(&walk)?;
            let symmetric = (0..walk.n()).flat_map(|v| {
                let scale = f64::from(walk.degree[v]).sqrt();
                let row = &vectors[v * width..(v + 1) * width];
                (0..dim)
                    .map(move |k| row.get(k).map_or(0.0, |x| x * scale))
                    .collect::<Vec<_>>()
            });
            return Ok(normalised(symmetric.collect(), dim));
        }
        let x = self.level::<M>(&walk, rows, 0)?;
        let symmetric = x.iter().zip(&walk.degree).flat_map(|(x, &d)| {
            let scale = f64::from(d).sqrt();
            x[..dim].iter().map(move |&x| f64::from(x) * scale)
        });
        Ok(normalised(symmetric.collect(), dim))
    }

    /// The block of one level: a coarser level's, carried over and refined; random where there is none.
    fn level<const M: usize>(
        &self,
        walk: &Walk<'_>,
        rows: Range<usize>,
        depth: usize,
    ) -> Result<Block<M>> {
        let (ctx, n) = (self.ctx, walk.n());
        debug_assert_eq!(rows.len(), n);
        let noise = |v, k| noise(self.seed, depth as u64, v, k);
        if n <= DENSE {
            let (vectors, width) = dense(walk)?;
            return Ok((0..n)
                .map(|v| {
                    Row(std::array::from_fn(|k| {
                        if k < width {
                            vectors[v * width + k] as f32
                        } else {
                            noise(v, k)
                        }
                    }))
                })
                .collect());
        }
        let mut x: Block<M> = match self.hierarchy.aggregates(depth, &rows) {
            None => (0..n)
                .map(|v| Row(std::array::from_fn(|k| noise(v, k))))
                .collect(),
            Some((aggregates, coarser)) => {
                let Contracted { graph, mut inside } =
                    coarsen::contract(ctx, walk.graph, &aggregates, 0.0)?;
                let Aggregates {
                    of,
                    starts,
                    members,
                } = aggregates;
                drop((starts, members));
                for (&c, &w) in of.iter().zip(walk.inside) {
                    inside[c as usize] += w;
                }
                let walk = Walk::new(ctx, Part::whole(&graph), &inside);
                let coarse = self.level::<M>(&walk, coarser, depth + 1)?;
                of.iter().map(|&c| coarse[c as usize]).collect()
            }
        };
        self.refine(walk, &mut x, depth as u64)?;
        Ok(x)
    }

    /// Chebyshev-filtered subspace iteration (Zhou, Saad, Tiago and Chelikowsky 2006).
    fn refine<const M: usize>(&self, walk: &Walk<'_>, x: &mut Block<M>, depth: u64) -> Result<()> {
        let Self {
            ctx,
            dim,
            seed,
            work,
            share,
            ..
        } = *self;
        let mut y: Block<M> = walk.zeros(ctx);
        let entries = walk.graph.nnz() + walk.n() as u64;
        let fewest = FEWEST.min(work / entries);
        let cap = ((work as f64 * share) as u64 / entries).max(fewest);
        let cap = cap.clamp(LEAST, MOST) as usize;
        let degree = DEGREE.min(cap);
        let mut applied = 0;
        // A little smoothing first, so that the steps of the carried-over block do not count as
        // large Ritz values.
        for _ in 0..2 {
            walk.apply(ctx, x, &mut y, (-0.5, 2.0, 0.0));
            std::mem::swap(x, &mut y);
        }
        loop {
            ctx.cancel().check()?;
            walk.deflate(ctx, x);
            walk.apply(ctx, x, &mut y, (1.0, 0.0, 0.0));
            applied += 1;
            let Some(ritz) = Ritz::new(&walk.inner(ctx, x, x), &walk.inner(ctx, x, &y))? else {
                // The block lost rank (possible for graphs of few distinct eigenvalues).
                for (v, x) in x.iter_mut().enumerate() {
                    for (k, x) in x.iter_mut().enumerate() {
                        *x += noise(seed, depth + 100, v, k) * 1e-3 / (walk.n() as f32).sqrt();
                    }
                }
                if applied >= cap {
                    return Ok(());
                }
                continue;
            };
            walk.rotate(ctx, x, &ritz.vectors);
            walk.rotate(ctx, &mut y, &ritz.vectors);
            let residuals = walk.residuals(ctx, x, &y, &ritz.values);
            let edge = ritz.values[M - 1].clamp(1e-7, 1.0);
            let done = residuals[..dim].iter().all(|&r| r <= TOLERANCE * edge);
            if done || applied >= cap {
                return Ok(());
            }
            // The filter damps [edge, 2] and is normalised at 0.
            let (half, centre) = ((2.0 - edge) / 2.0, (2.0 + edge) / 2.0);
            let first = -half / centre;
            let mut sigma = first;
            walk.apply(ctx, x, &mut y, (sigma / half, centre, 0.0));
            for _ in 1..degree {
                let next = 1.0 / (2.0 / first - sigma);
                walk.apply(ctx, &y, x, (2.0 * next / half, centre, -sigma * next));
                std::mem::swap(x, &mut y);
                sigma = next;
                ctx.cancel().check()?;
            }
            std::mem::swap(x, &mut y);
            applied += degree;
        }
    }
}

impl Walk<'_> {
    /// The lengths of L x - x θ, in D's norm.
    fn residuals<const M: usize>(
        &self,
        ctx: &Context,
        x: &Block<M>,
        lx: &Block<M>,
        values: &[f64; M],
    ) -> [f64; M] {
        use rayon::prelude::*;
        let parts: Vec<[f64; M]> = ctx.pool().install(|| {
            x.par_chunks(2048)
                .zip(lx.par_chunks(2048))
                .zip(self.degree.par_chunks(2048))
                .map(|((x, lx), degree)| {
                    let mut sums = [0.0; M];
                    for ((x, lx), &d) in x.iter().zip(lx).zip(degree) {
                        for k in 0..M {
                            let r = f64::from(lx[k]) - values[k] * f64::from(x[k]);
                            sums[k] += f64::from(d) * r * r;
                        }
                    }
                    sums
                })
                .collect()
        });
        let mut total = [0.0; M];
        for part in parts {
            for k in 0..M {
                total[k] += part[k];
            }
        }
        total.map(f64::sqrt)
    }
}

/// The Rayleigh–Ritz step.
struct Ritz<const M: usize> {
    values: [f64; M],
    vectors: Gram<M>,
}

impl<const M: usize> Ritz<M> {
    /// Solves H u = θ G u, θ increasing; `None` when the block does not have full rank.
    fn new(g: &Gram<M>, h: &Gram<M>) -> Result<Option<Self>> {
        // Vectors of one length first, so that the rank is judged by directions alone.
        let lengths: [f64; M] = std::array::from_fn(|k| g[k][k].sqrt());
        if lengths.iter().any(|&l| !(l > 0.0 && l.is_finite())) {
            return Ok(None);
        }
        let overlap = Mat::from_fn(M, M, |i, j| {
            (g[i][j] + g[j][i]) / (2.0 * lengths[i] * lengths[j])
        });
        let overlap = eigen(&overlap)?;
        let (values, basis) = (overlap.S().column_vector(), overlap.U());
        if values[0] < 1e-9 {
            return Ok(None);
        }
        // W = lengths^-1 U S^-1/2, so that W' G W = 1.
        let white = Mat::from_fn(M, M, |i, j| basis[(i, j)] / (lengths[i] * values[j].sqrt()));
        let h = Mat::from_fn(M, M, |i, j| (h[i][j] + h[j][i]) / 2.0);
        let projected = white.transpose() * h * &white;
        let ritz = eigen(&projected)?;
        let vectors = &white * ritz.U();
        let values = ritz.S().column_vector();
        Ok(Some(Self {
            values: std::array::from_fn(|k| values[k]),
            vectors: std::array::from_fn(|i| std::array::from_fn(|j| vectors[(i, j)])),
        }))
    }
}

/// All eigenvectors but the trivial one, of the walk (n x n-1, row-major, by eigenvalue).
fn dense(walk: &Walk<'_>) -> Result<(Vec<f64>, usize)> {
    let n = walk.n();
    // As in `Walk::apply`.
    let scale = |&d: &f32| {
        if d > 0.0 {
            1.0 / f64::from(d).sqrt()
        } else {
            0.0
        }
    };
    let scale: Vec<f64> = walk.degree.iter().map(scale).collect();
    let mut laplacian = Mat::from_fn(n, n, |i, j| if i == j { 1.0 } else { 0.0 });
    for v in 0..n {
        if let Some(&w) = walk.inside.get(v) {
            laplacian[(v, v)] -= w * scale[v] * scale[v];
        }
        for (j, w) in walk.graph.edges(v) {
            laplacian[(v, j)] -= f64::from(w) * scale[v] * scale[j];
        }
    }
    let eigen = eigen(&laplacian)?;
    let vectors = eigen.U();
    let width = n.saturating_sub(1);
    let mut out = Vec::with_capacity(n * width);
    for v in 0..n {
        out.extend((1..n).map(|k| vectors[(v, k)] * scale[v]));
    }
    Ok((out, width))
}

fn eigen(matrix: &Mat<f64>) -> Result<faer::linalg::solvers::SelfAdjointEigen<f64>> {
    matrix.self_adjoint_eigen(Side::Lower).map_err(|e| {
        Error::Data(format!(
            "the spectral layout's {} x {} eigenproblem was not solved ({e:?}); the graph's \
             weights may be too uneven: take another initialisation",
            matrix.nrows(),
            matrix.ncols()
        ))
    })
}

/// Columns of length 1, the largest entry of each positive.
fn normalised(mut columns: Vec<f64>, dim: usize) -> Vec<f64> {
    for k in 0..dim {
        let column = || columns.iter().skip(k).step_by(dim);
        let length = column().map(|x| x * x).sum::<f64>().sqrt();
        let largest = column().fold(0.0f64, |m, &x| if x.abs() > m.abs() { x } else { m });
        if length > 0.0 {
            let scale = largest.signum() / length;
            columns
                .iter_mut()
                .skip(k)
                .step_by(dim)
                .for_each(|x| *x *= scale);
        }
    }
    columns
}

fn noise(seed: u64, depth: u64, v: usize, k: usize) -> f32 {
    (random::unit(random::word(seed, 1000 + depth * 64 + k as u64, v as u64)) - 0.5) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectral::tests::symmetric;

    #[test]
    fn few_steps_smooth_what_was_carried_over() {
        // A strip of six rows, and aggregates of eight columns, whose coarse graph is dense.
        let (length, width) = (2048, 6);
        let n = length * width;
        let along = (0..n - width).map(|v| (v, v + width, 1.0 - 0.5 * (v % 7) as f32 / 7.0));
        let across = (0..n).filter(|v| v % width > 0).map(|v| (v, v - 1, 0.5));
        let graph = symmetric(n, along.chain(across));
        let hierarchy = Hierarchy::new(vec![(0..=n as u32).step_by(8 * width).collect()]);
        let ctx = Context::quiet(2).unwrap();
        let walk = Walk::new(&ctx, Part::whole(&graph), &[]);
        let dim = 2;
        // The values of the first two, of a block that a task of so much work finds.
        let found = |work| {
            let task = Task {
                ctx: &ctx,
                hierarchy: &hierarchy,
                dim,
                seed: 0,
                work,
                share: 1.0,
            };
            let x = task.level::<8>(&walk, 0..n, 0).unwrap();
            quotients(&ctx, &walk, &x)
        };
        let carried: Block<8> = {
            let (aggregates, _) = hierarchy.aggregates(0, &(0..n)).unwrap();
            let coarse = coarsen::contract(&ctx, walk.graph, &aggregates, 0.0).unwrap();
            let coarser = Walk::new(&ctx, Part::whole(&coarse.graph), &coarse.inside);
            let (vectors, w) = dense(&coarser).unwrap();
            let row = |&c: &u32| Row(std::array::from_fn(|k| vectors[c as usize * w + k] as f32));
            aggregates.of.iter().map(row).collect()
        };
        let carried = quotients(&ctx, &walk, &carried);
        let (many, few) = (found(WORK), found(0));
        for k in 0..dim {
            let (least, most) = (many[k], carried[k]);
            assert!(most > 8.0 * least, "{carried:?} {many:?}");
            assert!(few[k] > least && few[k] < 1.7 * least, "{few:?} {many:?}");
        }
    }

    /// x' D L x / x' D x of each vector.
    fn quotients(ctx: &Context, walk: &Walk<'_>, x: &Block<8>) -> [f64; 8] {
        let mut y = walk.zeros(ctx);
        walk.apply(ctx, x, &mut y, (1.0, 0.0, 0.0));
        let (square, energy) = (walk.inner(ctx, x, x), walk.inner(ctx, x, &y));
        std::array::from_fn(|k| energy[k][k] / square[k][k])
    }
}
