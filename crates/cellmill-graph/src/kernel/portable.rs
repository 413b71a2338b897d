//! Plain Rust, the definition of what every other kernel computes.

use super::cell::{Block, CellTile, GATHERED, ROUND, Side};
use super::{Kernel, Lanes, PANEL, TILE_ROWS, add_lanes};

pub(super) struct Portable;

impl Kernel for Portable {
    #[inline(always)]
    unsafe fn cell_tile(
        rows: Side,
        r0: usize,
        columns: Side,
        out: &mut CellTile,
    ) -> [u32; TILE_ROWS] {
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
        whole_block(rows, at, factors, half, block, norms);
    }

    #[inline(always)]
    unsafe fn squared(a: &[Lanes], b: &[Lanes]) -> f32 {
        let mut sums = [0f32; 16];
        for (a, b) in a.iter().zip(b) {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let difference = a.0[lane] - b.0[lane];
                *sum = difference.mul_add(difference, *sum);
            }
        }
        add_lanes(sums)
    }

    #[inline(always)]
    unsafe fn dot(a: &[Lanes], b: &[Lanes]) -> f32 {
        let mut sums = [0f32; 16];
        for (a, b) in a.iter().zip(b) {
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum = a.0[lane].mul_add(b.0[lane], *sum);
            }
        }
        add_lanes(sums)
    }
}

/// Squared distances of 8 x 32 pairs in whole numbers.
#[inline(always)]
pub(super) fn whole_tile(
    rows: Side,
    r0: usize,
    columns: Side,
    out: &mut CellTile,
) -> [u32; TILE_ROWS] {
    let mut masks = [0u32; TILE_ROWS];
    for (r, out) in out.iter_mut().enumerate() {
        let i = r0 + r;
        let mut products = [0i32; PANEL];
        let (row_steps, column_steps) =
            (rows.panel.as_chunks::<2>(), columns.panel.as_chunks::<2>());
        for (row, pairs) in row_steps.0.iter().zip(column_steps.0) {
            let x = row[i / 16].0[i % 16].map(i32::from);
            for (products, pairs) in products.as_chunks_mut::<16>().0.iter_mut().zip(pairs) {
                for (product, y) in products.iter_mut().zip(&pairs.0) {
                    *product += x[0] * i32::from(y[0]) + x[1] * i32::from(y[1]);
                }
            }
        }
        for (c, square) in out.iter_mut().enumerate() {
            *square = rows.norms[i] + columns.norms[c] - 2 * products[c];
            masks[r] |= u32::from(*square <= rows.limits[i].max(columns.limits[c])) << c;
        }
    }
    masks
}

/// Sixteen coordinates of sixteen points in whole numbers.
#[inline(always)]
pub(super) fn whole_block(
    rows: &[&[Lanes]; GATHERED],
    at: usize,
    factors: &[f32; GATHERED],
    half: usize,
    block: &mut Block,
    norms: &mut [i32; GATHERED],
) {
    for (r, (row, factor)) in rows.iter().zip(factors).enumerate() {
        let whole = row[at].0.map(|x| (x * factor + ROUND).to_bits() as i16);
        norms[r] += whole
            .iter()
            .map(|&x| i32::from(x) * i32::from(x))
            .sum::<i32>();
        for (pairs, &two) in block.iter_mut().zip(whole.as_chunks::<2>().0) {
            pairs[half].0[r] = two;
        }
    }
}
