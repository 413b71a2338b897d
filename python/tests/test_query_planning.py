"""Dask's array query planning makes arrays of another kind; a lazy matrix says that it is none."""

import os
import subprocess
import sys

PROGRAM = """
import sys
import cellmill as cm
import dask.array as da
assert da.ARRAY_EXPR_ENABLED
try:
    cm.read_h5ad(sys.argv[1])
except NotImplementedError as error:
    print(error)
"""


def test_it_is_refused_with_a_sentence(path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        env={**os.environ, "DASK_ARRAY__QUERY_PLANNING": "True"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "query planning is on" in done.stdout
    assert "array.query-planning" in done.stdout
