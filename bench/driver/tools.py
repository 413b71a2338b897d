"""The tools that are compared: who they are, how they are run, and why some are not."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tool:
    name: str
    label: str
    colour: str
    # The environment in bench/peers/NAME.txt, and the package in it whose version is shown.
    environment: str = ""
    package: str = ""
    why_not: str = ""

    @property
    def runs(self) -> bool:
        return not self.why_not

    @property
    def script(self) -> str:
        return f"run_{self.name.replace('-', '_')}.py"


TOOLS = [
    Tool("cellmill", "cellmill", "#d1495b"),
    Tool("scanpy-dask", "scanpy + Dask", "#00798c", "scanpy", "scanpy"),
    Tool("scanpy", "scanpy, in memory", "#66a182", "scanpy", "scanpy"),
    Tool("brisc", "brisc", "#edae49", "brisc", "brisc"),
    Tool("crest", "crest-sc", "#2e4057", "crest", "crest-sc"),
    Tool("cytearc", "CyteArc", "#8d6a9f", "cytearc", "cytearc"),
    Tool(
        "rapids",
        "rapids-singlecell",
        "#888888",
        why_not="needs an NVIDIA GPU; this benchmark runs on processors",
    ),
    Tool(
        "bpcells",
        "BPCells",
        "#888888",
        why_not="an R package without Leiden and UMAP of its own; needs R and a conversion",
    ),
]
BY_NAME = {tool.name: tool for tool in TOOLS}
# What a run is told about threads, whatever it is built on.
THREADS = 2
THREAD_VARIABLES = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
]
