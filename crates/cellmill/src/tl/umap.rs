//! The layout (`sc.tl.umap`): from coordinates to slots.

use crate::keys;
use crate::slot::{Patch, Slot, dict, float, integer, matrix};
use cellmill_io::ArrayData;

/// The slots that scanpy writes: obsm `X_umap` (f32, n x `n_components`), uns `umap` with the
/// curve's `a` and `b`, and the seed where it is not 0. `suffix` is appended to each key.
pub fn patch(
    coordinates: Vec<f32>,
    n_components: usize,
    (a, b): (f64, f64),
    random_state: u64,
    suffix: &str,
) -> Patch {
    let n = coordinates.len() / n_components;
    let mut params = vec![("a", float(a)), ("b", float(b))];
    if random_state != 0 {
        params.push(("random_state", integer(random_state as i64)));
    }
    Patch::new()
        .elem(
            Slot::Obsm(format!("{}{suffix}", keys::X_UMAP)),
            matrix(n, n_components, ArrayData::F32(coordinates)),
        )
        .elem(Slot::Uns(format!("{}{suffix}", keys::UMAP)), dict(vec![("params", dict(params))]))
}
