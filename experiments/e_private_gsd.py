"""How close do synthetic tables come, by our three modes, by independent columns, and by the peers MST and AIM?

Four bundled survey tables, and Adult where its path is given; all pairs of columns; delta = 1/n^2, one row more or less; the same default
settings everywhere; means of 5 noise seeds for ours. Expected (Liu, Tang, Vietri, Wu 2023; McKenna et al. 2022): errors fall with epsilon
for all but independent columns; one shot beats AIM on Adult at epsilon 1 (0.015 against 0.0185) in less than a CPU second. The peers' rows
are those of `e_synth_peers`, made by a run of its own. About 15 minutes.

Run: python experiments/e_private_gsd.py [--adult PATH] [--quick]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import RESULTS, read_results, write_results
from experiments.survey_tables import BUNDLED, SurveyTable, adult_table, bundled_table
from experiments.synth_methods import METHODS, Outcome, synthesize
from experiments.synth_picture import draw

Row = dict[str, object]
NAME, PEERS = "e_private_gsd", "e_synth_peers"


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    epsilons: tuple[float, ...] = (0.07, 0.1, 0.3, 1.0)
    epsilons_adult: tuple[float, ...] = (0.07, 0.1, 0.3, 1.0, 10.0)
    tables: tuple[str, ...] = BUNDLED
    n_seeds: int = 5
    seed: int = 20261206


QUICK = Config(epsilons=(1.0,), epsilons_adult=(1.0,), tables=("nass_cds",), n_seeds=1)


def run(config: Config, tables: list[SurveyTable]) -> list[Row]:
    """Return one row per table, epsilon and method."""
    rows: list[Row] = []
    for table in tables:
        source = table.counts()
        for epsilon in config.epsilons_adult if table.name == "adult" else config.epsilons:
            for method in METHODS:
                made = [
                    synthesize(method, source, epsilon=epsilon, delta=table.n_rows**-2, seed=config.seed + repeat)
                    for repeat in range(config.n_seeds)
                ]
                rows.append({"table": table.name, "epsilon": epsilon, "method": method, **_means(made)})
                print(_shown(rows[-1]), flush=True)
    return rows


def _means(made: list[Outcome]) -> Row:
    tv = np.array([outcome.avg_tv for outcome in made])
    row: Row = {name: float(np.mean([getattr(one, name) for one in made])) for name in ("avg_tv", "max_tv", "max_cell", "cpu_seconds")}
    row["sd_avg_tv"] = float(tv.std(ddof=1)) if len(tv) > 1 else 0.0
    ratios = [outcome.noise_ratio for outcome in made if outcome.noise_ratio is not None]
    if ratios:
        row["noise_ratio"] = float(np.mean(ratios))
        row["one_shot_share"] = float(np.mean([outcome.branch == "one_shot" for outcome in made]))
    return row


def peer_rows() -> list[Row]:
    """Return what `e_synth_peers` has measured; none if it never ran."""
    return read_results(PEERS) if (RESULTS / f"{PEERS}.jsonl").exists() else []


def _shown(row: Row) -> str:
    return "  ".join(f"{value:.4g}" if isinstance(value, float) else f"{value!s:>11}" for value in row.values())


def main() -> None:
    """Run, print, write results/e_private_gsd.jsonl and .svg."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--adult", type=Path, help="Adult as a CSV of codes, its domain beside it")
    parser.add_argument("--quick", action="store_true", help="one small table, one seed; writes nothing")
    options = parser.parse_args()
    config = QUICK if options.quick else Config()
    tables = [bundled_table(name) for name in config.tables]
    if options.adult:
        tables.append(adult_table(options.adult))
    rows = run(config, tables)
    if not options.quick:
        print(write_results(NAME, rows, seed=config.seed, tools=("numpy", "scipy", "numba")))
        draw([*rows, *peer_rows()], RESULTS / f"{NAME}.svg")


if __name__ == "__main__":
    main()
