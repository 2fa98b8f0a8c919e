"""Rounding of real releases: the total variation that floats leave, against the exact probability, and the formula that is too small."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from mechanisms.noise.rounding import delta_of_tv, round_to_grid, rounding_tv


def probability_of_crossing(eta: float, sd: float, grid: float, mean: float) -> float:
    """P(Y within eta of a border between two cells) for Y ~ N(mean, sd^2), summed border by border."""
    border = grid * (np.arange(-int(10 * sd / grid) - 3, int(10 * sd / grid) + 3) + 0.5)
    return float(np.sum(ndtr((border + eta - mean) / sd) - ndtr((border - eta - mean) / sd)))


@given(st.floats(1e-3, 0.4), st.floats(0.05, 50), st.floats(0.1, 5), st.floats(-5, 5))
def test_bound_holds(share: float, sd: float, grid: float, mean: float):
    eta = share * grid
    assert probability_of_crossing(eta, sd, grid, mean) <= rounding_tv(eta, sd, grid) + 1e-12


def test_bound_is_tight_on_fine_and_on_coarse_grids():
    assert rounding_tv(1e-4, 100.0, 1.0) == pytest.approx(probability_of_crossing(1e-4, 100.0, 1.0, 0.0), rel=5e-3)
    assert rounding_tv(1e-4, 1.0, 1000.0) == pytest.approx(probability_of_crossing(1e-4, 1.0, 1000.0, 500.0), rel=5e-3)


def test_one_border_is_not_enough():
    """2 eta / (sqrt(2 pi) sd) counts one border; at sd = 100 grids the truth is 250 times that."""
    one_border = 2 * 1e-4 / (math.sqrt(2 * math.pi) * 100)
    assert probability_of_crossing(1e-4, 100.0, 1.0, 0.3) > 200 * one_border


def test_rounded_floats_differ_as_often_as_told(rng: np.random.Generator):
    y, n = rng.normal(0.0, 3.0, 200_000), 200_000
    differ = int(np.sum(round_to_grid(y, 0.5) != round_to_grid(y + 1e-3, 0.5)))
    exact = probability_of_crossing(5e-4, 3.0, 0.5, 5e-4) * n
    assert abs(differ - exact) < 6 * math.sqrt(exact)
    assert differ <= rounding_tv(1e-3, 3.0, 0.5) * n + 6 * math.sqrt(exact)


def test_releases_add_up():
    eta, sd = np.full(1000, 1e-12), np.linspace(5, 20, 1000)
    assert rounding_tv(eta, sd, 1.0) == pytest.approx(sum(rounding_tv(e, s, 1.0) for e, s in zip(eta, sd, strict=True)), rel=1e-12)
    assert rounding_tv(eta, sd, 1.0, tail=1e-9) == pytest.approx(rounding_tv(eta, sd, 1.0) + 1e-9, rel=1e-12)
    assert rounding_tv(1.0, 1.0, 1e-3) == 1.0


@given(st.floats(0, 5), st.floats(0, 1e-3))
def test_price_of_total_variation(epsilon: float, tv: float):
    assert delta_of_tv(tv, epsilon) == pytest.approx(min(1.0, tv + math.exp(epsilon) * tv))


def test_price_is_reached():
    """An epsilon-DP pair, moved by tv in opposite directions: the delta it needs is all of (1 + exp(epsilon)) tv."""
    epsilon, tv = 1.0, 0.01
    p = math.exp(epsilon) / (1 + math.exp(epsilon))
    assert (p + tv) - math.exp(epsilon) * ((1 - p) - tv) == pytest.approx(delta_of_tv(tv, epsilon))


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 10))
def test_rounding_is_to_the_nearest(value: float, grid: float):
    rounded = round_to_grid(value, grid)
    assert abs(rounded - value) <= grid / 2 * (1 + 1e-9) + 1e-9
    assert np.array_equal(round_to_grid(rounded, grid), rounded)


def test_zero_has_no_sign():
    assert not np.signbit(round_to_grid(-0.1, 1.0))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e16])
def test_refused_values(value: float):
    with pytest.raises(ValueError, match="1 of 2"):
        round_to_grid([0.0, value], 1.0)


def test_bad_parameters():
    for eta, sd in ((-1.0, 1.0), (1.0, 0.0), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="1 of 1"):
            rounding_tv(eta, sd, 1.0)
    with pytest.raises(ValueError, match="grid"):
        rounding_tv(1.0, 1.0, 0.0)
