//! Principal components of many columns: randomised block Krylov.

mod basis;
mod lanczos;
mod space;

use super::pca::{Pca, refuse_n_comps, signed};
use crate::reduce::{GeneMoments, GramTimes, Moments, Times};
use crate::run::run_pass;
use crate::{Context, Error, Event, Reservation, Result, Source};
use faer::Mat;
use rand_mt::Mt;
use space::{Ritz, Space};
use std::time::Instant;

pub(super) use lanczos::leading;

/// Of the first block.
const SEED: u32 = 0;
/// Share of the largest value that residuals need not be below: what rounding reaches in sums over
/// any number of cells.
const FLOOR: f64 = 1e-12;
/// Passes after which it is given up.
const MOST_PASSES: u32 = 300;

/// What a pass of [`BlockKrylov`] folds: moments in the first one, and products in each.
pub type Pass = (Option<GeneMoments>, GramTimes);

/// Principal components of `k` columns without their Gram matrix: a randomised block Krylov method
/// (Musco and Musco 2015, algorithm 2), with all blocks orthogonal, until components are as good as
/// those of a full decomposition; when the basis is full it restarts from the best vectors and goes
/// on where it was (Wu and Simon 2000).
///
/// A pass is one fold, [`GramTimes`], wherever it runs; what is between the passes is small. The
/// first block is random, from a fixed seed. The bits do not depend on the number of threads.
pub struct BlockKrylov {
    k: usize,
    n_comps: usize,
    zero_center: bool,
    /// Columns of a block.
    width: usize,
    moments: Moments,
    /// What is taken off each column.
    centre: Vec<f64>,
    total: f64,
    space: Space,
    passes: u32,
    _held: Reservation,
}

impl BlockKrylov {
    /// Of `k` columns.
    ///
    /// # Errors
    /// [`Error::Budget`] when the basis does not fit.
    pub fn new(ctx: &Context, k: u32, n_comps: usize, zero_center: bool) -> Result<Self> {
        let held = ctx.budget().reserve(
            Self::bytes(k.into(), n_comps as u64),
            "the Krylov basis of the PCA",
        )?;
        let k = k as usize;
        let (width, most) = sizes(k as u64, n_comps as u64);
        Ok(Self {
            k,
            n_comps,
            zero_center,
            width: width as usize,
            moments: Moments::of_all(&[]),
            centre: vec![0.0; k],
            total: 0.0,
            space: Space::new(k, most as usize),
            passes: 0,
            _held: held,
        })
    }

    /// Bytes that it takes, with what it works on between two passes.
    pub fn bytes(k: u64, n_comps: u64) -> u64 {
        let (width, most) = sizes(k, n_comps);
        let blocks = 6 * width * 8 + GramTimes::bytes(1, width);
        k * (8 * (most + 2 * n_comps + 6) + blocks) + 8 * 8 * most * most
    }

    /// The state of one span in a pass: bytes.
    pub fn state_bytes(k: u64, n_comps: u64) -> u64 {
        GramTimes::bytes(k, sizes(k, n_comps).0) + 32 * k
    }

    /// What the next pass folds.
    ///
    /// # Errors
    /// None that data can cause.
    pub fn pass(&self) -> Result<Pass> {
        let k = self.k as u32;
        let first = self.passes == 0;
        let (width, rows) = if first {
            (self.width, random(self.k * self.width, SEED))
        } else {
            (self.space.fresh(), self.space.newest())
        };
        let times = GramTimes::new(k, width, &rows, &self.centre)?;
        Ok((first.then(|| GeneMoments::new(k)), times))
    }

    /// Takes what a pass found: the components, or nothing where another pass is needed.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `1 <= n_comps <= min(n, k)`; [`Error::Data`] when no column
    /// varies or the components do not settle; [`Error::Cancelled`].
    pub fn advance(
        &mut self,
        ctx: &Context,
        (moments, times): (Option<Moments>, Times),
    ) -> Result<Option<Pca>> {
        self.passes += 1;
        match moments {
            Some(moments) => self.begin(ctx, moments, &times).map(|()| None),
            None => self.grow(ctx, &times),
        }
    }

    /// The first block, from the first pass.
    fn begin(&mut self, ctx: &Context, moments: Moments, times: &Times) -> Result<()> {
        refuse_n_comps(self.n_comps, moments.n, self.k)?;
        let n = moments.n as f64;
        self.total = moments.variance.iter().sum();
        if self.zero_center {
            self.centre.clone_from(&moments.mean);
        } else {
            self.total *= (n - 1.0).max(0.0) / n;
        }
        if !self.total.is_finite() || self.total <= 0.0 {
            return Err(Error::Data(format!(
                "the PCA found no variance in the {} selected genes of {} cells (total variance {})",
                self.k, moments.n, self.total
            )));
        }
        self.moments = moments;
        let w = self.product(times)?;
        if self.space.append(ctx, w, 0.0)? == 0 {
            self.restock(ctx)?;
        }
        Ok(())
    }

    /// The basis grows by a block, unless what it holds will do.
    fn grow(&mut self, ctx: &Context, times: &Times) -> Result<Option<Pca>> {
        let mut w = self.product(times)?;
        self.space.take(ctx, &mut w)?;
        let (ritz, used) = (self.space.ritz(&w)?, self.space.used());
        let open = ritz.open(self.n_comps, FLOOR);
        if used >= self.n_comps && open == 0 {
            return Ok(Some(self.components(ctx, &ritz)?));
        }
        if self.passes >= MOST_PASSES {
            return Err(Error::Data(format!(
                "{open} of {} principal components of {} genes did not settle in {MOST_PASSES} \
                 passes; ask for fewer components, or select genes first",
                self.n_comps, self.k
            )));
        }
        let most = self.space.most();
        if used + w.ncols() > most && most < self.k {
            let kept = (self.n_comps + self.width).min(used);
            self.space.restart(ctx, &ritz, kept)?;
        }
        if self.space.append(ctx, w, ritz.values[0].abs())? == 0 {
            // What is left of the matrix is nothing: any direction serves.
            self.restock(ctx)?;
        }
        Ok(None)
    }

    /// A block of new directions, where the last one had none.
    fn restock(&mut self, ctx: &Context) -> Result<()> {
        let w = random_block(self.k, self.width, SEED + self.passes);
        self.space.append_any(ctx, w)?;
        Ok(())
    }

    /// The covariance (or XᵀX / n) times the block.
    fn product(&self, times: &Times) -> Result<Mat<f64>> {
        let width = times.width;
        if times.product.len() != self.k * width || times.n != self.moments.n {
            return Err(Error::Bug(
                "a pass of the PCA folded another matrix than the one before".to_owned(),
            ));
        }
        let n = times.n as f64;
        let ddof = if self.zero_center {
            (n - 1.0).max(1.0)
        } else {
            n
        };
        Ok(Mat::from_fn(self.k, width, |i, j| {
            (times.product[i * width + j] - self.centre[i] * times.sums[j]) / ddof
        }))
    }

    fn components(&self, ctx: &Context, ritz: &Ritz) -> Result<Pca> {
        let n_comps = self.n_comps;
        let found = self.space.vectors(ctx, ritz, n_comps)?;
        let loadings = signed(self.k, n_comps, |i, component| found[(i, component)]);
        let mut variance: Vec<f64> = ritz.values[..n_comps].iter().map(|v| v.max(0.0)).collect();
        if !self.zero_center {
            super::pca::less_means(&mut variance, &loadings, &self.moments.mean);
        }
        Ok(Pca {
            n: self.moments.n,
            k: self.k,
            n_comps,
            mean: self.centre.clone(),
            variance_ratio: variance.iter().map(|v| v / self.total).collect(),
            loadings,
            variance,
        })
    }
}

/// Principal components of the columns of `source`, which is read once a pass: some twenty to
/// fifty times.
///
/// # Errors
/// As [`BlockKrylov`]'s steps and [`crate::run_stage`].
pub fn block_krylov(
    ctx: &Context,
    source: &dyn Source,
    n_comps: usize,
    zero_center: bool,
) -> Result<Pca> {
    let (name, started, bytes_before) = ("block Krylov", Instant::now(), source.bytes_read());
    let mut solver = BlockKrylov::new(ctx, source.n_cols(), n_comps, zero_center)?;
    ctx.emit(Event::StageStarted {
        stage: name.to_owned(),
        total: source.n_rows(),
        unit: "cells".to_owned(),
    });
    let found = loop {
        let found = run_pass(ctx, name, source, &[], (&solver.pass()?, &()), || ())?;
        if let Some(found) = solver.advance(ctx, found)? {
            break found;
        }
    };
    ctx.emit(Event::StageFinished {
        stage: name.to_owned(),
        seconds: started.elapsed().as_secs_f64(),
        bytes_read: source.bytes_read().saturating_sub(bytes_before),
    });
    Ok(found)
}

/// Columns of a block, and of the basis.
fn sizes(k: u64, n_comps: u64) -> (u64, u64) {
    let width = (3 * n_comps / 4).next_multiple_of(16).clamp(16, 64);
    let most = 3 * n_comps + 5 * width;
    (width.min(k), most.min(k))
}

/// Numbers between -1 and 1. Not signs: of a few columns of signs two rows are soon alike, and the
/// difference of two such columns of the matrix would never be found.
fn random(n: usize, seed: u32) -> Vec<f64> {
    let mut random = Mt::new(seed);
    let unit = |word: u32| f64::from(word) / f64::from(u32::MAX);
    (0..n)
        .map(|_| 2.0 * unit(random.next_u32()) - 1.0)
        .collect()
}

/// [`random`] numbers in a matrix.
fn random_block(k: usize, width: usize, seed: u32) -> Mat<f64> {
    let numbers = random(k * width, seed);
    Mat::from_fn(k, width, |i, j| numbers[i * width + j])
}
