//! Where a layout begins.

use super::{Ordered, random};
use crate::{Handed, Rows, spectral};
use cellmill_engine::{Context, Error, Result};

/// Streams of random numbers.
const NOISE: u64 = 21;
const UNIFORM: u64 = 22;
const JITTER: u64 = 23;

/// How the coordinates of a layout are initialised (scanpy's `init_pos`).
#[derive(Debug, Clone, Copy)]
pub enum Init<'a> {
    /// Eigenvectors of the normalised Laplacian: scanpy's default. With points (those that the
    /// graph was made from), the components of a disconnected graph lie as their centroids do.
    Spectral {
        /// The points of the vertices.
        points: Option<&'a dyn Rows>,
    },
    /// The first columns of the points, which are principal components.
    Pca(&'a dyn Rows),
    /// Uniform in a square.
    Random,
    /// Given coordinates, n x `n_components`, row-major. Where rows are equal, all rows are
    /// moved a little.
    Given(&'a [f32]),
}

/// The coordinates at which [`super::umap`] begins, n x `n_components`, row-major, each axis in
/// [0, 10].
///
/// As umap-learn: spectral and PCA coordinates are scaled so that the largest is 10 in size and
/// get noise of standard deviation 1e-4; then each axis is stretched to [0, 10] (an axis without
/// extent becomes 0). The spectral layout is that of the graph without the entries that
/// `n_epochs` drops.
///
/// # Errors
/// [`Error::Parameter`] when sizes do not fit; [`Error::Data`] for coordinates that are not
/// finite and graphs that are not CSR matrices; those of [`crate::spectral_layout`].
pub fn initial_layout<'a>(
    ctx: &Context,
    graph: impl Into<Handed<'a>>,
    init: Init<'_>,
    n_components: usize,
    n_epochs: Option<usize>,
    seed: u64,
) -> Result<Vec<f32>> {
    let graph = graph.into();
    if !matches!(init, Init::Spectral { .. }) {
        super::check_graph(&graph)?;
    }
    let n = graph.n();
    begin(n, init, n_components, seed, |points| {
        spectral::check(n, points, n_components)?;
        let graph = super::ordered(ctx, graph, n_epochs)?;
        graph.spectral_layout(ctx, points, n_components, seed)
    })
}

impl Ordered {
    /// As [`initial_layout`], of a graph that is ordered already.
    ///
    /// # Errors
    /// As there.
    pub fn initial_layout(
        &self,
        ctx: &Context,
        init: Init<'_>,
        n_components: usize,
        seed: u64,
    ) -> Result<Vec<f32>> {
        begin(self.n(), init, n_components, seed, |points| {
            self.spectral_layout(ctx, points, n_components, seed)
        })
    }
}

/// As [`initial_layout`], of `n` vertices; only a spectral layout asks for their graph.
fn begin(
    n: usize,
    init: Init<'_>,
    n_components: usize,
    seed: u64,
    spectral: impl FnOnce(Option<&dyn Rows>) -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    if n_components == 0 {
        return Err(Error::Parameter(
            "n_components is 0; a layout has at least one dimension".to_owned(),
        ));
    }
    let expect = |found: usize, what: &str, needed: usize| {
        if found == needed {
            Ok(())
        } else {
            Err(Error::Parameter(format!(
                "the initialisation has {found} {what}; {needed} are needed"
            )))
        }
    };
    let mut layout = match init {
        Init::Spectral { points } => noisy_scale(spectral(points)?, seed),
        Init::Pca(points) => {
            expect(points.n(), "points", n)?;
            if points.d() < n_components {
                return Err(Error::Parameter(format!(
                    "the points have {} columns; a PCA initialisation in {n_components} dimensions \
                     needs as many",
                    points.d()
                )));
            }
            let mut columns = Vec::with_capacity(n * n_components);
            points.each(&mut |row| columns.extend_from_slice(&row[..n_components]))?;
            noisy_scale(columns, seed)
        }
        Init::Random => (0..(n * n_components) as u64)
            .map(|i| (random::unit(random::word(seed, UNIFORM, i)) * 20.0 - 10.0) as f32)
            .collect(),
        Init::Given(coordinates) => {
            expect(coordinates.len(), "coordinates", n * n_components)?;
            check_finite("given", coordinates, n_components)?;
            jittered(coordinates, n_components, seed)
        }
    };
    stretch(&mut layout, n_components);
    Ok(layout)
}

/// Refuses coordinates of vertices, n x `d`, of which one is not finite.
pub(super) fn check_finite(which: &str, coordinates: &[f32], d: usize) -> Result<()> {
    match coordinates.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(i) => Err(Error::Data(format!(
            "the {which} coordinate {} of vertex {} is {}; every coordinate must be finite",
            i % d,
            i / d,
            coordinates[i]
        ))),
    }
}

/// umap-learn's `noisy_scale_coords`.
fn noisy_scale(mut layout: Vec<f32>, seed: u64) -> Vec<f32> {
    let largest = layout.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let expansion = if largest > 0.0 {
        10.0 / f64::from(largest)
    } else {
        1.0
    };
    for (i, x) in layout.iter_mut().enumerate() {
        *x = (f64::from(*x) * expansion) as f32
            + (1e-4 * random::normal(seed, NOISE, i as u64)) as f32;
    }
    layout
}

/// Moves all rows a little if two are equal, so that gradients can part them.
///
/// umap-learn's scale is a thousandth of the mean distance to the nearest neighbour; here it is
/// a thousandth of what that distance would be if the distinct rows lay on an even grid.
fn jittered(coordinates: &[f32], d: usize, seed: u64) -> Vec<f32> {
    let mut rows: Vec<&[f32]> = coordinates.chunks_exact(d).collect();
    let n = rows.len();
    rows.sort_by(|x, y| {
        let different = x
            .iter()
            .zip(*y)
            .map(|(x, y)| x.total_cmp(y))
            .find(|o| o.is_ne());
        different.unwrap_or(std::cmp::Ordering::Equal)
    });
    rows.dedup();
    if rows.len() == n {
        return coordinates.to_vec();
    }
    let (low, high) = coordinates
        .iter()
        .fold((f32::MAX, f32::MIN), |(l, h), &x| (l.min(x), h.max(x)));
    let extent = if high > low {
        f64::from(high) - f64::from(low)
    } else {
        1.0
    };
    let scale = 1e-3 * extent / (rows.len() as f64).powf(1.0 / d as f64);
    let moved =
        |(i, &x): (usize, &f32)| x + (scale * random::normal(seed, JITTER, i as u64)) as f32;
    coordinates.iter().enumerate().map(moved).collect()
}

/// Each axis to [0, 10].
fn stretch(layout: &mut [f32], d: usize) {
    for k in 0..d {
        let axis = || layout.iter().skip(k).step_by(d).map(|&x| f64::from(x));
        let (low, high) = axis().fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(x), h.max(x)));
        let scale = if high > low { 10.0 / (high - low) } else { 0.0 };
        for x in layout.iter_mut().skip(k).step_by(d) {
            *x = ((f64::from(*x) - low) * scale) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::{Points, WeightedGraph};

    fn empty(n: usize) -> WeightedGraph {
        WeightedGraph {
            indptr: vec![0; n + 1],
            indices: vec![],
            weights: vec![],
        }
    }

    #[test]
    fn each_axis_is_stretched_to_ten() {
        let ctx = Context::quiet(1).unwrap();
        let data: Vec<f32> = (0..300).map(|i| ((i * 37) % 101) as f32 - 20.0).collect();
        let points = Points::new(&data, 100, 3).unwrap();
        for init in [
            Init::Pca(&points),
            Init::Random,
            Init::Spectral {
                points: Some(&points),
            },
        ] {
            let x = initial_layout(&ctx, &empty(100), init, 2, None, 3).unwrap();
            for k in 0..2 {
                let axis = || x.iter().skip(k).step_by(2).copied();
                assert_eq!(axis().fold(f32::MAX, f32::min), 0.0);
                assert_eq!(axis().fold(f32::MIN, f32::max), 10.0);
            }
        }
        // PCA keeps the shape of the first two columns, but for the noise.
        let x = initial_layout(&ctx, &empty(100), Init::Pca(&points), 2, None, 3).unwrap();
        let (low, high) = (-20.0f32, 80.0f32);
        let expected = |v: f32| 10.0 * (v - low) / (high - low);
        let column: Vec<f32> = data.iter().step_by(3).copied().collect();
        let spread = column.iter().copied().fold(f32::MIN, f32::max)
            - column.iter().copied().fold(f32::MAX, f32::min);
        assert!(spread > 90.0);
        assert!(
            x.iter()
                .step_by(2)
                .zip(&column)
                .all(|(x, &c)| (x - expected(c)).abs() < 1.0)
        );
    }

    #[test]
    fn equal_rows_are_parted_and_others_kept() {
        let ctx = Context::quiet(1).unwrap();
        let given = [0.0, 0.0, 10.0, 10.0, 0.0, 0.0];
        let x = initial_layout(&ctx, &empty(3), Init::Given(&given), 2, None, 0).unwrap();
        assert!(x[0] != x[4] || x[1] != x[5]);
        let given = [0.0, 1.0, 10.0, 2.0, 5.0, 3.0];
        let x = initial_layout(&ctx, &empty(3), Init::Given(&given), 2, None, 0).unwrap();
        assert_eq!(x, [0.0, 0.0, 10.0, 5.0, 5.0, 10.0]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        let ctx = Context::quiet(1).unwrap();
        let data = [0.0; 4];
        let points = Points::new(&data, 4, 1).unwrap();
        assert!(initial_layout(&ctx, &empty(4), Init::Pca(&points), 2, None, 0).is_err());
        assert!(initial_layout(&ctx, &empty(5), Init::Pca(&points), 1, None, 0).is_err());
        assert!(initial_layout(&ctx, &empty(3), Init::Given(&[0.0; 4]), 2, None, 0).is_err());
        assert!(initial_layout(&ctx, &empty(1), Init::Given(&[f32::NAN]), 1, None, 0).is_err());
    }
}
