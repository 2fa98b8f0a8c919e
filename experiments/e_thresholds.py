"""Which way of paying for the choice of a threshold is valid, and which gives the largest bound of epsilon?

Null part: how often each strategy contradicts a true claim, 1,000 repeats at n = 200, 1,000, 5,000 per side. Expected: every strategy
that is called a bound at most 0.05 + 3 standard deviations; the uncorrected best threshold more than that on some truth. Mean part: means
over 300 repeats at n = 1,000. Expected: order statistics at least the hull rule of jax-privacy 2.0.0 (which has no proof) and at least
1.05 times a split, on Laplace and Gaussian scores; the band, which lets any threshold be picked afterwards, at least 0.97 of it.
About 15 minutes on 2 cores.

Run: python experiments/e_thresholds.py [--quick] [--only STRATEGY ...] [--workers N]; scores and random choices come from different
generators, so some strategies alone see the scores that all would see
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy import special

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.scores import MembershipScores
from experiments.results_file import read_results, write_results
from mechanisms.accounting.gaussian import gaussian_epsilon
from privacy_audit.estimate.exact.likelihood_ratio import likelihood_ratio_p_value, windowed_p_value
from privacy_audit.estimate.lower_bound import clopper_pearson_epsilon, rate_upper_limit
from privacy_audit.estimate.strategies.band import dense_ranks
from privacy_audit.estimate.strategies.hull import hull_corners, threshold_counts
from privacy_audit.estimate.strategies.split import split_counts
from privacy_audit.estimate.strategies.threshold_nodes import nodes_of_both_roles
from privacy_audit.estimate.thresholds import audit_scores

LEVEL = 0.95
ALPHA = 0.05
CHUNK = 50
NULL_SPLITS = 40
BOUNDS = ("order_statistics", "band", "split", "multi_split")
PEER = "hull rule of jax-privacy 2.0.0"


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    null_repeats: int = 1000
    null_sizes: tuple[int, ...] = (200, 1000, 5000)
    mean_repeats: int = 300
    mean_size: int = 1000
    seed: int = 20261124
    workers: int = 2
    only: frozenset[str] = frozenset()  # strategies; empty: all


QUICK = Config(null_repeats=20, null_sizes=(200,), mean_repeats=10)


@dataclass(frozen=True, slots=True)
class Truth:
    """A pair of score laws with its exact epsilon at delta."""

    draw: Callable[[np.random.Generator, int], np.ndarray]
    shift: float
    epsilon: float
    delta: float = 0.0


def _laplace(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.laplace(size=n)


def _normal(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_normal(n)


def _coins(rng: np.random.Generator, n: int) -> np.ndarray:
    return (rng.random(n) < special.expit(1.0)) - 0.5


TRUTHS = {
    "no leak": Truth(_laplace, 0.0, 0.0),
    "randomized response epsilon 1": Truth(_coins, 0.0, 1.0),
    "Laplace epsilon 1": Truth(_laplace, 1.0, 1.0),
    "Laplace epsilon 2": Truth(_laplace, 2.0, 2.0),
    "Laplace epsilon 4": Truth(_laplace, 4.0, 4.0),
    "Gaussian mu 2": Truth(_normal, 2.0, gaussian_epsilon(2.0, 1e-5), 1e-5),
}
NULLS = ("no leak", "randomized response epsilon 1", "Laplace epsilon 1")


def draw_scores(truth: Truth, n: int, rng: np.random.Generator) -> MembershipScores:
    """Return n scores of members and n of non-members."""
    member = np.arange(2 * n) % 2 == 0
    score = truth.draw(rng, 2 * n)
    if truth.draw is _coins:
        score = np.where(member, score, -score)
    return MembershipScores(score + truth.shift * member, member)


def peer_hull(scores: MembershipScores, *, delta: float, one_sided: bool) -> float:
    """Return what `CanaryScoreAuditor.epsilon_clopper_pearson` of jax-privacy 2.0.0 does with its default strategy, re-expressed.

    Thresholds: all distinct scores and infinity; those on the lower hull of (false negatives, true negatives) stay; both Clopper-Pearson
    limits get half of alpha / (number that stay); one-sided (its default) takes ln((tpr - delta) / fpr) only.
    """
    fp, fn = threshold_counts(scores)
    corner = hull_corners(scores.n_non_members - fp, fn)
    fp, fn = fp[corner], fn[corner]
    share = ALPHA / len(corner) / 2
    fpr = rate_upper_limit(fp, scores.n_non_members - fp, share)
    tpr = 1 - rate_upper_limit(fn, scores.n_members - fn, share)
    ratios = [(tpr, fpr)] if one_sided else [(tpr, fpr), (1 - fpr, 1 - tpr)]
    with np.errstate(divide="ignore"):
        logs = [np.log(np.maximum(above - delta, 0.0)) - np.log(below) for above, below in ratios]
    return max(0.0, float(np.max(logs)))


def uncorrected(scores: MembershipScores, *, delta: float) -> float:
    """Return the largest Clopper-Pearson bound over all thresholds, nothing paid: the negative control."""
    fp, fn = threshold_counts(scores)
    n_out, n_in = scores.n_non_members, scores.n_members
    return float(clopper_pearson_epsilon(fp=fp, tn=n_out - fp, fn=fn, tp=n_in - fn, delta=delta, alpha=ALPHA).max())


def _split_contradicts(scores: MembershipScores, truth: Truth, rng: np.random.Generator) -> bool:
    """Whether the split's p-value of the true claim is at most alpha, which it is whenever the bound exceeds the claim."""
    counts, _ = split_counts(scores, delta=truth.delta, rng=rng)
    given = {"fp": counts.fp, "n_out": counts.n_non_members, "fn": counts.fn, "n_in": counts.n_members}
    p_value = likelihood_ratio_p_value if max(given["n_out"], given["n_in"]) <= 300 else windowed_p_value
    return p_value(truth.epsilon, **given, delta=truth.delta) <= ALPHA


def _band_contradicts(scores: MembershipScores, truth: Truth) -> bool:
    """Whether a declared threshold of the band rejects the true claim, which one does whenever the bound exceeds it."""
    inside, outside = np.sort(scores.score[scores.member]), np.sort(scores.score[~scores.member])
    declared = {"of_outside": dense_ranks(len(outside)), "of_inside": dense_ranks(len(inside))}
    return bool(nodes_of_both_roles(inside, outside, **declared, alpha=ALPHA).rejecting(truth.epsilon, truth.delta))


def null_chunk(name: str, n: int, only: frozenset[str], rng: np.random.Generator) -> dict[str, int]:
    """Return how often each strategy contradicts the truth in one chunk of repeats."""
    truth, choices = TRUTHS[name], rng.spawn(1)[0]
    contradicts: dict[str, Callable[[MembershipScores], bool]] = {
        strategy: partial(_audit_contradicts, truth=truth, strategy=strategy, rng=choices if strategy == "multi_split" else None)
        for strategy in ("order_statistics", "multi_split", "hull")
    }
    contradicts["band"] = partial(_band_contradicts, truth=truth)
    contradicts["split"] = partial(_split_contradicts, truth=truth, rng=choices)
    contradicts["uncorrected"] = lambda scores: uncorrected(scores, delta=truth.delta) > truth.epsilon
    asked = [strategy for strategy in (*BOUNDS, "hull", "uncorrected") if strategy in only or not only]
    alarms = dict.fromkeys(asked, 0)
    for _ in range(CHUNK):
        scores = draw_scores(truth, n, rng)
        for strategy in asked:
            alarms[strategy] += contradicts[strategy](scores)
    return alarms


def _audit_contradicts(scores: MembershipScores, *, truth: Truth, strategy: str, rng: np.random.Generator | None) -> bool:
    bound = audit_scores(scores, delta=truth.delta, level=LEVEL, strategy=strategy, n_splits=NULL_SPLITS, rng=rng)
    return bound.epsilon > truth.epsilon


def mean_chunk(name: str, n: int, only: frozenset[str], rng: np.random.Generator) -> dict[str, list[float]]:
    """Return the bounds of every strategy in one chunk of repeats; the default is always there."""
    truth, choices = TRUTHS[name], rng.spawn(1)[0]
    keyed = ("order_statistics, ties by key",) if truth.draw is _coins else ()
    keys = [key for key in (*BOUNDS, *keyed, "hull") if key in only or not only or key == "order_statistics"]
    bounds: dict[str, list[float]] = {key: [] for key in keys}
    peers: dict[str, list[float]] = {} if only else {PEER: [], f"{PEER}, two-sided": []}
    for _ in range(CHUNK):
        scores = draw_scores(truth, n, rng)
        for key in keys:
            strategy = key.split(",")[0]
            random = choices if key in keyed or "split" in strategy else None
            bounds[key].append(audit_scores(scores, delta=truth.delta, level=LEVEL, strategy=strategy, rng=random).epsilon)
        for key in peers:
            peers[key].append(peer_hull(scores, delta=truth.delta, one_sided=key == PEER))
    return bounds | peers


def run(config: Config, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """Return one row per truth, size and strategy."""
    nulls = [(name, n) for n in config.null_sizes for name in NULLS]
    means = [(name, config.mean_size) for name in TRUTHS if name != "no leak"]
    with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn")) as pool:
        null_tasks = [(cell, part) for cell in nulls for part in rng.spawn(max(1, config.null_repeats // CHUNK))]
        mean_tasks = [(cell, part) for cell in means for part in rng.spawn(max(1, config.mean_repeats // CHUNK))]
        mean_parts = list(pool.map(partial(_apply, mean_chunk, config.only), mean_tasks))
        null_parts = list(pool.map(partial(_apply, null_chunk, config.only), null_tasks))
    rows = [row for cell in nulls for row in _null_rows(cell, [p for (c, _), p in zip(null_tasks, null_parts, strict=True) if c == cell])]
    rows += [row for cell in means for row in _mean_rows(cell, [p for (c, _), p in zip(mean_tasks, mean_parts, strict=True) if c == cell])]
    return rows


def _apply(
    chunk: Callable[[str, int, frozenset[str], np.random.Generator], object],
    only: frozenset[str],
    task: tuple[tuple[str, int], np.random.Generator],
) -> object:
    (name, n), rng = task
    return chunk(name, n, only, rng)


def _null_rows(cell: tuple[str, int], parts: list[dict[str, int]]) -> list[dict[str, object]]:
    repeats = CHUNK * len(parts)
    allowed = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / repeats)
    rows: list[dict[str, object]] = []
    for strategy in parts[0]:
        rate = sum(part[strategy] for part in parts) / repeats
        kind = "bound" if strategy in BOUNDS else "no bound"
        rows.append({"part": "null", "truth": cell[0], "n_per_side": cell[1], "strategy": strategy, "kind": kind, "repeats": repeats})
        rows[-1] |= {"false_alarm_rate": rate, "allowed": allowed, "within": rate <= allowed}
    return rows


def _mean_rows(cell: tuple[str, int], parts: list[dict[str, list[float]]]) -> list[dict[str, object]]:
    bounds = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    default = bounds["order_statistics"]
    rows: list[dict[str, object]] = []
    for key, values in bounds.items():
        rows.append({"part": "mean", "truth": cell[0], "n_per_side": cell[1], "strategy": key, "repeats": len(values)})
        rows[-1] |= {"true_epsilon": TRUTHS[cell[0]].epsilon, "delta": TRUTHS[cell[0]].delta, "mean": float(values.mean())}
        rows[-1] |= {"standard_error": float(values.std(ddof=1) / math.sqrt(len(values)))}
        rows[-1] |= {"default_over_this": float(default.mean() / values.mean())}
    return rows


def _merged(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return the rows of the results file, these in the place of those with the same key."""
    key = ("part", "truth", "n_per_side", "strategy")
    new = {tuple(row[name] for name in key): row for row in rows}
    return [new.get(tuple(row[name] for name in key), row) for row in read_results("e_thresholds") if row["part"] in ("null", "mean")]


def main() -> None:
    """Run, print a table, write results/e_thresholds.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="one chunk of each cell; writes nothing")
    parser.add_argument("--workers", type=int, default=2, help="number of processes")
    parser.add_argument("--only", nargs="+", default=(), choices=BOUNDS, help="replace the rows of these (and the default's means)")
    options = parser.parse_args()
    config = replace(QUICK if options.quick else Config(), workers=options.workers, only=frozenset(options.only))
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows:
        print("  ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    if not options.quick:
        print(write_results("e_thresholds", _merged(rows) if config.only else rows, seed=config.seed, tools=("numpy", "scipy")))


if __name__ == "__main__":
    main()
