"""The Gaussian curve against 60 digits, against itself in the other direction, and at the ends of its range."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mechanisms import gaussian_delta, gaussian_epsilon, gaussian_mu


def exact_delta(mu: float, epsilon: float) -> float:
    """The textbook formula with enough digits for its own cancellation."""
    with mpmath.workdps(400):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        upper = mpmath.erfc((e / m - m / 2) / mpmath.sqrt(2)) / 2
        lower = mpmath.erfc((e / m + m / 2) / mpmath.sqrt(2)) / 2
        return float(upper - mpmath.exp(e) * lower)


@pytest.mark.parametrize(
    ("mu", "epsilon", "delta"), [(1, 1, 0.126936737507), (0.5, 2, 9.43916863e-6), (2, 0.1, 0.666639515529), (3, 0, math.erf(3 / 8**0.5))]
)
def test_delta_at_known_points(mu: float, epsilon: float, delta: float):
    assert gaussian_delta(mu, epsilon) == pytest.approx(delta, rel=1e-9)


@pytest.mark.parametrize(
    ("mu", "epsilon"),
    [(0.3, 1.131775), (0.5, 1.993091), (1, 4.3771780957), (2, 9.9972561464), (3, 16.6754944)],
)
def test_epsilon_at_known_points(mu: float, epsilon: float):
    assert gaussian_epsilon(mu, 1e-5) == pytest.approx(epsilon, abs=1e-6 if mu in (0.3, 0.5, 3) else 1e-9)


@pytest.mark.parametrize(("epsilon", "delta", "rho"), [(1, 1e-9, 0.01655742), (1, 1e-6, 0.02801448), (1, 1e-5, 0.03592570)])
def test_mu_at_known_points(epsilon: float, delta: float, rho: float):
    assert gaussian_mu(epsilon, delta) ** 2 / 2 == pytest.approx(rho, abs=1e-8)


@pytest.mark.parametrize("mu", [1e-8, 1e-3, 0.1, 0.4999, 0.5, 1, 4, 37.5, 300])
@pytest.mark.parametrize("a", [-20, -5, -0.1, 0, 0.3, 3, 10, 29.9, 30.1, 36])
def test_delta_against_many_digits(mu: float, a: float):
    """a = epsilon / mu - mu / 2 runs from delta near 1 to delta near 1e-284."""
    epsilon = mu * (a + mu / 2)
    if epsilon >= 0:
        exact = exact_delta(mu, epsilon)
        assert gaussian_delta(mu, epsilon) == pytest.approx(exact, rel=2e-12 * max(1, mu), abs=1e-300)


@given(mu=st.floats(1e-6, 50), log_delta=st.floats(-600, -0.01))
def test_directions_invert_each_other(mu: float, log_delta: float):
    delta = math.exp(log_delta)
    epsilon = gaussian_epsilon(mu, delta)
    assert gaussian_delta(mu, epsilon) <= delta
    if epsilon > 0:
        assert gaussian_delta(mu, math.nextafter(epsilon, 0)) > delta
        assert gaussian_mu(epsilon, delta) == pytest.approx(mu, rel=1e-9)


@given(epsilon=st.floats(0, 2000), log_delta=st.floats(-600, -0.01))
@example(epsilon=0.0, log_delta=-99.25383114608269)  # logarithms agree where deltas differ in the last place
def test_mu_is_the_largest_that_keeps_delta(epsilon: float, log_delta: float):
    delta = math.exp(log_delta)
    mu = gaussian_mu(epsilon, delta)
    assert gaussian_delta(mu, epsilon) <= delta < gaussian_delta(math.nextafter(mu, math.inf), epsilon)


@given(mu=st.floats(0.01, 20), epsilon=st.floats(0, 100), step=st.floats(1e-3, 1))
def test_delta_falls_in_epsilon_and_rises_in_mu(mu: float, epsilon: float, step: float):
    here = gaussian_delta(mu, epsilon)
    assert gaussian_delta(mu, epsilon + step) <= here * (1 + 1e-12)
    assert gaussian_delta(mu + step, epsilon) >= here * (1 - 1e-12)


def test_no_overflow_far_out():
    assert gaussian_delta(60.0, 1800.0) == pytest.approx(exact_delta(60, 1800), rel=1e-10)
    assert gaussian_epsilon(1000.0, 1e-5) == pytest.approx(500_000 + 1000 * 4.2639, rel=1e-4)  # mu^2/2 + z mu
    assert gaussian_delta(1e200, 5.0) == 1.0
    assert gaussian_delta(1e-200, 5.0) == 0.0


def test_ends_of_the_range():
    assert gaussian_delta(0, 0) == gaussian_delta(0, 3) == gaussian_delta(2, math.inf) == 0
    assert gaussian_delta(math.inf, 3) == gaussian_delta(math.inf, math.inf) == 1
    assert gaussian_epsilon(0, 0) == gaussian_epsilon(0, 0.5) == gaussian_epsilon(1, 0.9) == 0
    assert gaussian_epsilon(1, 0) == gaussian_epsilon(math.inf, 0.5) == math.inf
    assert gaussian_mu(3, 0) == 0
    assert gaussian_mu(math.inf, 0) == math.inf


def test_scalars_give_floats_and_arrays_broadcast():
    assert type(gaussian_delta(1, 1)) is type(gaussian_epsilon(1.0, np.float64(0.1))) is type(gaussian_mu(1, 0.1)) is float
    mu, delta = np.array([[0.5], [2.0]]), np.array([1e-9, 1e-5, 0.1])
    table = gaussian_epsilon(mu, delta)
    assert table.shape == (2, 3)
    assert all(table[i, j] == gaussian_epsilon(float(mu[i, 0]), float(delta[j])) for i in range(2) for j in range(3))
    assert gaussian_delta(1.0, np.array([])).shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_delta(-1, 1), r"mu must be in \[0, inf\], got -1"),
        (lambda: gaussian_delta(1, math.nan), "epsilon must be a number, got nan"),
        (lambda: gaussian_epsilon(1, 1.0), r"delta must be in \[0, 1\), got 1.0"),
        (lambda: gaussian_mu(1, 1e5), "did you mean 1e-05"),
        (lambda: gaussian_epsilon(1.0, np.array([0.1, 1.0, -1.0])), r"delta must be in \[0, 1\), got 2 of 3 values outside"),
        (lambda: gaussian_delta(np.array([1.0, math.nan]), 1.0), "mu must be in .* got 1 of 2"),
    ],
)
def test_bad_values_are_named(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("value", ["1", None, np.array(["1"]), [True, False]])
def test_other_types_are_refused(value: object):
    with pytest.raises(TypeError, match="mu must"):
        gaussian_delta(value, 1.0)  # type: ignore[call-overload]
