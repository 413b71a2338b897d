//! aarch64: sums within one pair in four registers; tiles of whole numbers are left to the compiler.

use super::cell::{Block, CellTile, GATHERED, Side};
use super::portable::{whole_block, whole_tile};
use super::{Kernel, Lanes, TILE_ROWS, add_lanes};
use std::arch::aarch64::*;

pub(super) struct Neon;

impl Kernel for Neon {
    #[inline(always)]
    unsafe fn cell_tile(
        rows: Side,
        r0: usize,
        columns: Side,
        out: &mut CellTile,
    ) -> [u32; TILE_ROWS] {
        // The compiler's own vectors: every aarch64 multiplies and adds whole numbers in them.
        whole_tile(rows, r0, columns, out)
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
        // As above.
        whole_block(rows, at, factors, half, block, norms);
    }

    #[inline(always)]
    unsafe fn squared(a: &[Lanes], b: &[Lanes]) -> f32 {
        // SAFETY: every aarch64 has the instructions; a Lanes is 16 floats.
        unsafe {
            let mut sums = [vdupq_n_f32(0.0); 4];
            for (a, b) in a.iter().zip(b) {
                for (part, sum) in sums.iter_mut().enumerate() {
                    let a = vld1q_f32(a.0.as_ptr().add(4 * part));
                    let b = vld1q_f32(b.0.as_ptr().add(4 * part));
                    let difference = vsubq_f32(a, b);
                    *sum = vfmaq_f32(*sum, difference, difference);
                }
            }
            add(sums)
        }
    }

    #[inline(always)]
    unsafe fn dot(a: &[Lanes], b: &[Lanes]) -> f32 {
        // SAFETY: as above.
        unsafe {
            let mut sums = [vdupq_n_f32(0.0); 4];
            for (a, b) in a.iter().zip(b) {
                for (part, sum) in sums.iter_mut().enumerate() {
                    let a = vld1q_f32(a.0.as_ptr().add(4 * part));
                    let b = vld1q_f32(b.0.as_ptr().add(4 * part));
                    *sum = vfmaq_f32(*sum, a, b);
                }
            }
            add(sums)
        }
    }
}

/// Sixteen sums added in the order of `add_lanes`.
///
/// # Safety
/// None beyond aarch64.
#[inline(always)]
unsafe fn add(sums: [float32x4_t; 4]) -> f32 {
    let mut all = [0f32; 16];
    for (part, sum) in sums.into_iter().enumerate() {
        // SAFETY: four floats are written at 0, 4, 8 or 12 of sixteen.
        unsafe { vst1q_f32(all.as_mut_ptr().add(4 * part), sum) };
    }
    add_lanes(all)
}
