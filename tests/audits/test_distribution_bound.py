"""From an advantage to epsilon: coverage where epsilon is known exactly, shares of the level, what the best counts could show."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

from attacks.scores import AttackCounts
from mechanisms.accounting.group_advantage import group_advantage
from mechanisms.guarantee import Neighboring
from privacy_audit.audits.coupling import Coupling
from privacy_audit.audits.distribution_bound import METHOD, PairEvidence, distribution_bound, largest_bound

REPLACE, ADD_REMOVE = Neighboring.REPLACE, Neighboring.ADD_REMOVE


THIRTY = Coupling(30, 1.0)


def evidence(right_0: int, right_1: int, n: int = 200, coupling: Coupling = THIRTY) -> PairEvidence:
    return PairEvidence(AttackCounts(tp=right_1, fn=n - right_1, tn=right_0, fp=n - right_0), coupling)


@cache
def bound_of(right_0: int, right_1: int, n: int, coupling: Coupling) -> float:
    """The bound of one pair among two, at their common level of 0.9."""
    return distribution_bound([evidence(right_0, right_1, n, coupling)], delta=0.0, level=0.95, neighboring=REPLACE).epsilon


def false_alarm(truth: float, claimed: float, n: int, couplings: tuple[Coupling, ...]) -> float:
    """Exact probability that some pair's bound exceeds the claim, of all outcomes for victims at group privacy's very limit."""
    silent = 1.0
    for coupling in couplings:
        right = (1 + group_advantage(truth, steps=1, n_pairs=coupling.n_pairs)) / 2
        law = binom.pmf(np.arange(n + 1), n, right)
        below = [[bound_of(a, b, n, coupling) <= claimed for b in range(n + 1)] for a in range(n + 1)]
        silent *= float(law @ np.array(below, dtype=float) @ law)
    return 1 - silent


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 0.3])
def test_coverage_where_group_privacy_is_reached_exactly(epsilon):
    couplings = (THIRTY, Coupling(9, 1.0))
    assert false_alarm(epsilon, epsilon, 14, couplings) <= 0.1
    assert false_alarm(6 * epsilon, epsilon, 14, couplings) > 0.1  # negative control: noise that is too small is caught more often


def test_the_level_is_shared_and_the_largest_bound_given():
    strong, weak = evidence(190, 190), evidence(101, 99)
    alone = distribution_bound([strong], delta=0.0, level=0.975, neighboring=REPLACE).epsilon
    together = distribution_bound([weak, strong], delta=0.0, level=0.95, neighboring=REPLACE)
    assert together.epsilon == pytest.approx(alone, rel=1e-9)
    assert together.epsilon < distribution_bound([strong], delta=0.0, level=0.95, neighboring=REPLACE).epsilon
    assert (together.kind, together.method, together.level) == ("bound", METHOD, 0.95)


def test_adding_and_removing_takes_two_steps():
    pair, options = evidence(190, 190), {"delta": 0.0, "level": 0.95}
    replaced = distribution_bound([pair], neighboring=REPLACE, **options).epsilon
    added = distribution_bound([pair], neighboring=ADD_REMOVE, **options)
    assert added.epsilon == pytest.approx(replaced / 2, rel=1e-6)  # 30 is even: T_60(e) = T_30(2 e)
    assert added.neighboring is ADD_REMOVE


def test_guessing_and_worse_than_guessing_show_nothing():
    for rights in ((100, 100), (20, 10)):
        assert distribution_bound([evidence(*rights)], delta=1e-5, level=0.95, neighboring=ADD_REMOVE).epsilon == 0


def test_delta_weakens_the_bound():
    values = [
        distribution_bound([evidence(170, 170)], delta=delta, level=0.95, neighboring=REPLACE).epsilon for delta in (0, 1e-3, 0.01, 0.2)
    ]
    assert values == sorted(values, reverse=True)
    assert values[-1] == 0 < values[0]


def test_the_largest_bound_is_that_of_an_attack_that_is_always_right():
    pairs, options = [evidence(120, 130), evidence(110, 90)], {"delta": 1e-6, "level": 0.95, "neighboring": ADD_REMOVE}
    perfect = [evidence(200, 200), evidence(200, 200)]
    assert largest_bound(pairs, **options) == distribution_bound(perfect, **options).epsilon > distribution_bound(pairs, **options).epsilon
    assert math.isfinite(largest_bound(pairs, **options))


def test_refusals():
    with pytest.raises(ValueError, match="at least one pair"):
        distribution_bound([], delta=0.0, level=0.95, neighboring=REPLACE)
    with pytest.raises(ValueError, match="zero_out"):
        distribution_bound([evidence(100, 100)], delta=0.0, level=0.95, neighboring=Neighboring.ZERO_OUT)
