"""Files of other formats: scanpy's own readers give the same."""

import anndata as ad
import cellmill as cm
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from cellmill._lazy import plan_of
from conftest import dense
from scipy import io, sparse


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(3)
    x = sparse.random(120, 80, 0.2, format="csr", rng=rng, data_rvs=lambda n: rng.integers(1, 9, n))
    names = [f"gene{i // 2 if i < 4 else i}" for i in range(80)]
    return ad.AnnData(
        x.astype(np.float32),
        obs=pd.DataFrame(
            {"kind": pd.Categorical(list("abcd") * 30)}, index=[f"c{i}" for i in range(120)]
        ),
        var=pd.DataFrame(
            {
                "gene_ids": [f"ENSG{i:011}" for i in range(80)],
                "feature_types": ["Gene Expression"] * 70 + ["Antibody Capture"] * 10,
            },
            index=names,
        ),
    )


def tenx(path, adata, genomes=None):
    with h5py.File(path, "w") as file:
        for genome in genomes or ["matrix"]:
            group = file.create_group(genome)
            group["barcodes"] = np.array(adata.obs_names, dtype="S")
            group["data"] = adata.X.data.astype(np.int32)
            group["indices"] = adata.X.indices.astype(np.int64)
            group["indptr"] = adata.X.indptr.astype(np.int64)
            group["shape"] = np.array(adata.shape[::-1], dtype=np.int32)
            names = np.array(adata.var_names, dtype="S")
            ids = np.array(adata.var["gene_ids"], dtype="S")
            if genomes:
                group["gene_names"], group["genes"] = names, ids
                continue
            features = group.create_group("features")
            features["name"], features["id"] = names, ids
            features["feature_type"] = np.array(adata.var["feature_types"], dtype="S")
            features["genome"] = np.array(["hg19", "mm10"] * 40, dtype="S")
            features["_all_tag_keys"] = np.array(["genome"], dtype="S")
    return path


def same(ours, theirs):
    assert plan_of(ours.X) is not None
    assert ours.X.dtype == theirs.X.dtype
    assert (dense(ours.X) == dense(theirs.X)).all()
    pd.testing.assert_frame_equal(
        ours.obs, theirs.obs, check_index_type=False, check_column_type=False, check_dtype=False
    )
    pd.testing.assert_frame_equal(
        ours.var, theirs.var, check_index_type=False, check_column_type=False, check_dtype=False
    )


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.parametrize(
    "options",
    [{}, {"gex_only": False}, {"genome": "mm10"}, {"genome": "mm10", "gex_only": False}],
    ids=str,
)
def test_read_10x_h5(options, small, tmp_path):
    path = tenx(tmp_path / "x.h5", small)
    same(cm.read_10x_h5(path, **options), sc.read_10x_h5(path, **options))
    same(cm.read_10x_h5(path, block_rows=7, **options), sc.read_10x_h5(path, **options))


@pytest.mark.filterwarnings("ignore:.*names are not unique")
def test_read_10x_h5_of_version_2(small, tmp_path):
    path = tenx(tmp_path / "x.h5", small, ["hg19"])
    same(cm.read_10x_h5(path), sc.read_10x_h5(path))
    path = tenx(tmp_path / "y.h5", small, ["hg19", "mm10"])
    same(cm.read_10x_h5(path, genome="mm10"), sc.read_10x_h5(path, genome="mm10"))
    with pytest.raises(ValueError, match="hg19, mm10"):
        cm.read_10x_h5(path)
    with pytest.raises(ValueError, match="dog"):
        cm.read_10x_h5(path, genome="dog")
    with pytest.raises(ValueError, match="backup_url"):
        cm.read_10x_h5(path, backup_url="https://example.org/x.h5")


@pytest.mark.parametrize(
    "options",
    [{}, {"var_names": "gene_ids"}, {"gex_only": False}, {"make_unique": False}, {"prefix": "a_"}],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:.*names are not unique")
def test_read_10x_mtx(options, small, tmp_path):
    before = options.get("prefix", "")
    io.mmwrite(
        tmp_path / f"{before}matrix.mtx",
        sparse.coo_matrix(small.X.T.astype(np.int32)),
        field="integer",
    )
    columns = (small.var["gene_ids"], small.var_names, small.var["feature_types"])
    table = pd.DataFrame({i: np.asarray(column) for i, column in enumerate(columns)})
    table.to_csv(tmp_path / f"{before}features.tsv", sep="\t", header=False, index=False)
    (tmp_path / f"{before}barcodes.tsv").write_text("\n".join(small.obs_names) + "\n")
    same(
        cm.read_10x_mtx(tmp_path, compressed=False, **options),
        sc.read_10x_mtx(tmp_path, compressed=False, **options),
    )


def test_read_10x_mtx_refuses(tmp_path):
    with pytest.raises(FileNotFoundError):
        cm.read_10x_mtx(tmp_path)
    with pytest.raises(ValueError, match="cache"):
        cm.read_10x_mtx(tmp_path, cache=True)
    with pytest.raises(ValueError, match="var_names"):
        cm.read_10x_mtx(tmp_path, var_names="symbols")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_read_zarr(version, layout, small, tmp_path):
    adata = small.copy()
    adata.var_names_make_unique()
    make = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": lambda x: x.toarray()}
    adata.X = make[layout](adata.X)
    adata.layers["counts"] = small.X
    adata.obsm["X_pca"] = np.ones((120, 3))
    path = tmp_path / "x.zarr"
    with ad.settings.override(zarr_write_format=version):
        adata.write_zarr(path)
    found = cm.read_zarr(path)
    same(found, ad.read_zarr(path))
    assert plan_of(found.layers["counts"]) is not None
    assert (found.obsm["X_pca"] == 1).all()
