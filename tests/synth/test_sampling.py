"""Rows of a table: without replacement, then whole copies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from synth.sampling import sample_rows

FALSE_ALARM = 1e-6


@given(st.integers(1, 8), st.integers(0, 40), st.integers(0, 2**32))
def test_each_row_as_often_as_the_other_ones(n: int, m: int, seed: int):
    table = np.stack([np.arange(n), 100 + np.arange(n)], axis=1).astype(np.int32)
    drawn = sample_rows(table, m, seed)
    assert drawn.shape == (m, 2)
    assert drawn.dtype == np.int32
    assert (drawn[:, 1] == drawn[:, 0] + 100).all()
    times = np.bincount(drawn[:, 0], minlength=n)
    assert set(times) <= {m // n, m // n + (m % n > 0)}


def test_the_whole_table_by_default():
    table = np.arange(10, dtype=np.int32)[:, None]
    drawn = sample_rows(table, rng=0)
    assert sorted(drawn[:, 0]) == list(range(10))
    assert (drawn != table).any()


def test_rows_and_their_order_are_drawn_uniformly(rng: np.random.Generator):
    """False alarm 1e-6 each; the order of the table itself would be caught."""
    table = np.arange(4, dtype=np.int32)[:, None]
    drawn = np.array([sample_rows(table, 6, rng)[:, 0] for _ in range(3000)])
    extra = np.bincount([np.bincount(row, minlength=4) @ np.array([1, 0, 0, 0]) for row in drawn], minlength=3)[1:]
    assert chisquare(extra, [1500, 1500]).pvalue > FALSE_ALARM  # row 0 is one of two extra rows in half of the draws
    for place in range(6):
        assert chisquare(np.bincount(drawn[:, place], minlength=4)).pvalue > FALSE_ALARM
    assert chisquare(np.bincount(np.zeros(3000, dtype=int), minlength=4)).pvalue < FALSE_ALARM


def test_bad_arguments():
    with pytest.raises(ValueError, match="n_rows"):
        sample_rows(np.zeros((2, 1), dtype=np.int32), -1)
    with pytest.raises(ValueError, match="at least one row"):
        sample_rows(np.zeros((0, 3), dtype=np.int32), 5)
