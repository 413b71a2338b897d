//! The positions of the ends of edges: read and moved.
//!
//! In two dimensions a position is eight bytes, which x86-64 moves in one go: a look at each
//! coordinate alone, or the machine's gathers, take several times as long.

use super::{LANES, Lanes};

/// The points `at`, one array an axis.
///
/// # Safety
/// Every index must be within the memory behind `points`.
#[inline(always)]
pub(super) unsafe fn gather<const D: usize>(
    points: *const [f32; D],
    at: &[u32; LANES],
) -> [Lanes; D] {
    let mut axes = [[0.0; LANES]; D];
    #[cfg(target_arch = "x86_64")]
    if D == 2 {
        use std::arch::x86_64::*;
        // SAFETY: the caller's indices are in range, a point is eight bytes, which need not be
        // aligned as such, and SSE2 is part of x86-64; four lanes are written from lane 4 q of
        // LANES.
        unsafe {
            let one = |l: usize| points.add(at[l] as usize).cast::<f64>().read_unaligned();
            for q in 0..LANES / 4 {
                let two = |l: usize| _mm_castpd_ps(_mm_setr_pd(one(l), one(l + 1)));
                let (low, high) = (two(4 * q), two(4 * q + 2));
                let x = _mm_shuffle_ps::<0b10_00_10_00>(low, high);
                let y = _mm_shuffle_ps::<0b11_01_11_01>(low, high);
                _mm_storeu_ps(axes[0].as_mut_ptr().add(4 * q), x);
                _mm_storeu_ps(axes[1].as_mut_ptr().add(4 * q), y);
            }
        }
        return axes;
    }
    for lane in 0..LANES {
        // SAFETY: the caller's indices are in range.
        let point = unsafe { *points.add(at[lane] as usize) };
        for d in 0..D {
            axes[d][lane] = point[d];
        }
    }
    axes
}

/// Adds `change` to point `at`.
///
/// # Safety
/// The index must be within the memory behind `points`.
#[inline(always)]
pub(super) unsafe fn add<const D: usize>(points: *mut [f32; D], at: u32, change: [f32; D]) {
    // SAFETY: the caller's index is in range.
    let point = unsafe { points.add(at as usize).cast::<f32>() };
    #[cfg(target_arch = "x86_64")]
    if D == 2 {
        use std::arch::x86_64::*;
        // SAFETY: a point is eight bytes, which need not be aligned as such, and SSE2 is part of
        // x86-64.
        unsafe {
            let here = _mm_castpd_ps(_mm_set_sd(point.cast::<f64>().read_unaligned()));
            let sum = _mm_add_ps(here, _mm_setr_ps(change[0], change[1], 0.0, 0.0));
            let sum = _mm_cvtsd_f64(_mm_castps_pd(sum));
            point.cast::<f64>().write_unaligned(sum);
        }
        return;
    }
    for (d, change) in change.into_iter().enumerate() {
        // SAFETY: a point has D coordinates.
        unsafe { *point.add(d) += change };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` points whose coordinates are small whole numbers, so that sums of them are exact.
    fn points<const D: usize>(n: usize) -> Vec<[f32; D]> {
        let x = |i: usize, d: usize| (i * 7 + d * 31) as f32;
        (0..n).map(|i| std::array::from_fn(|d| x(i, d))).collect()
    }

    fn check<const D: usize>() {
        let mut points = points::<D>(100);
        let at: [u32; LANES] = std::array::from_fn(|lane| (lane as u32 * 37 + 99) % 100);
        // SAFETY: all indices are below 100.
        let axes = unsafe { gather(points.as_ptr(), &at) };
        for (lane, &i) in at.iter().enumerate() {
            for d in 0..D {
                assert_eq!(axes[d][lane], points[i as usize][d]);
            }
        }
        let mut expected = points.clone();
        // The same point twice in a row: both changes count.
        for (step, i) in [3u32, 3, 0, 99].into_iter().enumerate() {
            let change = std::array::from_fn(|d| (step * D + d + 1) as f32);
            for d in 0..D {
                expected[i as usize][d] += change[d];
            }
            // SAFETY: all indices are below 100.
            unsafe { add(points.as_mut_ptr(), i, change) };
        }
        assert_eq!(points, expected);
    }

    #[test]
    fn points_are_read_and_moved_in_any_dimension() {
        check::<1>();
        check::<2>();
        check::<3>();
    }
}
