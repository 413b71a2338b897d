//! The leading eigenvectors of a matrix that is in memory: block Lanczos.

use super::space::{Ritz, Space};
use super::{SEED, random_block};
use crate::{Context, Result};
use faer::Mat;
use rayon::prelude::*;

/// Columns of a block: a cache line, and more than the equal eigenvalues that are told apart.
const WIDTH: usize = 8;
/// Columns of the product that a task makes.
const PANEL: usize = 64;
/// Columns by which the space grows at least between two looks at what it holds.
const LOOK: usize = 64;
/// Share of the largest value that residuals need not be below: what rounding reaches. Where it does
/// not, there is the full decomposition.
const FLOOR: f64 = 1e-14;
/// Traces of matrices whose residuals neither overflow nor underflow.
const SIZES: std::ops::Range<f64> = 1e-100..1e100;
/// Values that are nearer than this share of the largest count as equal.
const EQUAL: f64 = 1e-9;

/// The `n` leading eigenvalues of the symmetric, positive semi-definite `matrix` (all of it is
/// read) and their vectors, as columns: block Lanczos with all of the basis orthogonal (Golub and
/// Underwood 1977), from a random block, until residuals are 1e-7 of the gap between values (or what
/// rounding leaves of the largest). The bits do not depend on the number of threads.
///
/// `None` where a full decomposition is the better way: a small matrix, many vectors, a space that is
/// exhausted, as many equal values as a block is wide (more of them would not be seen), numbers
/// beyond all measure.
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub(in crate::linalg) fn leading(
    ctx: &Context,
    matrix: &Mat<f64>,
    n: usize,
) -> Result<Option<(Vec<f64>, Mat<f64>)>> {
    let k = matrix.nrows();
    let most = (12 * n + 4 * LOOK).min(k / 2);
    let last = most - most % WIDTH;
    let mut look = 4 * n + LOOK;
    let trace: f64 = (0..k).map(|i| matrix[(i, i)]).sum();
    if last < look + LOOK || !SIZES.contains(&trace) {
        return Ok(None);
    }
    let mut space = Space::new(k, most);
    let mut grown = space.append(ctx, random_block(k, WIDTH, SEED), 0.0)?;
    while grown == WIDTH {
        let mut w = times(ctx, matrix, &space.newest());
        space.take(ctx, &mut w)?;
        let used = space.used();
        if used >= look {
            look = (used + LOOK.max(used / 4)).min(last);
            let ritz = space.ritz(&w)?;
            if ritz.open(n, FLOOR) == 0 {
                return found(ctx, &space, ritz, n);
            }
            if used == last {
                break;
            }
        }
        grown = space.append(ctx, w, trace)?;
    }
    Ok(None)
}

fn found(
    ctx: &Context,
    space: &Space,
    mut ritz: Ritz,
    n: usize,
) -> Result<Option<(Vec<f64>, Mat<f64>)>> {
    let values = &ritz.values[..n];
    let crowded = values
        .windows(WIDTH)
        .any(|run| run[0] - run[WIDTH - 1] <= EQUAL * values[0]);
    if crowded {
        return Ok(None);
    }
    let vectors = space.vectors(ctx, &ritz, n)?;
    ritz.values.truncate(n);
    Ok(Some((ritz.values, vectors)))
}

/// The symmetric `matrix` times the row-major `rows` of [`WIDTH`] numbers.
fn times(ctx: &Context, matrix: &Mat<f64>, rows: &[f64]) -> Mat<f64> {
    let mut product = Mat::zeros(matrix.nrows(), WIDTH);
    let arch = pulp::Arch::new();
    ctx.pool().install(|| {
        product
            .par_row_chunks_mut(PANEL)
            .enumerate()
            .for_each(|(panel, mut part)| {
                for i in 0..part.nrows() {
                    // A row is a column.
                    let row = matrix.col_as_slice(panel * PANEL + i);
                    let sums = arch.dispatch(Row { row, rows });
                    for (j, sum) in sums.into_iter().enumerate() {
                        part[(i, j)] = sum;
                    }
                }
            });
    });
    product
}

/// A row of the matrix times a block.
struct Row<'a> {
    row: &'a [f64],
    rows: &'a [f64],
}

impl pulp::WithSimd for Row<'_> {
    type Output = [f64; WIDTH];

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) -> [f64; WIDTH] {
        // As many sums as hide the time of an addition; they are added up in a fixed order.
        const LANES: usize = 4;
        let mut sums = [[0.0; WIDTH]; LANES];
        let whole = self.row.chunks_exact(LANES);
        let blocks = self.rows.chunks_exact(LANES * WIDTH);
        let rest = (whole.remainder(), blocks.remainder());
        let mut add = |lane: usize, x: f64, of: &[f64]| {
            for j in 0..WIDTH {
                sums[lane][j] += x * of[j];
            }
        };
        for (x, of) in whole.zip(blocks) {
            for lane in 0..LANES {
                add(lane, x[lane], &of[lane * WIDTH..(lane + 1) * WIDTH]);
            }
        }
        for (lane, (&x, of)) in rest.0.iter().zip(rest.1.chunks_exact(WIDTH)).enumerate() {
            add(lane, x, of);
        }
        std::array::from_fn(|j| (sums[0][j] + sums[1][j]) + (sums[2][j] + sums[3][j]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faer::{Par, Side};

    /// Q diag(values) Qᵀ, of a random Q.
    fn matrix_of(values: &[f64]) -> Mat<f64> {
        faer::set_global_parallelism(Par::Seq);
        let k = values.len();
        let q = random_block(k, k, 7).qr().compute_thin_Q();
        let scaled = Mat::from_fn(k, k, |i, j| q[(i, j)] * values[j]);
        let matrix = scaled * q.transpose();
        Mat::from_fn(k, k, |i, j| matrix[(i.max(j), i.min(j))])
    }

    /// A few large values, and a long tail of values that are near each other.
    fn spectrum(k: usize) -> Vec<f64> {
        let tail = |i: usize| 1.0 / (1.0 + i as f64 / 40.0);
        (0..k)
            .map(|i| tail(i) + if i < 6 { 40.0 / (1.0 + i as f64) } else { 0.0 })
            .collect()
    }

    #[test]
    fn finds_what_a_full_decomposition_gives() {
        let ctx = Context::quiet(2).unwrap();
        for (k, n) in [(600, 20), (701, 50), (900, 7)] {
            let matrix = matrix_of(&spectrum(k));
            let (values, vectors) = leading(&ctx, &matrix, n).unwrap().unwrap();
            let eigen = matrix.self_adjoint_eigen(Side::Lower).unwrap();
            for j in 0..n {
                let (value, exact) = (eigen.S().column_vector()[k - 1 - j], k - 1 - j);
                assert!((values[j] - value).abs() < 1e-11 * values[0]);
                let dot: f64 = (0..k)
                    .map(|i| vectors[(i, j)] * eigen.U()[(i, exact)])
                    .sum();
                // The square of the sine of the angle.
                assert!(1.0 - dot * dot < 1e-13, "{k}, {j}: {dot}");
            }
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let matrix = matrix_of(&spectrum(640));
        let found = |threads| {
            let ctx = Context::quiet(threads).unwrap();
            leading(&ctx, &matrix, 30).unwrap().unwrap()
        };
        let one = found(1);
        assert!(found(2) == one && found(5) == one);
    }

    #[test]
    fn leaves_what_it_cannot_tell_apart() {
        let ctx = Context::quiet(2).unwrap();
        let with = |range: std::ops::Range<usize>, value: f64| {
            let mut values = spectrum(640);
            values[range].fill(value);
            leading(&ctx, &matrix_of(&values), 20).unwrap()
        };
        // As many equal values as a block has columns, and more; a matrix of low rank; another scale.
        assert!(with(8..8 + WIDTH, 2.0).is_none());
        assert!(with(4..30, 2.0).is_none());
        assert!(with(12..640, 0.0).is_none());
        // Some equal values are found, all of them.
        let (values, _) = with(8..8 + WIDTH / 2, 2.0).unwrap();
        assert!(values.iter().filter(|&v| (v - 2.0).abs() < 1e-9).count() == WIDTH / 2);
        // Columns that have nothing to do with each other, two of them alike.
        let mut values = spectrum(640);
        values[9] = values[8];
        let diagonal = Mat::from_fn(640, 640, |i, j| if i == j { values[i] } else { 0.0 });
        let (found, _) = leading(&ctx, &diagonal, 20).unwrap().unwrap();
        values.sort_by(|a, b| b.total_cmp(a));
        assert!(
            found
                .iter()
                .zip(&values)
                .all(|(a, b)| (a - b).abs() < 1e-11)
        );
        let tiny = matrix_of(&spectrum(640)) * faer::Scale(1e-200);
        assert!(leading(&ctx, &tiny, 20).unwrap().is_none());
        // Too small, too many.
        assert!(
            leading(&ctx, &matrix_of(&spectrum(300)), 50)
                .unwrap()
                .is_none()
        );
    }
}
