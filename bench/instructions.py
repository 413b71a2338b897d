"""Instructions that the micro-benchmarks take, which a busy machine does not change.

Usage: python3 bench/instructions.py [WORD ...]

Builds the benchmarks of the workspace and runs each case (those with a WORD in their names) under
callgrind, once with one run of its body and once with two: the difference is one run, without the
program's start, the making of the data and what only the first run does. Prints instructions per
entry, pair or byte, and writes bench/results/instructions.json; cases that were not asked for keep
their rows there.

valgrind does not know AVX-512: kernels that choose by themselves run as AVX2 there, and cases of
AVX-512 are left out. An instruction of AVX2 works on 8 numbers and one of plain code on one, so
compare a case with itself, before and after a change.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results/instructions.json"
CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]


def benchmarks() -> list[str]:
    """The programs of the benchmarks, built."""
    build = ["cargo", "bench", "--workspace", "--locked", "--no-run"]
    said = subprocess.run(
        [*build, "--message-format=json-render-diagnostics"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    if said.returncode:
        sys.exit("error: the benchmarks could not be built; see cargo's messages above")
    built = [json.loads(line) for line in said.stdout.splitlines() if line.startswith("{")]
    return sorted(
        message["executable"]
        for message in built
        if message["reason"] == "compiler-artifact"
        and message["target"]["kind"] == ["bench"]
        and message["executable"]
    )


def cases(program: str) -> list[dict]:
    """Names and amounts of the cases of a program."""
    said = subprocess.run([program, "--list-cases"], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in said.stdout.splitlines()]


def collected(program: str, case: str, times: int) -> int:
    """Instructions of the whole program with `times` runs of the case."""
    said = subprocess.run(
        [*CALLGRIND, program, "--run-case", case, str(times)],
        capture_output=True,
        text=True,
    )
    found = re.search(r"Collected : (\d+)", said.stderr)
    if said.returncode or not found:
        sys.exit(f"error: {case} did not run under valgrind:\n{said.stderr[-2000:]}")
    return int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="WORD")
    asked = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit(
            "error: valgrind was not found; install it (Debian, Ubuntu: apt-get install valgrind; "
            "Fedora: dnf install valgrind), or use `cargo bench`, which needs an idle machine"
        )
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() and asked.words else {}
    for program in benchmarks():
        for case in cases(program):
            name, amount, unit = case["case"], case["amount"], case["unit"]
            if asked.words and not any(word in name for word in asked.words):
                continue
            if "avx512" in name:
                print(f"{name:<26} left out: valgrind does not know AVX-512", flush=True)
                continue
            instructions = collected(program, name, 2) - collected(program, name, 1)
            each = round(instructions / amount, 3)
            rows[name] = {
                "instructions": instructions,
                "amount": amount,
                "unit": unit,
                "instructions per unit": each,
            }
            singular = {"entries": "entry"}.get(unit, unit.removesuffix("s"))
            print(f"{name:<26} {each:>10.3f} instructions per {singular}", flush=True)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=2) + "\n")
    print("kernels ran as AVX2 at best, since valgrind does not know AVX-512")


if __name__ == "__main__":
    main()
