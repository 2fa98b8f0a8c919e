"""SumSelect: held error, the choice by dimension, its distribution at a recomputation, state, guarantee."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mechanisms.continual.exact_budget import exact_budget
from mechanisms.continual.sum_select import SumSelect, selection_error
from mechanisms.errors import BudgetExhaustedError, StateError
from mechanisms.guarantee import Neighboring
from mechanisms.selection.exponential import exponential_probabilities
from tests.mechanisms.continual.streams import biased_stream, seeded

ZERO, REPLACE = Neighboring.ZERO_OUT, Neighboring.REPLACE
METHODS = ["recompute", "per_coordinate", "trivial"]


def made(method: str, seed: int, T: int = 60, d: int = 3, **options: object) -> SumSelect:
    return seeded(lambda noise: SumSelect(T, d, **({"rho": 0.5, "method": method, "noise": noise} | options)), seed)


def test_the_choice_by_dimension():
    assert SumSelect(4096, 4, rho=0.5).method_ == "per_coordinate"
    many, zeroed = SumSelect(4096, 1000, rho=0.5), SumSelect(4096, 1000, rho=0.5, neighboring=ZERO)
    assert (many.method_, zeroed.method_) == ("recompute", "recompute")
    assert zeroed.error_bound() < many.error_bound() < 200
    assert SumSelect(5, 1000, rho=1e-3).method_ == "trivial"
    assert SumSelect(1000, 1, rho=0.5, method="recompute").error_bound() == 0, "one coordinate needs no choice, and no recomputation hurts"


def test_the_error_of_the_choices():
    budget = exact_budget(rho=0.5, epsilon=None, delta=None)
    rate = math.sqrt(8 * 0.5 / 40)
    assert selection_error(40, 64, budget, ZERO, 0.05) == pytest.approx(math.log(63 * 40 / 0.05) / rate)
    assert selection_error(40, 64, budget, REPLACE, 0.05) == pytest.approx(2 * math.log(63 * 40 / 0.05) / rate)


@pytest.mark.parametrize(("d", "neighboring"), [(3, REPLACE), (50, ZERO), (50, REPLACE)])
def test_errors_stay_below_the_bound(d: int, neighboring: Neighboring, rng: np.random.Generator):
    """15 runs; at beta = 0.05 more than 8 misses have probability below 1e-7."""
    misses = 0
    for _ in range(15):
        steps = biased_stream(400, d, rng)
        release = made("auto", int(rng.integers(2**32)), T=400, d=d, neighboring=neighboring)
        sums = np.cumsum(steps, axis=0)
        chosen = np.array([release.update(x) for x in steps])
        misses += (sums.max(axis=1) - sums[np.arange(400), chosen]).max() > release.error_bound()
    assert misses <= 8


@pytest.mark.parametrize(("neighboring", "monotone"), [(ZERO, True), (REPLACE, False)])
def test_a_recomputation_is_the_exponential_mechanism(neighboring: Neighboring, monotone: bool, rng: np.random.Generator):
    """2,000 choices among three: each frequency within 5.5 standard errors, false alarm 1e-7; the other relation's weights are 10 away."""
    n, T = 2000, 6
    sums = [6, 4, 1]
    steps = np.array([[t < s for s in sums] for t in range(T)], dtype=np.int64)
    options = {"T": T, "neighboring": neighboring, "rho": 0.4}
    release = made("recompute", int(rng.integers(2**32)), **options)
    epsilon, r = release._method.epsilon, release._method.schedule.interval
    counts = steps[:r].sum(axis=0)
    draws = [release._method.release(counts, steps[0], r) for _ in range(n)]
    p = exponential_probabilities(counts.astype(float), epsilon=epsilon, sensitivity=1.0, monotone=monotone)
    frequency = np.bincount(draws, minlength=3) / n
    assert (np.abs(frequency - p) <= 5.5 * np.sqrt(p * (1 - p) / n)).all()


def test_the_choices_spend_the_budget():
    release = SumSelect(1000, 20, rho=0.5, method="recompute")
    m = release._method.schedule.n_recomputations
    assert m * release._method.epsilon**2 / 8 <= 0.5
    assert m * release._method.epsilon**2 / 8 == pytest.approx(0.5)
    pure = SumSelect(1000, 20, epsilon=2.0, method="recompute")
    assert pure._method.schedule.n_recomputations * pure._method.epsilon == pytest.approx(2.0)
    assert (pure.guarantee.epsilon, pure.guarantee.delta) == (2.0, 0.0)
    assert release.guarantee.epsilon == pytest.approx(5.222, abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cut", [0, 17, 60])
def test_a_stored_state_goes_on_as_if_nothing_had_happened(method: str, cut: int):
    steps = biased_stream(60, 3, np.random.default_rng(cut))
    first = made(method, 4)
    for x in steps[:cut]:
        first.update(x)
    second = made(method, 99)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert [first.update(x) for x in steps[cut:]] == [second.update(x) for x in steps[cut:]]
    with pytest.raises(BudgetExhaustedError):
        second.update(steps[0])


def test_bad_states_and_methods_are_refused():
    first = made("recompute", 1)
    state = first.state_dict()
    with pytest.raises(StateError, match="no such coordinate"):
        made("recompute", 1).load_state_dict({**state, "method": {"last": 3}})
    with pytest.raises(StateError, match="post-processing"):
        made("recompute", 1).load_state_dict({**state, "shown": 3.0})
    with pytest.raises(ValueError, match="method"):
        SumSelect(10, 2, rho=0.5, method="change_driven")
    with pytest.raises(ValueError, match="ZERO_OUT"):
        SumSelect(10, 2, rho=0.5, neighboring=Neighboring.ADD_REMOVE)
