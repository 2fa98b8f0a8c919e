"""zCDP conversions: published figures, brute force over orders, between the exact curve and the simple rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms import gaussian_delta, gaussian_epsilon, zcdp_delta, zcdp_epsilon, zcdp_rho

ORDERS = 1 + np.geomspace(1e-6, 1e6, 200_001)


def brute_delta(rho: float, epsilon: float) -> float:
    a = ORDERS
    return min(1.0, math.exp(np.min((a - 1) * (a * rho - epsilon) - np.log(a - 1) + a * np.log1p(-1 / a))))


@pytest.mark.parametrize(
    ("epsilon", "delta", "rho"),
    [(1, 1e-9, 0.01497306), (1, 1e-6, 0.02435597), (0.1, 1e-6, 0.00032105), (10, 1e-9, 1.0907857)],
)
def test_rho_at_known_points(epsilon: float, delta: float, rho: float):
    assert zcdp_rho(epsilon, delta) == pytest.approx(rho, abs=6e-9 if rho < 1 else 6e-8)


def test_epsilon_at_known_points():
    assert zcdp_epsilon(0.5, 1e-6) == pytest.approx(5.222, abs=1e-3)
    assert gaussian_epsilon(1.0, 1e-6) == pytest.approx(4.887, abs=1e-3)


@pytest.mark.parametrize("rho", [1e-6, 0.01, 0.5, 30.0])
@pytest.mark.parametrize("epsilon", [1e-4, 0.1, 1.0, 20.0, 100.0])
def test_delta_is_the_best_order(rho: float, epsilon: float):
    brute = brute_delta(rho, epsilon)
    assert zcdp_delta(rho, epsilon) <= brute * (1 + 1e-12)
    assert zcdp_delta(rho, epsilon) == pytest.approx(brute, rel=1e-4, abs=1e-300)


@given(log_rho=st.floats(-18, 7), log_delta=st.floats(-300, -0.01))
def test_conversion_lies_between_the_exact_curve_and_the_simple_rule(log_rho: float, log_delta: float):
    rho, delta = math.exp(log_rho), math.exp(log_delta)
    epsilon = zcdp_epsilon(rho, delta)
    assert gaussian_epsilon(math.sqrt(2 * rho), delta) * (1 - 1e-9) <= epsilon
    assert epsilon <= (rho + 2 * math.sqrt(rho * -log_delta)) * (1 + 1e-12)
    assert zcdp_delta(rho, epsilon) >= gaussian_delta(math.sqrt(2 * rho), epsilon) * (1 - 1e-9)


@given(log_rho=st.floats(-18, 7), log_delta=st.floats(-300, -0.01))
def test_directions_invert_each_other(log_rho: float, log_delta: float):
    rho, delta = math.exp(log_rho), math.exp(log_delta)
    epsilon = zcdp_epsilon(rho, delta)
    if epsilon > 0:
        assert zcdp_rho(epsilon, delta) == pytest.approx(rho, rel=1e-9)
        assert math.log(zcdp_delta(rho, epsilon)) == pytest.approx(log_delta, rel=1e-8, abs=1e-8)
    else:
        assert zcdp_delta(rho, 0.0) <= delta * (1 + 1e-9)


@given(rho=st.floats(1e-6, 100), epsilon=st.floats(0, 200), step=st.floats(1e-3, 1))
def test_delta_falls_in_epsilon_and_rises_in_rho(rho: float, epsilon: float, step: float):
    here = zcdp_delta(rho, epsilon)
    assert zcdp_delta(rho, epsilon + step) <= here * (1 + 1e-12)
    assert zcdp_delta(rho + step, epsilon) >= here * (1 - 1e-12)


@given(first=st.floats(1e-4, 10), second=st.floats(1e-4, 10))
def test_composition_costs_less_than_adding_epsilons(first: float, second: float):
    whole = zcdp_epsilon(first + second, 1e-6)
    assert whole <= zcdp_epsilon(first, 1e-6) + zcdp_epsilon(second, 1e-6) + 1e-12


def test_ends_of_the_range():
    assert zcdp_delta(0, 0) == zcdp_delta(0, 3) == zcdp_delta(1, math.inf) == 0
    assert zcdp_delta(math.inf, 3) == zcdp_delta(math.inf, math.inf) == 1
    assert zcdp_epsilon(0, 0) == zcdp_epsilon(0, 0.1) == 0
    assert zcdp_epsilon(1, 0) == zcdp_epsilon(math.inf, 0.1) == math.inf
    assert zcdp_rho(3, 0) == 0
    assert zcdp_rho(math.inf, 0) == math.inf
    assert zcdp_epsilon(1e9, 1e-5) == pytest.approx(1e9 + 2 * math.sqrt(1e9 * math.log(1e5)), rel=1e-6)


def test_zero_epsilon_has_its_own_rho():
    delta = zcdp_delta(0.1, 0.0)
    assert 0 < delta < 1
    assert zcdp_rho(0.0, delta) == pytest.approx(0.1, rel=1e-9)


def test_scalars_give_floats_and_arrays_broadcast():
    assert type(zcdp_delta(1, 1)) is type(zcdp_epsilon(1, 0.1)) is type(zcdp_rho(1, 0.1)) is float
    table = zcdp_rho(np.array([[0.5], [2.0]]), np.array([1e-9, 1e-5]))
    assert table.shape == (2, 2)
    assert table[1, 0] == zcdp_rho(2.0, 1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: zcdp_delta(-1, 1), "rho must"),
        (lambda: zcdp_epsilon(1, 1), "delta must"),
        (lambda: zcdp_rho(math.nan, 0.1), "epsilon must"),
    ],
)
def test_bad_values_are_named(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
