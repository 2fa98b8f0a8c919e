"""Audit of the reusable holdout: firing patterns on neighboring holdouts tell the worlds apart by no more than the ledger says.

One holdout of 10 records, sigma = 1/10, hence 2 nats a firing; a neighbor has another record. A run, until it fires, is one game: the
first queries have the smaller gap in world 1 and stay silent there more often, the last one has the larger gap, fires more often and has
the larger answer. All runs of one object are independent of each other, and the ledger tells what each cost.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.scores import AttackCounts
from mechanisms.adaptive.holdout_budget import holdout_budget
from mechanisms.adaptive.holdout_noise import LaplaceHoldoutNoise
from mechanisms.adaptive.reusable_holdout import ReusableHoldout
from mechanisms.selection.sparse_vector import SparseVectorScales
from privacy_audit.estimate.lower_bound import epsilon_lower_bound
from tests.mechanisms.adaptive.holdouts import made, seeded
from tests.mechanisms.selection.test_sparse_vector import pattern_probability

N, SIGMA, THRESHOLD, QUIET = 10, 0.1, 0.5, 2
LEVEL = 1 - 1e-6  # false alarm 1e-6


def world_values(world: int) -> tuple[np.ndarray, np.ndarray]:
    """Values on the holdout of the quiet queries (sum 3, or 4 in world 0) and of the loud one (sum 6, or 5): one record differs."""
    others = np.ones(N - 1) / (N - 1)
    return np.append(3 * others, 1 - world), np.append(5 * others, world)


def wins(holdout: ReusableHoldout, world: int, n_runs: int) -> int:
    """Runs that stay silent on all quiet queries, then fire with an answer of 0.6 or more."""
    quiet, loud, end = (holdout.question(lambda x, v=values: v if x[0] else np.zeros(N)) for values in (*world_values(world), np.ones(N)))
    count = 0
    for _ in range(n_runs):
        if any(holdout._answered(quiet).fired for _ in range(QUIET)):
            continue
        answer = holdout._answered(loud)
        count += answer.fired and answer.value >= 0.6
        while not answer.fired:
            answer = holdout._answered(end)
    return count


def audited(n_runs: int, scale: Fraction, rng: np.random.Generator) -> tuple[float, float]:
    """Return the lower bound, and what the ledger says a run cost; all noise is scaled behind the ledger's back."""
    counts, cost = [], []
    for world in (1, 0):
        holdout = made(np.zeros(N), np.ones(N), seeded(rng), budget=n_runs, sigma=SIGMA, threshold=THRESHOLD)
        assert isinstance(holdout._noise, LaplaceHoldoutNoise)
        holdout._noise._scale *= scale
        counts.append(wins(holdout, world, n_runs))
        assert holdout.remaining_ == 0
        cost.append(holdout.ledger.spent / n_runs)
    tally = AttackCounts(tp=counts[0], fn=n_runs - counts[0], fp=counts[1], tn=n_runs - counts[1])
    return epsilon_lower_bound(tally, level=LEVEL).epsilon, max(cost)


def test_firing_odds_stay_within_the_ledger_and_a_quarter_of_the_noise_is_caught(rng: np.random.Generator):
    bound, claim = audited(1200, Fraction(1), rng)
    assert claim == pytest.approx(2.0)
    assert 0.2 < bound <= claim
    assert audited(1200, Fraction(1, 4), rng)[0] > claim


@pytest.mark.slow
def test_half_of_the_noise_is_caught(rng: np.random.Generator):
    assert audited(20_000, Fraction(1), rng)[0] <= 2.0
    assert audited(20_000, Fraction(1, 2), rng)[0] > 2.0


# --- exact: every pattern of runs, by enumeration ---


def run_loss(gaps: list[int], steps: list[int], n_silent: int, scale: float) -> float:
    """Exact loss of "silent n times, then fires", grid of a record, for threshold noise 2 scale and test noise 4 scale."""
    pattern = (False,) * n_silent + (True,)
    scales = SparseVectorScales(Fraction(2 * scale), Fraction(4 * scale), None)
    worlds = (gaps, [gap + step for gap, step in zip(gaps, steps, strict=True)])
    p, q = (pattern_probability(values[: n_silent + 1], pattern, scales) for values in worlds)
    return abs(math.log(p / q))


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-1, 1)), min_size=1, max_size=6), st.floats(0.5, 3))
def test_exact_loss_of_a_run_is_within_its_price(queries: list[tuple[int, int]], records: float):
    """`records` = sigma n: a run costs 1 / (sigma n) of the 2 / (sigma n) of a firing; the answer's Laplace noise costs the rest."""
    gaps, steps = map(list, zip(*queries, strict=True))
    price = holdout_budget(1, records, "laplace", budget=1, epsilon=None).epsilon / 2
    assert run_loss(gaps, steps, len(queries) - 1, records) <= price * (1 + 1e-9) + 1e-9


def test_twins_cost_more_than_the_price():
    gaps, steps = [0] * 60 + [-8], [1] * 60 + [-1]
    assert run_loss(gaps, steps, 60, 1.0) <= 1.0
    assert run_loss(gaps, steps, 60, 0.5) > 1.0
