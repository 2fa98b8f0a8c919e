"""Sparse vector: exact privacy loss by enumeration, the faults seen in the wild as negative controls, the sampler, budget and grid."""

from __future__ import annotations

import copy
import itertools
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise
from mechanisms.selection.sparse_vector import SparseVector, SparseVectorScales, sparse_vector_scales
from tests.mechanisms.noise.laws import FALSE_ALARM, laplace_law
from tests.mechanisms.selection.audits import audited_epsilon

ADD_REMOVE = Neighboring.ADD_REMOVE


def above(level: NDArray[np.int64], scale: float) -> NDArray[np.float64]:
    """P(discrete Laplace >= level)."""
    a = np.exp(-1 / scale)
    return np.where(level > 0, a ** np.maximum(level, 0), 1 + a - a ** (1 - np.minimum(level, 0))) / (1 + a)


def pattern_probability(values: list[int], pattern: tuple[bool, ...], scales: SparseVectorScales) -> float:
    """Exact probability that the queries fire in this pattern, for threshold 0 and grid 1: a sum over the threshold's noise."""
    b, query = float(scales.threshold), float(scales.query)
    zeta = np.arange(-int(45 * b) - 1, int(45 * b) + 2)
    probability = laplace_law(b)(zeta)
    for value, fires in zip(values, pattern, strict=True):
        fire = above(zeta - value, query)
        probability = probability * (fire if fires else 1 - fire)
    return float(probability.sum())


def patterns(n: int, max_firings: int) -> list[tuple[bool, ...]]:
    """All patterns of n queries, cut where the last firing is spent."""
    found = {p[: _last(p, max_firings)] for p in itertools.product((False, True), repeat=n)}
    return sorted(found)


def _last(pattern: tuple[bool, ...], max_firings: int) -> int:
    places = [i for i, fires in enumerate(pattern) if fires]
    return places[max_firings - 1] + 1 if len(places) >= max_firings else len(pattern)


def worst_loss(values: list[int], steps: list[int], scales: SparseVectorScales, max_firings: int) -> float:
    neighbor = [value + step for value, step in zip(values, steps, strict=True)]
    losses = []
    for pattern in patterns(len(values), max_firings):
        m = len(pattern)
        p, q = (pattern_probability(world[:m], pattern, scales) for world in (values, neighbor))
        losses.append(abs(np.log(p / q)))
    return max(losses)


@given(st.integers(1, 3), st.floats(0.3, 3), st.booleans(), st.data())
def test_exact_loss_is_within_epsilon(c: int, epsilon: float, monotone: bool, data: st.DataObject):
    values = data.draw(st.lists(st.integers(-4, 4), min_size=5, max_size=5))
    steps = data.draw(st.lists(st.integers(0 if monotone else -1, 1), min_size=5, max_size=5))
    scales = sparse_vector_scales(epsilon=epsilon, max_firings=c, monotone=monotone)
    assert worst_loss(values, steps, scales, c) <= epsilon * (1 + 1e-9) + 1e-9


def long_pattern(scales: SparseVectorScales, n_silent: int, n_firing: int) -> float:
    """The loss of n_silent queries that rise and stay silent, then n_firing ones that fall and fire."""
    pattern = (False,) * n_silent + (True,) * n_firing
    values = [0] * n_silent + [-12] * n_firing
    neighbor = [1] * n_silent + [-13] * n_firing
    return float(np.log(pattern_probability(values, pattern, scales) / pattern_probability(neighbor, pattern, scales)))


def test_long_patterns_come_near_epsilon():
    loss = long_pattern(sparse_vector_scales(epsilon=2.0, max_firings=3), 200, 3)
    assert 1.0 < loss <= 2.0 + 1e-12  # up to the rounding of logarithms


def test_fault_noise_not_scaled_with_the_firings():
    right = sparse_vector_scales(epsilon=2.0, max_firings=3)
    wrong = SparseVectorScales(right.threshold, right.query / 3, None)
    assert long_pattern(wrong, 200, 3) > 2.0


def test_fault_firings_not_counted():
    assert long_pattern(sparse_vector_scales(epsilon=2.0, max_firings=1), 50, 10) > 2.0


def test_fault_no_query_noise():
    """Without query noise a pattern can be impossible in one world only: zeta in (0, 1] lets 0 stay silent and 1 fire."""
    right = sparse_vector_scales(epsilon=1.0, max_firings=1)
    none = SparseVectorScales(right.threshold, Fraction(1, 1000), None)
    assert pattern_probability([0, 1], (False, True), none) > 0.01
    assert pattern_probability([1, 0], (False, True), none) == 0.0


def test_fault_the_noisy_value_of_the_test_is_released():
    """A low released value pins the threshold's noise down: many silent queries then tell the worlds apart without limit."""
    scales = sparse_vector_scales(epsilon=1.0, max_firings=1)

    def probability(silent: int, n: int, released: int) -> float:
        zeta = np.arange(-200, released + 1)  # it fired: released >= zeta
        noise = laplace_law(float(scales.threshold))(zeta) * (1 - above(zeta - silent, float(scales.query))) ** n
        return float(noise.sum() * laplace_law(float(scales.query))(np.array([released]))[0])

    assert np.log(probability(0, 100, -3) / probability(1, 100, -3)) > 5.0


@pytest.mark.parametrize(("monotone", "factor"), [(False, 8), (True, 4)])
def test_split(monotone: bool, factor: int):
    scales = sparse_vector_scales(epsilon=0.7, max_firings=4, steps=Fraction(3), monotone=monotone, answer_epsilon=0.5)
    eps1, eps2 = 3 / scales.threshold, factor * 3 / scales.query
    assert eps1 + eps2 == Fraction(0.7)
    assert float(eps2 / eps1) == pytest.approx(factor ** (2 / 3), rel=5e-3)
    assert scales.answer == 4 * 3 / Fraction(0.5)


def test_sampler_has_the_enumerated_law():
    """Four queries, at most two firings, secure noise. False alarm 1e-6; the law of twice the epsilon fails."""
    values, n = [0, 2, -1, 1], 2500
    seen: dict[tuple[bool, ...], int] = dict.fromkeys(patterns(4, 2), 0)
    for _ in range(n):
        test = SparseVector(0.0, epsilon=2.0, max_firings=2, sensitivity=1.0, neighboring=ADD_REMOVE, grid=1.0)
        pattern = []
        for value in values:
            pattern.append(test.ask(value).fired)
            if test.remaining_ == 0:
                break
        seen[tuple(pattern)] += 1
    for epsilon, fits in ((2.0, True), (4.0, False)):
        scales = sparse_vector_scales(epsilon=epsilon, max_firings=2)
        law = np.array([pattern_probability(values[: len(pattern)], pattern, scales) for pattern in seen])
        assert law.sum() == pytest.approx(1.0, abs=1e-9)
        assert (chisquare(list(seen.values()), n * law / law.sum()).pvalue > FALSE_ALARM) == fits


def test_audit():
    """The pattern silent, firing on queries that cross over. False alarm 1e-6; a twin with a quarter of the noise is caught."""

    def bound(epsilon: float) -> float:
        def world(values: list[int]) -> tuple[bool, ...]:
            test = SparseVector(0.0, epsilon=epsilon, max_firings=1, sensitivity=1.0, neighboring=ADD_REMOVE, grid=1.0)
            return test.ask(values[0]).fired or not test.ask(values[1]).fired

        return audited_epsilon(lambda: world([-1, 0]), lambda: world([0, -1]), {False}, 1000)

    assert bound(2.0) <= 2.0
    assert bound(8.0) > 2.0


def make(**changes: object) -> SparseVector:
    options: dict[str, object] = {"epsilon": 1e4, "max_firings": 2, "sensitivity": 1.0, "neighboring": ADD_REMOVE}
    return SparseVector(10.0, **(options | changes))  # type: ignore[arg-type]


def test_budget():
    test = make(answer_epsilon=5.0)
    assert test.guarantee.epsilon == 1e4 + 5.0
    assert test.rho == test.guarantee.epsilon**2 / 2
    assert [test.ask(v).fired for v in (0.0, 20.0, 0.0, 20.0)] == [False, True, False, True]
    assert (test.remaining_, test.n_asked_, test.n_fired_) == (0, 4, 2)
    for value in (0.0, 20.0):
        with pytest.raises(BudgetExhaustedError, match="2 firings"):
            test.ask(value)
    assert test.n_asked_ == 4


def test_answers_have_noise_of_their_own():
    assert make().ask(20.0).value is None
    test = make(answer_epsilon=1e-3, max_firings=30)
    values = np.array([test.ask(50.0).value for _ in range(30)], dtype=np.float64)
    assert np.std(values) > 3000  # scale 30,000; false alarm below 1e-20
    assert make(answer_epsilon=1e4).ask(50.25).value == pytest.approx(50.25, abs=0.1)
    assert make(answer_epsilon=1.0).ask(0.0).value is None


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e6), st.integers(-5, 5))
def test_rounding_keeps_the_sensitivity(value: float, sensitivity: float, shift: int):
    """A shift by a whole number of sensitivities is a shift by 1024 times as many grids, whatever the float."""
    test = make(sensitivity=sensitivity)
    exact = Fraction(value) + shift * Fraction(sensitivity)
    assert test._multiple(exact) - test._multiple(value) == 1024 * shift


def test_grid_must_divide():
    make(sensitivity=0.75, grid=0.25)
    for grid in (0.5, 0.1, 2.0):
        with pytest.raises(ValueError, match="divide"):
            make(sensitivity=0.75, grid=grid)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_bad_values_change_nothing(value: float):
    test = make()
    with pytest.raises(ValueError, match="finite"):
        test.ask(value)
    assert (test.n_asked_, test.remaining_) == (0, 2)


@pytest.mark.parametrize("changes", [{"epsilon": 0.0}, {"max_firings": 0}, {"sensitivity": -1.0}, {"answer_epsilon": -1.0}])
def test_bad_parameters(changes: dict[str, object]):
    with pytest.raises(ValueError, match=next(iter(changes))):
        make(**changes)
    with pytest.raises(ValueError, match="replace"):
        make(monotone=True, neighboring=Neighboring.REPLACE)


def test_no_second_copy_and_no_secret_in_sight():
    test = make()
    for spread in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="twice"):
            spread(test)
    assert str(test._level) not in repr(test)


def test_seeded_is_marked():
    with pytest.warns(InsecureNoiseWarning) as caught:
        test = SparseVector(0.0, epsilon=1.0, max_firings=1, sensitivity=1.0, neighboring=ADD_REMOVE, noise=SeededNoise(1))
    assert caught[0].filename == __file__
    assert not test.secure_noise
    assert test.guarantee.assumptions
