//! A Poisson process of points along the genes, thinned to the bursts of a cell.

use super::super::arith::ln_1p_over;
use super::super::inversion::burst;
use super::super::random::Stream;
use super::Factors;

/// Genes along a line, each as long as the largest rate that it can have in a cell of depth 1.
#[derive(Default)]
pub(super) struct Points {
    entries: Vec<Entry>,
    /// For equal steps along the line, the first entry that can lie there.
    guide: Vec<u32>,
}

/// What the process of points needs of a gene, side by side in 16 bytes.
#[derive(Clone, Copy)]
struct Entry {
    /// Where the gene ends on the line.
    upper: f64,
    spread: f32,
    /// The gene, and its slot in the lowest 8 bits.
    gene_and_slot: u32,
}

impl Points {
    /// Adds a gene of this rate behind the others.
    pub(super) fn push(&mut self, gene: u32, slot: u8, rate: f64, spread: f32) {
        let before = self.entries.last().map_or(0.0, |e| e.upper);
        self.entries.push(Entry {
            upper: before + rate,
            spread,
            gene_and_slot: gene << 8 | u32::from(slot),
        });
    }

    /// Heap bytes of a gene's entry.
    pub(super) fn entry_bytes() -> u64 {
        (size_of::<Entry>() + size_of::<u32>()) as u64
    }

    /// Fills the guide.
    pub(super) fn index(&mut self) {
        let steps = self.entries.len();
        let sum = self.entries.last().map_or(0.0, |e| e.upper);
        let mut at = 0usize;
        for step in 0..steps {
            // A hair before the step's start, so that rounding never skips a gene.
            let from = sum * (step as f64 / steps as f64) * (1.0 - 1e-12);
            while self.entries[at].upper <= from && at + 1 < steps {
                at += 1;
            }
            self.guide.push(at as u32);
        }
    }

    /// Draws points along the line at rate `depth`, thins them to bursts, and puts gene and count.
    pub(super) fn draw(
        &self,
        depth: f64,
        batch: &[f32],
        per_batch: f64,
        factors: &Factors,
        random: &mut Stream,
        mut put: impl FnMut(u32, u32),
    ) {
        let Some(&Entry { upper: end, .. }) = self.entries.last() else {
            return;
        };
        let step = 1.0 / depth;
        let to_guide = self.guide.len() as f64 / end;
        let (mut at, mut place, mut count, mut last) = (0.0, 0usize, 0u32, 0u32);
        loop {
            at += random.exponential() * step;
            if at >= end {
                break;
            }
            let guide = ((at * to_guide) as usize).min(self.guide.len() - 1);
            place = place.max(self.guide[guide] as usize);
            while self.entries[place].upper <= at {
                place += 1;
            }
            let entry = self.entries[place];
            let gene = entry.gene_and_slot >> 8;
            let slot = (entry.gene_and_slot & 0xff) as usize;
            let b = f64::from(batch[gene as usize]);
            let u = random.unit();
            let keep = factors.share[slot] * b * per_batch;
            if u >= keep {
                continue;
            }
            let y = depth * f64::from(entry.spread) * factors.factor[slot] * b;
            let thin = ln_1p_over(y);
            if u >= keep * thin {
                continue;
            }
            // Given that the point was kept, this is uniform again.
            let size = burst(u / (keep * thin), y, thin);
            if gene == last {
                count += size;
            } else {
                if count > 0 {
                    put(last, count);
                }
                (last, count) = (gene, size);
            }
        }
        if count > 0 {
            put(last, count);
        }
    }
}
