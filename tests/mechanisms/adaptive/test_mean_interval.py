"""Intervals of means: never longer than Hoeffding's, coverage by exact binomial sums, levels that no float holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from mechanisms.adaptive.mean_interval import half_width, mean_interval


@given(st.floats(0, 1), st.integers(1, 10**7), st.floats(1e-3, 1e4))
def test_inside_of_hoeffding_s_interval_and_around_the_mean(mean: float, n: int, level: float):
    low, high = mean_interval(mean, n, level)
    reach = half_width(n, level)
    assert 0 <= low <= mean <= high <= 1
    if reach < 1:
        assert max(mean - low, high - mean) <= reach + 1e-6
    assert mean_interval(1 - mean, n, level) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_ends_solve_the_equation():
    low, high = mean_interval(0.3, 500, math.log(20))
    for p in (low, high):
        assert 500 * (0.3 * math.log(0.3 / p) + 0.7 * math.log(0.7 / (1 - p))) == pytest.approx(math.log(40), rel=1e-9)
    assert mean_interval(0.0, 500, math.log(20))[1] == pytest.approx(-math.expm1(-math.log(40) / 500), rel=1e-9)
    assert mean_interval(1.0, 500, math.log(20))[1] == 1.0


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.9])
def test_exact_coverage_and_a_twin_of_half_the_reach(p: float):
    n, level = 60, 0.1

    def missed(log_inverse_level: float) -> float:
        counts = np.arange(n + 1)
        ends = [mean_interval(count / n, n, log_inverse_level) for count in counts]
        return float(binom.pmf(counts, n, p)[[not low <= p <= high for low, high in ends]].sum())

    assert missed(math.log(1 / level)) <= level
    assert missed(0.05) > level
