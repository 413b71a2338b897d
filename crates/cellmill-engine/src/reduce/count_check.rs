//! Are these values counts?

use crate::{Block, Reduce, Result, Values};
use serde::{Deserialize, Serialize};

/// Whether all values are non-negative integers, and what is wrong where they are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountCheck;

/// The first value that is no count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BadCount {
    /// Row of the source.
    pub row: u64,
    /// Column.
    pub gene: u32,
    /// The value found.
    pub value: f64,
}

/// The state and the result of [`CountCheck`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CountReport {
    /// Entries seen, explicit zeros among them.
    pub n_entries: u64,
    /// Explicit zeros.
    pub n_zeros: u64,
    /// Entries below 0.
    pub n_negative: u64,
    /// Entries that are not integers (or not finite).
    pub n_fractional: u64,
    /// Columns with an entry below 0, increasing.
    pub negative_genes: Vec<u32>,
    /// The first value, in row order, that is no count.
    pub first_bad: Option<BadCount>,
    /// The largest value, 0 where there is none above.
    pub max: f64,
}

impl CountReport {
    /// Whether every value is a non-negative integer.
    pub fn is_counts(&self) -> bool {
        self.n_negative == 0 && self.n_fractional == 0
    }

    /// Adds a block, of which `quick` is known.
    pub(super) fn add(&mut self, block: &Block, quick: Quick) {
        self.n_entries += block.nnz() as u64;
        self.n_zeros += quick.zeros;
        self.max = self.max.max(quick.max);
        if !quick.bad {
            return;
        }
        let mut genes = Vec::new();
        for row in 0..block.n_rows() {
            for entry in block.row(row) {
                let value = block.values.get(entry);
                let negative = value < 0.0;
                let fractional = !value.is_finite() || value != value.trunc();
                if negative {
                    self.n_negative += 1;
                    genes.push(block.indices[entry]);
                }
                self.n_fractional += u64::from(fractional);
                if (negative || fractional) && self.first_bad.is_none() {
                    self.first_bad = Some(BadCount {
                        row: block.first_row + row as u64,
                        gene: block.indices[entry],
                        value,
                    });
                }
            }
        }
        self.negative_genes.append(&mut genes);
        self.negative_genes.sort_unstable();
        self.negative_genes.dedup();
    }
}

/// From here on every f64 is an integer.
const TWO52: f64 = 4_503_599_627_370_496.0;
/// From here on every f32 is an integer.
const TWO23: f32 = 8_388_608.0;

/// What can be told of values without looking at where they stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quick {
    bad: bool,
    pub(super) zeros: u64,
    max: f64,
}

impl Quick {
    /// Of no value.
    pub(super) const NONE: Self = Self {
        bad: false,
        zeros: 0,
        max: 0.0,
    };

    /// Of these values and those.
    #[inline(always)]
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            bad: self.bad | other.bad,
            zeros: self.zeros + other.zeros,
            max: self.max.max(other.max),
        }
    }
}

const LANES: usize = 16;

macro_rules! quick {
    ($name:ident, $float:ty, $whole:expr) => {
        /// One pass without branches, in lanes, that finds out whether anything is wrong at all.
        #[inline(always)]
        pub(super) fn $name(values: &[$float]) -> Quick {
            let mut all = Quick::NONE;
            // So few that a lane's zeros fit its counter.
            for part in values.chunks(1 << 31) {
                let (mut bad, mut zeros) = ([0u32; LANES], [0u32; LANES]);
                let mut max: [$float; LANES] = [0.0; LANES];
                let mut look = |lane: usize, x: $float| {
                    // NaN is not at least 0.
                    let counts = (x >= 0.0) & ((x >= $whole) | ((x + $whole) - $whole == x));
                    bad[lane] |= u32::from(!counts);
                    zeros[lane] += u32::from(x == 0.0);
                    max[lane] = if x > max[lane] { x } else { max[lane] };
                };
                let (chunks, rest) = part.as_chunks::<LANES>();
                for chunk in chunks {
                    for (lane, &x) in chunk.iter().enumerate() {
                        look(lane, x);
                    }
                }
                for (lane, &x) in rest.iter().enumerate() {
                    look(lane, x);
                }
                let max = max.iter().fold(0.0, |m: $float, &x| m.max(x));
                all = all.and(Quick {
                    bad: bad.iter().any(|&b| b != 0) || !max.is_finite(),
                    zeros: zeros.iter().map(|&n| u64::from(n)).sum(),
                    max: f64::from(max),
                });
            }
            all
        }
    };
}

quick!(quick_f32, f32, TWO23);
quick!(quick_f64, f64, TWO52);

impl Reduce for CountCheck {
    type State = CountReport;
    type Output = CountReport;

    fn start(&self) -> CountReport {
        CountReport::default()
    }

    fn fold(&self, state: &mut CountReport, block: &Block) -> Result<()> {
        let quick = match &block.values {
            Values::F32(v) => quick_f32(v),
            Values::F64(v) => quick_f64(v),
        };
        state.add(block, quick);
        Ok(())
    }

    fn merge(&self, mut left: CountReport, mut right: CountReport) -> Result<CountReport> {
        left.n_entries += right.n_entries;
        left.n_zeros += right.n_zeros;
        left.n_negative += right.n_negative;
        left.n_fractional += right.n_fractional;
        left.negative_genes.append(&mut right.negative_genes);
        left.negative_genes.sort_unstable();
        left.negative_genes.dedup();
        left.first_bad = left.first_bad.or(right.first_bad);
        left.max = left.max.max(right.max);
        Ok(left)
    }

    fn finish(&self, state: CountReport) -> Result<CountReport> {
        Ok(state)
    }

    fn state_bytes(&self, _rows: u64) -> u64 {
        // The columns with negative entries, on wrong data only; a few times the columns of any
        // real file.
        1 << 20
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(values: Values) -> CountReport {
        let n = values.len();
        let block = Block {
            first_row: 5,
            n_cols: 100,
            indptr: vec![0, n, n],
            indices: (0..n as u32).collect(),
            values,
        };
        let mut state = CountCheck.start();
        CountCheck.fold(&mut state, &block).unwrap();
        state
    }

    #[test]
    fn counts_are_counts_at_any_size() {
        let r = report(Values::F32(vec![
            0.0,
            1.0,
            3.0,
            8_388_607.0,
            8_388_608.0,
            16_777_216.0,
            3e38,
        ]));
        assert!(r.is_counts() && r.first_bad.is_none());
        assert_eq!((r.n_entries, r.n_zeros, r.max), (7, 1, f64::from(3e38f32)));
        let r = report(Values::F64(vec![
            4_503_599_627_370_495.0,
            4_503_599_627_370_497.0,
            1e300,
        ]));
        assert!(r.is_counts());
    }

    #[test]
    fn every_place_is_looked_at() {
        for n in 1..50usize {
            for at in 0..n {
                for odd in [0.0, -1.0, 0.5, 77.0, f32::NAN, f32::INFINITY] {
                    let mut values = vec![3.0f32; n];
                    values[at] = odd;
                    let wide = values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
                    for quick in [quick_f32(&values), quick_f64(&wide)] {
                        assert_eq!(
                            quick.bad,
                            !(odd == 0.0 || odd == 77.0),
                            "{odd} at {at} of {n}"
                        );
                        assert_eq!(quick.zeros, u64::from(odd == 0.0), "{odd} at {at} of {n}");
                        let others = if n == 1 { 0.0 } else { 3.0 };
                        let max = if odd > others {
                            f64::from(odd)
                        } else {
                            others.into()
                        };
                        assert_eq!(quick.max, max, "{odd} at {at} of {n}");
                    }
                }
            }
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let r = report(Values::F32(vec![1.0, -2.0, 0.5, -0.25]));
        assert_eq!((r.n_negative, r.n_fractional), (2, 2));
        assert_eq!(r.negative_genes, [1, 3]);
        assert_eq!(
            r.first_bad,
            Some(BadCount {
                row: 5,
                gene: 1,
                value: -2.0
            })
        );
        assert!(!report(Values::F32(vec![4_194_304.5])).is_counts());
        assert!(!report(Values::F32(vec![1.0, f32::INFINITY])).is_counts());
        assert!(!report(Values::F64(vec![f64::NAN])).is_counts());
    }
}
