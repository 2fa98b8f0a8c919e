"""How large is the error of each continual counter, and how far is it from what no linear counter can beat?

Exact mean and largest variances in the unit 1/(2 rho) for a change of 1, at T = 2^10 to 2^20, with the nuclear lower bound; at T = 64, 256,
1,024 the dense optimum with its certificate. Expected (Henzinger, Upadhyay, Upadhyay 2023; Andersson, Pagh 2023): tree about ln^2 T / 2,
square root about (ln T / pi)^2 + ..., the scaled square root within 1.5 % of the bound in the mean at 2^20. About 5 minutes on one core.

Run: python experiments/e_continual_error.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import RESULTS, write_results
from mechanisms.continual.catalog import Objective
from mechanisms.continual.dense import Dense
from mechanisms.continual.plan import plan_counter
from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import number_from_json

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Config:
    """Which horizons."""

    powers: tuple[int, ...] = (10, 12, 14, 16, 18, 20)
    dense: tuple[int, ...] = (64, 256, 1024)


QUICK = Config(powers=(10, 12), dense=(64,))


def run(config: Config) -> list[Row]:
    """Return one row per horizon and mechanism; nothing is random."""
    rows: list[Row] = []
    for power in config.powers:
        rows += _planned(2**power)
    for T in config.dense:
        rows.append(_dense(T))
    return rows


def _planned(T: int) -> list[Row]:
    mean, largest = (plan_counter(T, rho=0.5, neighboring=Neighboring.ZERO_OUT, objective=objective) for objective in ("mean", "max"))
    bound = mean.lower_factor
    rows: list[Row] = [{"horizon": T, "mechanism": "lower bound", "mean": bound, "max": bound, "state": 0, "over_bound": 0.0}]
    for item in mean.mechanisms:
        worst = largest[item.name].max_factor
        excess = item.mean_factor / bound - 1
        rows.append(
            {"horizon": T, "mechanism": item.name, "mean": item.mean_factor, "max": worst, "state": item.n_state, "over_bound": excess}
        )
    return rows


def _dense(T: int) -> Row:
    objectives: tuple[Objective, Objective] = ("mean", "max")
    mean, largest = (Dense(T, objective=objective, tolerance=1e-3) for objective in objectives)
    certified = {"mean_certificate": mean.lower_bound, "max_certificate": largest.lower_bound}
    return {"horizon": T, "mechanism": "dense", "mean": mean.mean_error(), "max": largest.max_error(), "state": T, **certified}


def draw(rows: list[Row], path: Path) -> None:
    """Draw mean errors over the bound against the horizon."""
    from matplotlib.figure import Figure

    axes = (figure := Figure(figsize=(7, 4), layout="constrained")).subplots()
    names = dict.fromkeys(str(row["mechanism"]) for row in rows if "over_bound" in row)
    for name in names:
        points = [(number_from_json(row["horizon"]), number_from_json(row["mean"])) for row in rows if row["mechanism"] == name]
        axes.plot(*np.array(points).T, marker="." if name != "lower bound" else "", ls="--" if name == "lower bound" else "-", label=name)
    axes.set(xscale="log", yscale="log", xlabel="horizon T", ylabel="mean variance, unit 1/(2 rho)", title="Error of continual counters")
    axes.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Run, print a table, write results/e_continual_error.jsonl and .svg."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="short horizons; writes nothing")
    options = parser.parse_args()
    rows = run(QUICK if options.quick else Config())
    for row in rows:
        print("  ".join(f"{value:.5g}" if isinstance(value, float) else str(value) for value in row.values()))
    if not options.quick:
        draw(rows, RESULTS / "e_continual_error.svg")
        print(write_results("e_continual_error", rows, seed=None, tools=("numpy", "scipy")))


if __name__ == "__main__":
    main()
