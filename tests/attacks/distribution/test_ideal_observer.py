"""The ideal observer of two rates: against brute force, against sums in high precision, and its symmetries."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attacks.distribution.ideal_observer import MOST_DRAWS, acc_ideal, likelihood_threshold, tv_bernoulli

RATES = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(1e-12, 1))  # scipy fails at subnormal rates


def brute_force(n: int, p: float, q: float) -> float:
    k = np.arange(n + 1)
    return float(np.abs(stats.binom.pmf(k, n, p) - stats.binom.pmf(k, n, q)).sum() / 2)


@pytest.mark.parametrize(
    ("n", "p", "q", "expected"),
    [
        (11, 0.5, 0.2, 0.72557955),
        (7, 0.1, 0.3, 0.5208884),
        (5, 0.5, 0.2, 0.54978),
        (100, 0.5, 0.4, 0.6854718552),
        (1000, 0.5, 0.45, 0.8867716649),
        (10, 0.01, 0.02, 0.0873092681),
    ],
)
def test_known_values(n: int, p: float, q: float, expected: float):
    assert tv_bernoulli(n, p, q) == pytest.approx(expected, abs=1e-10)
    assert acc_ideal(n, p, q) == pytest.approx((1 + expected) / 2, abs=1e-10)


@given(st.integers(0, 300), RATES, RATES)
def test_equals_brute_force_and_is_symmetric(n: int, p: float, q: float):
    found = tv_bernoulli(n, p, q)
    assert found == pytest.approx(brute_force(n, p, q), abs=1e-12)
    assert found == tv_bernoulli(n, q, p)
    assert found == pytest.approx(tv_bernoulli(n, 1 - p, 1 - q), abs=1e-13)
    assert 0 <= found <= 1


@given(RATES, RATES)
def test_never_falls_with_n(p: float, q: float):
    rising = tv_bernoulli(np.arange(400), p, q)
    assert (np.diff(rising) >= -1e-14).all()


def test_plateaus_stand_where_n_t_is_whole():
    """a + b = 1 has t = 1/2: every even n adds nothing; elsewhere every draw adds."""
    even = tv_bernoulli(np.arange(2, 60, 2), 0.3, 0.7)
    odd = tv_bernoulli(np.arange(1, 59, 2), 0.3, 0.7)
    assert even == pytest.approx(odd, abs=1e-15)
    assert (np.diff(tv_bernoulli(np.arange(100), 0.5, 0.2)) > 1e-9).all()
    assert likelihood_threshold(np.array(0.3), np.array(0.7)) == pytest.approx(0.5)


@pytest.mark.parametrize("b", [1e-12, 0.2, 1.0])
def test_rates_at_the_ends(b: float):
    n = np.array([0, 1, 5, 1000])
    assert tv_bernoulli(n, 0, b) == pytest.approx(-np.expm1(n * np.log1p(-b)) if b < 1 else np.minimum(n, 1), abs=1e-15)
    assert tv_bernoulli(n, 1 - b, 1) == pytest.approx(tv_bernoulli(n, 0, b), rel=1e-4)  # 1 - 1e-12 is rounded
    assert tv_bernoulli(n, b, b) == pytest.approx(0, abs=0)


@pytest.mark.parametrize(("n", "p", "q"), [(10**8, 0.3, 0.3001), (10**9, 0.5, 0.50003), (10**9, 1e-6, 1.05e-6)])
def test_large_n_against_high_precision(n: int, p: float, q: float):
    k = math.floor(n * float(likelihood_threshold(np.array(p), np.array(q))))
    expected = upper_tail(k, n, q) - upper_tail(k, n, p)
    assert float(tv_bernoulli(n, p, q)) == pytest.approx(float(expected), abs=5e-11)


def upper_tail(k: int, n: int, p: float) -> mpmath.mpf:
    """P[X > k]: the first term in 50 digits, the others by their ratios."""
    with mpmath.workdps(50):
        rate = mpmath.mpf(p)
        log_first = mpmath.loggamma(n + 1) - mpmath.loggamma(k + 2) - mpmath.loggamma(n - k)
        first = mpmath.exp(log_first + (k + 1) * mpmath.log(rate) + (n - k - 1) * mpmath.log1p(-rate))
    j = np.arange(k + 1, k + 1 + int(14 * math.sqrt(n * p)) + 100, dtype=np.longdouble)
    ratios = np.log((np.longdouble(n) - j) / (j + 1)) + np.log(np.longdouble(p)) - np.log1p(-np.longdouble(p))
    return first * mpmath.mpf(float(1 + np.exp(np.cumsum(ratios)).sum()))


def test_rare_events_are_poisson():
    k = np.arange(200)
    expected = np.abs(stats.poisson.pmf(k, 3) - stats.poisson.pmf(k, 5)).sum() / 2
    for n in (10**9, 10**12, 10**15):
        assert tv_bernoulli(n, 3 / n, 5 / n) == pytest.approx(expected, abs=20 / n + 1e-12)


def test_broadcasts():
    found = tv_bernoulli(np.arange(4)[:, None], [0.1, 0.2, 0.3], 0.5)
    assert found.shape == (4, 3)
    assert found[3, 1] == tv_bernoulli(3, 0.2, 0.5)
    assert isinstance(tv_bernoulli(3, 0.2, 0.5), float)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0.5, 0.2), "n must be in"),
        ((1.5, 0.5, 0.2), "n must hold whole numbers"),
        ((2 * MOST_DRAWS, 0.5, 0.2), "n must be in"),
        ((1, 1.1, 0.2), r"p must be in \[0, 1\], got 1.1"),
        ((1, 0.5, [-0.1, 0.2]), r"q must be in \[0, 1\], got 1 of 2"),
        ((1, math.nan, 0.2), "p must be in"),
    ],
)
def test_bad_values(arguments: tuple[float, float, float], message: str):
    with pytest.raises(ValueError, match=message):
        tv_bernoulli(*arguments)


def test_bad_types():
    with pytest.raises(TypeError, match="q must hold numbers"):
        tv_bernoulli(1, 0.5, "0.2")
