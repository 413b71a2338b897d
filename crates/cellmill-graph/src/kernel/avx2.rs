//! AVX2 with FMA: a tile is done in four parts of 4 rows by two registers.

use super::cell::{Block, CellTile, GATHERED, ROUND, Side};
use super::{Kernel, Lanes, PANEL, TILE_ROWS};
use std::arch::x86_64::*;

/// Rows of a part: eight sums, two columns and a row value fit the sixteen registers.
const ROWS: usize = 4;

pub(super) struct Avx2;

impl Kernel for Avx2 {
    #[inline(always)]
    unsafe fn cell_tile(
        rows: Side,
        r0: usize,
        columns: Side,
        out: &mut CellTile,
    ) -> [u32; TILE_ROWS] {
        let mut masks = [0u32; TILE_ROWS];
        // SAFETY: the caller has the instruction set and gives panels of as many pairs, and r0
        // is at most 24; two Pairs are 32 pairs of coordinates; norms, limits and each row of
        // `out` are 32 numbers, of which `16 * half + 8 * part` is at most the 24th.
        unsafe {
            for r1 in (0..TILE_ROWS).step_by(ROWS) {
                for half in 0..2 {
                    let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
                    let mut row = rows.pairs().add(r0 + r1).cast::<i32>();
                    for pairs in columns.panel.chunks_exact(2) {
                        let lanes = (&raw const pairs[half]).cast::<__m256i>();
                        let (a, b) = (_mm256_load_si256(lanes), _mm256_load_si256(lanes.add(1)));
                        for (r, sums) in sums.iter_mut().enumerate() {
                            let x = _mm256_set1_epi32(*row.add(r));
                            let (xa, xb) = (_mm256_madd_epi16(x, a), _mm256_madd_epi16(x, b));
                            sums[0] = _mm256_add_epi32(sums[0], xa);
                            sums[1] = _mm256_add_epi32(sums[1], xb);
                        }
                        row = row.wrapping_add(PANEL);
                    }
                    for r in 0..ROWS {
                        let norm = _mm256_set1_epi32(rows.norms[r0 + r1 + r]);
                        let limit = _mm256_set1_epi32(rows.limits[r0 + r1 + r]);
                        for (part, &products) in sums[r].iter().enumerate() {
                            let at = 16 * half + 8 * part;
                            let load = |numbers: &[i32; PANEL]| {
                                _mm256_loadu_si256(numbers.as_ptr().add(at).cast())
                            };
                            let sum = _mm256_add_epi32(norm, load(columns.norms));
                            let square = _mm256_sub_epi32(sum, _mm256_slli_epi32::<1>(products));
                            _mm256_storeu_si256(out[r1 + r].as_mut_ptr().add(at).cast(), square);
                            let either = _mm256_max_epi32(limit, load(columns.limits));
                            let beyond = _mm256_cmpgt_epi32(square, either);
                            let beyond = _mm256_movemask_ps(_mm256_castsi256_ps(beyond));
                            masks[r1 + r] |= (!beyond as u32 & 0xFF) << at;
                        }
                    }
                }
            }
        }
        masks
    }

    #[inline(always)]
    unsafe fn round(
        rows: &[&[Lanes]; GATHERED],
        at: usize,
        factors: &[f32; GATHERED],
        half: usize,
        block: &mut Block,
        norms: &mut [i32; GATHERED],
    ) {
        // SAFETY: the caller has the instruction set and gives rows of more than `at` Lanes and a
        // half below 2; a Lanes and a Pairs are 64 aligned bytes; norms are 16 numbers, and r0
        // is at most 8.
        unsafe {
            let magic = _mm256_set1_ps(ROUND);
            let low = _mm256_set1_epi32(0xFFFF);
            for r0 in (0..GATHERED).step_by(8) {
                // Pairs 0, 1, 4, 5 of each row in the lower half of a register, 2, 3, 6, 7 in
                // the upper one.
                let mut whole = [_mm256_setzero_si256(); 8];
                for (r, whole) in whole.iter_mut().enumerate() {
                    let row = rows[r0 + r].get_unchecked(at).0.as_ptr();
                    let factor = _mm256_set1_ps(factors[r0 + r]);
                    let mut parts = [_mm256_setzero_si256(); 2];
                    for (part, bits) in parts.iter_mut().enumerate() {
                        let x = _mm256_mul_ps(_mm256_load_ps(row.add(8 * part)), factor);
                        let x = _mm256_castps_si256(_mm256_add_ps(x, magic));
                        *bits = _mm256_and_si256(x, low);
                    }
                    *whole = _mm256_packus_epi32(parts[0], parts[1]);
                }
                // Transposed by 32 bits, by 64, by 128.
                let mut two = whole;
                for i in (0..8).step_by(2) {
                    two[i] = _mm256_unpacklo_epi32(whole[i], whole[i + 1]);
                    two[i + 1] = _mm256_unpackhi_epi32(whole[i], whole[i + 1]);
                }
                let mut four = two;
                for i in [0, 1, 4, 5] {
                    let to = i / 4 * 4 + i % 4 * 2;
                    four[to] = _mm256_unpacklo_epi64(two[i], two[i + 2]);
                    four[to + 1] = _mm256_unpackhi_epi64(two[i], two[i + 2]);
                }
                let norms = norms.as_mut_ptr().add(r0).cast();
                let mut sums = _mm256_loadu_si256(norms);
                for (i, step) in [0, 1, 4, 5].into_iter().enumerate() {
                    let (a, b) = (four[i], four[i + 4]);
                    let lower = _mm256_permute2x128_si256::<0x20>(a, b);
                    let upper = _mm256_permute2x128_si256::<0x31>(a, b);
                    for (step, all) in [(step, lower), (step + 2, upper)] {
                        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(all, all));
                        let pairs = &raw mut *block[step].get_unchecked_mut(half);
                        _mm256_store_si256(pairs.cast::<__m256i>().add(r0 / 8), all);
                    }
                }
                _mm256_storeu_si256(norms, sums);
            }
        }
    }

    #[inline(always)]
    unsafe fn squared(a: &[Lanes], b: &[Lanes]) -> f32 {
        // SAFETY: the caller has the instruction set; a Lanes is 64 aligned bytes.
        unsafe {
            let mut sums = [_mm256_setzero_ps(); 2];
            for (a, b) in a.iter().zip(b) {
                for (half, sum) in sums.iter_mut().enumerate() {
                    let a = _mm256_load_ps(a.0.as_ptr().add(8 * half));
                    let b = _mm256_load_ps(b.0.as_ptr().add(8 * half));
                    let difference = _mm256_sub_ps(a, b);
                    *sum = _mm256_fmadd_ps(difference, difference, *sum);
                }
            }
            add(sums[0], sums[1])
        }
    }

    #[inline(always)]
    unsafe fn dot(a: &[Lanes], b: &[Lanes]) -> f32 {
        // SAFETY: as above.
        unsafe {
            let mut sums = [_mm256_setzero_ps(); 2];
            for (a, b) in a.iter().zip(b) {
                for (half, sum) in sums.iter_mut().enumerate() {
                    let a = _mm256_load_ps(a.0.as_ptr().add(8 * half));
                    let b = _mm256_load_ps(b.0.as_ptr().add(8 * half));
                    *sum = _mm256_fmadd_ps(a, b, *sum);
                }
            }
            add(sums[0], sums[1])
        }
    }
}

/// Sixteen sums, the low and the high half, added in the order of `add_lanes`.
///
/// # Safety
/// The machine has AVX.
#[inline(always)]
pub(super) unsafe fn add(low: __m256, high: __m256) -> f32 {
    // SAFETY: the caller has the instruction set.
    unsafe {
        let eight = _mm256_add_ps(low, high);
        let four = _mm_add_ps(
            _mm256_castps256_ps128(eight),
            _mm256_extractf128_ps::<1>(eight),
        );
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}
