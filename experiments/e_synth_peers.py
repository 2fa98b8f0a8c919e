"""What do MST and AIM reach on the survey tables? The peers of `e_private_gsd`, which reads the results of this file.

All pairs of columns, delta = 1/n^2, one row more or less, one seed a setting; the mechanisms' own settings, one thread. Each row is
written as it comes; rows that are there already are not run again. A run above 3,000 CPU seconds is ended, and its row says so. Expected
(McKenna et al. 2022): AIM is the more accurate one at every epsilon, and takes minutes where MST takes seconds. About 4 hours.

Run: python experiments/e_synth_peers.py --mbi-mechanisms FOLDER [--adult PATH] [--most-cpu-seconds S]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.mbi_peer import PYTHON, MbiPeer
from experiments.results_file import RESULTS, read_results, write_results
from experiments.survey_tables import BUNDLED, SurveyTable, adult_table, bundled_table
from synth.counts import EncodedCounts
from synth.encode import encode
from synth.encoded import EncodedTable
from synth.evaluate import workload_error

Row = dict[str, object]
NAME = "e_synth_peers"


@dataclass(frozen=True, slots=True)
class Config:
    """What is run, the quick mechanism first, then the most wanted."""

    order: tuple[tuple[str, float], ...] = (
        ("mst", 1.0),
        ("mst", 0.1),
        ("aim", 1.0),
        ("aim", 0.1),
        ("mst", 0.3),
        ("mst", 0.07),
        ("aim", 0.3),
        ("aim", 0.07),
        ("mst", 10.0),
    )
    seed: int = 20261207


def run(config: Config, peer: MbiPeer, tables: list[SurveyTable]) -> None:
    """Run what is missing, and write each row as it comes."""
    rows: list[Row] = read_results(NAME) if (RESULTS / f"{NAME}.jsonl").exists() else []
    known = {(row["table"], row["method"], row["epsilon"]) for row in rows}
    for method, epsilon in config.order:
        for table in tables:
            wanted = epsilon <= 1 or table.name == "adult"
            if wanted and (table.name, method, epsilon) not in known:
                rows.append(_row(table, method, epsilon, config.seed, peer))
                print(rows[-1], flush=True)
                write_results(NAME, rows, seed=config.seed, tools=("numpy",))


def _row(table: SurveyTable, method: str, epsilon: float, seed: int, peer: MbiPeer) -> Row:
    real = encode(table.frame, table.schema)
    row: Row = {"table": table.name, "method": method, "epsilon": epsilon, "peer": "mbi 2.0.0"}
    try:
        codes, seconds = peer.ask(method, real.codes, table.schema.sizes, epsilon=epsilon, delta=table.n_rows**-2, seed=seed)
    except RuntimeError as error:
        return {**row, "ended": str(error)}
    synthetic = EncodedCounts(EncodedTable(codes), table.schema)
    error = workload_error(EncodedCounts(real, table.schema), synthetic)
    return {**row, "avg_tv": error.avg_tv, "max_tv": error.max_tv, "max_cell": error.max_cell, "cpu_seconds": seconds}


def main() -> None:
    """Run and write results/e_synth_peers.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--mbi-mechanisms", type=Path, required=True, help="the folder `mechanisms` of the repository ryan112358/mbi")
    parser.add_argument("--adult", type=Path, help="Adult as a CSV of codes, its domain beside it")
    parser.add_argument("--most-cpu-seconds", type=int, default=3000)
    parser.add_argument("--python", type=Path, default=PYTHON, help="interpreter of the peer's environment")
    options = parser.parse_args()
    tables = [bundled_table(name) for name in BUNDLED]
    if options.adult:
        tables.append(adult_table(options.adult))
    run(Config(), MbiPeer(options.mbi_mechanisms, options.python, options.most_cpu_seconds), tables)


if __name__ == "__main__":
    main()
