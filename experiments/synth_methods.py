"""The ways to a synthetic table that `e_private_gsd` compares, each a function from a counted table to codes with one row more or less.

one_shot, adaptive, auto   `PrivateGSDSynthesizer` with its default settings
independent                all budget on one-way marginals, columns drawn independently: what any method must beat
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import numpy as np

from mechanisms.errors import InsecureNoiseWarning
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource, SeededNoise
from synth.budget import one_shot_budget
from synth.consistency import consistent_one_ways
from synth.count_source import CountSource
from synth.counts import EncodedCounts
from synth.encoded import EncodedTable
from synth.evaluate import workload_error
from synth.measure import measure_marginals
from synth.private_gsd import PrivateGSDSynthesizer
from synth.start import independent_start

RELATION = Neighboring.ADD_REMOVE
OURS = ("one_shot", "adaptive", "auto")
METHODS = (*OURS, "independent")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Errors of one synthetic table over all pairs of columns, what it took, and for "auto" what the rule saw and did."""

    avg_tv: float
    max_tv: float
    max_cell: float
    cpu_seconds: float
    noise_ratio: float | None
    branch: str


def synthesize(method: str, source: CountSource, *, epsilon: float, delta: float, seed: int) -> Outcome:
    """Make one table and compare all pairs of columns; noise and optimizer are seeded, for an experiment."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)  # it is meant for releases
        return _synthesize(method, source, epsilon=epsilon, delta=delta, seed=seed)


def _synthesize(method: str, source: CountSource, *, epsilon: float, delta: float, seed: int) -> Outcome:
    noise = SeededNoise(seed)
    start = time.process_time()
    if method == "independent":
        table, ratio, branch = independent_columns(source, epsilon=epsilon, delta=delta, noise=noise, seed=seed), None, method
    else:
        made = PrivateGSDSynthesizer(epsilon, delta, source.schema, neighboring=RELATION, mode=method, random_state=seed, noise=noise)
        made.fit(source)
        table, ratio, branch = made.encoded_, made.noise_ratio_, made.mode_
    seconds = time.process_time() - start
    error = workload_error(source, EncodedCounts(table, source.schema))
    return Outcome(float(error.avg_tv or 0.0), float(error.max_tv or 0.0), error.max_cell, seconds, ratio, branch)


def independent_columns(source: CountSource, *, epsilon: float, delta: float, noise: NoiseSource, seed: int) -> EncodedTable:
    """Return as many rows as the noisy total says, each column drawn by its own noisy marginal."""
    sizes = source.schema.sizes
    groups: list[tuple[int, ...]] = [(place,) for place in range(len(sizes))]
    shares = [1 / len(sizes)] * len(sizes)
    budget = one_shot_budget(epsilon=epsilon, delta=delta, neighboring=RELATION, shares=shares, n_draws=sum(sizes))
    answers = measure_marginals(source, groups, rho=budget.rho, neighboring=RELATION, budget="equal", noise=noise, ledger=budget.ledger())
    ones = [one.counts for one in consistent_one_ways(answers, sizes, total=None)]
    return EncodedTable(independent_start(ones, max(1, round(float(ones[0].sum()))), np.random.default_rng(seed)))
