//! Plain Rust, the definition of what every other kernel computes.

use super::{Kernel, Lanes, PANEL, TILE_ROWS, Tile, TileColumns, TileRows, add_lanes};

pub(super) struct Portable;

impl Kernel for Portable {
    #[inline(always)]
    unsafe fn tile(rows: &TileRows, columns: TileColumns, out: &mut Tile) -> [u32; TILE_ROWS] {
        for (r, out) in out.iter_mut().enumerate() {
            let mut products = [0f32; PANEL];
            for (k, coordinate) in columns.panel.chunks_exact(2).enumerate() {
                // SAFETY: the caller lets every row be read for as many steps as the panel has.
                let x = unsafe { *rows.first[r].add(k * rows.step) };
                for c in 0..PANEL {
                    products[c] = x.mul_add(coordinate[c / 16].0[c % 16], products[c]);
                }
            }
            *out = products;
        }
        squares_of_products(rows, columns, out)
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

/// Turns inner products into squared distances, and says which are within a limit.
#[inline(always)]
pub(super) fn squares_of_products(
    rows: &TileRows,
    columns: TileColumns,
    tile: &mut Tile,
) -> [u32; TILE_ROWS] {
    let mut masks = [0u32; TILE_ROWS];
    for (r, out) in tile.iter_mut().enumerate() {
        for (c, value) in out.iter_mut().enumerate() {
            *value = (-2f32).mul_add(*value, rows.norms[r] + columns.norms[c]);
            let limit = if rows.limits[r] > columns.limits[c] {
                rows.limits[r]
            } else {
                columns.limits[c]
            };
            masks[r] |= u32::from(*value <= limit) << c;
        }
    }
    masks
}
