"""Sums on a grid: exact, and moved by at most what is promised."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from mechanisms.adaptive.noisy_means import grid_sum, rounding_error
from mechanisms.adaptive.whole_sums import UNITS, in_units


@given(arrays(np.float64, st.integers(1, 50), elements=st.floats(0, 1)))
def test_grid_sums_are_exact(values: NDArray[np.float64]):
    assert grid_sum(values) == sum(int(units) for units in in_units(values))
    assert abs(grid_sum(values) - sum(Fraction(float(value)) * UNITS for value in values)) <= Fraction(values.size, 2)


def test_grid_sums_across_blocks(rng: np.random.Generator):
    values = rng.random(20_001)
    assert grid_sum(values) == sum(math.floor(Fraction(value) * UNITS + Fraction(1, 2)) for value in values.tolist())


@given(arrays(np.float64, 20, elements=st.floats(0, 1)), st.integers(0, 19), st.floats(0, 1))
def test_one_record_moves_a_sum_by_one_at_most(values: NDArray[np.float64], place: int, other: float):
    neighbor = values.copy()
    neighbor[place] = other
    assert abs(grid_sum(values) - grid_sum(neighbor)) <= UNITS


def test_rounding_covers_half_a_unit_and_one_of_the_sum():
    assert rounding_error(10) * UNITS == 0.5 + 0.1
