//! Gene identity: which genes a name, a symbol or a pattern stands for.
//!
//! A gene is named in the index of var; files whose index holds Ensembl identifiers name the symbol
//! in a column beside it, 10x files the identifier. Names, symbols and identifiers all find a gene.

mod named;

pub use named::Named;

use crate::{Error, Result};
use cellmill_io::{ArrayData, Column, DataFrame};
use regex::Regex;
use std::collections::HashMap;

/// Columns of var that hold symbols, in order of preference.
pub const SYMBOLS: [&str; 6] = [
    "feature_name",
    "gene_symbols",
    "gene_symbol",
    "gene_name",
    "gene_names",
    "symbol",
];

/// Columns of var that hold identifiers where the index holds symbols.
const IDS: [&str; 4] = ["gene_ids", "gene_id", "ensembl_id", "feature_id"];

/// Mitochondrial genes, of human, mouse and rat.
pub const MITOCHONDRIAL: &str = "^[Mm][Tt]-";
/// Genes of ribosomal proteins.
pub const RIBOSOMAL: &str = "^(RP[SL]|Rp[sl])";
/// Haemoglobin genes, as scanpy's tutorial has them.
pub const HAEMOGLOBIN: &str = "^(HB[^(P)]|Hb[^(p)])";
/// Spike-ins of the External RNA Controls Consortium.
const SPIKE_IN: &str = "ERCC-";

/// What the 10x formats call the features that are genes.
pub(crate) const GENE_EXPRESSION: &str = "Gene Expression";

/// The genes of a matrix, by every name that the file gives them.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The index of var.
    index: Vec<String>,
    /// The column of symbols: its name, and a symbol for each gene that has one.
    symbols: Option<(String, Vec<Option<String>>)>,
    /// The column of identifiers, likewise.
    ids: Option<(String, Vec<Option<String>>)>,
    /// Whether patterns look at the symbols: they were asked for, or the index holds identifiers.
    by_symbol: bool,
}

impl Identity {
    /// The genes of `var`. `symbols` names the column of symbols; without it the first known one is
    /// taken (feature_name, gene_symbols, …), and patterns look at it where the index is
    /// Ensembl-like.
    ///
    /// # Errors
    /// [`Error::Parameter`] when var has no such column of strings.
    pub fn of(var: &DataFrame, symbols: Option<&str>) -> Result<Self> {
        let first = |names: &[&str]| {
            names
                .iter()
                .find_map(|&name| Some((name.to_owned(), strings(column(var, name)?)?)))
        };
        let found = match symbols {
            Some(name) => {
                let values = column(var, name).and_then(strings).ok_or_else(|| {
                    let known: Vec<&str> = var.columns.iter().map(|(n, _)| n.as_str()).collect();
                    Error::Parameter(format!(
                        "gene_symbols names {name:?}, and var has no such column of strings (it has {})",
                        known.join(", ")
                    ))
                })?;
                Some((name.to_owned(), values))
            }
            None => first(&SYMBOLS),
        };
        Ok(Self {
            by_symbol: found.is_some() && (symbols.is_some() || is_ensembl(&var.index)),
            symbols: found,
            ids: first(&IDS),
            index: var.index.clone(),
        })
    }

    /// The number of genes.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no gene.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The gene's name for a reader: its symbol where patterns look at symbols, else its index.
    pub fn name(&self, gene: usize) -> &str {
        self.symbol(gene).unwrap_or(&self.index[gene])
    }

    /// The gene's entry in the index of var.
    pub fn id(&self, gene: usize) -> &str {
        &self.index[gene]
    }

    /// The gene's identifier: of a column of identifiers where there is one, else its index.
    pub fn stable_id(&self, gene: usize) -> &str {
        let beside = self.ids.as_ref().filter(|_| !self.by_symbol);
        beside
            .and_then(|(_, ids)| ids[gene].as_deref())
            .unwrap_or(&self.index[gene])
    }

    fn symbol(&self, gene: usize) -> Option<&str> {
        let (_, symbols) = self.symbols.as_ref().filter(|_| self.by_symbol)?;
        symbols[gene].as_deref()
    }

    /// The genes whose symbol or index `pattern` matches, increasing. A regular expression that may
    /// match anywhere; `^` and `$` tie it to the ends. None where nothing matches.
    ///
    /// # Errors
    /// [`Error::Parameter`] when it is no regular expression.
    pub fn matches(&self, pattern: &str) -> Result<Vec<u32>> {
        let regex = Regex::new(pattern)
            .map_err(|e| Error::Parameter(format!("{pattern:?} is no regular expression: {e}")))?;
        Ok((0u32..)
            .zip(&self.index)
            .filter(|&(gene, id)| {
                regex.is_match(id)
                    || self
                        .symbol(gene as usize)
                        .is_some_and(|s| regex.is_match(s))
            })
            .map(|(gene, _)| gene)
            .collect())
    }

    /// As [`Identity::matches`], for what must be there.
    ///
    /// # Errors
    /// [`Error::Data`] when nothing matches, and how the names look.
    pub fn matches_some(&self, pattern: &str) -> Result<Vec<u32>> {
        let found = self.matches(pattern)?;
        if found.is_empty() {
            return Err(Error::Data(format!(
                "no gene matches {pattern:?} among {} {} such as {}; name the column of var that holds \
                 symbols with --gene-symbols",
                self.len(),
                self.searched(),
                self.first_names()
            )));
        }
        Ok(found)
    }

    /// How names look.
    fn first_names(&self) -> String {
        let first: Vec<&str> = (0..self.len().min(3)).map(|i| self.name(i)).collect();
        first.join(", ")
    }

    /// What patterns look at, in words.
    fn searched(&self) -> String {
        match self.symbols.as_ref().filter(|_| self.by_symbol) {
            Some((name, _)) => format!("symbols of var/{name}"),
            None => "names in the index of var".to_owned(),
        }
    }

    /// The gene that `name` stands for: by the index of var, else by symbol, else by identifier.
    ///
    /// # Errors
    /// [`Error::Data`] when it stands for several genes; the message lists them.
    pub fn find(&self, name: &str) -> Result<Option<u32>> {
        let rows = |matches: &dyn Fn(usize) -> bool| -> Vec<usize> {
            (0..self.len()).filter(|&i| matches(i)).collect()
        };
        match *rows(&|i| self.index[i] == name).as_slice() {
            [] => {}
            [one] => return Ok(Some(one as u32)),
            ref several => {
                let places: Vec<String> = several.iter().map(usize::to_string).collect();
                return Err(Error::Data(format!(
                    "the name {name} stands in the index of var {} times, at positions {}; make the \
                     names unique, or name another gene",
                    several.len(),
                    places.join(", ")
                )));
            }
        }
        for (_, names) in self.symbols.iter().chain(&self.ids) {
            match *rows(&|i| names[i].as_deref() == Some(name)).as_slice() {
                [] => {}
                [one] => return Ok(Some(one as u32)),
                ref several => {
                    let ids: Vec<&str> = several.iter().map(|&i| self.id(i)).collect();
                    return Err(Error::Data(format!(
                        "the symbol {name} stands for several genes; name one of {}",
                        ids.join(", ")
                    )));
                }
            }
        }
        Ok(None)
    }

    /// Sentences for the user: which column the symbols come from, and duplicated names.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some((name, _)) = self.symbols.as_ref().filter(|_| self.by_symbol) {
            notes.push(format!(
                "gene symbols: var/{name} (the index of var holds {} and the like)",
                self.index.first().map_or("", String::as_str)
            ));
        }
        let mut count = HashMap::with_capacity(self.len());
        for id in &self.index {
            *count.entry(id.as_str()).or_insert(0usize) += 1;
        }
        let extra = self.len() - count.len();
        let first = self.index.iter().find(|id| count[id.as_str()] > 1);
        if let Some(first) = first {
            notes.push(format!(
                "{extra} names in the index of var are duplicates, {first} the first; each stays a gene \
                 of its own"
            ));
        }
        notes
    }
}

/// Whether most names are Ensembl identifiers of genes (ENSG…, ENSMUSG…).
fn is_ensembl(index: &[String]) -> bool {
    let looks = |name: &&String| {
        name.strip_prefix("ENS").is_some_and(|rest| {
            let digits = rest.trim_start_matches(|c: char| c.is_ascii_uppercase());
            rest[..rest.len() - digits.len()].ends_with('G')
                && digits.len() >= 6
                && digits.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    2 * index.iter().filter(looks).count() > index.len()
}

/// What of a matrix's features enters the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneExpression {
    /// The features that are genes, increasing.
    pub genes: Vec<u32>,
    /// What stays aside, in words.
    pub note: String,
}

/// The features of a 10x matrix that are genes (`var/feature_types` is "Gene Expression") and not
/// ERCC spike-ins; `None` where var has no such column, or all features are genes.
///
/// ```
/// use cellmill::identity::gene_expression;
/// use cellmill_io::{ArrayData, Column, DataFrame};
/// let text = |v: &[&str]| v.iter().map(|s| s.to_string()).collect::<Vec<_>>();
/// let var = DataFrame {
///     index_name: "_index".into(),
///     index: text(&["CD3E", "CD3_TotalSeqB"]),
///     columns: vec![(
///         "feature_types".into(),
///         Column::Plain(ArrayData::Str(text(&["Gene Expression", "Antibody Capture"]))),
///     )],
/// };
/// assert_eq!(gene_expression(&var).unwrap().genes, [0]);
/// ```
pub fn gene_expression(var: &DataFrame) -> Option<GeneExpression> {
    let types = column(var, "feature_types").and_then(strings)?;
    let is_gene = |t: &Option<String>| t.as_deref() == Some(GENE_EXPRESSION);
    if !types.iter().any(is_gene) {
        return None;
    }
    let (mut genes, mut aside) = (Vec::new(), Vec::<(&str, usize)>::new());
    for (i, (kind, id)) in types.iter().zip(&var.index).enumerate() {
        let kind = match kind.as_deref() {
            Some(GENE_EXPRESSION) if id.starts_with(SPIKE_IN) => "ERCC spike-in",
            Some(GENE_EXPRESSION) => {
                genes.push(i as u32);
                continue;
            }
            other => other.unwrap_or("untyped"),
        };
        match aside.iter_mut().find(|(have, _)| *have == kind) {
            Some((_, n)) => *n += 1,
            None => aside.push((kind, 1)),
        }
    }
    if aside.is_empty() {
        return None;
    }
    let aside: Vec<String> = aside
        .iter()
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    Some(GeneExpression {
        note: format!(
            "{} of {} features are genes (var/feature_types); kept aside, neither in totals nor in the \
             result: {}",
            genes.len(),
            var.index.len(),
            aside.join(", ")
        ),
        genes,
    })
}

/// A column of a frame, by name.
pub(crate) fn column<'a>(frame: &'a DataFrame, name: &str) -> Option<&'a Column> {
    frame
        .columns
        .iter()
        .find(|(have, _)| have == name)
        .map(|(_, column)| column)
}

/// A column of strings, of whatever encoding; `None` in it where a value is missing.
pub(crate) fn strings(column: &Column) -> Option<Vec<Option<String>>> {
    match column {
        Column::Plain(ArrayData::Str(v)) => Some(v.iter().cloned().map(Some).collect()),
        Column::Nullable {
            values: ArrayData::Str(v),
            mask,
        } => Some(
            v.iter()
                .zip(mask)
                .map(|(s, &missing)| (!missing).then(|| s.clone()))
                .collect(),
        ),
        Column::Categorical(c) => match &c.categories {
            ArrayData::Str(names) => Some(
                c.codes
                    .iter()
                    .map(|&code| {
                        usize::try_from(code)
                            .ok()
                            .and_then(|i| names.get(i).cloned())
                    })
                    .collect(),
            ),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn frame(index: &[&str], columns: &[(&str, &[&str])]) -> DataFrame {
        let text = |v: &[&str]| v.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        DataFrame {
            index_name: "_index".into(),
            index: text(index),
            columns: columns
                .iter()
                .map(|(name, v)| ((*name).to_owned(), Column::Plain(ArrayData::Str(text(v)))))
                .collect(),
        }
    }

    pub(super) fn ensembl() -> DataFrame {
        frame(
            &[
                "ENSG00000198899",
                "ENSG00000156738",
                "ENSG00000198851",
                "ENSMUSG00000064351",
            ],
            &[("feature_name", &["MT-ATP6", "MS4A1", "CD3E", "CD3E"])],
        )
    }

    #[test]
    fn genes_are_found_by_id_or_symbol() {
        let genes = Identity::of(&ensembl(), None).unwrap();
        assert_eq!(genes.find("ENSG00000198851").unwrap(), Some(2));
        assert_eq!(genes.find("MS4A1").unwrap(), Some(1));
        assert_eq!(genes.find("NKG7").unwrap(), None);
        assert_eq!(genes.name(0), "MT-ATP6");
        let by_name = frame(&["MS4A1"], &[("gene_ids", &["ENSG00000156738"])]);
        let genes = Identity::of(&by_name, None).unwrap();
        assert_eq!(genes.find("ENSG00000156738").unwrap(), Some(0));
        assert_eq!(genes.name(0), "MS4A1");
    }

    #[test]
    fn what_is_ambiguous_is_listed() {
        let genes = Identity::of(&ensembl(), None).unwrap();
        let message = genes.find("CD3E").unwrap_err().to_string();
        assert!(
            message.contains("ENSG00000198851, ENSMUSG00000064351"),
            "{message}"
        );
        let twice = Identity::of(&frame(&["A", "B", "A"], &[]), None).unwrap();
        let message = twice.find("A").unwrap_err().to_string();
        assert!(message.contains("0, 2"), "{message}");
        assert!(twice.notes()[0].contains("1 names"), "{:?}", twice.notes());
    }

    #[test]
    fn patterns_look_at_symbols_where_the_index_is_ensembl_like() {
        let genes = Identity::of(&ensembl(), None).unwrap();
        assert_eq!(genes.matches(MITOCHONDRIAL).unwrap(), [0]);
        assert_eq!(genes.matches("^ENSMUSG").unwrap(), [3]);
        assert!(genes.notes()[0].contains("feature_name"));
        assert!(genes.matches("(").is_err());
        let message = genes.matches_some("^HB").unwrap_err().to_string();
        assert!(message.contains("MT-ATP6"), "{message}");
    }

    #[test]
    fn a_column_of_symbols_is_taken_when_it_is_asked_for() {
        let var = frame(
            &["a", "b"],
            &[("mine", &["MT-CO1", "mt-Co1"]), ("symbol", &["x", "y"])],
        );
        let genes = Identity::of(&var, None).unwrap();
        assert!(genes.matches(MITOCHONDRIAL).unwrap().is_empty());
        let genes = Identity::of(&var, Some("mine")).unwrap();
        assert_eq!(genes.matches(MITOCHONDRIAL).unwrap(), [0, 1]);
        let message = Identity::of(&var, Some("none")).unwrap_err().to_string();
        assert!(message.contains("mine, symbol"), "{message}");
    }

    #[test]
    fn families() {
        let var = frame(
            &["RPS4X", "Rpl3", "RPP14", "HBA1", "HBP1", "Hbb-bs", "HB"],
            &[],
        );
        let genes = Identity::of(&var, None).unwrap();
        assert_eq!(genes.matches(RIBOSOMAL).unwrap(), [0, 1]);
        assert_eq!(genes.matches(HAEMOGLOBIN).unwrap(), [3, 5]);
    }

    #[test]
    fn only_genes_enter() {
        let kinds = [
            "Gene Expression",
            "Gene Expression",
            "Antibody Capture",
            "Antibody Capture",
        ];
        let index = ["CD3E", "ERCC-00002", "CD3_TotalSeqB", "CD19_TotalSeqB"];
        let found = gene_expression(&frame(&index, &[("feature_types", &kinds)])).unwrap();
        assert_eq!(found.genes, [0]);
        assert!(
            found.note.contains("1 ERCC spike-in, 2 Antibody Capture"),
            "{}",
            found.note
        );
        assert_eq!(
            gene_expression(&frame(&index[..1], &[("feature_types", &kinds[..1])])),
            None
        );
        assert_eq!(gene_expression(&frame(&index, &[])), None);
    }
}
