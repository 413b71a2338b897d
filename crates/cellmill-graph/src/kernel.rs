//! The SIMD kernels, chosen at run time: those of the neighbour search, one file for each
//! instruction set, those of the layout in `layout`, and that of the fuzzy set in `smooth`.
//!
//! Every instruction set gives the same bits. Pairs in a cell, and points and leaders, are compared in
//! whole numbers, whose sums are exact. Sums within one pair use sixteen running sums, added in one
//! fixed order. Where the machine has no fused multiply-add the portable kernel computes it in
//! software: right, and slow.
//!
//! This module and its children hold the unsafe code of the crate but for one call in `trim`, behind
//! safe functions that check lengths and never run an instruction set that the machine lacks.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod cell;
pub(crate) mod layout;
mod leaders;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod rows;
mod smooth;

pub(crate) use cell::{CellPanels, Digits, gather_cell, search_pairs};
pub(crate) use leaders::{JOINED, near_panel, nearest_leaders};
pub(crate) use rows::{
    empty, key, list_length, merge_rows, projections, sequential_norms, squared_distances,
};
pub(crate) use smooth::{POINTS, smooth};

use serde::{Deserialize, Serialize};

/// An instruction set that kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isa {
    /// x86-64 with AVX-512 F, BW, DQ, VL and VNNI.
    Avx512Vnni,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// aarch64.
    Neon,
    /// Plain Rust.
    Portable,
}

impl Isa {
    /// Every instruction set, the best first.
    const ALL: [Isa; 5] = [
        Isa::Avx512Vnni,
        Isa::Avx512,
        Isa::Avx2,
        Isa::Neon,
        Isa::Portable,
    ];

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => is_x86_feature_detected!("avx512vnni") && Isa::Avx512.is_available(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && Isa::Avx2.is_available()
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("popcnt")
                    && is_x86_feature_detected!("lzcnt")
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => true,
            Isa::Portable => true,
            _ => false,
        }
    }

    /// Every instruction set that this machine has, the best first.
    pub fn available() -> Vec<Isa> {
        Isa::ALL
            .into_iter()
            .filter(|isa| isa.is_available())
            .collect()
    }
}

/// The instruction set that the kernels run on.
///
/// ```
/// assert!(cellmill_graph::kernel::isa().is_available());
/// ```
pub fn isa() -> Isa {
    Isa::ALL
        .into_iter()
        .find(|isa| isa.is_available())
        .unwrap_or(Isa::Portable)
}

/// Sixteen coordinates, the unit that rows of points are padded to.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lanes(pub [f32; 16]);

impl Lanes {
    pub(crate) const ZERO: Self = Self([0.0; 16]);
}

/// Rows and columns of a tile of inner products.
pub(crate) const TILE_ROWS: usize = 8;
/// See [`TILE_ROWS`].
pub(crate) const PANEL: usize = 32;

/// What an instruction set has to offer.
///
/// The methods are `inline(always)` and carry no `target_feature` themselves: they are inlined
/// into functions that do.
trait Kernel {
    /// Squared distances of 8 x 32 pairs in whole numbers, from the points r0.. of one side to
    /// those of the other; bit `c` of mask `r` is set where the distance is at most the larger
    /// limit of both.
    ///
    /// # Safety
    /// The machine has the instruction set; both panels have as many pairs; r0 is 0, 8, 16 or 24.
    unsafe fn cell_tile(
        rows: cell::Side,
        r0: usize,
        columns: cell::Side,
        out: &mut cell::CellTile,
    ) -> [u32; TILE_ROWS];

    /// Lanes `at` of sixteen rows, times the factor of each row and rounded to whole numbers
    /// (halves to even), into one half of `block`. Adds their squares to `norms`.
    ///
    /// # Safety
    /// The machine has the instruction set; every row has more than `at` Lanes; half is 0 or 1.
    unsafe fn round(
        rows: &[&[Lanes]; cell::GATHERED],
        at: usize,
        factors: &[f32; cell::GATHERED],
        half: usize,
        block: &mut cell::Block,
        norms: &mut [i32; cell::GATHERED],
    );

    /// Σ (a − b)² in sixteen running sums.
    ///
    /// # Safety
    /// The machine has the instruction set.
    unsafe fn squared(a: &[Lanes], b: &[Lanes]) -> f32;

    /// Σ a b in sixteen running sums.
    ///
    /// # Safety
    /// The machine has the instruction set.
    unsafe fn dot(a: &[Lanes], b: &[Lanes]) -> f32;
}

/// Asks for a row before it is needed, where the machine can be asked.
#[inline(always)]
pub(crate) fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..size_of_val(row)).step_by(64) {
        // SAFETY: SSE is part of x86-64, and a prefetch reads nothing.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().cast::<i8>().wrapping_add(line));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// Asks for the elements `at` of an array that begins at `first` before they are needed, where the
/// machine can be asked.
#[inline(always)]
pub(crate) fn prefetch_at<T>(first: *const T, at: &[u32]) {
    #[cfg(target_arch = "x86_64")]
    for &i in at {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(i as usize).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (first, at);
}

/// Rows that are asked for ahead of the one that is read.
pub(crate) const AHEAD: usize = 8;

/// Asks for what a walk along rows will read. `ahead(k)` is the row that comes k steps from now:
/// `start` asks for where one begins, then `expect` for its entries, and then the elements of an array
/// at `table` are asked for that the entries, `entries`, point to.
#[inline]
pub(crate) fn expect_along<'a, T>(
    ahead: impl Fn(usize) -> Option<u32>,
    start: impl Fn(usize),
    expect: impl Fn(usize),
    entries: impl Fn(usize) -> &'a [u32],
    table: *const T,
) {
    if let Some(later) = ahead(3 * AHEAD) {
        start(later as usize);
    }
    if let Some(later) = ahead(2 * AHEAD) {
        expect(later as usize);
    }
    if let Some(later) = ahead(AHEAD) {
        prefetch_at(table, entries(later as usize));
    }
}

/// The fixed order in which sixteen running sums are added.
#[inline(always)]
fn add_lanes(s: [f32; 16]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| s[i] + s[i + 8]);
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// Defines a safe function that runs a body, generic over [`Kernel`], on the instruction set
/// asked for, or on the portable one where the machine lacks it (the bits are the same).
macro_rules! dispatched {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(isa: $crate::kernel::Isa, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,bmi1,bmi2,popcnt,lzcnt")]
            #[allow(clippy::too_many_arguments)]
            fn avx512vnni($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::kernel::avx512::Avx512<true>>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,popcnt,lzcnt")]
            #[allow(clippy::too_many_arguments)]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::kernel::avx512::Avx512<false>>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,bmi1,bmi2,popcnt,lzcnt")]
            #[allow(clippy::too_many_arguments)]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::kernel::avx2::Avx2>($($arg),*)
            }
            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the machine has the instruction set, as was just asked.
                $crate::kernel::Isa::Avx512Vnni if isa.is_available() => unsafe {
                    avx512vnni($($arg),*)
                },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::kernel::Isa::Avx512 if isa.is_available() => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::kernel::Isa::Avx2 if isa.is_available() => unsafe { avx2($($arg),*) },
                #[cfg(target_arch = "aarch64")]
                $crate::kernel::Isa::Neon => $body::<$crate::kernel::neon::Neon>($($arg),*),
                _ => $body::<$crate::kernel::portable::Portable>($($arg),*),
            }
        }
    };
}
use dispatched;
