"""Prints cells, genes and entries of an atlas's counts as JSON: `describe.py ATLAS`."""

import json
import sys

import h5py

with h5py.File(sys.argv[1], "r") as file:
    matrix = file["raw/X"] if "raw/X" in file else file["X"]
    cells, genes = map(int, matrix.attrs["shape"])
    print(json.dumps({"cells": cells, "genes": genes, "entries": len(matrix["data"])}))
