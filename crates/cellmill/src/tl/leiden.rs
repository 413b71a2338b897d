//! Clusters (`sc.tl.leiden`): from labels to slots.

use crate::Result;
use crate::keys::LEIDEN;
use crate::params::RunParams;
use crate::result::SUFFIX;
use crate::slot::{Patch, Slot, dict, float, integer};
use cellmill_engine::Context;
use cellmill_graph::leiden::{self, Leiden, LeidenParams, Objective};
use cellmill_graph::{Handed, WeightedGraph};
use cellmill_io::{ArrayData, Categorical, Column};

/// Clusters the graph at one resolution.
///
/// Matches `sc.tl.leiden(flavor="igraph", directed=False)`, with labels numbered by size.
///
/// # Errors
/// When the clusters do not fit the budget, or the run is cancelled.
pub fn leiden<'a>(
    ctx: &Context,
    graph: impl Into<Handed<'a>>,
    resolution: f64,
    params: &RunParams,
) -> Result<Leiden> {
    let asked = LeidenParams {
        objective: Objective::Modularity,
        resolution,
        n_iterations: params.n_iterations,
        seed: params.seed,
        use_weights: true,
    };
    Ok(leiden::leiden(ctx, graph, &asked)?)
}

/// The slots that scanpy writes: a categorical obs column of the strings `0`, `1`, … in natural
/// order, and uns `{params: {resolution, random_state, n_iterations}, modularity}`.
///
/// `labels` number the clusters by size, the largest is 0.
pub fn patch(
    key: &str,
    labels: &[u32],
    modularity: f64,
    resolution: f64,
    random_state: u64,
    n_iterations: i32,
) -> Patch {
    let n = labels.iter().max().map_or(0, |&m| m + 1);
    let column = Column::Categorical(Categorical {
        codes: labels.iter().map(|&l| l as i32).collect(),
        categories: ArrayData::Str((0..n).map(|i| i.to_string()).collect()),
        ordered: false,
    });
    let params = dict(vec![
        ("resolution", float(resolution)),
        ("random_state", integer(random_state as i64)),
        ("n_iterations", integer(i64::from(n_iterations))),
    ]);
    Patch::new().obs(key, column).elem(
        Slot::Uns(key.to_owned()),
        dict(vec![("params", params), ("modularity", float(modularity))]),
    )
}

/// A column of clusters: its name, the number of clusters, their modularity.
pub type Clusters = (String, usize, f64);

/// Who keeps a graph between the resolutions.
pub trait Keeper {
    /// Vertices and entries.
    fn size(&self) -> (u64, u64);

    /// The graph, lent, or given away where the budget has no `room` bytes beside it.
    ///
    /// # Errors
    /// When the graph has to be fetched and cannot be.
    fn hand(&mut self, ctx: &Context, room: u64) -> Result<Handed<'_>>;
}

impl Keeper for &WeightedGraph {
    fn size(&self) -> (u64, u64) {
        (self.n() as u64, self.nnz())
    }

    fn hand(&mut self, _: &Context, _: u64) -> Result<Handed<'_>> {
        Ok((*self).into())
    }
}

/// Clusters the graph at each of the resolutions, into columns that `taken` does not know.
///
/// # Errors
/// As [`leiden`].
pub fn columns(
    ctx: &Context,
    graph: &mut impl Keeper,
    params: &RunParams,
    taken: impl Fn(&str) -> bool,
) -> Result<(Patch, Vec<Clusters>)> {
    let mut names = keys(LEIDEN, &params.resolutions);
    if names.iter().any(|name| taken(name)) {
        names = keys(&format!("{LEIDEN}{SUFFIX}"), &params.resolutions);
    }
    let (mut all, mut found) = (Patch::new(), Vec::new());
    for (name, &resolution) in names.iter().zip(&params.resolutions) {
        let (n, nnz) = graph.size();
        let graph = graph.hand(ctx, leiden::bytes(n, nnz))?;
        let clusters = leiden(ctx, graph, resolution, params)?;
        found.push((name.clone(), clusters.n_communities, clusters.modularity));
        all.extend(patch(
            name,
            &clusters.labels,
            clusters.modularity,
            resolution,
            params.seed,
            params.n_iterations,
        ));
    }
    Ok((all, found))
}

/// The obs columns of several resolutions: one is `leiden`, several are `leiden_0.5`, ….
pub(crate) fn keys(key: &str, resolutions: &[f64]) -> Vec<String> {
    match resolutions {
        [_] => vec![key.to_owned()],
        many => many.iter().map(|r| format!("{key}_{r}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_resolution_keeps_the_plain_key() {
        assert_eq!(keys("leiden", &[1.0]), ["leiden"]);
        assert_eq!(keys("leiden", &[0.5, 1.0]), ["leiden_0.5", "leiden_1"]);
    }

    #[test]
    fn categories_are_in_natural_order() {
        let labels: Vec<u32> = (0..12).collect();
        let patch = patch("leiden", &labels, 0.5, 1.0, 0, 2);
        let crate::slot::Value::Column(Column::Categorical(column)) = &patch.entries()[0].1 else {
            panic!("leiden must be categorical");
        };
        let ArrayData::Str(categories) = &column.categories else {
            panic!("strings")
        };
        assert_eq!(categories[2], "2");
        assert_eq!(categories[11], "11");
    }
}
