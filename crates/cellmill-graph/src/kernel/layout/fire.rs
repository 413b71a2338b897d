//! Which edges fire in an epoch.
//!
//! The schedule has no state: an edge fires when its phase, which advances by its rate, wraps.
//! The phase of edge e in epoch t is e times the golden ratio plus t times the rate, modulo 2^32.

use super::{EdgeList, LANES};
use std::ops::Range;

/// Edges whose schedule is looked at in one go.
pub(super) const BATCH: usize = 4096;
/// The golden ratio in 32 bits: consecutive edges start far apart in the schedule.
const STRIDE: u32 = 0x9E37_79B9;

/// The ends of the edges that fire, in the order of the list.
pub(super) struct Fired {
    pub(super) head: [u32; BATCH + LANES],
    pub(super) tail: [u32; BATCH + LANES],
}

impl Fired {
    pub(super) fn none() -> Self {
        Self {
            head: [0; BATCH + LANES],
            tail: [0; BATCH + LANES],
        }
    }
}

/// A way to look at the schedule, several edges at a time.
pub(super) trait Fire {
    /// Edges that are looked at at once.
    const WIDTH: usize;

    /// As [`fire`], of a range that is a multiple of `WIDTH` long.
    ///
    /// # Safety
    /// The machine has the instruction set; the range lies in the list and is no longer than
    /// [`BATCH`].
    unsafe fn several(
        edges: &EdgeList,
        range: Range<usize>,
        epoch: u32,
        fired: &mut Fired,
    ) -> usize;
}

/// Collects the edges of `range`, at most [`BATCH`], that fire in `epoch`. Returns how many do;
/// what lies behind them in `fired` is anything.
///
/// # Safety
/// The machine has the instruction set.
///
/// # Panics
/// When the range is too long or does not lie in the list.
#[inline(always)]
pub(super) unsafe fn fire<F: Fire>(
    edges: &EdgeList,
    range: Range<usize>,
    epoch: u32,
    fired: &mut Fired,
) -> usize {
    assert!(range.len() <= BATCH && range.end <= edges.len());
    let whole = range.start + range.len() / F::WIDTH * F::WIDTH;
    // SAFETY: the caller has the instruction set; the range was just checked.
    let count = unsafe { F::several(edges, range.start..whole, epoch, fired) };
    one_by_one(edges, whole..range.end, epoch, fired, count)
}

pub(super) struct Portable;

impl Fire for Portable {
    const WIDTH: usize = 1;

    #[inline(always)]
    unsafe fn several(
        edges: &EdgeList,
        range: Range<usize>,
        epoch: u32,
        fired: &mut Fired,
    ) -> usize {
        one_by_one(edges, range, epoch, fired, 0)
    }
}

/// As [`fire`], after `count` that fired before.
#[inline(always)]
fn one_by_one(
    edges: &EdgeList,
    range: Range<usize>,
    epoch: u32,
    fired: &mut Fired,
    mut count: usize,
) -> usize {
    let mut phase = (range.start as u32).wrapping_mul(STRIDE);
    let heads = &edges.head[range.clone()];
    let tails = &edges.tail[range.clone()];
    let rates = &edges.rate[range];
    for ((&head, &tail), &rate) in heads.iter().zip(tails).zip(rates) {
        let slot = count & (BATCH - 1);
        fired.head[slot] = head;
        fired.tail[slot] = tail;
        count += usize::from(phase.wrapping_add(epoch.wrapping_mul(rate)) < rate);
        phase = phase.wrapping_add(STRIDE);
    }
    count
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use std::arch::x86_64::*;

    pub(in super::super) struct Avx512;

    impl Fire for Avx512 {
        const WIDTH: usize = 16;

        #[inline(always)]
        unsafe fn several(
            edges: &EdgeList,
            range: Range<usize>,
            epoch: u32,
            fired: &mut Fired,
        ) -> usize {
            let mut count = 0;
            // SAFETY: the caller has AVX-512 F and a range of the list, whose three arrays have one
            // length; sixteen numbers are written where at most BATCH - 16 fired before.
            unsafe {
                let lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
                let first = _mm512_add_epi32(_mm512_set1_epi32(range.start as i32), lane);
                let mut phase = _mm512_mullo_epi32(first, _mm512_set1_epi32(STRIDE as i32));
                let advance = _mm512_set1_epi32(STRIDE.wrapping_mul(16) as i32);
                let epochs = _mm512_set1_epi32(epoch as i32);
                for at in range.step_by(Self::WIDTH) {
                    let rate = _mm512_loadu_si512(edges.rate.as_ptr().add(at).cast());
                    let now = _mm512_add_epi32(phase, _mm512_mullo_epi32(epochs, rate));
                    phase = _mm512_add_epi32(phase, advance);
                    let mask = _mm512_cmplt_epu32_mask(now, rate);
                    let head = _mm512_loadu_si512(edges.head.as_ptr().add(at).cast());
                    let tail = _mm512_loadu_si512(edges.tail.as_ptr().add(at).cast());
                    // To a register and then to memory: to memory at once is slow on some.
                    let head = _mm512_maskz_compress_epi32(mask, head);
                    let tail = _mm512_maskz_compress_epi32(mask, tail);
                    _mm512_storeu_si512(fired.head.as_mut_ptr().add(count).cast(), head);
                    _mm512_storeu_si512(fired.tail.as_mut_ptr().add(count).cast(), tail);
                    count += mask.count_ones() as usize;
                }
            }
            count
        }
    }

    pub(in super::super) struct Avx2;

    /// For each mask of eight, the lanes that it has, first.
    static LANES_OF: [[u32; 8]; 256] = {
        let mut table = [[0; 8]; 256];
        let mut mask = 0;
        while mask < 256 {
            let (mut lane, mut slot) = (0, 0);
            while lane < 8 {
                if mask >> lane & 1 == 1 {
                    table[mask][slot] = lane;
                    slot += 1;
                }
                lane += 1;
            }
            mask += 1;
        }
        table
    };

    impl Fire for Avx2 {
        const WIDTH: usize = 8;

        #[inline(always)]
        unsafe fn several(
            edges: &EdgeList,
            range: Range<usize>,
            epoch: u32,
            fired: &mut Fired,
        ) -> usize {
            let mut count = 0;
            // SAFETY: as for AVX-512, with eight edges and AVX2; a mask of eight is below 256.
            unsafe {
                let lane = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
                let first = _mm256_add_epi32(_mm256_set1_epi32(range.start as i32), lane);
                let mut phase = _mm256_mullo_epi32(first, _mm256_set1_epi32(STRIDE as i32));
                let advance = _mm256_set1_epi32(STRIDE.wrapping_mul(8) as i32);
                let epochs = _mm256_set1_epi32(epoch as i32);
                // Signed comparison orders unsigned numbers whose highest bit is flipped.
                let flip = _mm256_set1_epi32(i32::MIN);
                for at in range.step_by(Self::WIDTH) {
                    let rate = _mm256_loadu_si256(edges.rate.as_ptr().add(at).cast());
                    let now = _mm256_add_epi32(phase, _mm256_mullo_epi32(epochs, rate));
                    phase = _mm256_add_epi32(phase, advance);
                    let fires = _mm256_cmpgt_epi32(
                        _mm256_xor_si256(rate, flip),
                        _mm256_xor_si256(now, flip),
                    );
                    let mask = _mm256_movemask_ps(_mm256_castsi256_ps(fires)) as usize;
                    let lanes = _mm256_loadu_si256(LANES_OF.as_ptr().add(mask).cast());
                    let head = _mm256_loadu_si256(edges.head.as_ptr().add(at).cast());
                    let tail = _mm256_loadu_si256(edges.tail.as_ptr().add(at).cast());
                    let head = _mm256_permutevar8x32_epi32(head, lanes);
                    let tail = _mm256_permutevar8x32_epi32(tail, lanes);
                    _mm256_storeu_si256(fired.head.as_mut_ptr().add(count).cast(), head);
                    _mm256_storeu_si256(fired.tail.as_mut_ptr().add(count).cast(), tail);
                    count += mask.count_ones() as usize;
                }
            }
            count
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Isa;

    fn edges(n: u32) -> EdgeList {
        let mut edges = EdgeList::new(n as usize, n as usize, n as usize);
        for i in 0..n {
            edges.push(i, n - 1 - i, (i + 1).wrapping_mul(4_000_037));
        }
        edges
    }

    fn fire_on(isa: Isa, edges: &EdgeList, range: Range<usize>, epoch: u32) -> Vec<(u32, u32)> {
        let mut fired = Fired::none();
        // SAFETY: only instruction sets that the machine has are asked for.
        let count = unsafe {
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 | Isa::Avx512Vnni => fire::<Avx512>(edges, range, epoch, &mut fired),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => fire::<Avx2>(edges, range, epoch, &mut fired),
                _ => fire::<Portable>(edges, range, epoch, &mut fired),
            }
        };
        let ends = fired.head.into_iter().zip(fired.tail);
        ends.take(count).collect()
    }

    #[test]
    fn an_edge_fires_as_often_as_its_rate_says() {
        let edges = edges(1000);
        let mut fired = vec![0; 1000];
        for epoch in 0..200 {
            for (head, _) in fire_on(Isa::Portable, &edges, 0..1000, epoch) {
                fired[head as usize] += 1;
            }
        }
        for (i, fired) in fired.into_iter().enumerate() {
            let expected = 200.0 * f64::from(edges.rate[i]) / 4_294_967_296.0;
            assert!(
                (f64::from(fired) - expected).abs() <= 1.0,
                "{i}: {fired} {expected}"
            );
        }
    }

    #[test]
    fn every_instruction_set_lets_the_same_edges_fire() {
        let edges = edges(9000);
        for range in [
            0..0,
            0..1,
            3..18,
            5..4000,
            100..4196,
            8999..9000,
            4904..9000,
        ] {
            for epoch in [0, 1, 7, 199] {
                let expected = fire_on(Isa::Portable, &edges, range.clone(), epoch);
                for isa in Isa::available() {
                    let found = fire_on(isa, &edges, range.clone(), epoch);
                    assert_eq!(found, expected, "{isa:?} {range:?} {epoch}");
                }
            }
        }
        // All at once fill the batch to its end.
        let mut all = EdgeList::new(BATCH, BATCH, BATCH);
        (0..BATCH as u32).for_each(|i| all.push(i, i, u32::MAX));
        for isa in Isa::available() {
            let found = fire_on(isa, &all, 0..BATCH, 3);
            assert_eq!(found, fire_on(Isa::Portable, &all, 0..BATCH, 3), "{isa:?}");
            assert!(found.len() > BATCH - 3);
        }
    }
}
