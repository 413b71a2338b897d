"""Judges what kernels found on one input: `stage_judge.py FOLDER STAGE-TOOL...` prints JSON."""

import json
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from evaluate import QUERIES, knn_kept, least, modularity, recalls
from kernel import Input
from sklearn.metrics import adjusted_rand_score

sys.path.insert(0, str(Path(__file__).parents[2] / "crates/cellmill-graph/examples"))


def ours(stage: str, folder: Path) -> dict:
    """What our examples wrote, by the names that the peers' scripts give it."""
    if stage == "knn":
        return {"knn": np.load(folder / "knn.npy")}
    if stage == "leiden":
        return {"labels": np.fromfile(folder / "leiden-cellmill.u32", "<u4")}
    return {"layout": np.fromfile(folder / "layout.f32", "<f4").reshape(-1, 2)}


def judge(stage: str, found: dict, given: Input, types, queries) -> dict:
    no_types = {} if types is not None else {"why": "obs has no cell_type"}
    if stage == "knn":
        each = recalls(given.points, found["knn"], queries)
        worst = None if types is None else least(each, types[queries])
        return {"recall": each.mean(), "recall_least": worst} | no_types
    if stage == "fuzzy":
        graph = given.graph
        theirs = sp.csr_matrix((found["data"], found["indices"], found["indptr"]), graph.shape)
        return {"difference": abs(theirs - graph).max(), "entries": float(theirs.nnz)}
    if stage == "leiden":
        labels = np.unique(found["labels"], return_inverse=True)[1]
        ari = None if types is None else adjusted_rand_score(types, labels)
        score = modularity(given.graph, labels)
        return {"modularity": score, "clusters": float(labels.max() + 1), "ari": ari} | no_types
    from compare_umap import loss

    layout = found["layout"].astype(np.float64)
    if not np.isfinite(layout).all():
        why = "the layout has values that are not finite"
        return {"loss": None, "pull": None, "knn_kept": None, "why": why}
    pull, whole = loss(given.graph, layout)
    kept = knn_kept(given.points, layout, queries)
    return {"loss": whole, "pull": pull, "knn_kept": kept}


def main() -> None:
    folder = Path(sys.argv[1])
    given = Input(folder)
    n = len(given.points)
    types = np.load(folder / "types.npy") if (folder / "types.npy").exists() else None
    queries = np.sort(np.random.default_rng(0).choice(n, min(n, QUERIES), replace=False))
    said = {}
    for name in sys.argv[2:]:
        stage, _, tool = name.partition("-")
        found = ours(stage, folder) if tool == "cellmill" else dict(np.load(folder / f"{name}.npz"))
        measures = judge(stage, found, given, types, queries)
        said[name] = {
            key: round(float(value), 6) if isinstance(value, float | np.floating) else value
            for key, value in measures.items()
        }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
