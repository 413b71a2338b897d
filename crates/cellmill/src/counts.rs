//! Which matrix of a file holds raw counts: every candidate is sampled across the whole matrix.

use crate::Result;
use cellmill_engine::{Block, Source};
use cellmill_io::FileMatrix;
use serde::Serialize;

/// Places at which a matrix is sampled, evenly over its cells.
const PLACES: u64 = 12;
/// Cells that are looked at in each place, at most.
const CELLS_A_PLACE: usize = 2048;

/// What a sample of a matrix shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// Cells looked at.
    pub cells: u64,
    /// Stored entries looked at.
    pub entries: u64,
    /// Entries that are not whole numbers.
    pub fractions: u64,
    /// Entries below 0.
    pub negatives: u64,
    /// Genes with an entry below 0.
    pub negative_genes: u64,
    /// The largest entry.
    pub max: f64,
    /// The smallest and largest sum of a cell, cells without counts left out.
    pub sums: Option<(f64, f64)>,
    /// Mean sum of a cell.
    pub mean_sum: f64,
    /// A hash of what was looked at: equal samples of equal matrices.
    #[serde(skip)]
    pub hash: u64,
}

/// What a matrix looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Whole numbers, none negative.
    RawCounts,
    /// None negative, with fractions, and sums of cells that differ as those of counts do: corrected
    /// counts (SoupX, RSEM, CellBender).
    FractionalCounts,
    /// None negative, with fractions, equal sums or small values: normalised or log-normalised.
    Normalised,
    /// Values below 0: scaled, as Seurat's scale.data.
    Scaled,
    /// No entry was found.
    Empty,
}

impl Sample {
    /// Samples a matrix. Of a matrix that is stored gene by gene, genes are sampled: the sums of
    /// cells are then not known, and their mean is that of the sampled genes, scaled up.
    ///
    /// # Errors
    /// Whatever the source finds wrong.
    pub fn of(matrix: &dyn FileMatrix) -> Result<Self> {
        let Some(genes) = matrix.transposed() else {
            return Self::of_rows(matrix);
        };
        let mut sample = Self::of_rows(genes)?;
        let entries = sample.entries.max(1) as f64;
        let nnz = genes.nnz().unwrap_or(0) as f64;
        let total = sample.mean_sum * sample.cells as f64;
        sample.mean_sum = total / entries * nnz / matrix.n_rows().max(1) as f64;
        sample.sums = None;
        Ok(sample)
    }

    fn of_rows(source: &dyn Source) -> Result<Self> {
        let grid = source.grid();
        let mut sample = Self {
            cells: 0,
            entries: 0,
            fractions: 0,
            negatives: 0,
            negative_genes: 0,
            max: 0.0,
            sums: None,
            mean_sum: 0.0,
            hash: 0xcbf2_9ce4_8422_2325,
        };
        let n_blocks = grid.n_blocks() as u64;
        let mut blocks: Vec<usize> = (0..PLACES.min(n_blocks))
            .map(|i| (i * n_blocks / PLACES.min(n_blocks)) as usize)
            .collect();
        blocks.dedup();
        let mut negative = vec![false; source.n_cols() as usize];
        let mut total = 0.0;
        let mut block = Block::new(source.n_cols());
        for i in blocks {
            let mut reader = source.open(i..i + 1)?;
            reader.next_block(&mut block)?;
            for r in 0..block.n_rows().min(CELLS_A_PLACE) {
                let mut sum = 0.0;
                for e in block.row(r) {
                    let x = block.values.get(e);
                    let gene = block.indices[e];
                    sum += x;
                    sample.fractions += u64::from(x.fract() != 0.0);
                    if x < 0.0 {
                        sample.negatives += 1;
                        negative[gene as usize] = true;
                    }
                    sample.max = sample.max.max(x);
                    sample.mix(u64::from(gene));
                    sample.mix(x.to_bits());
                }
                sample.cells += 1;
                sample.entries += block.row(r).len() as u64;
                sample.mix(block.first_row + r as u64);
                total += sum;
                if sum > 0.0 {
                    let (low, high) = sample.sums.unwrap_or((sum, sum));
                    sample.sums = Some((low.min(sum), high.max(sum)));
                }
            }
        }
        sample.negative_genes = negative.iter().filter(|&&n| n).count() as u64;
        sample.mean_sum = if sample.cells == 0 {
            0.0
        } else {
            total / sample.cells as f64
        };
        Ok(sample)
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(23);
    }

    /// Whether all cells with counts have the same sum, to 1 part in 1,000.
    pub fn constant_sums(&self) -> bool {
        self.cells > 1
            && self
                .sums
                .is_some_and(|(low, high)| high - low <= 1e-3 * high)
    }

    /// What the sample looks like.
    pub fn kind(&self) -> Kind {
        if self.entries == 0 {
            Kind::Empty
        } else if self.negatives > 0 {
            Kind::Scaled
        } else if self.fractions == 0 {
            Kind::RawCounts
        } else if self.constant_sums() || self.max < 30.0 || self.log_normalised_sums() {
            Kind::Normalised
        } else {
            Kind::FractionalCounts
        }
    }

    /// Corrected counts keep most of their entries whole; normalised ones keep hardly any.
    fn log_normalised_sums(&self) -> bool {
        self.fractions as f64 > 0.999 * self.entries as f64 && self.max < 100.0
    }

    /// Why it looks like that, in a phrase.
    pub fn why(&self) -> String {
        let share = |n: u64| 100.0 * n as f64 / self.entries.max(1) as f64;
        let looked = format!("of {} sampled entries", self.entries);
        let mut why = match self.kind() {
            Kind::Empty => "no entry is stored in the sampled cells".to_owned(),
            Kind::Scaled => format!(
                "{:.2} % {looked} are negative, in {} genes: it looks like Seurat's scale.data",
                share(self.negatives),
                self.negative_genes
            ),
            Kind::RawCounts => format!(
                "all {looked} are whole numbers; largest {}, mean sum of a cell {:.0}",
                self.max, self.mean_sum
            ),
            Kind::FractionalCounts | Kind::Normalised => format!(
                "{:.1} % {looked} are not whole numbers; largest {:.4}, mean sum of a cell {:.1}",
                share(self.fractions),
                self.max,
                self.mean_sum
            ),
        };
        if self.constant_sums() && self.kind() != Kind::Scaled {
            why.push_str("; every cell has the same sum");
        }
        why
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(entries: u64, fractions: u64, negatives: u64, max: f64, sums: (f64, f64)) -> Sample {
        Sample {
            cells: 10,
            entries,
            fractions,
            negatives,
            negative_genes: negatives.min(1),
            max,
            sums: Some(sums),
            mean_sum: sums.0,
            hash: 0,
        }
    }

    #[test]
    fn kinds() {
        assert_eq!(
            sample(100, 0, 0, 50.0, (500.0, 900.0)).kind(),
            Kind::RawCounts
        );
        assert_eq!(sample(100, 90, 3, 5.0, (1.0, 9.0)).kind(), Kind::Scaled);
        assert_eq!(
            sample(100, 100, 0, 6.0, (900.0, 1400.0)).kind(),
            Kind::Normalised
        );
        assert_eq!(
            sample(100, 99, 0, 700.0, (1e4, 1e4 + 1.0)).kind(),
            Kind::Normalised
        );
        assert_eq!(
            sample(100, 40, 0, 700.0, (900.0, 5e4)).kind(),
            Kind::FractionalCounts
        );
        assert_eq!(sample(0, 0, 0, 0.0, (0.0, 0.0)).kind(), Kind::Empty);
    }

    #[test]
    fn negatives_are_said_to_look_scaled() {
        let why = sample(100, 90, 3, 5.0, (1.0, 9.0)).why();
        assert!(
            why.contains("negative") && why.contains("scale.data"),
            "{why}"
        );
    }
}
