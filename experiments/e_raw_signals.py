"""How well do raw signals of canaries tell epsilon, and what do curve tests prove with few assumptions?

Expected (1,000 canaries, rate 1/15, noise 1, 200 steps; true epsilon 6.455 at delta 1e-5): 95 % intervals of the raw-signal posterior cover
the truth in 0.95 +- 0.03 of runs, at a fixed truth and in simulation-based calibration (Talts et al. 2018); half widths at most 15, 12.5, 6
and 3 % for views V0 to V3; ends within 0.05 of NUTS. Curve tests: at most 0.05 + 3 standard deviations of false alarms in 2,000 runs; mean
bounds of at least 4.6 (auc_kl) and 5.4 (auc_normal) where guess counts give 1.8 and 2.9. About 20 minutes on 2 cores.

Run: python experiments/e_raw_signals.py [--quick]
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
from scipy import special, stats

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.canaries.likelihood import fitted_noise_multiplier, log_likelihood_ratio, simulate_signals
from attacks.canaries.result import CanaryResult
from attacks.scores import MembershipScores
from experiments.e_conformance import RATE, STEPS, real_run, simulated_run
from experiments.planted_engine import setting_for
from experiments.results_file import write_results
from mechanisms.accounting.curve_family import CurveFamily
from mechanisms.accounting.epsilon_draws import epsilon_draws
from mechanisms.accounting.loss_curve import LossCurve
from privacy_audit.estimate.conformance import check_conformance
from privacy_audit.estimate.curves.curve_bounds import curve_bound
from privacy_audit.estimate.curves.curve_tests import auc_kl, auc_normal, e_value
from privacy_audit.estimate.one_run import one_run_bound, one_run_guesses
from privacy_audit.estimate.raw_signals import N_DRAWS, raw_signal_posterior
from privacy_audit.estimate.signals.engine_nuts import nuts_draws
from privacy_audit.estimate.signals.signal_views import View

DELTA = 1e-5
VIEWS: tuple[View, ...] = ("V0", "V1", "V2", "V3")
TESTS: dict[str, Callable[..., object]] = {"auc_normal": auc_normal, "auc_kl": auc_kl, "e_value": e_value}
BUGS: dict[str, tuple[float, float]] = {"noise_x_0.9": (0.9, 1), "noise_x_0.8": (0.8, 1), "noise_x_0.5": (0.5, 1), "rate_x_1.5": (1, 1.5)}
REAL = ("none", "noise_x_0.5", "noise_x_0.9", "rate_x_1.5", "no_clipping")
SHARES = (20, 16, 8, 5)  # canaries over guesses a side
HALF_WIDTHS = {"V0": 0.15, "V1": 0.125, "V2": 0.06, "V3": 0.03}

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    fixed_truth: int = 200
    calibration: int = 200
    nuts: int = 1
    alarm: int = 2000
    power: int = 250
    bounds: int = 100
    real: int = 4
    sizes: tuple[int, ...] = (200, 1000, 5000)
    seed: int = 20261124
    workers: int = 2


QUICK = Config(fixed_truth=6, calibration=6, nuts=0, alarm=40, power=10, bounds=6, real=1, sizes=(200, 1000))


@lru_cache(maxsize=1)
def family() -> CurveFamily:
    """Return the claimed family, whose rungs every process computes once."""
    return CurveFamily(RATE, STEPS)


@lru_cache(maxsize=1)
def claim() -> LossCurve:
    """Return the claimed curve."""
    return family().curve(1.0)


def engine_run(sigma: float, q: float, c: float, rng: np.random.Generator) -> CanaryResult:
    """Return the signals of an ideal engine that does something else than its claim of noise 1 and rate 1/15."""
    run = simulated_run(rng)
    signals, entered = simulate_signals(run.member, noise_multiplier=sigma, sample_rate=q, steps=STEPS, rng=rng)
    signals = signals + (c - 1) * entered
    log = replace(run.batch_log, canary_in=entered) if run.batch_log is not None else None
    return replace(run, signals=signals, displacement=signals.sum(axis=0), batch_log=log, clipped_length=c)


def _posterior_row(result: CanaryResult, view: View, truth: float, rng: np.random.Generator, n_draws: int = N_DRAWS) -> Row:
    start = time.process_time()
    posterior = raw_signal_posterior(result, delta=DELTA, view=view, n_draws=n_draws, rng=rng)
    seconds = time.process_time() - start
    low, high = map(float, posterior.interval(0.95))
    rank = float(posterior.cdf(truth))
    facts = {"view": view, "low": low, "high": high, "truth": truth, "rank": rank, "covered": low <= truth <= high}
    return facts | {"seconds": seconds, "effective_size": posterior.effective_size, "method": posterior.method}


def fixed_truth(rng: np.random.Generator) -> list[Row]:
    """Look at one clean run through the four views."""
    truth = claim().epsilon(DELTA)
    result = replace(simulated_run(rng), clipped_length=1.0)
    return [_posterior_row(result, view, truth, rng) for view in VIEWS]


def calibration(rng: np.random.Generator) -> list[Row]:
    """Draw an engine from the prior (standard deviation 1 in each logarithm) and look at its run; in V0 the clipped length is 1."""
    z = rng.standard_normal(3)
    sigma, q, c = math.exp(z[0]), float(special.expit(special.logit(RATE) + z[1])), math.exp(z[2])
    rows = []
    for views, length in ((VIEWS[:1], 1.0), (VIEWS[1:], c)):
        ratio = np.array([sigma / length])
        truth = float(epsilon_draws(noise_multiplier=ratio, sample_rate=np.array([q]), steps=STEPS, delta=DELTA)[0])
        result = engine_run(sigma, q, length, rng)
        rows += [_posterior_row(result, view, truth, rng, n_draws=2000) for view in views]
    return rows


def against_nuts(rng: np.random.Generator) -> list[Row]:
    """Return how far quantiles of importance sampling are from those of NUTS on the same data."""
    result = simulated_run(rng)
    rows = []
    for view in VIEWS[:2]:
        ours = raw_signal_posterior(result, delta=DELTA, view=view, rng=rng).ppf([0.025, 0.5, 0.975])
        theta = nuts_draws(result, view, prior_scale=1.0, n=4000, rng=rng)
        ratio, rate = np.exp(theta[:, 0] - theta[:, 2]), special.expit(theta[:, 1])
        draws = epsilon_draws(noise_multiplier=ratio, sample_rate=rate, steps=STEPS, delta=DELTA)
        theirs = np.quantile(draws, [0.025, 0.5, 0.975])
        rows.append({"view": view, "ours": list(map(float, ours)), "nuts": list(map(float, theirs))})
    return rows


def scores_of_law(curve: LossCurve, m: int, rng: np.random.Generator) -> MembershipScores:
    """Draw total losses directly from the law of a curve."""
    member = rng.random(m) < 0.5
    c0, c1 = np.cumsum(curve.c0), np.cumsum(curve.c1)
    u = rng.random(m)
    place = np.where(member, np.searchsorted(c1, u * c1[-1]), np.searchsorted(c0, u * c0[-1]))
    return MembershipScores(curve.loss[np.minimum(place, len(curve.loss) - 1)], member)


def rejections(m: int, sigma: float, q: float, rng: np.random.Generator) -> Row:
    """Simulate every signal of an engine and test it; the scores of `auc_normal` have the noise that the signals show."""
    member = rng.random(m) < 0.5
    signals, _ = simulate_signals(member, noise_multiplier=sigma, sample_rate=q, steps=STEPS, rng=rng)
    noise = dict.fromkeys(TESTS, 1.0) | {"auc_normal": fitted_noise_multiplier(signals, sample_rate=RATE)}
    scores = {
        name: MembershipScores(log_likelihood_ratio(signals, noise_multiplier=noise[name], sample_rate=RATE), member) for name in TESTS
    }
    return {name: bool(test(scores[name], claim()).rejected) for name, test in TESTS.items()}


def alarm(m: int, rng: np.random.Generator) -> list[Row]:
    """Test a run that is exactly as private as claimed."""
    return [{"m": m, "bug": "none"} | rejections(m, 1.0, RATE, rng)]


def power(m: int, bug: str, rng: np.random.Generator) -> list[Row]:
    """Test a run of an engine with a bug."""
    sigma, faster = BUGS[bug]
    return [{"m": m, "bug": bug} | rejections(m, sigma, RATE * faster, rng)]


@lru_cache(maxsize=4096)
def _guess_bound(m: int, guesses: int, correct: int, method: str, exact: bool) -> float:
    counts = {"n_canaries": m, "n_guesses": guesses, "n_correct": correct}
    return one_run_bound(**counts, delta=DELTA, method=method, curve=family() if exact else None).epsilon


def bounds(m: int, rng: np.random.Generator) -> list[Row]:
    """Return every bound of one clean run."""
    scores = scores_of_law(claim(), m, rng)
    row: Row = {"m": m} | {name: curve_bound(scores, family(), delta=DELTA, method=name).epsilon for name in TESTS}
    for share in SHARES:
        guesses, correct = one_run_guesses(scores, n_in=m // share, n_out=m // share)
        row[f"binomial m/{share}"] = _guess_bound(m, guesses, correct, "binomial", False)
        if share <= 16:
            row[f"f_dp Gaussian m/{share}"] = _guess_bound(m, guesses, correct, "f_dp", False)
            row[f"f_dp exact m/{share}"] = _guess_bound(m, guesses, correct, "f_dp", True)
    return [row]


def real(bug: str, rng: np.random.Generator) -> list[Row]:
    """Train with Opacus on digits; posterior of the run's own view, curve tests of its scores."""
    result = real_run(setting_for(bug), rng, n_canaries=1000)
    scores = result.scores["all_steps"]
    row: Row = {"bug": bug, "conformance": check_conformance(result, rng=rng).passed, "clipped_length": result.clipped_length}
    seen = {"auc_normal": result.fitted_scores}
    row |= {name: bool(test(seen.get(name, scores), claim()).rejected) for name, test in TESTS.items()}
    posterior = raw_signal_posterior(result, delta=DELTA, rng=rng)
    return [row | {"view": posterior.view, "interval": list(map(float, posterior.interval(0.95)))}]


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


def _of_posteriors(name: str, rows: list[Row]) -> list[Row]:
    found: list[Row] = []
    for view in VIEWS:
        mine = [row for row in rows if row["view"] == view]
        summary: Row = {"part": name, "view": view, "runs": len(mine)}
        summary |= {"coverage": _mean(mine, "covered"), "cpu_seconds": _mean(mine, "seconds")}
        summary |= {"nuts_runs": sum(row["method"] == "NUTS" for row in mine)}
        summary |= {"least_effective_size": min(row["effective_size"] for row in mine)}
        if name == "fixed truth":
            half = (_mean(mine, "high") - _mean(mine, "low")) / 2 / float(mine[0]["truth"])
            summary |= {"mean_low": _mean(mine, "low"), "mean_high": _mean(mine, "high"), "half_width": half, "allowed": HALF_WIDTHS[view]}
        else:
            summary |= {"ks_p": float(stats.kstest([row["rank"] for row in mine], "uniform").pvalue)}
        found.append(summary)
    return found


def _of_tests(name: str, rows: list[Row]) -> list[Row]:
    cases = dict.fromkeys((row["m"], row["bug"]) for row in rows)
    found = []
    for m, bug in cases:
        mine = [row for row in rows if (row["m"], row["bug"]) == (m, bug)]
        found.append({"part": name, "m": m, "bug": bug, "runs": len(mine)} | {test: _mean(mine, test) for test in TESTS})
    return found


def _of_bounds(rows: list[Row]) -> list[Row]:
    found = []
    for m in dict.fromkeys(row["m"] for row in rows):
        mine = [row for row in rows if row["m"] == m]
        truth = claim().epsilon(DELTA)
        means = {name: _mean(mine, name) for name in mine[0] if name != "m"}
        valid = {f"{test} at most the truth": float(np.mean([row[test] <= truth for row in mine])) for test in TESTS}
        found.append({"part": "bounds", "m": m, "runs": len(mine)} | means | valid)
    return found


def run(config: Config, *, rng: np.random.Generator) -> list[Row]:
    """Run all parts and return the summary rows."""
    tasks: list[tuple[str, Callable[[np.random.Generator], list[Row]]]] = [("fixed truth", fixed_truth)] * config.fixed_truth
    tasks += [("calibration", calibration)] * config.calibration + [("NUTS", against_nuts)] * config.nuts
    tasks += [("real", partial(real, bug)) for bug in REAL for _ in range(config.real)]
    for m in config.sizes:
        tasks += [("alarm", partial(alarm, m))] * config.alarm + [("bounds", partial(bounds, m))] * config.bounds
        tasks += [("power", partial(power, m, bug)) for bug in BUGS for _ in range(config.power)]
    outcomes: dict[str, list[Row]] = {}
    with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn")) as pool:
        rows = pool.map(_call, [task for _, task in tasks], rng.spawn(len(tasks)), chunksize=10)
        for (name, _), found in zip(tasks, rows, strict=True):
            outcomes.setdefault(name, []).extend(found)
    summary = [row for name in ("fixed truth", "calibration") for row in _of_posteriors(name, outcomes[name])]
    summary += [{"part": "NUTS"} | row for row in outcomes.get("NUTS", [])] + [{"part": "real"} | row for row in outcomes["real"]]
    return [*summary, *_of_tests("alarm", outcomes["alarm"]), *_of_tests("power", outcomes["power"]), *_of_bounds(outcomes["bounds"])]


def _call(task: Callable[[np.random.Generator], list[Row]], rng: np.random.Generator) -> list[Row]:
    return task(rng)


def main() -> None:
    """Run, print the rows, write results/e_raw_signals.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="a few runs of each part; writes nothing")
    config = QUICK if parser.parse_args().quick else Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows:
        print("  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))
    if config is not QUICK:
        print(write_results("e_raw_signals", rows, seed=config.seed, tools=("torch", "opacus", "pymc", "numpy", "scipy")))


if __name__ == "__main__":
    main()
