//! The obs and var of a synthetic atlas.

use super::cohort::{CYCLING, INTERFERON};
use super::genes::ensembl_id;
use super::random::mix;
use super::simulator::Simulator;
use cellmill_io::{ArrayData, Categorical, Column, DataFrame};

/// Heap bytes of one row of [`Simulator::obs`], about: barcode, codes, scores.
const OBS_ROW_BYTES: u64 = 24 + 32 + 5 * 4 + 4 * 4;

impl Simulator {
    /// One row a cell. Index: 10x barcodes with the number of the sample, unique. Columns:
    ///
    /// | column | dtype | |
    /// |---|---|---|
    /// | `cell_type` | categorical | the true type, a leaf of the tree |
    /// | `cell_type_branch`, `cell_type_major` | categorical | the levels above it |
    /// | `batch`, `donor_id`, `sample_id` | categorical | |
    /// | `n_counts_true` | f32 | molecules that the cell was expected to have, programs left out |
    /// | `maturity_true` | f32 | how far it is from its branch (0) to its leaf (1) |
    /// | `is_cycling_true` | bool | whether it divides |
    /// | `Leukocytes [G over L]` | f32 | a score of an awkward name: positive in blood cells |
    ///
    /// Categories are sorted and only those that occur, as pandas has them.
    pub fn obs(&self) -> DataFrame {
        let n = self.params().n_cells;
        let capacity = n as usize;
        let mut index = Vec::with_capacity(capacity);
        let mut codes: [Vec<i32>; 6] = std::array::from_fn(|_| Vec::with_capacity(capacity));
        let mut depth = Vec::with_capacity(capacity);
        let mut maturity = Vec::with_capacity(capacity);
        let mut cycling = Vec::with_capacity(capacity);
        let mut score = Vec::with_capacity(capacity);
        for i in 0..n {
            let cell = self.cell(i);
            let sample = &self.cohort.samples[cell.sample];
            index.push(sample_barcode(
                self.params().seed,
                cell.sample,
                i - sample.first,
            ));
            let kind = cell.kind;
            let row = [
                kind,
                self.types.branch[kind],
                self.types.major[kind],
                sample.batch,
                sample.donor,
                cell.sample,
            ];
            codes
                .iter_mut()
                .zip(row)
                .for_each(|(column, code)| column.push(code as i32));
            depth.push(cell.depth as f32);
            maturity.push(cell.maturity as f32);
            cycling.push(cell.programs[CYCLING] > 0.5);
            let blood = matches!(
                self.types.majors[self.types.major[kind]].as_str(),
                "T and NK cell" | "B cell" | "Myeloid cell"
            );
            let side = if blood { 1.0 } else { -1.0 };
            score.push((side * cell.maturity + 0.5 * cell.programs[INTERFERON]) as f32);
        }
        let numbered =
            |stem: &str, n: usize| (1..=n).map(|k| format!("{stem}{k}")).collect::<Vec<_>>();
        let names = [
            ("cell_type", self.types.names.clone()),
            ("cell_type_branch", self.types.branches.clone()),
            ("cell_type_major", self.types.majors.clone()),
            ("batch", numbered("batch_", self.cohort.n_batches)),
            ("donor_id", numbered("donor_", self.cohort.n_donors)),
            ("sample_id", numbered("sample_", self.cohort.samples.len())),
        ];
        let mut columns: Vec<(String, Column)> = names
            .into_iter()
            .zip(codes)
            .map(|((name, categories), codes)| (name.to_owned(), categorical(codes, categories)))
            .collect();
        for (name, data) in [
            ("n_counts_true", ArrayData::F32(depth)),
            ("maturity_true", ArrayData::F32(maturity)),
            ("is_cycling_true", ArrayData::Bool(cycling)),
            ("Leukocytes [G over L]", ArrayData::F32(score)),
        ] {
            columns.push((name.to_owned(), Column::Plain(data)));
        }
        DataFrame {
            index_name: "_index".to_owned(),
            index,
            columns,
        }
    }

    /// One row a gene. Index: identifiers like Ensembl's. Columns: `feature_name` (symbols, unique;
    /// `MT-…`, `RPL…`, `RPS…`, `HB…` among them, and the real markers of the types), `feature_type`.
    pub fn var(&self) -> DataFrame {
        let n = self.symbols.len();
        DataFrame {
            index_name: "_index".to_owned(),
            index: (0..n).map(ensembl_id).collect(),
            columns: vec![
                (
                    "feature_name".to_owned(),
                    Column::Plain(ArrayData::Str(self.symbols.clone())),
                ),
                (
                    "feature_type".to_owned(),
                    categorical(vec![0; n], vec!["Gene Expression".to_owned()]),
                ),
            ],
        }
    }

    /// Heap bytes that [`Simulator::obs`] and [`Simulator::var`] hold, about.
    pub fn annotation_bytes(&self) -> u64 {
        self.params().n_cells * OBS_ROW_BYTES + self.symbols.len() as u64 * (2 * 24 + 32 + 16 + 4)
    }
}

/// A categorical of sorted categories, those that do not occur left out.
pub(crate) fn categorical(mut codes: Vec<i32>, names: Vec<String>) -> Column {
    let mut used = vec![false; names.len()];
    for &code in &codes {
        used[code as usize] = true;
    }
    let mut order: Vec<usize> = (0..names.len()).filter(|&k| used[k]).collect();
    order.sort_by(|&a, &b| names[a].cmp(&names[b]));
    let mut place = vec![-1i32; names.len()];
    order
        .iter()
        .enumerate()
        .for_each(|(at, &k)| place[k] = at as i32);
    codes
        .iter_mut()
        .for_each(|code| *code = place[*code as usize]);
    let categories = ArrayData::Str(order.iter().map(|&k| names[k].clone()).collect());
    Column::Categorical(Categorical {
        codes,
        categories,
        ordered: false,
    })
}

/// A barcode of 16 bases, gem group 1, and the number of the sample: as aggregated 10x runs have.
pub(crate) fn sample_barcode(seed: u64, sample: usize, number: u64) -> String {
    // An odd multiplier and a shifted xor are bijections of 32 bits, so barcodes never meet
    // within a sample.
    let key = mix(seed ^ mix(sample as u64)) as u32;
    let mut x = (number as u32 ^ key).wrapping_mul(0x9e37_79b1);
    x = (x ^ (x >> 15)).wrapping_mul(0x85eb_ca77);
    x ^= x >> 13;
    let mut name = String::with_capacity(24);
    name.extend((0..16).map(|k| char::from(b"ACGT"[(x >> (30 - 2 * k)) as usize & 3])));
    name.push_str("-1-");
    name.push_str(&(sample + 1).to_string());
    name
}

#[cfg(test)]
mod tests {
    use super::super::params::SimulateParams;
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn obs_and_var_are_as_described() {
        let params = SimulateParams {
            n_cells: 30_000,
            n_genes: 2000,
            entries_per_cell: 50.0,
            ..Default::default()
        };
        let atlas = Simulator::new(params).expect("valid");
        let (obs, var) = (atlas.obs(), atlas.var());
        assert_eq!(
            obs.index.iter().collect::<HashSet<_>>().len(),
            30_000,
            "barcodes are unique"
        );
        assert!(obs.index[0].len() == 16 + 4 && obs.index[0].ends_with("-1-1"));
        let names: Vec<&str> = obs.columns.iter().map(|c| c.0.as_str()).collect();
        assert_eq!(
            names[..6],
            [
                "cell_type",
                "cell_type_branch",
                "cell_type_major",
                "batch",
                "donor_id",
                "sample_id"
            ]
        );
        assert_eq!(names[9], "Leukocytes [G over L]");
        let Column::Categorical(kinds) = &obs.columns[0].1 else {
            panic!("cell_type is categorical")
        };
        let ArrayData::Str(categories) = &kinds.categories else {
            panic!("of strings")
        };
        assert!(categories.windows(2).all(|w| w[0] < w[1]));
        let cell = atlas.cell(29_999);
        assert_eq!(
            categories[kinds.codes[29_999] as usize],
            atlas.types.names[cell.kind]
        );
        let Column::Plain(ArrayData::Str(symbols)) = &var.columns[0].1 else {
            panic!("feature_name is text")
        };
        assert_eq!(
            symbols.iter().collect::<HashSet<_>>().len(),
            2000,
            "symbols are unique"
        );
        assert_eq!(symbols.iter().filter(|s| s.starts_with("MT-")).count(), 13);
        assert!(atlas.annotation_bytes() > 30_000 * 60);
    }

    #[test]
    fn categories_that_do_not_occur_are_left_out() {
        let names = ["c", "a", "b"].map(str::to_owned).to_vec();
        let Column::Categorical(c) = categorical(vec![0, 2, 0], names) else {
            panic!("categorical")
        };
        assert_eq!(c.codes, [1, 0, 1]);
        assert_eq!(
            c.categories,
            ArrayData::Str(vec!["b".to_owned(), "c".to_owned()])
        );
    }
}
