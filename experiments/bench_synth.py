"""How fast are synthetic tables, next to the genetic search of Private-GSD's public code, and do errors keep to their bounds?

CPU time of one thread; each case in a process of its own, so that peak memory is its own.

    same target   1,000 rows fitted to noisy pairs of Adult (13 columns, 11,294 cells, epsilon 1): CPU seconds to a fitness of 0.0125 and to
                  each one's end, ours after compilation. The peer is giusevtr/private_gsd, run where its path is given (it looks at its
                  fitness every 1,000 generations), else its time is that of an earlier run, 69 s
    adult         errors of one shot, mean of 5 seeds at epsilon 0.1, 1, 10; one fit from data frame to sample
    scale         all 14 columns of Adult with 148,000 cells; 10^6 rows of 15 columns; 100 columns of 20 values and 10^5 rows, adaptive, on
                  three structures; DuckDB counting 10^6 rows

Expected: the same target in 0.05 s; Adult within 10 s and its bounds; 14 columns within 30 s; 10^6 rows within 60 s and 2 GB; 100 columns
within 60 s, 1.5 GB and their bounds. Five minutes and the peer's.

Run: python experiments/bench_synth.py --adult PATH [--private-gsd FOLDER --python INTERPRETER] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import write_results

Row = dict[str, object]
HERE = Path(__file__).parent
NAME = "bench_synth"
ADULT_CASES = ("adult", "adult_fine")
TABLE_CASES = ("million", "million_in_duckdb", "tree", "mixed", "latent")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def run(adult: Path, peer: list[str], *, quick: bool) -> list[Row]:
    """Return the rows of all cases."""
    rows = [*_case("synth_same_target.py", str(adult), *peer)]
    for case in ADULT_CASES:
        rows += _case("synth_cases.py", case, str(adult))
    if not quick:
        with tempfile.TemporaryDirectory() as folder:
            _case("synth_cases.py", "make_tables", folder)
            for case in TABLE_CASES:
                rows += _case("synth_cases.py", case, folder)
    return rows


def _case(script: str, *arguments: str) -> list[Row]:
    """Run a case in a process of its own and return its rows."""
    done = subprocess.run(
        [sys.executable, HERE / script, *arguments], env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True, check=True
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        print(
            "  ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()), flush=True
        )
    return rows


def main() -> None:
    """Run, print, write results/bench_synth.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--adult", type=Path, required=True, help="Adult as a CSV of codes, its domain beside it")
    parser.add_argument("--private-gsd", type=Path, help="the repository giusevtr/private_gsd")
    parser.add_argument("--python", type=Path, help="interpreter of an environment with jax, flax, chex, pandas and tqdm")
    parser.add_argument("--quick", action="store_true", help="Adult only; writes nothing")
    options = parser.parse_args()
    peer = [str(options.private_gsd), str(options.python or sys.executable)] if options.private_gsd else []
    rows = run(options.adult, peer, quick=options.quick)
    if not options.quick:
        print(write_results(NAME, rows, seed=None, tools=("numpy", "scipy", "numba", "duckdb")))


if __name__ == "__main__":
    main()
