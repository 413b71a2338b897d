//! The laws fitted to real cells: how dispersion falls with abundance, how abundances are spread.
//!
//! The constants are what `docs/simulate/fit_dispersion.py` prints for pbmc3k and sc_mixology.

use super::arith::{exp, ln};
use super::random::Stream;

/// Dispersion of the most abundant genes.
const FLOOR: f64 = 0.0060;
/// Counts per million where the falling part of the dispersion is 1: the geometric mean of
/// pbmc3k's (153.5, whose labels hide variation inside types) and sc_mixology's (5.0, cell lines).
const KNEE: f64 = 27.73;
/// How fast dispersion falls with abundance.
const SLOPE: f64 = 0.5065;
/// Standard deviation of a gene's ln dispersion about the law (sc_mixology, where genes are
/// measured well enough to tell it from the error of the estimate).
const SCATTER: f64 = 0.62;

/// The log-normal mixture of abundances, ln counts per million: weight, mean, standard deviation.
/// First the silent genes (most of pbmc3k's never seen half is among them), then the expressed
/// ones, last the few that make up a third of a cell: ribosomal proteins and the like.
const ABUNDANCE: [(f64, f64, f64); 3] = [
    (0.5723, -4.3538, 1.5823),
    (0.4243, 2.0319, 1.7841),
    (0.0034, 8.1275, 0.7378),
];

/// The share of genes of the most abundant component.
pub(crate) const ABUNDANT: f64 = ABUNDANCE[2].0;

/// Standard deviation of ln depth inside one type and sample (pbmc3k 0.25 to 0.48, sc_mixology
/// 0.24 to 0.53).
pub(crate) const DEPTH_SD: f64 = 0.36;

/// The dispersion φ (variance = m + φ m²) of a gene of this share of its cells' molecules.
/// `scatter` is the gene's own factor, of [`dispersion_scatter`].
pub(crate) fn dispersion(share: f64, scatter: f64) -> f64 {
    let cpm = (share * 1e6).max(1e-3);
    (FLOOR + exp(SLOPE * ln(KNEE / cpm))) * scatter
}

/// A gene's own factor of its dispersion.
pub(crate) fn dispersion_scatter(random: &mut Stream) -> f64 {
    exp(SCATTER * random.normal_within(2.0))
}

/// The abundance of an ordinary gene (silent or expressed), ln counts per million.
pub(crate) fn abundance(random: &mut Stream) -> f64 {
    let silent = ABUNDANCE[0].0 / (ABUNDANCE[0].0 + ABUNDANCE[1].0);
    let (_, mean, sd) = ABUNDANCE[usize::from(random.unit() >= silent)];
    mean + sd * random.normal_within(3.0)
}

/// The abundance of one of the few most abundant genes, ln counts per million.
pub(crate) fn abundance_of_abundant(random: &mut Stream) -> f64 {
    let (_, mean, sd) = ABUNDANCE[2];
    mean + sd * random.normal_within(2.5)
}

#[cfg(test)]
mod tests {
    use super::super::random::Purpose;
    use super::*;

    #[test]
    fn dispersion_falls_to_the_floor() {
        assert!((dispersion(KNEE * 1e-6, 1.0) - 1.0 - FLOOR).abs() < 1e-9);
        assert!(dispersion(1e-6, 1.0) > dispersion(1e-5, 1.0));
        assert!(dispersion(0.5, 1.0) < 0.03);
        assert!(dispersion(0.0, 1.0).is_finite());
    }

    #[test]
    fn more_than_half_of_the_genes_are_nearly_silent() {
        let mut random = Stream::new(1, Purpose::Genes, 0);
        let silent = (0..20_000)
            .filter(|_| abundance(&mut random) < -1.5)
            .count();
        assert!((10_500..12_500).contains(&silent), "{silent} of 20,000");
    }
}
