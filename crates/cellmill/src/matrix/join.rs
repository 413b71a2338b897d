//! The genes of several matrices that are put one below the other.

use crate::{Error, Result};
use std::collections::{HashMap, HashSet};

/// Which genes a concatenation has, as `anndata.concat(join=…)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Join {
    /// Those of all parts, in the order of the first.
    #[default]
    Inner,
    /// Those of any part, sorted by name unless all parts have the same.
    Outer,
}

/// The genes of a concatenation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Their names.
    pub genes: Vec<String>,
    /// For each part, its column of each of them; `None` for the whole where nothing moves, `None`
    /// for a gene that the part does not have.
    pub columns: Vec<Option<Vec<Option<u32>>>>,
}

/// Joins the genes of `parts`, as `anndata.concat` does.
///
/// # Errors
/// [`Error::Data`] when the parts have different genes and a name is there twice in one of them.
pub fn join_genes(parts: &[&[String]], join: Join) -> Result<Joined> {
    let Some((&first, rest)) = parts.split_first() else {
        return Ok(Joined {
            genes: Vec::new(),
            columns: Vec::new(),
        });
    };
    if rest.iter().all(|&other| other == first) {
        return Ok(Joined {
            genes: first.to_vec(),
            columns: vec![None; parts.len()],
        });
    }
    let places = parts
        .iter()
        .enumerate()
        .map(|(i, genes)| places(i, genes))
        .collect::<Result<Vec<_>>>()?;
    let genes: Vec<String> = match join {
        Join::Inner => first
            .iter()
            .filter(|gene| places.iter().all(|place| place.contains_key(gene.as_str())))
            .cloned()
            .collect(),
        Join::Outer => {
            let all: HashSet<&String> = parts.iter().copied().flatten().collect();
            let mut all: Vec<String> = all.into_iter().cloned().collect();
            all.sort_unstable();
            all
        }
    };
    let columns = parts
        .iter()
        .zip(&places)
        .map(|(&part, place)| {
            (part != genes).then(|| {
                genes
                    .iter()
                    .map(|g| place.get(g.as_str()).copied())
                    .collect()
            })
        })
        .collect();
    Ok(Joined { genes, columns })
}

fn places(part: usize, genes: &[String]) -> Result<HashMap<&str, u32>> {
    let mut places = HashMap::with_capacity(genes.len());
    for (column, gene) in (0u32..).zip(genes) {
        if places.insert(gene.as_str(), column).is_some() {
            return Err(Error::Data(format!(
                "the gene {gene} is there twice in part {} of a concatenation, so the parts cannot \
                 be joined by name; make the names unique",
                part + 1
            )));
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn inner_keeps_the_order_of_the_first_and_outer_sorts() {
        let (a, b) = (names("d b a"), names("a c d"));
        let inner = join_genes(&[&a, &b], Join::Inner).unwrap();
        assert_eq!(inner.genes, names("d a"));
        assert_eq!(inner.columns[0], Some(vec![Some(0), Some(2)]));
        assert_eq!(inner.columns[1], Some(vec![Some(2), Some(0)]));
        let outer = join_genes(&[&a, &b], Join::Outer).unwrap();
        assert_eq!(outer.genes, names("a b c d"));
        assert_eq!(
            outer.columns[0],
            Some(vec![Some(2), Some(1), None, Some(0)])
        );
        let same = join_genes(&[&a, &a], Join::Outer).unwrap();
        assert_eq!((same.genes, same.columns), (a.clone(), vec![None, None]));
        let twice = join_genes(&[&a, &names("x x")], Join::Outer).unwrap_err();
        assert!(
            twice
                .to_string()
                .contains("gene x is there twice in part 2")
        );
    }
}
