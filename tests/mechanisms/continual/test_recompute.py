"""The interval by brute force, tails by exact sums, what a schedule spends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from mechanisms.accounting.zcdp import zcdp_delta
from mechanisms.continual.exact_budget import exact_budget
from mechanisms.continual.lower_bound_shape import lower_bound_shape
from mechanisms.continual.maximum_methods import maximum_schedule
from mechanisms.continual.recompute import best_schedule, gaussian_tail, laplace_tail, shortest_intervals
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SecureNoise


@given(st.integers(1, 400), st.floats(0.01, 50))
def test_the_search_is_exhaustive(T: int, cost: float):
    def noise(m: int) -> float:
        return cost * math.sqrt(m * math.log(2 * m + 1))

    brute = min(r - 1 + noise(T // r) for r in range(1, T + 1))
    found = best_schedule(T, drift=lambda r: r - 1, noise=noise)
    assert found.bound == brute
    assert found.n_recomputations == T // found.interval
    assert sum(found.is_due(t) for t in range(1, T + 1)) == found.n_recomputations


@given(st.integers(1, 5000))
def test_few_intervals_have_all_numbers_of_recomputations(T: int):
    tried = list(shortest_intervals(T))
    assert len(tried) <= 2 * math.sqrt(T) + 1
    assert [T // r for r in tried] == sorted({T // r for r in range(1, T + 1)}, reverse=True)


@given(st.floats(0.3, 60), st.floats(1e-9, 0.5))
def test_gaussian_tail_holds_for_the_discrete_law(sigma: float, tail: float):
    x = np.arange(0, int(45 * sigma) + 3)
    weight = np.exp(-(x**2) / (2 * sigma**2))
    n = gaussian_tail(sigma, tail)
    assert 2 * weight[x > n].sum() / (2 * weight.sum() - 1) <= tail * (1 + 1e-9)
    assert n <= sigma * float(-ndtri(tail / 2)) + 1, "at most one unit above the continuous law"


@given(st.floats(0.3, 60), st.floats(1e-9, 0.9))
def test_laplace_tail_is_the_smallest(scale: float, tail: float):
    a, n = math.exp(-1 / scale), laplace_tail(scale, tail)
    assert 2 * a ** (n + 1) / (1 + a) <= tail * (1 + 1e-9)
    assert n == 0 or 2 * a**n / (1 + a) > tail * (1 - 1e-9)


def test_interval_at_four_thousand_steps():
    schedule = maximum_schedule(4096, exact_budget(rho=0.5, epsilon=None, delta=None), 0.05)
    assert 35 <= schedule.interval <= 48
    assert schedule.bound <= 61


@pytest.mark.parametrize("rho", [0.01, 0.5, 4.0])
def test_the_rule_of_thumb(rho: float):
    schedule = maximum_schedule(10**6, exact_budget(rho=rho, epsilon=None, delta=None), 0.05)
    log = math.log(2 * schedule.n_recomputations / 0.05)
    assert schedule.interval == pytest.approx((10**6 * log / rho) ** (1 / 3), rel=0.25)
    assert schedule.bound == pytest.approx(1.5 * (10**6 * log / rho) ** (1 / 3), rel=0.15)


def test_budgets():
    both = exact_budget(rho=None, epsilon=1.0, delta=1e-6)
    assert zcdp_delta(both.rho, 1.0) == pytest.approx(1e-6, rel=1e-6)
    told = both.guarantee(Neighboring.REPLACE, "m", None)
    assert (told.epsilon, told.delta) == (1.0, 1e-6)
    assert both.guarantee(Neighboring.REPLACE, "m", 1e-9).epsilon > 1
    pure = exact_budget(rho=None, epsilon=2.0, delta=None)
    assert pure.pure
    assert (pure.guarantee(Neighboring.REPLACE, "m", None).epsilon, pure.guarantee(Neighboring.REPLACE, "m", None).delta) == (2.0, 0.0)
    assert pure.share(0.25).epsilon == 0.5
    rho = exact_budget(rho=0.5, epsilon=None, delta=None)
    assert rho.guarantee(Neighboring.REPLACE, "m", None).epsilon == pytest.approx(5.222, abs=1e-3)
    assert 7 * rho.selection_epsilon(7) ** 2 / 8 <= 0.5


def test_the_variance_of_a_draw_is_that_of_its_share(rng: np.random.Generator):
    """800 draws, chi-square within 6 standard errors: false alarm 1e-8; a forgotten factor of n = 10 is 40 standard errors away."""
    words = SecureNoise().words
    budget = exact_budget(rho=0.5, epsilon=None, delta=None)
    variance = np.mean([budget.draw(10, words) ** 2 for _ in range(800)])
    assert abs(variance / 10 - 1) < 6 * math.sqrt(2 / 800)
    pure = exact_budget(rho=None, epsilon=1.0, delta=None)
    magnitude = np.mean([abs(pure.draw(10, words)) for _ in range(800)])
    assert abs(magnitude / 10 - 1) < 6 / math.sqrt(800)


def test_shapes_of_lower_bounds():
    assert lower_bound_shape(1000, 4, rho=1.0) == 2
    assert lower_bound_shape(1000, 10**9, epsilon=1.0) == pytest.approx(math.sqrt(1000))
    assert lower_bound_shape(5, 10**9, rho=1e-9) == 5
    assert lower_bound_shape(1000, 10**6, rho=1.0, statistic="sum_select") > lower_bound_shape(1000, 10**6, rho=1.0)
    with pytest.raises(ValueError, match="either rho or epsilon"):
        lower_bound_shape(5, 5)
    with pytest.raises(ValueError, match="statistic"):
        lower_bound_shape(5, 5, rho=1.0, statistic="median")
