//! The random walk's Laplacian on a block of vectors.

use crate::graph::Part;
use cellmill_engine::Context;
use rayon::prelude::*;

/// Rows in a task; sums are added up task by task, in order.
const ROWS: usize = 2048;
/// Bytes of a block of vectors from which on most of its rows are in no cache ...
const FAR: usize = 128 << 20;
/// ... and are asked for so many rows ahead.
const FAR_AHEAD: usize = 2;

/// One level: a graph with self-loops, and the degree of each vertex.
pub(super) struct Walk<'a> {
    pub(super) graph: Part<'a>,
    /// Weight of the self-loops.
    pub(super) inside: &'a [f64],
    /// The row sums, self-loops included.
    pub(super) degree: Vec<f32>,
}

/// `M` vectors, one row a vertex.
pub(super) type Block<const M: usize> = Vec<Row<M>>;

/// A row of a block. Of eight numbers, none lies across two cache lines.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Row<const M: usize>(pub(super) [f32; M]);

impl<const M: usize> std::ops::Deref for Row<M> {
    type Target = [f32; M];

    #[inline(always)]
    fn deref(&self) -> &[f32; M] {
        &self.0
    }
}

impl<const M: usize> std::ops::DerefMut for Row<M> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f32; M] {
        &mut self.0
    }
}

/// An `M` x `M` matrix of sums.
pub(super) type Gram<const M: usize> = [[f64; M]; M];

impl<'a> Walk<'a> {
    pub(super) fn new(ctx: &Context, graph: Part<'a>, inside: &'a [f64]) -> Self {
        let degree = |v: usize| {
            let row: f64 = graph.edges(v).map(|(_, w)| f64::from(w)).sum();
            (row + inside.get(v).copied().unwrap_or(0.0)) as f32
        };
        let rows = (0..graph.n()).into_par_iter().with_min_len(ROWS);
        Self {
            graph,
            inside,
            degree: ctx.pool().install(|| rows.map(degree).collect()),
        }
    }

    pub(super) fn n(&self) -> usize {
        self.graph.n()
    }

    /// A block of zeros, written by all threads.
    pub(super) fn zeros<const M: usize>(&self, ctx: &Context) -> Block<M> {
        let rows = (0..self.n()).into_par_iter().with_min_len(ROWS);
        ctx.pool().install(|| rows.map(|_| Row([0.0; M])).collect())
    }

    /// out = `scale` (L x - `shift` x) + `keep` out, with L = 1 - D^-1 A.
    pub(super) fn apply<const M: usize>(
        &self,
        ctx: &Context,
        x: &Block<M>,
        out: &mut Block<M>,
        (scale, shift, keep): (f64, f64, f64),
    ) {
        let identity = (scale * (1.0 - shift)) as f32;
        let (scale, keep) = (scale as f32, keep as f32);
        let far = size_of_val(&x[..]) >= FAR;
        ctx.pool().install(|| {
            out.par_chunks_mut(ROWS)
                .enumerate()
                .for_each(|(task, out)| {
                    for (i, out) in out.iter_mut().enumerate() {
                        let v = task * ROWS + i;
                        if far {
                            self.graph.expect_entries(v + FAR_AHEAD, x);
                        }
                        let inside = self.inside.get(v).map_or(0.0, |&w| w as f32);
                        let mut sum = x[v].map(|x| inside * x);
                        for (j, w) in self.graph.edges(v) {
                            let other = &x[j];
                            for k in 0..M {
                                sum[k] += w * other[k];
                            }
                        }
                        let degree = self.degree[v];
                        // What only others point to, in a graph that is not symmetric, has none.
                        let factor = if degree > 0.0 { scale / degree } else { 0.0 };
                        for k in 0..M {
                            out[k] = identity * x[v][k] - factor * sum[k] + keep * out[k];
                        }
                    }
                });
        });
    }

    /// x' D y, summed in fixed blocks.
    pub(super) fn inner<const M: usize>(
        &self,
        ctx: &Context,
        x: &Block<M>,
        y: &Block<M>,
    ) -> Gram<M> {
        let parts: Vec<Gram<M>> = ctx.pool().install(|| {
            x.par_chunks(ROWS)
                .zip(y.par_chunks(ROWS))
                .zip(self.degree.par_chunks(ROWS))
                .map(|((x, y), degree)| {
                    let mut sums = [[0.0; M]; M];
                    for ((x, y), &d) in x.iter().zip(y).zip(degree) {
                        let y = y.map(f64::from);
                        for (sums, &x) in sums.iter_mut().zip(x.iter()) {
                            let x = f64::from(x) * f64::from(d);
                            for k in 0..M {
                                sums[k] += x * y[k];
                            }
                        }
                    }
                    sums
                })
                .collect()
        });
        let mut total = [[0.0; M]; M];
        for part in parts {
            for (total, part) in total.iter_mut().flatten().zip(part.iter().flatten()) {
                *total += part;
            }
        }
        total
    }

    /// Takes the constant vector, which is the trivial eigenvector, out of x.
    pub(super) fn deflate<const M: usize>(&self, ctx: &Context, x: &mut Block<M>) {
        let parts: Vec<([f64; M], f64)> = ctx.pool().install(|| {
            x.par_chunks(ROWS)
                .zip(self.degree.par_chunks(ROWS))
                .map(|(x, degree)| {
                    let mut sums = [0.0; M];
                    let mut weight = 0.0;
                    for (x, &d) in x.iter().zip(degree) {
                        weight += f64::from(d);
                        for k in 0..M {
                            sums[k] += f64::from(d) * f64::from(x[k]);
                        }
                    }
                    (sums, weight)
                })
                .collect()
        });
        let mut means = [0.0; M];
        let mut weight = 0.0;
        for (sums, part) in parts {
            weight += part;
            for k in 0..M {
                means[k] += sums[k];
            }
        }
        let means = means.map(|sum| (sum / weight) as f32);
        ctx.pool().install(|| {
            x.par_chunks_mut(ROWS).for_each(|x| {
                for x in x {
                    for k in 0..M {
                        x[k] -= means[k];
                    }
                }
            });
        });
    }

    /// x ← x U.
    pub(super) fn rotate<const M: usize>(&self, ctx: &Context, x: &mut Block<M>, u: &Gram<M>) {
        let u = u.map(|row| row.map(|x| x as f32));
        ctx.pool().install(|| {
            x.par_chunks_mut(ROWS).for_each(|x| {
                for x in x {
                    let mut out = [0.0; M];
                    for (row, &x) in u.iter().zip(x.iter()) {
                        for k in 0..M {
                            out[k] += x * row[k];
                        }
                    }
                    *x = Row(out);
                }
            });
        });
    }
}
