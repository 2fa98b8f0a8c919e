"""Starting tables: counts by strata, columns independent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from synth.start import independent_start, stratified_counts, uniform_start

FALSE_ALARM = 1e-6


@given(st.lists(st.floats(0, 50), min_size=1, max_size=9), st.integers(0, 2**32))
def test_counts_are_floors_or_one_more(expected: list[float], seed: int):
    counts = stratified_counts(expected, seed)
    assert (np.abs(counts - expected) < 1 + 1e-6).all()
    assert abs(counts.sum() - sum(expected)) < 1 + 1e-6


def test_counts_have_their_expectations(rng: np.random.Generator):
    """A remainder of 0.3 is rounded up 0.3 of the time. False alarm 1e-6; 0.35 is caught."""
    n, remainders, whole = 5000, np.array([0.3, 0.9, 0.2, 0.6]), np.array([4, 0, 1, 7])
    up = sum(stratified_counts(remainders + whole, rng) - whole for _ in range(n))
    for k, p in enumerate(remainders):
        assert chisquare([up[k], n - up[k]], [n * p, n * (1 - p)]).pvalue > FALSE_ALARM
    assert chisquare([up[0], n - up[0]], [n * 0.35, n * 0.65]).pvalue < FALSE_ALARM


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), st.integers(1, 60), st.integers(0, 2**32))
def test_columns_have_their_counts(mass: list[float], n_rows: int, seed: int):
    table = independent_start([mass, [1.0, 1.0]], n_rows, seed)
    assert table.shape == (n_rows, 2)
    assert table.dtype == np.int32
    assert table.flags.c_contiguous
    counts = np.bincount(table[:, 0], minlength=len(mass))
    assert (np.abs(counts - np.array(mass) / sum(mass) * n_rows) < 1 + 1e-6).all()


def test_columns_are_independent(rng: np.random.Generator):
    """False alarm 1e-6; a table whose columns are sorted is caught."""
    table = independent_start([[3, 1, 2], [1, 1]], 3000, rng)
    pairs = np.histogram2d(table[:, 0], table[:, 1], bins=(3, 2))[0]
    assert chi2_contingency(pairs).pvalue > FALSE_ALARM
    in_order = np.histogram2d(np.sort(table[:, 0]), np.sort(table[:, 1]), bins=(3, 2))[0]
    assert chi2_contingency(in_order).pvalue < FALSE_ALARM


def test_negative_counts_are_projected_on_the_simplex():
    """The nearest point to (0.8, 0.4, -0.2) is (0.7, 0.3, 0)."""
    table = independent_start([[8.0, 4.0, -2.0]], 1000, 0)
    assert np.bincount(table[:, 0], minlength=3).tolist() == [700, 300, 0]
    nothing = independent_start([[-1.0, -3.0, 0.0, 1.0]], 1000, 0)
    assert np.bincount(nothing[:, 0]).tolist() == [250] * 4


def test_uniform(rng: np.random.Generator):
    table = uniform_start((1, 3, 7), 10, rng)
    for column, size in enumerate((1, 3, 7)):
        counts = np.bincount(table[:, column], minlength=size)
        assert counts.max() - counts.min() <= 1


def test_rows_rounded_up_are_drawn_at_random(rng: np.random.Generator):
    """Ten rows, three codes: which one is met four times. False alarm 1e-6."""
    favored = np.bincount([np.bincount(uniform_start((3,), 10, rng)[:, 0]).argmax() for _ in range(3000)], minlength=3)
    assert chisquare(favored).pvalue > FALSE_ALARM


@pytest.mark.parametrize(
    ("one_ways", "n_rows", "message"),
    [([], 3, "each column"), ([[1.0]], 0, "n_rows"), ([[np.nan, 1.0]], 3, "finite"), ([[]], 3, "vector"), ([[[1.0]]], 3, "vector")],
)
def test_bad_arguments(one_ways: list[object], n_rows: int, message: str):
    with pytest.raises(ValueError, match=message):
        independent_start(one_ways, n_rows, 0)
    with pytest.raises(ValueError, match="size"):
        uniform_start((2, 0), 5)
