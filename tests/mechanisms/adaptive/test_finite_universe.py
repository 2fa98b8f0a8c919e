"""Universes: products by arithmetic, rows by matching, records outside refused without a value in the message."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms.adaptive.finite_universe import FiniteUniverse, as_universe


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4).filter(lambda sizes: int(np.prod(sizes)) > 1), st.integers(0, 2**32))
def test_product_is_numbered_in_row_major_order(sizes: list[int], seed: int):
    universe = FiniteUniverse.product(tuple(sizes))
    rows = np.stack([np.random.default_rng(seed).integers(0, size, 50) for size in sizes], axis=1)
    expected = np.bincount(np.ravel_multi_index(tuple(rows.T), sizes), minlength=int(np.prod(sizes)))
    np.testing.assert_array_equal(universe.counts(rows), expected)


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_any_rows_are_matched_as_a_loop_matches_them(seed: int, k: int):
    rng = np.random.default_rng(seed)
    cells = np.unique(rng.choice([-1.5, 0.25, 1e300, 7.0], (30, k)), axis=0)
    cells = rng.permutation(cells) if len(cells) > 1 else np.zeros((2, k)) + np.arange(2)[:, None]
    records = cells[rng.integers(0, len(cells), 40)]
    expected = [sum((record == cell).all() for record in records) for cell in cells]
    assert FiniteUniverse(cells).counts(records).tolist() == expected


def test_words_and_numbers_in_one_column():
    universe = as_universe(np.array(["no", "yes", "maybe"]))
    assert universe.counts(np.array(["yes", "yes", "no"])).tolist() == [1, 2, 0]
    assert as_universe(universe) is universe
    assert as_universe((2, 2)).size == 4


@pytest.mark.parametrize("record", [[31337.0, 0.0], [1.0, 1.0], [np.nan, 0.0]])
def test_a_record_outside_is_refused_and_not_shown(record: list[float]):
    universe = FiniteUniverse(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="in none") as raised:
        universe.counts([[0.0, 0.0], record])
    assert "31337" not in str(raised.value)


@pytest.mark.parametrize(
    ("cells", "message"),
    [([1], "two"), ([1, 2, 1], "different"), ([[1, 2], [1, 2]], "different"), ([1.0, np.nan], "NaN"), (np.zeros((2, 2, 2)), "shape")],
)
def test_bad_universes(cells: object, message: str):
    with pytest.raises(ValueError, match=message):
        FiniteUniverse(cells)


def test_bad_sizes_and_shapes():
    for sizes in ((), (2, 0), (2**13, 2**13)):
        with pytest.raises(ValueError, match="size"):
            FiniteUniverse.product(sizes)
    with pytest.raises(ValueError, match="shape"):
        FiniteUniverse.product((2, 2)).counts([1, 2])
    with pytest.raises(ValueError, match="shape"):
        FiniteUniverse(np.arange(3)).counts([])
