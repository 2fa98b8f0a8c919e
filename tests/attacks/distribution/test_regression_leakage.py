"""Estimates and several rates: closed forms, a plain loop, round trips, and the warnings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from attacks.distribution.ideal_observer import acc_ideal
from attacks.distribution.regression_leakage import n_leaked_multi, n_leaked_regression, n_leaked_regression_published
from attacks.distribution.several_rates import ideal_estimation_error, ideal_naming_accuracy
from mechanisms.errors import UnsupportedClaimError, WeakEvidenceWarning

NINE, ELEVEN = np.linspace(0.1, 0.9, 9), np.linspace(0, 1, 11)


def plain_loop(n: int, rates: np.ndarray) -> tuple[float, float]:
    """(accuracy, mean squared error) one count at a time."""
    named = squared = 0.0
    for k in range(n + 1):
        law = np.array([stats.binom.pmf(k, n, a) for a in rates]) / len(rates)
        named += law.max()
        squared += law @ (rates - law @ rates / law.sum()) ** 2 if law.sum() > 0 else 0
    return named, squared


@pytest.mark.parametrize(("n", "expected"), [(0, 0.066667), (1, 0.048889), (5, 0.023528), (20, 0.007925), (100, 0.001699)])
def test_estimation_error(n: int, expected: float):
    assert ideal_estimation_error(n, NINE) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("n", "expected"), [(0, 0.0909), (1, 0.1818), (10, 0.4237), (100, 0.8171), (1000, 0.9995)])
def test_naming_accuracy(n: int, expected: float):
    assert ideal_naming_accuracy(n, ELEVEN) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("n", [0, 1, 7, 30])
@pytest.mark.parametrize("rates", [NINE, ELEVEN, np.array([0.2, 0.25, 0.9])])
def test_plain_loop(n: int, rates: np.ndarray):
    assert (ideal_naming_accuracy(n, rates), ideal_estimation_error(n, rates)) == pytest.approx(plain_loop(n, rates), abs=1e-12)


def test_two_rates_are_the_ideal_observer():
    for n in (1, 10, 300, 100_000):
        assert ideal_naming_accuracy(n, [0.5, 0.45]) == pytest.approx(acc_ideal(n, 0.5, 0.45), abs=1e-8)


def test_uniform_prior():
    """Best error from n draws: the mean over alpha of the variance of Beta(k + 1, n - k + 1) is 1 / (6 (n + 2))."""
    for n in (0, 1, 6, 40):
        error = sum(stats.beta.var(k + 1, n - k + 1) for k in range(n + 1)) / (n + 1)
        assert n_leaked_regression(error * (1 - 1e-12)) == pytest.approx(n, abs=1e-9)
    assert integrate.quad(lambda a: (a - 0.5) ** 2, 0, 1)[0] == pytest.approx(1 / 12)
    assert n_leaked_regression(0.01) == pytest.approx(14.6667, abs=1e-4)
    assert n_leaked_regression(0) == math.inf


@pytest.mark.parametrize("n", [1, 2, 20, 300])
def test_grid_round_trips(n: int):
    assert n_leaked_regression(ideal_estimation_error(n, NINE), prior=NINE) == n
    if n < 300:
        assert n_leaked_multi(ideal_naming_accuracy(n, ELEVEN), ELEVEN) == n


def test_worse_than_the_prior_is_nothing_and_warns():
    for prior in ("uniform", NINE):
        with pytest.warns(WeakEvidenceWarning, match="above the prior's variance"):
            assert n_leaked_regression(0.2, prior=prior) == 0
    assert n_leaked_regression(float(NINE.var()), prior=NINE) == 0
    assert n_leaked_regression(1 / 12) == 0


def test_published_form_and_its_weakness():
    assert n_leaked_regression_published(0.01, [0.5, 0.1, 0]) == pytest.approx([25, 9, 0])
    assert n_leaked_regression_published(0, 0.5) == math.inf  # a constant guess of 0.5
    assert n_leaked_regression(1 / 12) == 0  # averaged over the prior, the same guess leaks nothing


def test_naming_edges():
    assert n_leaked_multi(1 / 11, ELEVEN) == n_leaked_multi(0, ELEVEN) == 0
    assert n_leaked_multi(1, ELEVEN) == math.inf
    assert n_leaked_multi(1, [1, 0]) == n_leaked_regression(0, prior=[0, 1]) == 1
    assert n_leaked_regression(0, prior=NINE) == math.inf
    assert n_leaked_multi(0.9, [0.5, 0.2]) == 16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: n_leaked_regression(-1), "mse must be"),
        (lambda: n_leaked_regression(math.nan), "mse must be"),
        (lambda: n_leaked_regression(0.01, prior="normal"), "prior must be 'uniform' or an array"),
        (lambda: n_leaked_regression(0.01, prior=[0.5]), "prior must hold at least two rates"),
        (lambda: n_leaked_regression(0.01, prior=[0.5, 1.5]), "prior must be in"),
        (lambda: n_leaked_multi(0.5, [0.5, 0.5, 0.2]), "alphas must hold at least two rates, each once, got 3, of which 2 differ"),
        (lambda: n_leaked_multi(1.5, [0.5, 0.2]), "accuracy must be in"),
        (lambda: n_leaked_regression_published(0.1, 2), "alpha must be in"),
        (lambda: n_leaked_regression_published(-0.1, 0.5), "mse must be in"),
        (lambda: ideal_naming_accuracy(-1, [0.5, 0.2]), "n must be a whole number"),
    ],
)
def test_bad_input(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_needs_too_many_draws_is_refused():
    with pytest.raises(UnsupportedClaimError, match="more than 4194304 draws"):
        n_leaked_multi(0.99, [0.5, 0.5001])
