"""When is it better to recompute a running maximum than to count every coordinate, and do errors stay below the predicted bound?

MaxSum over steps in {0, 1}^d at rho = 1/2, beta = 0.05: predicted bounds of all methods and the largest error of 50 runs each, for
T = 4,096 and d = 1 to 1,024 and for d = 1,000 and T = 256 to 65,536. Expected (Jain, Raskhodnikova, Sivakumar, Smith 2023): the bound of
recomputing grows like T^(1/3) and not with d, counting like sqrt(d); they cross between d = 4 and 64 at T = 4,096; at least 95 % of runs
below the bound. About 15 minutes on one core.

Run: python experiments/e_max_sum.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import write_results
from mechanisms.continual.lower_bound_shape import lower_bound_shape
from mechanisms.continual.max_sum import MaxSum
from mechanisms.errors import InsecureNoiseWarning
from mechanisms.noise.source import SeededNoise

Row = dict[str, object]
RHO = 0.5


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    cells: tuple[tuple[int, int], ...] = (
        *((4096, d) for d in (1, 4, 8, 16, 64, 256, 1024)),
        *((T, 1000) for T in (256, 1024, 16384, 65536)),
    )
    repeats: int = 50
    seed: int = 20261125


QUICK = Config(cells=((1024, 4), (1024, 64)), repeats=3)


def run(config: Config, *, rng: np.random.Generator) -> list[Row]:
    """Return one row per horizon and dimension."""
    return [_cell(T, d, config.repeats, cell) for (T, d), cell in zip(config.cells, rng.spawn(len(config.cells)), strict=True)]


def _cell(T: int, d: int, repeats: int, rng: np.random.Generator) -> Row:
    errors = np.array([_largest_error(T, d, child) for child in rng.spawn(repeats)])
    release = MaxSum(T, d, rho=RHO)
    counting = MaxSum(T, d, rho=RHO, method="per_coordinate").error_bound()
    return {
        "horizon": T,
        "dim": d,
        "method": release.method_,
        "recompute": release.bounds_["recompute"],
        "per_coordinate": counting,
        "bound": release.error_bound(),
        "mean_error": float(errors.mean()),
        "max_error": float(errors.max()),
        "below_bound": float((errors <= release.error_bound()).mean()),
        "shape": lower_bound_shape(T, d, rho=RHO),
    }


def _largest_error(T: int, d: int, rng: np.random.Generator) -> float:
    """Return the largest error over the steps of one run; every coordinate has a rate of its own."""
    rate = rng.random(d)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)
        release = MaxSum(T, d, rho=RHO, noise=SeededNoise(int(rng.integers(2**63))))
    sums, largest = np.zeros(d, dtype=np.int64), 0.0
    for _ in range(T):
        step = (rng.random(d) < rate).astype(np.int64)
        sums += step
        largest = max(largest, abs(release.update(step) - float(sums.max())))
    return largest


def main() -> None:
    """Run, print a table, write results/e_max_sum.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="two small cells; writes nothing")
    options = parser.parse_args()
    config = QUICK if options.quick else Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows:
        print("  ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    if not options.quick:
        print(write_results("e_max_sum", rows, seed=config.seed, tools=("numpy", "scipy")))


if __name__ == "__main__":
    main()
