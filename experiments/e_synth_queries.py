"""Should a table for many halfspaces or prefixes be fitted to them, or to pairs of columns?

10,000 random halfspaces, and as many prefixes of two numeric columns, on the survey tables; epsilon 1 and 0.1, delta = 1/n^2, one row more
or less; means of 3 seeds. Three tables are compared on all queries: one fitted to the queries themselves, one fitted to all pairs by the
default mode, one with independent columns. Errors are absolute differences of shares of rows. Expected (Liu, Tang, Vietri, Wu 2023; Vietri
et al. 2022): queries that many columns share are answered well by a table of good pairs; T thresholds cost sqrt(T) of noise when they are
released one by one. About 20 minutes.

Run: python experiments/e_synth_queries.py [--adult PATH] [--quick]
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import write_results
from experiments.survey_tables import BUNDLED, SurveyTable, adult_table, bundled_table
from experiments.synth_methods import RELATION, independent_columns
from mechanisms.errors import InsecureNoiseWarning
from mechanisms.noise.source import SeededNoise
from synth.decode import decode
from synth.encode import encode
from synth.encoded import EncodedTable
from synth.private_gsd import PrivateGSDSynthesizer
from synth.queries.family import QueryFamily
from synth.queries.halfspace import Halfspace
from synth.queries.prefix import Prefix

Row = dict[str, object]
NAME = "e_synth_queries"
METHODS = ("queries", "pairs", "independent")


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    epsilons: tuple[float, ...] = (0.1, 1.0)
    n_queries: int = 10_000
    n_seeds: int = 3
    tables: tuple[str, ...] = BUNDLED
    seed: int = 20261210


QUICK = Config(epsilons=(1.0,), n_queries=500, n_seeds=1, tables=("nass_cds",))


def run(config: Config, tables: list[SurveyTable]) -> list[Row]:
    """Return one row per table, family, epsilon and method."""
    rows: list[Row] = []
    for table in tables:
        real = encode(table.frame, table.schema, positions=True)
        for workload in (Halfspace(config.n_queries), Prefix(config.n_queries)):
            family = workload.bind(table.schema)
            true = family.answers(real) / real.n_rows
            for epsilon in config.epsilons:
                for method in METHODS:
                    made = [_errors(method, table, workload, family, true, epsilon, config.seed + k) for k in range(config.n_seeds)]
                    names = ("avg_error", "max_error", "cpu_seconds")
                    what = {"table": table.name, "queries": type(workload).__name__, "epsilon": epsilon, "method": method}
                    rows.append(what | dict(zip(names, np.mean(made, axis=0).tolist(), strict=True)))
                    print("  ".join(f"{v:.4g}" if isinstance(v, float) else f"{v!s:>11}" for v in rows[-1].values()), flush=True)
    return rows


def _errors(
    method: str,
    table: SurveyTable,
    workload: Halfspace | Prefix,
    family: QueryFamily,
    true: np.ndarray[tuple[int], np.dtype[np.float64]],
    epsilon: float,
    seed: int,
) -> tuple[float, float, float]:
    """Return average and largest error over the queries, and CPU seconds of one table."""
    start = time.process_time()
    made = _table(method, table, workload, epsilon, seed)
    seconds = time.process_time() - start
    if made.positions is None:  # values are spread inside their cells, as in a sample
        made = encode(decode(made, table.schema, rng=seed, backend="pandas"), table.schema, positions=True)
    error = np.abs(family.answers(made) / made.n_rows - true)
    return float(error.mean()), float(error.max()), seconds


def _table(method: str, table: SurveyTable, workload: Halfspace | Prefix, epsilon: float, seed: int) -> EncodedTable:
    noise, delta = SeededNoise(seed), table.n_rows**-2
    if method == "independent":
        return independent_columns(table.counts(), epsilon=epsilon, delta=delta, noise=noise, seed=seed)
    asked = workload if method == "queries" else None
    made = PrivateGSDSynthesizer(epsilon, delta, table.schema, workload=asked, neighboring=RELATION, random_state=seed, noise=noise)
    return made.fit(table.frame).encoded_


def main() -> None:
    """Run, print, write results/e_synth_queries.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--adult", type=Path, help="Adult as a CSV of codes, its domain beside it")
    parser.add_argument("--quick", action="store_true", help="one table, few queries; writes nothing")
    options = parser.parse_args()
    config = QUICK if options.quick else Config()
    tables = [bundled_table(name) for name in config.tables]
    if options.adult:
        tables.append(adult_table(options.adult))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)  # it is meant for releases
        rows = run(config, tables)
    if not options.quick:
        print(write_results(NAME, rows, seed=config.seed, tools=("numpy", "scipy", "numba")))


if __name__ == "__main__":
    main()
