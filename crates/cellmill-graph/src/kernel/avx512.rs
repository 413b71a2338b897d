//! AVX-512: a tile is 8 rows of two registers. With VNNI, products of whole numbers are multiplied
//! and added in one instruction.

use super::cell::{Block, CellTile, GATHERED, ROUND, Side};
use super::{Kernel, Lanes, PANEL, TILE_ROWS};
use std::arch::x86_64::*;

pub(super) struct Avx512<const VNNI: bool>;

impl<const VNNI: bool> Kernel for Avx512<VNNI> {
    #[inline(always)]
    unsafe fn cell_tile(
        rows: Side,
        r0: usize,
        columns: Side,
        out: &mut CellTile,
    ) -> [u32; TILE_ROWS] {
        // SAFETY: the caller has the instruction set and gives panels of as many pairs, and r0
        // is at most 24; two Pairs are 32 pairs of coordinates; norms, limits and each row of
        // `out` are 32 numbers.
        unsafe {
            let mut sums = [[_mm512_setzero_si512(); 2]; TILE_ROWS];
            let mut row = rows.pairs().add(r0).cast::<i32>();
            for pairs in columns.panel.chunks_exact(2) {
                let a = _mm512_load_si512((&raw const pairs[0]).cast());
                let b = _mm512_load_si512((&raw const pairs[1]).cast());
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = _mm512_set1_epi32(*row.add(r));
                    if VNNI {
                        sums[0] = _mm512_dpwssd_epi32(sums[0], x, a);
                        sums[1] = _mm512_dpwssd_epi32(sums[1], x, b);
                    } else {
                        let (xa, xb) = (_mm512_madd_epi16(x, a), _mm512_madd_epi16(x, b));
                        sums[0] = _mm512_add_epi32(sums[0], xa);
                        sums[1] = _mm512_add_epi32(sums[1], xb);
                    }
                }
                row = row.wrapping_add(PANEL);
            }
            let load = |numbers: &[i32; PANEL], half: usize| {
                _mm512_loadu_si512(numbers.as_ptr().add(16 * half).cast())
            };
            let mut masks = [0u32; TILE_ROWS];
            for r in 0..TILE_ROWS {
                let norm = _mm512_set1_epi32(rows.norms[r0 + r]);
                let limit = _mm512_set1_epi32(rows.limits[r0 + r]);
                for (half, &products) in sums[r].iter().enumerate() {
                    let sum = _mm512_add_epi32(norm, load(columns.norms, half));
                    let square = _mm512_sub_epi32(sum, _mm512_slli_epi32::<1>(products));
                    _mm512_storeu_si512(out[r].as_mut_ptr().add(16 * half).cast(), square);
                    let either = _mm512_max_epi32(limit, load(columns.limits, half));
                    let mask = _mm512_cmple_epi32_mask(square, either);
                    masks[r] |= u32::from(mask) << (16 * half);
                }
            }
            masks
        }
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
        // half below 2; a Lanes and a Pairs are 64 aligned bytes; norms are 16 numbers.
        unsafe {
            let magic = _mm512_set1_ps(ROUND);
            // The low 16 bits of row r, and in the upper half of the register of row r + 8.
            let low = _mm512_set_epi16(
                62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26, 24, 22,
                20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0,
            );
            let mut whole = [_mm512_setzero_si512(); 8];
            for (r, whole) in whole.iter_mut().enumerate() {
                let mut bits = [_mm512_setzero_si512(); 2];
                for (bits, r) in bits.iter_mut().zip([r, r + 8]) {
                    let x = _mm512_load_ps(rows[r].get_unchecked(at).0.as_ptr());
                    let x = _mm512_mul_ps(x, _mm512_set1_ps(factors[r]));
                    *bits = _mm512_castps_si512(_mm512_add_ps(x, magic));
                }
                *whole = _mm512_permutex2var_epi16(bits[0], low, bits[1]);
            }
            // Both halves are transposed: by 32 bits, by 64, by 128.
            let mut two = whole;
            for i in (0..8).step_by(2) {
                two[i] = _mm512_unpacklo_epi32(whole[i], whole[i + 1]);
                two[i + 1] = _mm512_unpackhi_epi32(whole[i], whole[i + 1]);
            }
            let mut four = two;
            for i in [0, 1, 4, 5] {
                let to = i / 4 * 4 + i % 4 * 2;
                four[to] = _mm512_unpacklo_epi64(two[i], two[i + 2]);
                four[to + 1] = _mm512_unpackhi_epi64(two[i], two[i + 2]);
            }
            let even = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
            let odd = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
            let mut sums = _mm512_loadu_si512(norms.as_ptr().cast());
            for (step, pairs) in block.iter_mut().enumerate() {
                let lanes = if step < 4 { even } else { odd };
                let all = _mm512_permutex2var_epi64(four[step % 4], lanes, four[step % 4 + 4]);
                sums = _mm512_add_epi32(sums, _mm512_madd_epi16(all, all));
                _mm512_store_si512((&raw mut *pairs.get_unchecked_mut(half)).cast(), all);
            }
            _mm512_storeu_si512(norms.as_mut_ptr().cast(), sums);
        }
    }

    #[inline(always)]
    unsafe fn squared(a: &[Lanes], b: &[Lanes]) -> f32 {
        // SAFETY: the caller has the instruction set; a Lanes is 64 aligned bytes.
        unsafe {
            let mut sums = _mm512_setzero_ps();
            for (a, b) in a.iter().zip(b) {
                let difference =
                    _mm512_sub_ps(_mm512_load_ps(a.0.as_ptr()), _mm512_load_ps(b.0.as_ptr()));
                sums = _mm512_fmadd_ps(difference, difference, sums);
            }
            add(sums)
        }
    }

    #[inline(always)]
    unsafe fn dot(a: &[Lanes], b: &[Lanes]) -> f32 {
        // SAFETY: as above.
        unsafe {
            let mut sums = _mm512_setzero_ps();
            for (a, b) in a.iter().zip(b) {
                let (a, b) = (_mm512_load_ps(a.0.as_ptr()), _mm512_load_ps(b.0.as_ptr()));
                sums = _mm512_fmadd_ps(a, b, sums);
            }
            add(sums)
        }
    }
}

/// Sixteen sums added in the order of `add_lanes`.
///
/// # Safety
/// The machine has AVX-512 F and DQ.
#[inline(always)]
unsafe fn add(sums: __m512) -> f32 {
    // SAFETY: the caller has the instruction set.
    unsafe {
        super::avx2::add(
            _mm512_castps512_ps256(sums),
            _mm512_extractf32x8_ps::<1>(sums),
        )
    }
}
