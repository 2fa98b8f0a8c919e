"""The price of a total variation: the formula, and a pair of laws that needs all of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms.noise.total_variation import delta_of_tv


@given(st.floats(0, 5), st.floats(0, 1e-3))
def test_price_of_total_variation(epsilon: float, tv: float):
    assert delta_of_tv(tv, epsilon) == pytest.approx(min(1.0, tv + math.exp(epsilon) * tv))


def test_price_is_reached():
    """An epsilon-DP pair, moved by tv in opposite directions: the delta it needs is all of (1 + exp(epsilon)) tv."""
    epsilon, tv = 1.0, 0.01
    p = math.exp(epsilon) / (1 + math.exp(epsilon))
    assert (p + tv) - math.exp(epsilon) * ((1 - p) - tv) == pytest.approx(delta_of_tv(tv, epsilon))


@pytest.mark.parametrize(("tv", "epsilon", "price"), [(0.0, math.inf, 0.0), (0.5, math.inf, 1.0), (1.0, 0.0, 1.0)])
def test_ends_of_the_range(tv: float, epsilon: float, price: float):
    assert delta_of_tv(tv, epsilon) == price


def test_bad_parameters():
    with pytest.raises(ValueError, match="tv"):
        delta_of_tv(1.5, 1.0)
    with pytest.raises(ValueError, match="epsilon"):
        delta_of_tv(0.5, -1.0)
