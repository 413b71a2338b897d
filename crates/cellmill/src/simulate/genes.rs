//! The genes: abundance, dispersion and names.

use super::law;
use super::random::{Purpose, Stream};

/// The mitochondrial genes, all 13 that code for a protein.
const MITOCHONDRIAL: [&str; 13] = [
    "MT-ND1", "MT-ND2", "MT-CO1", "MT-CO2", "MT-ATP8", "MT-ATP6", "MT-CO3", "MT-ND3", "MT-ND4L",
    "MT-ND4", "MT-ND5", "MT-ND6", "MT-CYB",
];
/// Haemoglobin: silent but in erythrocytes (and, as ambient, a little everywhere).
const HAEMOGLOBIN: [&str; 6] = ["HBB", "HBA1", "HBA2", "HBD", "HBM", "HBQ1"];
/// What the most abundant genes are called, after the ribosomal proteins.
const ABUNDANT: [&str; 32] = [
    "MALAT1", "B2M", "TMSB4X", "EEF1A1", "FTH1", "FTL", "ACTB", "TPT1", "RPLP0", "RPLP1", "RPLP2",
    "RPSA", "FAU", "UBA52", "EEF2", "EEF1B2", "HLA-A", "HLA-B", "HLA-C", "TMSB10", "PFN1", "GAPDH",
    "CFL1", "S100A6", "ARPC1B", "MYL6", "OAZ1", "SERF2", "H3-3B", "NACA", "PABPC1", "NEAT1",
];
/// Families that ordinary genes are named after; none of them is in another list.
const FAMILIES: [&str; 24] = [
    "ZNF", "SLC", "TMEM", "FAM", "CCDC", "KIF", "ANKRD", "LRRC", "PCDH", "DNAH", "USP", "KLHL",
    "TRIM", "RAB", "ARHGAP", "PPP", "MAPK", "WDR", "SYT", "MYO", "OR", "TTC", "RNF", "CEP",
];

/// What a gene is, as far as that sets its abundance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Ordinary,
    Abundant,
    Mitochondrial,
    Haemoglobin,
}

/// All genes, before any type changes them.
pub(crate) struct Genes {
    /// What each gene is.
    pub(crate) class: Vec<Class>,
    /// ln counts per million, roughly (the profiles of types are normalised afterwards).
    pub(crate) log_abundance: Vec<f64>,
    /// Each gene's own factor of its dispersion.
    pub(crate) scatter: Vec<f64>,
    /// Symbols; unique.
    pub(crate) symbols: Vec<String>,
}

impl Genes {
    pub(crate) fn new(n: usize, seed: u64) -> Self {
        let mut random = Stream::new(seed, Purpose::Genes, 0);
        let abundant = (law::ABUNDANT * n as f64).round() as usize;
        // Below 1,000 genes the named ones would crowd out the others.
        let (mitochondrial, haemoglobin) = if n < 1000 {
            (0, 0)
        } else {
            (13, HAEMOGLOBIN.len())
        };
        let mut order: Vec<usize> = (0..n).collect();
        random.shuffle(&mut order);
        let mut class = vec![Class::Ordinary; n];
        let mut symbols: Vec<String> = (0..n).map(ordinary_symbol).collect();
        let mut next = order.iter();
        let mut put = |count: usize, kind: Class, name: &dyn Fn(usize) -> Option<String>| {
            for (k, &g) in next.by_ref().take(count).enumerate() {
                class[g] = kind;
                if let Some(name) = name(k) {
                    symbols[g] = name;
                }
            }
        };
        put(mitochondrial, Class::Mitochondrial, &|k| {
            Some(MITOCHONDRIAL[k].to_owned())
        });
        put(haemoglobin, Class::Haemoglobin, &|k| {
            Some(HAEMOGLOBIN[k].to_owned())
        });
        put(abundant, Class::Abundant, &abundant_symbol);
        let mut log_abundance = Vec::with_capacity(n);
        let mut scatter = Vec::with_capacity(n);
        for kind in &class {
            log_abundance.push(match kind {
                Class::Ordinary => law::abundance(&mut random),
                Class::Abundant => law::abundance_of_abundant(&mut random),
                Class::Mitochondrial => 7.0 + 0.8 * random.normal_within(2.0),
                Class::Haemoglobin => -1.0 + 0.5 * random.normal_within(2.0),
            });
            scatter.push(law::dispersion_scatter(&mut random));
        }
        Self {
            class,
            log_abundance,
            scatter,
            symbols,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.class.len()
    }
}

/// An identifier like Ensembl's; they rise with the gene's number, unevenly.
pub(crate) fn ensembl_id(g: usize) -> String {
    let step = super::random::mix(g as u64) % 7;
    format!("ENSG{:011}", 457 + g as u64 * 11 + step)
}

/// Symbols as they are found: families with numbers, long non-coding genes, clone names.
fn ordinary_symbol(g: usize) -> String {
    match super::random::mix(g as u64 ^ 0x5eed) % 20 {
        0..12 => format!("{}{}", FAMILIES[g % FAMILIES.len()], g / FAMILIES.len() + 1),
        12..16 => format!("LINC{g:05}"),
        _ => format!("AC{:06}.{}", g + 1000, g % 3 + 1),
    }
}

/// Ribosomal proteins and others; none after the lists' end.
fn abundant_symbol(k: usize) -> Option<String> {
    // By turns: two ribosomal proteins, one of the others.
    let (turn, place) = (k / 3, k % 3);
    match place {
        0 if turn < 36 => Some(format!("RPL{}", turn + 3)),
        1 if turn < 28 => Some(format!("RPS{}", turn + 2)),
        2 if turn < ABUNDANT.len() => Some(ABUNDANT[turn].to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_the_special_ones_are_there() {
        let genes = Genes::new(27_714, 5);
        assert_eq!(genes.symbols.iter().collect::<HashSet<_>>().len(), 27_714);
        assert_eq!(
            (0..27_714).map(ensembl_id).collect::<HashSet<_>>().len(),
            27_714
        );
        let starts = |p: &str| genes.symbols.iter().filter(|s| s.starts_with(p)).count();
        assert_eq!(starts("MT-"), 13);
        assert!(starts("RPL") > 25 && starts("RPS") > 25 && starts("HB") == 6);
        assert_eq!(ensembl_id(0).len(), "ENSG00000000003".len());
    }

    #[test]
    fn few_genes_are_ordinary_or_abundant() {
        let genes = Genes::new(50, 5);
        assert_eq!(genes.len(), 50);
        assert!(
            genes
                .class
                .iter()
                .all(|c| matches!(c, Class::Ordinary | Class::Abundant))
        );
    }
}
