//! Counts for benchmarks: a few genes in most cells and most genes in few, about 1,000 entries a
//! cell.

use cellmill_engine::{MemSource, Result};

/// Genes of [`counts`].
pub const GENES: u32 = 27_714;

/// The counts of `cells` cells, always the same.
pub fn counts(cells: usize) -> Result<MemSource<'static>> {
    let mut state = 88_172_645_463_325_252u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let rates: Vec<f32> = (0..GENES).map(|_| 0.95 * next().powi(22)).collect();
    let (mut indptr, mut indices, mut values) = (vec![0u64], Vec::new(), Vec::new());
    for _ in 0..cells {
        for (gene, &rate) in rates.iter().enumerate() {
            if next() < rate {
                indices.push(gene as u32);
                values.push((next().powi(6) * 20.0).floor() + 1.0);
            }
        }
        indptr.push(indices.len() as u64);
    }
    MemSource::new(GENES, indptr, indices, values)
}
