"""Tail means against integrals, and that conditional means obey them where they don't obey quantiles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import chi2, expon, norm

from mechanisms.adaptive.tail_mean import chi_square_tail_mean, exponential_tail_mean, normal_tail_mean


@settings(max_examples=30)
@given(st.floats(1e-6, 0.999))
def test_integrals(p: float):
    for found, law in ((normal_tail_mean(p), norm), (chi_square_tail_mean(p), chi2(1)), (exponential_tail_mean(p), expon)):
        quantile = law.isf(p)
        excess, _ = quad(law.sf, quantile, law.isf(1e-18), limit=200)
        assert found == pytest.approx(quantile + excess / p, rel=1e-6, abs=1e-9)


@given(st.floats(1e-8, 0.4), st.integers(1, 10_000))
def test_largest_of_many(p: float, k: int):
    """The union over k values costs at least the quantile of the largest one, and no more than a little."""
    quantile = norm.isf(-math.expm1(math.log1p(-p) / k) / 2)
    assert quantile < normal_tail_mean(p / (2 * k)) < quantile + 0.9
    assert exponential_tail_mean(p, k) >= expon.isf(-math.expm1(math.log1p(-p) / k))


def test_conditional_means_pass_quantiles_but_not_tail_means(rng: np.random.Generator):
    """X exponential, pi tells whether X is above s: E[X | pi] is s + 1 with probability p, though the p-quantile is s."""
    p, draws = 0.1, rng.exponential(size=200_000)
    s = math.log(1 / p)
    mean = draws[draws > s].mean()  # its standard error is 0.007
    assert mean > s + 0.9
    assert mean < exponential_tail_mean(p) + 0.05
