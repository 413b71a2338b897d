//! The cells: samples of donors in batches, and what each cell is.

use super::arith::exp;
use super::law::DEPTH_SD;
use super::params::SimulateParams;
use super::profile::{ACTIVITY, MATURITY, PROGRAMS, SHARED_PROGRAMS};
use super::random::{Purpose, Stream};
use super::types::CellTypes;

/// One sample: the cells of one donor in one batch; consecutive in the file.
pub(crate) struct Sample {
    /// The sample's first cell.
    pub(crate) first: u64,
    /// Its batch.
    pub(crate) batch: usize,
    /// Its donor.
    pub(crate) donor: usize,
    /// How deep it was sequenced.
    depth: f64,
    /// The shift of its cells' interferon and stress programs.
    shift: [f64; 2],
    /// Running sums of the shares of the types.
    types: Vec<f64>,
}

/// All samples, and how deep each type is.
pub(crate) struct Cohort {
    pub(crate) samples: Vec<Sample>,
    pub(crate) n_batches: usize,
    pub(crate) n_donors: usize,
    /// How many molecules the cells of a type have, relative to others.
    type_depth: Vec<f64>,
    /// How many cells of a type divide.
    cycling: Vec<f64>,
    /// The depth of an average cell, set by the calibration.
    pub(crate) base_depth: f64,
    n_cells: u64,
    seed: u64,
}

/// What a cell is, before it is counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    /// Its sample.
    pub(crate) sample: usize,
    /// Its type.
    pub(crate) kind: usize,
    /// Expected molecules, but for what programs add.
    pub(crate) depth: f64,
    /// How far it is from its branch (0) to its leaf (1), and a little beyond.
    pub(crate) maturity: f64,
    /// Activity of each program, within ±[`ACTIVITY`].
    pub(crate) programs: [f64; PROGRAMS],
}

/// The place of the programs that are named in obs.
pub(crate) const CYCLING: usize = 0;
pub(crate) const INTERFERON: usize = 1;
const STRESS: usize = 2;

impl Cohort {
    pub(crate) fn new(params: &SimulateParams, types: &CellTypes) -> Self {
        let seed = params.seed;
        let mut random = Stream::new(seed, Purpose::Samples, 0);
        // Two samples a batch, but none of them without a cell.
        let n_samples = (2 * u64::from(params.n_batches)).min(params.n_cells).max(1) as usize;
        let n_batches = (params.n_batches as usize).min(n_samples);
        let n_donors = (n_samples * 3).div_ceil(4);
        let sizes: Vec<f64> = (0..n_samples)
            .map(|_| exp(0.35 * random.normal_within(2.0)))
            .collect();
        let whole: f64 = sizes.iter().sum();
        let composition = compositions(&sizes, &types.frequency, &mut random);
        let spare = params.n_cells - n_samples as u64;
        let mut before = 0.0;
        let samples = (0..n_samples)
            .map(|s| {
                let first = s as u64 + (spare as f64 * (before / whole)).floor() as u64;
                before += sizes[s];
                let mut sum = 0.0;
                let types = composition[s]
                    .iter()
                    .map(|f| {
                        sum += f;
                        sum
                    })
                    .collect();
                Sample {
                    first,
                    batch: s * n_batches / n_samples,
                    // Some donors are in two batches.
                    donor: s % n_donors,
                    depth: exp(0.15 * random.normal_within(2.0)),
                    shift: [
                        0.4 * random.normal_within(1.5),
                        0.4 * random.normal_within(1.5),
                    ],
                    types,
                }
            })
            .collect();
        let type_depth = (0..types.len())
            .map(|_| exp(0.2 * random.normal_within(2.0)))
            .collect();
        let cycling = (0..types.len())
            .map(|t| {
                let most = if types.names[t].starts_with("plasmablast") {
                    0.7
                } else {
                    0.08
                };
                most * random.unit()
            })
            .collect();
        Self {
            samples,
            n_batches,
            n_donors,
            type_depth,
            cycling,
            base_depth: 1.0,
            n_cells: params.n_cells,
            seed,
        }
    }

    /// The sample of cell `i`.
    fn sample_of(&self, i: u64) -> usize {
        self.samples.partition_point(|s| s.first <= i) - 1
    }

    /// What cell `i` is.
    pub(crate) fn cell(&self, i: u64) -> Cell {
        let mut random = Stream::new(self.seed, Purpose::Cell, i);
        let u = random.unit();
        self.draw(self.sample_of(i), u, &mut random)
    }

    /// Cell `i` of `n` for the calibration: evenly over samples and, within them, over types.
    pub(crate) fn pilot(&self, i: u64, n: u64) -> Cell {
        let at = (self.n_cells as f64 * (i as f64 + 0.5) / n as f64) as u64;
        let mut random = Stream::new(self.seed, Purpose::Pilot, i);
        // Multiples of the golden ratio's fraction fill the unit interval evenly.
        let u = (0.5 + i as f64 * 0.618_033_988_749_895).fract();
        self.draw(self.sample_of(at.min(self.n_cells - 1)), u, &mut random)
    }

    fn draw(&self, sample: usize, u: f64, random: &mut Stream) -> Cell {
        let from = &self.samples[sample];
        let total = from.types[from.types.len() - 1];
        let kind = from
            .types
            .partition_point(|&sum| sum <= u * total)
            .min(from.types.len() - 1);
        let depth = self.base_depth
            * from.depth
            * self.type_depth[kind]
            * exp(DEPTH_SD * random.normal_within(3.0));
        // Most cells are near their leaf, with a tail back to the branch.
        let v = random.unit();
        let maturity = MATURITY.0 + (MATURITY.1 - MATURITY.0) * (1.0 - v * v * v.sqrt());
        let mut programs = [0.0; PROGRAMS];
        for (p, activity) in programs.iter_mut().enumerate() {
            let shift = match p {
                INTERFERON => from.shift[0],
                STRESS => from.shift[1],
                _ => 0.0,
            };
            let width = if p < SHARED_PROGRAMS { 0.6 } else { 0.9 };
            *activity = (shift + width * random.normal()).clamp(-ACTIVITY, ACTIVITY);
        }
        let (divides, how_far) = (random.unit() < self.cycling[kind], random.unit());
        programs[CYCLING] = if divides { 0.8 + 1.2 * how_far } else { -0.4 };
        Cell {
            sample,
            kind,
            depth,
            maturity,
            programs,
        }
    }
}

/// The shares of the types in each sample: they vary, and over all cells are `frequency` again
/// (iterative proportional fitting).
fn compositions(sizes: &[f64], frequency: &[f64], random: &mut Stream) -> Vec<Vec<f64>> {
    let whole: f64 = sizes.iter().sum();
    let mut table: Vec<Vec<f64>> = sizes
        .iter()
        .map(|s| {
            frequency
                .iter()
                .map(|f| s / whole * f * exp(0.35 * random.normal_within(2.0)))
                .collect()
        })
        .collect();
    for _ in 0..100 {
        for (row, s) in table.iter_mut().zip(sizes) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|x| *x *= s / whole / sum);
        }
        for (t, f) in frequency.iter().enumerate() {
            let sum: f64 = table.iter().map(|row| row[t]).sum();
            table.iter_mut().for_each(|row| row[t] *= f / sum);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cohort(n_cells: u64, n_batches: u32) -> (Cohort, CellTypes, SimulateParams) {
        let params = SimulateParams {
            n_cells,
            n_batches,
            ..SimulateParams::default()
        };
        let types = CellTypes::new(params.types() as usize, params.rare_fraction, params.seed);
        (Cohort::new(&params, &types), types, params)
    }

    #[test]
    fn samples_cover_the_cells() {
        for (n, batches) in [(1, 8), (7, 3), (100, 100), (50_000, 8)] {
            let (cohort, ..) = cohort(n, batches);
            assert_eq!(cohort.samples[0].first, 0);
            assert!(
                cohort.samples.windows(2).all(|w| w[0].first < w[1].first),
                "none is empty"
            );
            assert!(cohort.samples.last().is_some_and(|s| s.first < n));
            assert_eq!(cohort.sample_of(n - 1), cohort.samples.len() - 1);
            let last = cohort.samples.iter().map(|s| s.batch).max();
            assert_eq!(last, Some(cohort.n_batches - 1));
        }
    }

    #[test]
    fn types_are_as_frequent_as_they_should_be() {
        let (cohort, types, _) = cohort(200_000, 6);
        let mut seen = vec![0u64; types.len()];
        for i in 0..200_000 {
            seen[cohort.cell(i).kind] += 1;
        }
        for (t, (&seen, f)) in seen.iter().zip(&types.frequency).enumerate() {
            let expected = 200_000.0 * f;
            let deviation = (seen as f64 - expected) / expected.sqrt();
            assert!(
                deviation.abs() < 5.0,
                "type {t}: {seen} cells, {expected} expected"
            );
        }
    }

    #[test]
    fn compositions_keep_both_margins() {
        let sizes = [1.0, 2.0, 5.0];
        let frequency = [0.7, 0.29, 0.01];
        let table = compositions(&sizes, &frequency, &mut Stream::new(1, Purpose::Samples, 0));
        for (row, s) in table.iter().zip(sizes) {
            assert!((row.iter().sum::<f64>() - s / 8.0).abs() < 1e-9);
        }
        for (t, f) in frequency.iter().enumerate() {
            assert!((table.iter().map(|row| row[t]).sum::<f64>() - f).abs() < 1e-12);
        }
        assert!(
            (table[0][2] / table[0][0] - 0.01 / 0.7).abs() > 1e-4,
            "samples differ"
        );
    }
}
