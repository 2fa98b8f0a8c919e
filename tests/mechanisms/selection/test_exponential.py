"""Exponential mechanism: its law, its bounded range, the exact sampler, and our own audit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from mechanisms.errors import InsecureNoiseWarning
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SEEDED_ASSUMPTION, SecureNoise, SeededNoise
from mechanisms.selection.exponential import (
    draw_exponential,
    exponential_epsilon,
    exponential_mechanism,
    exponential_probabilities,
    exponential_rho,
)
from mechanisms.selection.utilities import exponent_factor, exponents, valid_utilities
from tests.mechanisms.noise.laws import FALSE_ALARM, renyi
from tests.mechanisms.selection.audits import audited_epsilon, largest_loss

ADD_REMOVE = Neighboring.ADD_REMOVE


@pytest.fixture
def _seeded() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)
        yield


def test_law_of_the_sampler(rng: np.random.Generator):
    """False alarm 1e-6; the law of three quarters of the epsilon fails."""
    utility = np.array([3.0, 0.5, 2.0, -1.0, 2.75])
    words, n = SeededNoise(int(rng.integers(2**32))).words, 5000
    exponent = exponents(utility, exponent_factor(epsilon=1.5, sensitivity=1.0, neighboring=ADD_REMOVE, monotone=False))
    seen = np.bincount([draw_exponential(exponent, words) for _ in range(n)], minlength=5)
    assert chisquare(seen, n * exponential_probabilities(utility, epsilon=1.5, sensitivity=1.0)).pvalue > FALSE_ALARM
    assert chisquare(seen, n * exponential_probabilities(utility, epsilon=1.0, sensitivity=1.0)).pvalue < FALSE_ALARM


UTILITIES = st.lists(st.floats(-20, 20), min_size=2, max_size=6)


@given(UTILITIES, st.data(), st.floats(0.01, 5))
def test_bounded_range_and_zcdp(utility: list[float], data: st.DataObject, epsilon: float):
    step = np.array(data.draw(st.lists(st.floats(-1, 1), min_size=len(utility), max_size=len(utility))))
    for monotone, change in ((False, step), (True, np.abs(step))):
        p = exponential_probabilities(utility, epsilon=epsilon, sensitivity=1.0, monotone=monotone)
        q = exponential_probabilities(utility + change, epsilon=epsilon, sensitivity=1.0, monotone=monotone)
        assert np.ptp(np.log(p / q)) <= epsilon * (1 + 1e-9) + 1e-12
        for order in (1.01, 2.0, 10.0):
            assert renyi(p, q, order) <= order * exponential_rho(epsilon) * (1 + 1e-6) + 1e-9


def test_monotone_weights_need_monotone_utilities():
    """The doubled weight on utilities that move apart has twice the epsilon: why it is refused under replacement."""
    p, q = (exponential_probabilities(u, epsilon=1.0, sensitivity=1.0, monotone=True) for u in ([9.0, 0.0], [8.0, 1.0]))
    assert largest_loss(p, q) > 1.9
    with pytest.raises(ValueError, match="replace"):
        exponential_mechanism([0, 1], epsilon=1.0, sensitivity=1.0, neighboring=Neighboring.REPLACE, monotone=True)


def test_price():
    chosen = exponential_mechanism([1, 2], epsilon=2.0, sensitivity=1.0, neighboring=Neighboring.REPLACE, privacy_unit="user")
    assert chosen.rho == 0.5
    assert (chosen.guarantee.epsilon, chosen.guarantee.delta) == (2.0, 0.0)
    assert (chosen.guarantee.neighboring, chosen.guarantee.privacy_unit) == (Neighboring.REPLACE, "user")
    assert chosen.secure_noise
    assert chosen.guarantee.assumptions == ()
    assert exponential_epsilon(exponential_rho(0.7)) == pytest.approx(0.7)
    assert chosen.to_dict()["indices"] == [chosen.index]


def test_seeded_choice_is_marked():
    with pytest.warns(InsecureNoiseWarning) as caught:
        chosen = exponential_mechanism([1, 2], epsilon=2.0, sensitivity=1.0, neighboring=ADD_REMOVE, noise=SeededNoise(1))
    assert caught[0].filename == __file__
    assert not chosen.secure_noise
    assert chosen.guarantee.assumptions == (SEEDED_ASSUMPTION,)


@pytest.mark.usefixtures("_seeded")
def test_audit(rng: np.random.Generator):
    """The bad candidate rises where the good one falls. False alarm 1e-6; half the noise is caught."""
    noise = SeededNoise(int(rng.integers(2**32)))

    def bound(epsilon: float) -> float:
        def world(utility: list[float]) -> int:
            return exponential_mechanism(utility, epsilon=epsilon, sensitivity=1.0, neighboring=ADD_REMOVE, noise=noise).index

        return audited_epsilon(lambda: world([1.0, 1.0]), lambda: world([0.0, 2.0]), {0}, 3000)

    p, q = (exponential_probabilities(u, epsilon=2.0, sensitivity=1.0) for u in ([1.0, 1.0], [0.0, 2.0]))
    assert 1.4 < largest_loss(p, q) <= 2.0
    assert bound(2.0) <= 2.0
    assert bound(4.0) > 2.0


def test_extreme_utilities_are_exact():
    huge = [-1.7e308, 1.7e308, 5e-324, 1.7e308]
    for _ in range(20):
        assert exponential_mechanism(huge, epsilon=1.0, sensitivity=1.0, neighboring=ADD_REMOVE).index in (1, 3)
    half = exponent_factor(epsilon=1.0, sensitivity=1.0, neighboring=ADD_REMOVE, monotone=False)
    assert exponents(np.array(huge), half).exact(0) > 10**307
    assert draw_exponential(exponents(np.array([5.0]), half), SecureNoise().words) == 0


@pytest.mark.parametrize("utilities", [[], [[1.0]], ["a"], [1.0, float("nan")], [float("inf")], [2**60]])
def test_bad_utilities(utilities: list[object]):
    with pytest.raises(ValueError, match="utilities must"):
        valid_utilities(utilities)  # type: ignore[arg-type]


def test_messages_hold_no_utility():
    with pytest.raises(ValueError, match="1 of 2") as caught:
        valid_utilities([123456.789, float("nan")])
    assert "123456" not in str(caught.value)


@pytest.mark.parametrize(("epsilon", "sensitivity"), [(0.0, 1.0), (1.0, 0.0), (float("inf"), 1.0), (1e200, 1e-200)])
def test_bad_parameters(epsilon: float, sensitivity: float):
    with pytest.raises(ValueError, match="epsilon|sensitivity"):
        exponential_mechanism([1.0], epsilon=epsilon, sensitivity=sensitivity, neighboring=ADD_REMOVE)
    with pytest.raises(TypeError, match="neighboring"):
        exponential_mechanism([1.0], epsilon=1.0, sensitivity=1.0, neighboring="replace")  # type: ignore[arg-type]
