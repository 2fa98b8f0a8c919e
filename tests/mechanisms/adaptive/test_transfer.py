"""The transfer theorem: published widths, its best slack, and that a search never returns less than the theorem says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from mechanisms.accounting.gaussian import gaussian_delta
from mechanisms.adaptive.split_answers import split_width
from mechanisms.adaptive.transfer import Transfer, best_transfer, gaussian_transfer, narrowest_transfer, transfer

small = st.floats(1e-12, 0.1)


@pytest.mark.parametrize(
    ("n", "k", "width", "splitting"),
    [
        (100_000, 100, 0.0748, 0.0644),
        (100_000, 1_000, 0.138, 0.230),
        (100_000, 10_000, 0.255, 0.803),
        (1_000_000, 10_000, 0.080, 0.254),
    ],
)
def test_known_widths(n: int, k: int, width: float, splitting: float):
    """The exact curve of the Gaussian makes the known widths 2 to 3 % narrower."""
    assert 0.96 * width < gaussian_transfer(n, k, beta=0.05).width <= width
    assert split_width(n, k, 0.05) == pytest.approx(splitting, abs=5e-4)


def test_formula():
    found = transfer(0.02, 1e-6, 0.05, 1e-7, c=1e-4, d=2e-4)
    assert found.width == pytest.approx(0.02 + math.exp(0.05) - 1 + 1e-4 + 4e-4)
    assert found.failure == pytest.approx(1e-2 + 5e-4)


def test_no_slack_is_needed_for_what_never_fails():
    assert transfer(0.02, 0.0, 0.05, 0.0, c=0.0, d=0.0) == Transfer(0.02 + math.expm1(0.05), 0.0, 0.02, 0.0, 0.05, 0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="c must be positive"):
        transfer(0.02, 1e-6, 0.05, 0.0, c=0.0, d=0.0)


@given(small, small, st.floats(0.001, 0.9), st.floats(-3, 3))
def test_best_slack(b: float, delta: float, beta: float, log_step: float):
    found = best_transfer(0.1, b, 0.2, delta, beta=beta)
    assert found.failure <= beta
    assert found.failure == pytest.approx(beta)
    c = found.c * math.exp(log_step)
    if beta > b / c:  # any other c needs the d that is left
        other = transfer(0.1, b, 0.2, delta, c=c, d=delta / (beta - b / c))
        assert found.width <= other.width * (1 + 1e-9)


@settings(max_examples=12)
@given(st.integers(100, 10**7), st.integers(1, 10**5), st.floats(1e-4, 0.5), st.none() | st.floats(1e-6, 1.0))
def test_what_is_returned_is_a_point_of_the_curves(n: int, k: int, beta: float, rho: float | None):
    found = gaussian_transfer(n, k, beta=beta, rho=rho)
    again = transfer(found.accuracy, found.sample_failure, found.epsilon, found.delta, c=found.c, d=found.d)
    assert (again.width, again.failure) == (found.width, found.failure)
    assert found.failure <= beta
    if rho is not None:
        sigma = math.sqrt(k / (2 * rho)) / n
        assert found.sample_failure >= min(1.0, 2 * k * float(ndtr(-found.accuracy / sigma))) * (1 - 1e-9)
        assert found.delta >= gaussian_delta(math.sqrt(2 * rho), found.epsilon) * (1 - 1e-9)


def test_best_budget_is_a_budget():
    """No budget of a grid is better than the search's own, and the best of them comes near."""
    best = gaussian_transfer(100_000, 1_000, beta=0.05).width
    widths = [gaussian_transfer(100_000, 1_000, beta=0.05, rho=rho).width for rho in np.geomspace(1e-5, 1e-2, 21)]
    assert best <= min(widths) <= 1.02 * best


def test_any_curves():
    """Laplace noise of scale b on one query of sensitivity 1 / n: nothing of delta is used, so no d is paid for."""
    n, epsilon = 1_000, 0.1

    def delta_at(nats: float) -> float:
        return 0.0 if nats >= epsilon else 1.0

    found = narrowest_transfer(lambda alpha: math.exp(-alpha * n * epsilon), delta_at, beta=0.05, start=(0.1, 0.2))
    assert found.d == 0.0
    assert found.width < 1.01 * min(
        transfer(a, b := math.exp(-a * n * epsilon), epsilon, 0.0, c=b / 0.05, d=0.0).width for a in np.linspace(0.01, 0.3, 400)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"n": 0}, "n must be"), ({"max_queries": 0}, "max_queries must be"), ({"beta": 1.0}, "beta must be"), ({"rho": 0.0}, "rho must be")],
)
def test_refused(arguments: dict[str, float], message: str):
    given_ = {"n": 100, "max_queries": 10, "beta": 0.05} | arguments
    with pytest.raises(ValueError, match=message):
        gaussian_transfer(int(given_.pop("n")), int(given_.pop("max_queries")), **given_)
