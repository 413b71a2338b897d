//! aarch64: a tile is done in four parts of 8 rows by two registers.

use super::cell::{Block, CellTile, GATHERED, Side};
use super::portable::{squares_of_products, whole_block, whole_tile};
use super::{Kernel, Lanes, PANEL, TILE_ROWS, Tile, TileColumns, TileRows, add_lanes};
use std::arch::aarch64::*;

pub(super) struct Neon;

impl Kernel for Neon {
    #[inline(always)]
    unsafe fn tile(rows: &TileRows, columns: TileColumns, out: &mut Tile) -> [u32; TILE_ROWS] {
        // SAFETY: every aarch64 has the instructions; the caller lets every row be read for as
        // many steps as the panel has; `at + 8` is at most 32, the length of a row of `out`.
        unsafe {
            for at in (0..PANEL).step_by(8) {
                let mut sums = [[vdupq_n_f32(0.0); 2]; TILE_ROWS];
                let mut first = rows.first;
                for coordinate in columns.panel.chunks_exact(2) {
                    let lanes = coordinate[at / 16].0.as_ptr().add(at % 16);
                    let a = vld1q_f32(lanes);
                    let b = vld1q_f32(lanes.add(4));
                    for r in 0..TILE_ROWS {
                        let x = vdupq_n_f32(*first[r]);
                        first[r] = first[r].wrapping_add(1);
                        sums[r][0] = vfmaq_f32(sums[r][0], x, a);
                        sums[r][1] = vfmaq_f32(sums[r][1], x, b);
                    }
                }
                for r in 0..TILE_ROWS {
                    vst1q_f32(out[r].as_mut_ptr().add(at), sums[r][0]);
                    vst1q_f32(out[r].as_mut_ptr().add(at + 4), sums[r][1]);
                }
            }
        }
        squares_of_products(rows, columns, out)
    }

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
