"""Do credible intervals keep their word when several guesses share one model, and what does the fast computation cost in accuracy?

50 models with 20 challenge points on each side; the error rates of a model are Beta distributed around FPR 0.1 and FNR 1 - 0.1 e, so
epsilon = 1, with correlation rho within a model. Expected of the hierarchical posterior: the lower 95 % end and the two-sided 90 % and
95 % intervals cover within 0.02 of nominal for rho <= 0.3 (at rho = 0.5 less, with a warning); the lower 95 % end of pooled counts covers
0.6 to 0.85 at rho >= 0.05. Quadrature against NUTS: quantiles within 0.03, at least 300 times as fast as NUTS with compilation. About 10
minutes on 2 cores.

Run: python experiments/e_hierarchical.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import write_results
from mechanisms.errors import ConvergenceWarning, WeakEvidenceWarning
from privacy_audit.estimate.hierarchical import HierarchicalEpsilonPosterior
from privacy_audit.estimate.model_effects.model_counts import ModelCounts
from privacy_audit.estimate.posterior import EpsilonPosterior

FPR = 0.1
EPSILON = 1.0
QUANTILES = (0.025, 0.05, 0.5, 0.95, 0.975)
ESTIMATORS = ("pooled", "hierarchical", "hierarchical, rho ~ Beta(1, 1)")


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    correlations: tuple[float, ...] = (0.0, 0.05, 0.2, 0.3, 0.5)
    repeats: int = 500
    n_models: int = 50
    n_points: int = 20
    nuts_runs: int = 2
    nuts_correlation: float = 0.2
    seed: int = 20261124
    workers: int = 2


QUICK = Config(repeats=40, nuts_runs=1)


def simulate_counts(rng: np.random.Generator, *, rho: float, n_models: int = 50, n_points: int = 20) -> ModelCounts:
    """Return counts whose epsilon at the mean rates is 1."""
    errors = []
    for mean in (FPR, 1 - FPR * np.exp(EPSILON)):
        kappa = np.inf if rho == 0 else 1 / rho - 1
        rate = np.full(n_models, mean) if rho == 0 else rng.beta(mean * kappa, (1 - mean) * kappa, n_models)
        errors.append(rng.binomial(n_points, rate))
    return ModelCounts(fp=errors[0], tn=n_points - errors[0], fn=errors[1], tp=n_points - errors[1])


def _quantiles_of_one(config: Config, task: tuple[float, np.random.Generator]) -> list[dict[str, object]]:
    rho, rng = task
    counts = simulate_counts(rng, rho=rho, n_models=config.n_models, n_points=config.n_points)
    rows: list[dict[str, object]] = []
    for name in ESTIMATORS:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always", WeakEvidenceWarning)
            prior = (1.0, 1.0) if name.endswith("Beta(1, 1)") else (0.5, 4.5)
            posterior = EpsilonPosterior(counts.pooled()) if name == "pooled" else HierarchicalEpsilonPosterior(counts, rho_prior=prior)
        rows.append({"rho": rho, "estimator": name, "q": np.asarray(posterior.ppf(QUANTILES)).tolist(), "warned": bool(seen)})
    return rows


def coverage_rows(config: Config, rng: np.random.Generator) -> list[dict[str, object]]:
    """Return one row per correlation and estimator: how often intervals hold epsilon = 1."""
    tasks = [(rho, child) for rho in config.correlations for child in rng.spawn(config.repeats)]
    with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn")) as pool:
        outcomes = [row for rows in pool.map(partial(_quantiles_of_one, config), tasks, chunksize=20) for row in rows]
    return [
        _coverage(rho, name, [r for r in outcomes if r["rho"] == rho and r["estimator"] == name])
        for rho in config.correlations
        for name in ESTIMATORS
    ]


def _coverage(rho: float, name: str, rows: list[dict[str, object]]) -> dict[str, object]:
    q = np.array([row["q"] for row in rows])
    low = q <= EPSILON
    return {
        "question": "coverage",
        "rho": rho,
        "estimator": name,
        "repeats": len(rows),
        "lower_95": float(low[:, 1].mean()),
        "upper_95": float((~low[:, 3]).mean()),
        "two_sided_90": float((low[:, 1] & ~low[:, 3]).mean()),
        "two_sided_95": float((low[:, 0] & ~low[:, 4]).mean()),
        "standard_error_at_95": float(np.sqrt(0.05 * 0.95 / len(rows))),
        "mean_median": float(q[:, 2].mean()),
        "mean_width_90": float((q[:, 3] - q[:, 1]).mean()),
        "warned": float(np.mean([row["warned"] for row in rows])),
    }


def time_methods(counts: ModelCounts, *, seed: int) -> dict[str, object]:
    """Return quantiles and seconds of both methods; compilation counts, importing does not."""
    import pymc  # noqa: F401  imported before the clock starts

    HierarchicalEpsilonPosterior(counts).ppf(QUANTILES)
    seconds, quantiles, converged = {}, {}, True
    for method in ("quadrature", "nuts"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WeakEvidenceWarning)
            warnings.simplefilter("ignore", ConvergenceWarning)
            start = time.perf_counter()
            posterior = HierarchicalEpsilonPosterior(counts, method=method, rng=seed)
            quantiles[method] = np.asarray(posterior.ppf(QUANTILES))
            seconds[method] = time.perf_counter() - start
        converged &= posterior.converged
    return {
        "question": "quadrature against nuts",
        "converged": converged,
        "seconds_quadrature": seconds["quadrature"],
        "seconds_nuts": seconds["nuts"],
        "times_as_fast": seconds["nuts"] / seconds["quadrature"],
        "quantiles_quadrature": quantiles["quadrature"].tolist(),
        "quantiles_nuts": quantiles["nuts"].tolist(),
        "largest_difference": float(np.abs(quantiles["quadrature"] - quantiles["nuts"]).max()),
    }


def nuts_rows(config: Config, rng: np.random.Generator) -> list[dict[str, object]]:
    """Time both methods on fresh data in a fresh process with an empty compilation cache."""
    rows = []
    for run_number, child in enumerate(rng.spawn(config.nuts_runs)):
        counts = simulate_counts(child, rho=config.nuts_correlation, n_models=config.n_models, n_points=config.n_points)
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"PYTENSOR_FLAGS": f"base_compiledir={cache}", "OMP_NUM_THREADS": "1"}
            command = [sys.executable, __file__, "--time", json.dumps(counts.to_dict()), "--seed", str(config.seed + run_number)]
            output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        rows.append({"rho": config.nuts_correlation, "run": run_number} | json.loads(output.splitlines()[-1]))
    return rows


def run(config: Config, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """Return the coverage rows, then the comparisons of the two methods."""
    first, second = rng.spawn(2)
    timing = nuts_rows(config, second)
    return coverage_rows(config, first) + timing


def main() -> None:
    """Run, print a table, write results/e_hierarchical.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few repeats; writes nothing")
    parser.add_argument("--time", metavar="COUNTS", help="internal: time both methods on these counts and print one line of JSON")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.time:
        counts = ModelCounts(**{name: np.array(values) for name, values in json.loads(arguments.time).items()})
        print(json.dumps(time_methods(counts, seed=arguments.seed)))
        return
    config = QUICK if arguments.quick else Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows:
        print({name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()})
    if config is not QUICK:
        print(write_results("e_hierarchical", rows, seed=config.seed, tools=("pymc", "numpy", "scipy")))


if __name__ == "__main__":
    main()
