//! The tree of cell types: lineages, branches, leaves, and how frequent each leaf is.

use super::arith::{exp, ln};
use super::random::{Purpose, Stream};

/// A leaf of the tree as it is named: leaf, branch, lineage, and symbols for its first markers.
type Named = (&'static str, &'static str, &'static str, [&'static str; 3]);

/// In the order in which an atlas with few types takes them.
const NAMED: [Named; 40] = [
    (
        "CD4-positive naive T cell",
        "CD4 T cell",
        "T and NK cell",
        ["CCR7", "LEF1", "TCF7"],
    ),
    (
        "classical monocyte",
        "monocyte",
        "Myeloid cell",
        ["CD14", "VCAN", "FCN1"],
    ),
    (
        "naive B cell",
        "mature B cell",
        "B cell",
        ["TCL1A", "IGHD", "FCER2"],
    ),
    (
        "type II pneumocyte",
        "alveolar epithelial cell",
        "Epithelial cell",
        ["SFTPC", "SFTPB", "NAPSA"],
    ),
    (
        "CD8-positive effector memory T cell",
        "CD8 T cell",
        "T and NK cell",
        ["GZMK", "CD8A", "CD8B"],
    ),
    (
        "CD16-positive natural killer cell",
        "innate lymphoid cell",
        "T and NK cell",
        ["KLRF1", "NCAM1", "FGFBP2"],
    ),
    (
        "capillary endothelial cell",
        "blood vessel endothelial cell",
        "Endothelial cell",
        ["CA4", "FCN3", "BTNL9"],
    ),
    (
        "adventitial fibroblast",
        "fibroblast",
        "Stromal cell",
        ["PI16", "SFRP2", "DCN"],
    ),
    (
        "alveolar macrophage",
        "macrophage",
        "Myeloid cell",
        ["MARCO", "FABP4", "MCEMP1"],
    ),
    (
        "CD4-positive central memory T cell",
        "CD4 T cell",
        "T and NK cell",
        ["IL7R", "AQP3", "LTB"],
    ),
    (
        "non-classical monocyte",
        "monocyte",
        "Myeloid cell",
        ["FCGR3A", "CDKN1C", "MS4A7"],
    ),
    (
        "memory B cell",
        "mature B cell",
        "B cell",
        ["AIM2", "TNFRSF13B", "CD27"],
    ),
    (
        "plasma cell",
        "antibody-secreting cell",
        "B cell",
        ["JCHAIN", "MZB1", "DERL3"],
    ),
    (
        "regulatory T cell",
        "CD4 T cell",
        "T and NK cell",
        ["FOXP3", "IL2RA", "CTLA4"],
    ),
    (
        "conventional dendritic cell type 2",
        "dendritic cell",
        "Myeloid cell",
        ["CD1C", "FCER1A", "CLEC10A"],
    ),
    (
        "ciliated epithelial cell",
        "airway epithelial cell",
        "Epithelial cell",
        ["FOXJ1", "CAPS", "PIFO"],
    ),
    (
        "CD8-positive naive T cell",
        "CD8 T cell",
        "T and NK cell",
        ["LINC02446", "NELL2", "CRTAM"],
    ),
    (
        "CD16-negative natural killer cell",
        "innate lymphoid cell",
        "T and NK cell",
        ["XCL1", "XCL2", "SELL"],
    ),
    (
        "interstitial macrophage",
        "macrophage",
        "Myeloid cell",
        ["C1QA", "C1QB", "FOLR2"],
    ),
    (
        "venous endothelial cell",
        "blood vessel endothelial cell",
        "Endothelial cell",
        ["ACKR1", "SELE", "PLVAP"],
    ),
    (
        "alveolar fibroblast",
        "fibroblast",
        "Stromal cell",
        ["TCF21", "NPNT", "CES1"],
    ),
    (
        "type I pneumocyte",
        "alveolar epithelial cell",
        "Epithelial cell",
        ["AGER", "CAV1", "RTKN2"],
    ),
    (
        "CD8-positive tissue-resident memory T cell",
        "CD8 T cell",
        "T and NK cell",
        ["ITGAE", "ITGA1", "CXCR6"],
    ),
    (
        "pericyte",
        "mural cell",
        "Stromal cell",
        ["RGS5", "COX4I2", "NOTCH3"],
    ),
    (
        "gamma-delta T cell",
        "innate-like T cell",
        "T and NK cell",
        ["TRDC", "TRGC1", "TRDV2"],
    ),
    (
        "secretory club cell",
        "airway epithelial cell",
        "Epithelial cell",
        ["SCGB1A1", "SCGB3A1", "BPIFB1"],
    ),
    (
        "arterial endothelial cell",
        "blood vessel endothelial cell",
        "Endothelial cell",
        ["GJA5", "HEY1", "DKK2"],
    ),
    (
        "plasmacytoid dendritic cell",
        "dendritic cell",
        "Myeloid cell",
        ["LILRA4", "CLEC4C", "IRF7"],
    ),
    (
        "mast cell",
        "granulocyte",
        "Myeloid cell",
        ["TPSAB1", "CPA3", "KIT"],
    ),
    (
        "erythrocyte",
        "red blood cell",
        "Erythroid cell",
        ["ALAS2", "AHSP", "CA1"],
    ),
    (
        "mucosal-associated invariant T cell",
        "innate-like T cell",
        "T and NK cell",
        ["SLC4A10", "KLRB1", "RORC"],
    ),
    (
        "conventional dendritic cell type 1",
        "dendritic cell",
        "Myeloid cell",
        ["CLEC9A", "XCR1", "BATF3"],
    ),
    (
        "basal cell",
        "airway epithelial cell",
        "Epithelial cell",
        ["KRT5", "KRT15", "TP63"],
    ),
    (
        "smooth muscle cell",
        "mural cell",
        "Stromal cell",
        ["ACTA2", "MYH11", "TAGLN"],
    ),
    (
        "plasmablast",
        "antibody-secreting cell",
        "B cell",
        ["TNFRSF17", "TXNDC5", "SDC1"],
    ),
    (
        "lymphatic endothelial cell",
        "lymph vessel endothelial cell",
        "Endothelial cell",
        ["PROX1", "LYVE1", "CCL21"],
    ),
    (
        "germinal center B cell",
        "mature B cell",
        "B cell",
        ["BCL6", "RGS13", "AICDA"],
    ),
    (
        "platelet",
        "megakaryocytic cell",
        "Megakaryocytic cell",
        ["PPBP", "PF4", "GNG11"],
    ),
    (
        "neutrophil",
        "granulocyte",
        "Myeloid cell",
        ["CSF3R", "FCGR3B", "CXCR2"],
    ),
    (
        "T follicular helper cell",
        "CD4 T cell",
        "T and NK cell",
        ["CXCL13", "CXCR5", "PDCD1"],
    ),
];

/// Symbols for the first markers of each lineage.
const LINEAGE_MARKERS: [(&str, [&str; 3]); 8] = [
    ("T and NK cell", ["CD3D", "CD2", "CD7"]),
    ("Myeloid cell", ["LYZ", "CST3", "TYROBP"]),
    ("B cell", ["CD79A", "MS4A1", "CD79B"]),
    ("Epithelial cell", ["EPCAM", "KRT8", "KRT18"]),
    ("Endothelial cell", ["PECAM1", "VWF", "CLDN5"]),
    ("Stromal cell", ["COL1A1", "COL1A2", "LUM"]),
    ("Erythroid cell", ["GYPA", "SLC4A1", "GYPB"]),
    ("Megakaryocytic cell", ["ITGA2B", "TUBB1", "GP9"]),
];

/// The tree of cell types: three levels, lineage (major type), branch, leaf (type).
#[derive(Debug, Clone, PartialEq)]
pub struct CellTypes {
    /// Name of each type.
    pub names: Vec<String>,
    /// Each type's lineage, an index into `majors`.
    pub major: Vec<usize>,
    /// Each type's branch, an index into `branches`.
    pub branch: Vec<usize>,
    /// Names of the lineages.
    pub majors: Vec<String>,
    /// Names of the branches.
    pub branches: Vec<String>,
    /// The share of the cells that each type has over the whole atlas; sums to 1.
    pub frequency: Vec<f64>,
}

impl CellTypes {
    /// A tree of `n` types, the rarest with a share of `rare`.
    pub(crate) fn new(n: usize, rare: f64, seed: u64) -> Self {
        let mut tree = Self {
            names: Vec::new(),
            major: Vec::new(),
            branch: Vec::new(),
            majors: Vec::new(),
            branches: Vec::new(),
            frequency: Vec::new(),
        };
        for t in 0..n {
            let (leaf, branch, major, _) = NAMED[t % NAMED.len()];
            let round = t / NAMED.len();
            tree.names.push(if round == 0 {
                leaf.to_owned()
            } else {
                format!("{leaf} {}", round + 1)
            });
            tree.branch.push(position(&mut tree.branches, branch));
            tree.major.push(position(&mut tree.majors, major));
        }
        tree.frequency = geometric(n, rare);
        // Which types are rare is left to the seed.
        Stream::new(seed, Purpose::Types, 0).shuffle(&mut tree.frequency);
        tree
    }

    /// The number of types.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no type; never so in a simulator.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Symbols for the first markers of type `t`.
    pub(crate) fn symbols(&self, t: usize) -> &'static [&'static str] {
        NAMED.get(t).map_or(&[], |named| &named.3)
    }

    /// Symbols for the first markers of lineage `m`.
    pub(crate) fn major_symbols(&self, m: usize) -> &'static [&'static str] {
        LINEAGE_MARKERS
            .iter()
            .find(|l| l.0 == self.majors[m])
            .map_or(&[], |l| &l.1)
    }
}

/// The position of `name`, put at the end if it is new.
fn position(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|n| n == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}

/// `n` shares that fall geometrically to `rare` (at most 1/n) and sum to 1.
fn geometric(n: usize, rare: f64) -> Vec<f64> {
    // rare * sum of ratio^i over the types is 1; the sum grows with the ratio.
    let shares = |log_ratio: f64| {
        (0..n)
            .rev()
            .map(|i| rare * exp(log_ratio * i as f64))
            .collect::<Vec<_>>()
    };
    let (mut low, mut high) = (0.0, ln(1.0 / rare));
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if shares(middle).iter().sum::<f64>() < 1.0 {
            low = middle
        } else {
            high = middle
        }
    }
    let mut out = shares(0.5 * (low + high));
    let sum: f64 = out.iter().sum();
    out.iter_mut().for_each(|f| *f /= sum);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn frequencies_reach_down_to_the_rarest() {
        let f = geometric(30, 0.001);
        assert!((f.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((f[29] - 0.001).abs() < 1e-9, "{}", f[29]);
        assert!(f.windows(2).all(|w| w[0] > w[1]) && f[0] < 0.3);
        assert_eq!(geometric(1, 0.001), [1.0]);
        let equal = geometric(10, 0.1);
        assert!(equal.iter().all(|f| (f - 0.1).abs() < 1e-9), "{equal:?}");
    }

    #[test]
    fn the_tree_has_three_levels_and_names_of_its_own() {
        let tree = CellTypes::new(100, 0.001, 1);
        assert_eq!(tree.names.iter().collect::<HashSet<_>>().len(), 100);
        assert_eq!((tree.majors.len(), tree.len()), (8, 100));
        assert!(tree.branches.len() > tree.majors.len() && tree.branches.len() < 30);
        for t in 0..100 {
            let same = (0..100)
                .find(|&u| tree.branch[u] == tree.branch[t])
                .expect("itself at least");
            assert_eq!(
                tree.major[same], tree.major[t],
                "a branch lies in one lineage"
            );
        }
    }
}
