//! The layout's kernel: stochastic gradient steps on 32 edges at a time.
//!
//! A lane is an edge. The positions of both ends are gathered, the pull and then the pushes of
//! the negative samples are computed lane by lane, and the changes are added to both ends one
//! lane after the other, so that lanes which share an end add up. Multiplications and additions
//! are never fused and divisions are true ones: the bits are the same on every instruction set.

mod ends;
mod fire;

use super::{Isa, prefetch_at};
use fire::{BATCH, Fire, Fired};

/// Edges in one step.
pub(crate) const LANES: usize = 32;
/// Negative samples in a pool.
pub(crate) const POOL: usize = 16_384;

/// Edges from one range of points to another (or the same), with the schedule's rates.
///
/// Indices are below `heads` and `tails`: checked where an edge is added, relied on by [`step`].
#[derive(Debug, Clone, Default)]
pub(crate) struct EdgeList {
    head: Vec<u32>,
    tail: Vec<u32>,
    rate: Vec<u32>,
    heads: usize,
    tails: usize,
}

impl EdgeList {
    /// An empty list from `heads` points to `tails` points, with room for `edges`.
    pub(crate) fn new(heads: usize, tails: usize, edges: usize) -> Self {
        Self {
            head: Vec::with_capacity(edges),
            tail: Vec::with_capacity(edges),
            rate: Vec::with_capacity(edges),
            heads,
            tails,
        }
    }

    /// Adds an edge that fires in about `rate` / 2^32 of the epochs.
    pub(crate) fn push(&mut self, head: u32, tail: u32, rate: u32) {
        assert!((head as usize) < self.heads && (tail as usize) < self.tails);
        self.head.push(head);
        self.tail.push(tail);
        self.rate.push(rate);
    }

    /// The number of edges.
    pub(crate) fn len(&self) -> usize {
        self.head.len()
    }
}

/// Random points that stand for all points in the pushes of a while.
pub(crate) struct Pool<const D: usize> {
    /// Coordinates, one array an axis; the first `LANES` are repeated at the end.
    axis: [Vec<f32>; D],
}

impl<const D: usize> Pool<D> {
    /// A pool of points at the origin.
    pub(crate) fn new() -> Self {
        Self {
            axis: std::array::from_fn(|_| vec![0.0; POOL + LANES]),
        }
    }

    /// Sets point `i`.
    pub(crate) fn set(&mut self, i: usize, point: &[f32; D]) {
        for (axis, &x) in self.axis.iter_mut().zip(point) {
            axis[i] = x;
            if i < LANES {
                axis[POOL + i] = x;
            }
        }
    }
}

/// What a step needs to know besides edges and points.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// The curve's a.
    pub(crate) a: f32,
    /// The curve's b.
    pub(crate) b: f32,
    /// The weight of a push.
    pub(crate) gamma: f32,
    /// The learning rate now.
    pub(crate) alpha: f32,
    /// Pushes for each pull.
    pub(crate) negatives: u32,
    /// The epoch, from 0.
    pub(crate) epoch: u32,
    /// Chooses the negative samples.
    pub(crate) seed: u64,
}

/// Where the tails of the edges live.
pub(crate) enum Tails<'a, const D: usize> {
    /// Heads and tails are the same points.
    Same,
    /// Tails are other points.
    Other(&'a mut [[f32; D]]),
}

/// Lets the edges `range` of `edges` that fire in this epoch pull and push.
///
/// # Panics
/// When the slices or the range do not fit the list.
pub(crate) fn step<const D: usize>(
    isa: Isa,
    edges: &EdgeList,
    range: std::ops::Range<usize>,
    heads: &mut [[f32; D]],
    tails: Tails<'_, D>,
    pool: &Pool<D>,
    parameters: &Step,
) {
    assert!(isa.is_available());
    assert!(range.start <= range.end && range.end <= edges.len());
    assert!(heads.len() >= edges.heads);
    assert!(pool.axis.iter().all(|axis| axis.len() == POOL + LANES));
    let head = heads.as_mut_ptr();
    let tail = match tails {
        Tails::Same => {
            assert!(edges.tails <= heads.len());
            head
        }
        Tails::Other(tails) => {
            assert!(tails.len() >= edges.tails);
            tails.as_mut_ptr()
        }
    };
    // SAFETY: every index of `edges` is below `heads` and `tails` (EdgeList::push), which are
    // at most the lengths of the slices behind the pointers; the range lies inside the list;
    // both pointers come from exclusive borrows (of one slice or of two) that live on, and
    // `run` goes through raw pointers only, so that they may be equal. The machine has the
    // target features of `isa`.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => run_avx2(edges, range, head, tail, pool, parameters),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Vnni => run_avx512(edges, range, head, tail, pool, parameters),
            _ => run::<D, fire::Portable>(edges, range, head, tail, pool, parameters),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn run_avx2<const D: usize>(
    edges: &EdgeList,
    range: std::ops::Range<usize>,
    head: *mut [f32; D],
    tail: *mut [f32; D],
    pool: &Pool<D>,
    parameters: &Step,
) {
    // SAFETY: as for `run`.
    unsafe { run::<D, fire::Avx2>(edges, range, head, tail, pool, parameters) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,popcnt")]
unsafe fn run_avx512<const D: usize>(
    edges: &EdgeList,
    range: std::ops::Range<usize>,
    head: *mut [f32; D],
    tail: *mut [f32; D],
    pool: &Pool<D>,
    parameters: &Step,
) {
    // SAFETY: as for `run`.
    unsafe { run::<D, fire::Avx512>(edges, range, head, tail, pool, parameters) }
}

/// # Safety
/// Every index of `edges` must be within the memory behind `head` and `tail`, to which nobody
/// else has access; `range` must lie inside the list, and the pool's axes must be complete.
#[inline(always)]
unsafe fn run<const D: usize, F: Fire>(
    edges: &EdgeList,
    range: std::ops::Range<usize>,
    head: *mut [f32; D],
    tail: *mut [f32; D],
    pool: &Pool<D>,
    parameters: &Step,
) {
    let mut fired = Fired::none();
    let mut state = parameters.seed;
    let mut start = range.start;
    while start < range.end {
        let end = range.end.min(start + BATCH);
        // SAFETY: the caller's instruction set is the machine's.
        let count = unsafe { fire::fire::<F>(edges, start..end, parameters.epoch, &mut fired) };
        start = end;
        if count == 0 {
            continue;
        }
        // The lanes beyond the last edge compute on a copy of the first and are not stored.
        for lane in 0..LANES {
            fired.head[count + lane] = fired.head[0];
            fired.tail[count + lane] = fired.tail[0];
        }
        let (heads, tails) = (&fired.head[..count + LANES], &fired.tail[..count + LANES]);
        let mut first = 0;
        while let (Some(h), Some(t)) = (heads[first..].first_chunk(), tails[first..].first_chunk())
            && first < count
        {
            let next = first + LANES;
            prefetch_at(head, &heads[next.min(count)..(next + LANES).min(count)]);
            prefetch_at(tail, &tails[next.min(count)..(next + LANES).min(count)]);
            let live = (count - first).min(LANES);
            // SAFETY: the fired indices are indices of the list.
            unsafe { lanes(h, t, live, head, tail, pool, parameters, &mut state) };
            first = next;
        }
    }
}

type Lanes = [f32; LANES];

/// One step of 32 edges, of which the first `live` are stored.
///
/// # Safety
/// The indices must be within the memory behind `head` and `tail`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn lanes<const D: usize>(
    heads: &[u32; LANES],
    tails: &[u32; LANES],
    live: usize,
    head: *mut [f32; D],
    tail: *mut [f32; D],
    pool: &Pool<D>,
    parameters: &Step,
    state: &mut u64,
) {
    let Step {
        a,
        b,
        gamma,
        alpha,
        negatives,
        ..
    } = *parameters;
    // SAFETY: the caller's indices are in range.
    let (before, other) = unsafe { (ends::gather(head, heads), ends::gather(tail, tails)) };
    let mut here = before;
    let mut pull: [Lanes; D] = [[0.0; LANES]; D];
    let pull_scale = -2.0 * a * b;
    for lane in 0..LANES {
        let mut square = 0.0;
        for d in 0..D {
            let difference = here[d][lane] - other[d][lane];
            square += difference * difference;
        }
        // Points in the same place: the differences are zero and so is the pull.
        let square = if square > 1e-30 { square } else { 1e-30 };
        let power = pow(square, b);
        let coefficient = pull_scale * power / (square * (a * power + 1.0));
        for d in 0..D {
            let change = clip(coefficient * (here[d][lane] - other[d][lane])) * alpha;
            pull[d][lane] = change;
            here[d][lane] += change;
        }
    }

    let push_scale = 2.0 * gamma * b;
    for _ in 0..negatives {
        let window = next_window(state);
        let samples: [&Lanes; D] = std::array::from_fn(|d| {
            // SAFETY: window < POOL and an axis holds POOL + LANES numbers.
            unsafe { &*pool.axis[d].as_ptr().add(window).cast::<Lanes>() }
        });
        for lane in 0..LANES {
            let mut square = 0.0;
            for d in 0..D {
                let difference = here[d][lane] - samples[d][lane];
                square += difference * difference;
            }
            let power = pow(square, b);
            let coefficient = push_scale / ((0.001 + square) * (a * power + 1.0));
            for d in 0..D {
                here[d][lane] += clip(coefficient * (here[d][lane] - samples[d][lane])) * alpha;
            }
        }
    }

    for lane in 0..live {
        // SAFETY: as above. The ends are changed one lane after the other, so lanes that share
        // an end add up.
        unsafe {
            let change = std::array::from_fn(|d| here[d][lane] - before[d][lane]);
            ends::add(head, heads[lane], change);
            ends::add(tail, tails[lane], std::array::from_fn(|d| -pull[d][lane]));
        }
    }
}

/// The start of the next window of the pool (a linear congruential generator's high bits).
#[inline(always)]
fn next_window(state: &mut u64) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 50) as usize
}

#[inline(always)]
fn clip(x: f32) -> f32 {
    let x = if x > 4.0 { 4.0 } else { x };
    if x < -4.0 { -4.0 } else { x }
}

/// x^b for x ≥ 0 to about 2e-6 relative, by exponent, mantissa and polynomials: the same bits
/// everywhere, which the system's `powf` is not. Powers below 2^-126 become 2^-126.
#[inline(always)]
pub(crate) fn pow(x: f32, b: f32) -> f32 {
    // x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
    let bits = x.to_bits() as i32;
    let e = bits.wrapping_sub(0x3F35_04F3) >> 23;
    let f = f32::from_bits(bits.wrapping_sub(e << 23) as u32) - 1.0;
    let f2 = f * f;
    // log2(1 + f) / f, a Chebyshev fit, in Estrin's order for a short chain.
    let low = (1.442_696_4 - 0.721_364 * f) + f2 * (0.480_629_15 - 0.359_350_65 * f);
    let high = (0.295_633_6 - 0.269_506_27 * f) + f2 * 0.172_128_73;
    let log = e as f32 + f * (low + (f2 * f2) * high);
    let y = b * log;
    let y = if y > -126.0 { y } else { -126.0 };
    let y = if y < 126.0 { y } else { 126.0 };
    // 2^y = 2^n 2^g with g in [-1/2, 1/2]: adding 1.5 * 2^23 rounds to the nearest integer.
    let shifted = y + 12_582_912.0;
    let n = (shifted.to_bits() as i32).wrapping_sub(0x4B40_0000);
    let g = y - (shifted - 12_582_912.0);
    let g2 = g * g;
    let low = (1.0 + 0.693_146_95 * g) + g2 * (0.240_221_22 + 0.055_507_426 * g);
    let high = 0.009_675_46 + 0.001_326_697 * g;
    let fraction = low + (g2 * g2) * high;
    f32::from_bits((fraction.to_bits() as i32).wrapping_add(n << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_right_to_six_digits() {
        for b in [0.5f32, 0.79, 1.0, 1.3342, 2.5] {
            for i in -60..60 {
                for m in [1.0f32, 1.1, 1.4, 1.5, 1.9] {
                    let x = m * (i as f32 / 2.0).exp2();
                    let exact = f64::from(x).powf(f64::from(b));
                    if (1e-36..1e36).contains(&exact) {
                        let ours = f64::from(pow(x, b));
                        assert!((ours / exact - 1.0).abs() < 1e-5, "{x}^{b}: {ours} {exact}");
                    }
                }
            }
        }
        assert!(pow(0.0, 1.3) < 1e-30);
    }
}
