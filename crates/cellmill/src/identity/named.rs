//! Sets of genes that a user names: families, shell-like patterns, lists.

use super::Identity;
use crate::pp::calculate_qc_metrics::FAMILIES;
use crate::{Error, Result};
use regex::Regex;

/// Genes that words stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Whether each gene is one of them.
    pub genes: Vec<bool>,
    /// Names of lists that no gene has: how many, and the first.
    pub unknown: Option<(usize, String)>,
}

impl Identity {
    /// The genes that `words` stand for. A word is a family (`mt`, `ribo`, `hb`), `@FILE` (a list of
    /// names and patterns, one a line), or a name or pattern of the shell (`*`, `?`, `[…]`), which a
    /// gene's whole name, symbol or identifier must match, case and all.
    ///
    /// # Errors
    /// [`Error::Data`] when a word stands for no gene, or no line of a list does, or a list cannot be
    /// read; [`Error::Parameter`] for a pattern that cannot be one.
    pub fn named(&self, words: &[String]) -> Result<Named> {
        let mut named = Named {
            genes: vec![false; self.len()],
            unknown: None,
        };
        for word in words {
            if let Some(path) = word.strip_prefix('@') {
                self.of_list(path, &mut named)?;
                continue;
            }
            let found = match FAMILIES.iter().find(|(name, _)| name == word) {
                Some((_, pattern)) => self.matches_some(pattern)?,
                None => self.like(word)?,
            };
            if found.is_empty() {
                return Err(Error::Data(format!(
                    "no gene matches {word:?} among {} {} such as {}; a word is a name or a pattern \
                     of the whole name (MT-*), a family (mt, ribo, hb), or @FILE, a list",
                    self.len(),
                    self.searched(),
                    self.first_names()
                )));
            }
            found.iter().for_each(|&g| named.genes[g as usize] = true);
        }
        Ok(named)
    }

    fn of_list(&self, path: &str, named: &mut Named) -> Result<()> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::Data(format!("the list of genes {path}: {e}")))?;
        let (mut any, mut unknown) = (false, Vec::new());
        for name in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let found = self.like(name)?;
            if found.is_empty() {
                unknown.push(name);
            }
            any |= !found.is_empty();
            found.iter().for_each(|&g| named.genes[g as usize] = true);
        }
        if !any {
            return Err(Error::Data(format!(
                "the list of genes {path} names {} genes, and none is among {} {} such as {}",
                unknown.len(),
                self.len(),
                self.searched(),
                self.first_names()
            )));
        }
        if let Some(&first) = unknown.first() {
            let (n, first_of_all) = named.unknown.take().unwrap_or((0, first.to_owned()));
            named.unknown = Some((n + unknown.len(), first_of_all));
        }
        Ok(())
    }

    /// The genes one of whose names is `pattern`, or is matched by it as a whole.
    fn like(&self, pattern: &str) -> Result<Vec<u32>> {
        let columns = || self.symbols.iter().chain(&self.ids).map(|(_, names)| names);
        let genes = |fits: &dyn Fn(&str) -> bool| -> Vec<u32> {
            (0u32..)
                .zip(&self.index)
                .filter(|&(gene, id)| {
                    fits(id)
                        || columns().any(|names| names[gene as usize].as_deref().is_some_and(fits))
                })
                .map(|(gene, _)| gene)
                .collect()
        };
        if !pattern.contains(['*', '?', '[']) {
            return Ok(genes(&|name| name == pattern));
        }
        let mut regex = String::from("^");
        let mut inside = false;
        for c in pattern.chars() {
            match c {
                ']' if inside => inside = false,
                '!' if inside && regex.ends_with('[') => {
                    regex.push('^');
                    continue;
                }
                '-' if inside => {}
                '[' if !inside => inside = true,
                '*' if !inside => {
                    regex.push_str(".*");
                    continue;
                }
                '?' if !inside => {
                    regex.push('.');
                    continue;
                }
                _ => {
                    regex.push_str(&regex::escape(&c.to_string()));
                    continue;
                }
            }
            regex.push(c);
        }
        regex.push('$');
        let regex = Regex::new(&regex).map_err(|_| {
            Error::Parameter(format!(
                "{pattern:?} is no pattern of genes: a [ without its ], or an empty [] or range"
            ))
        })?;
        Ok(genes(&|name| regex.is_match(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ensembl, frame};
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    fn named(genes: &Identity, given: &[&str]) -> Vec<usize> {
        let found = genes.named(&words(given)).unwrap();
        (0..genes.len()).filter(|&g| found.genes[g]).collect()
    }

    #[test]
    fn families_patterns_and_names() {
        let genes = Identity::of(&ensembl(), None).unwrap();
        assert_eq!(named(&genes, &["mt"]), [0]);
        assert_eq!(named(&genes, &["MT-*", "MS4A?"]), [0, 1]);
        assert_eq!(named(&genes, &["CD3E"]), [2, 3]);
        assert_eq!(named(&genes, &["ENSMUSG*"]), [3]);
        let genes = frame(&["A.1", "Ax1", "A-1", "a.1", "A]"], &[]);
        let genes = Identity::of(&genes, None).unwrap();
        assert_eq!(named(&genes, &["A.*"]), [0]);
        assert_eq!(named(&genes, &["A[.-]1"]), [0, 2]);
        assert_eq!(named(&genes, &["A[!.-]1"]), [1]);
        assert_eq!(named(&genes, &["[a-z]*"]), [3]);
        assert_eq!(named(&genes, &["A]"]), [4]);
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        let genes = Identity::of(&ensembl(), None).unwrap();
        for word in ["mt-*", "hb", "MT", "CD3", "@/no/such/list", "CD[3"] {
            assert!(genes.named(&words(&["MT-*", word])).is_err(), "{word}");
        }
        let message = genes.named(&words(&["mt-*"])).unwrap_err().to_string();
        assert!(message.contains("MT-ATP6"), "{message}");
    }

    #[test]
    fn lists() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        let genes = Identity::of(&ensembl(), None).unwrap();
        std::fs::write(&path, "MS4A1\n\nNKG7\n MT-*\nCD8A\n").unwrap();
        let word = format!("@{}", path.display());
        let found = genes.named(std::slice::from_ref(&word)).unwrap();
        assert_eq!(found.genes, [true, true, false, false]);
        assert_eq!(found.unknown, Some((2, "NKG7".to_owned())));
        std::fs::write(&path, "NKG7\n").unwrap();
        assert!(genes.named(&[word]).is_err());
    }
}
