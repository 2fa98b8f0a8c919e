"""Permute-and-flip: its law in two forms, pure privacy, the zCDP counterexample, never worse than the exponential mechanism, our audit."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SecureNoise
from mechanisms.selection.exponential import exponential_probabilities, exponential_rho
from mechanisms.selection.permute_and_flip import permute_and_flip, permute_and_flip_probabilities
from tests.mechanisms.noise.laws import FALSE_ALARM, renyi
from tests.mechanisms.selection.audits import audited_epsilon, largest_loss

ADD_REMOVE = Neighboring.ADD_REMOVE
UTILITIES = st.lists(st.floats(-10, 10), min_size=2, max_size=5)


def visited_in_order(utility: list[float], epsilon: float) -> np.ndarray:
    """The oracle: every order of the candidates, each visited with its own coin, as the paper writes it."""
    p = np.exp(epsilon * (np.array(utility) - max(utility)) / 2)
    result = np.zeros(len(p))
    for order in itertools.permutations(range(len(p))):
        still = 1.0
        for i in order:
            result[i] += still * p[i]
            still *= 1 - p[i]
    return result / math.factorial(len(p))


@given(UTILITIES, st.floats(0.05, 5))
@settings(max_examples=40)
def test_probabilities_are_those_of_the_paper(utility: list[float], epsilon: float):
    assert permute_and_flip_probabilities(utility, epsilon=epsilon, sensitivity=1.0) == pytest.approx(visited_in_order(utility, epsilon))


def test_law_of_the_sampler():
    """False alarm 1e-6; the exponential mechanism's law fails."""
    utility, n = [3.0, 0.5, 2.0, -1.0], 8000
    chosen = [permute_and_flip(utility, epsilon=1.5, sensitivity=1.0, neighboring=ADD_REMOVE, noise=SecureNoise()).index for _ in range(n)]
    seen = np.bincount(chosen, minlength=4)
    assert chisquare(seen, n * permute_and_flip_probabilities(utility, epsilon=1.5, sensitivity=1.0)).pvalue > FALSE_ALARM
    assert chisquare(seen, n * exponential_probabilities(utility, epsilon=1.5, sensitivity=1.0)).pvalue < FALSE_ALARM


@given(UTILITIES, st.data(), st.floats(0.05, 5))
def test_pure_privacy(utility: list[float], data: st.DataObject, epsilon: float):
    step = np.array(data.draw(st.lists(st.floats(-1, 1), min_size=len(utility), max_size=len(utility))))
    for monotone, change in ((False, step), (True, np.abs(step))):
        p = permute_and_flip_probabilities(utility, epsilon=epsilon, sensitivity=1.0, monotone=monotone)
        q = permute_and_flip_probabilities(utility + change, epsilon=epsilon, sensitivity=1.0, monotone=monotone)
        assert largest_loss(p, q) <= epsilon * (1 + 1e-9) + 1e-9


def test_not_of_bounded_range():
    """It costs more zCDP than the exponential mechanism; charging epsilon^2 / 8 would be a false claim."""
    p = permute_and_flip_probabilities([1, -1], epsilon=2.0, sensitivity=1.0)
    q = permute_and_flip_probabilities([0, 0], epsilon=2.0, sensitivity=1.0)
    assert p == pytest.approx([0.932332, 0.067668], abs=1e-6)
    worst = max(max(renyi(p, q, order), renyi(q, p, order)) / order for order in np.geomspace(1.01, 50, 200))
    assert worst == pytest.approx(0.7275, abs=2e-4)
    charged = permute_and_flip([1, -1], epsilon=2.0, sensitivity=1.0, neighboring=ADD_REMOVE).rho
    assert exponential_rho(2.0) < worst <= charged == 2.0


@given(UTILITIES, st.floats(0.05, 5))
def test_never_worse_than_the_exponential_mechanism(utility: list[float], epsilon: float):
    flipped, exponential = (
        law(utility, epsilon=epsilon, sensitivity=1.0) @ np.array(utility)
        for law in (permute_and_flip_probabilities, exponential_probabilities)
    )
    assert flipped >= exponential - 1e-9


def test_audit():
    """False alarm 1e-6; a twin with half the noise is caught."""

    def bound(epsilon: float) -> float:
        def world(utility: list[float]) -> int:
            return permute_and_flip(utility, epsilon=epsilon, sensitivity=1.0, neighboring=ADD_REMOVE).index

        return audited_epsilon(lambda: world([1.0, 1.0]), lambda: world([0.0, 2.0]), {0}, 1500)

    assert bound(2.0) <= 2.0
    assert bound(4.0) > 2.0


def test_extreme_utilities():
    assert permute_and_flip([-1.7e308, 1.7e308], epsilon=1.0, sensitivity=1.0, neighboring=ADD_REMOVE).index == 1
    assert permute_and_flip([0], epsilon=1.0, sensitivity=1.0, neighboring=ADD_REMOVE).indices == (0,)
    with pytest.raises(ValueError, match="replace"):
        permute_and_flip([0, 1], epsilon=1.0, sensitivity=1.0, neighboring=Neighboring.REPLACE, monotone=True)
