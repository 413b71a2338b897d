"""Writes THIRD-PARTY-LICENCES.md: every crate that the command is built from, and its licence.

Usage: python docs/third_party.py > THIRD-PARTY-LICENCES.md
"""

import json
import subprocess

metadata = json.loads(
    subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
workspace = set(metadata["workspace_members"])


def normal(node):
    """The dependencies that end up in the program, not those of tests or build scripts."""
    for dep in node["deps"]:
        if any(kind["kind"] is None for kind in dep["dep_kinds"]):
            yield dep["pkg"]


seen, queue = set(), list(workspace)
while queue:
    found = queue.pop()
    if found not in seen:
        seen.add(found)
        queue.extend(normal(nodes[found]))

print("# Third-party licences\n")
print("The crates that cellmill is built from. `docs/third_party.py` writes this page.\n")
print("| crate | version | licence |")
print("|---|---|---|")
for package in sorted(
    (packages[i] for i in seen - workspace), key=lambda p: (p["name"], p["version"])
):
    licence = package["license"] or f"see {package['license_file']} in the crate"
    print(f"| {package['name']} | {package['version']} | {licence} |")
print(
    "\nThe HDF5 library (BSD-like licence of The HDF Group) and zlib are compiled in through"
    " hdf5-metno-src and libz-sys. The font DejaVu Sans is bundled; its licence stands beside it in"
    " `crates/cellmill/assets`."
)
