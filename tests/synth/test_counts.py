"""Counts in memory: against a plain dictionary, against each other, and refusals."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from synth.cell_numbers import CellNumbers
from synth.counts import BLOCK, EncodedCounts
from synth.encoded import EncodedTable
from synth.schema import Categorical, Schema


def schema_of(*sizes: int) -> Schema:
    return Schema(tuple(Categorical(f"c{place}", tuple(range(size))) for place, size in enumerate(sizes)))


def naive(codes: NDArray[np.int32], group: tuple[int, ...], sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """The oracle: a dictionary of cells."""
    result = np.zeros([sizes[column] for column in group], dtype=np.int64)
    for cell, n in Counter(tuple(int(row[column]) for column in group) for row in codes).items():
        result[cell] = n
    return result


@st.composite
def tables(draw: st.DrawFn) -> tuple[NDArray[np.int32], tuple[int, ...], list[tuple[int, ...]]]:
    sizes = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=5)))
    row = st.tuples(*(st.integers(0, size - 1) for size in sizes))
    codes = np.array(draw(st.lists(row, min_size=1, max_size=40)), dtype=np.int32)
    group = st.lists(st.integers(0, len(sizes) - 1), unique=True, max_size=4).map(lambda columns: tuple(sorted(columns)))
    return codes, sizes, draw(st.lists(group, max_size=6))


@given(tables(), st.integers(1, 4))
def test_same_as_a_dictionary(table: tuple[NDArray[np.int32], tuple[int, ...], list[tuple[int, ...]]], n_threads: int):
    codes, sizes, groups = table
    found = EncodedCounts(EncodedTable(codes), schema_of(*sizes), n_threads=n_threads).marginals(groups)
    assert len(found) == len(groups)
    for group, answer in zip(groups, found, strict=True):
        assert answer.dtype == np.int64
        np.testing.assert_array_equal(answer, naive(codes, group, sizes), strict=True)


def test_several_blocks_of_rows(rng: np.random.Generator):
    """Rows that don't fill a block, that fill some, and one row over."""
    sizes = (3, 70, 2, 300)
    for n in (BLOCK - 1, BLOCK, 2 * BLOCK + 1):
        codes = rng.integers(0, sizes, (n, 4), dtype=np.int32)
        source = EncodedCounts(EncodedTable(codes), schema_of(*sizes))
        for k in range(1, 5):
            groups = list(combinations(range(4), k))
            for group, answer in zip(groups, source.marginals(groups), strict=True):
                expected = np.zeros([sizes[column] for column in group], dtype=np.int64)
                np.add.at(expected, tuple(codes[:, column] for column in group), 1)
                np.testing.assert_array_equal(answer, expected)
        assert source.n_rows == n


def test_every_thread_count_gives_the_same(rng: np.random.Generator):
    sizes = (5, 4, 3, 2, 7)
    encoded, groups = EncodedTable(rng.integers(0, sizes, (20_000, 5))), list(combinations(range(5), 3))
    alone = EncodedCounts(encoded, schema_of(*sizes)).marginals(groups)
    for n_threads in (2, 3, 64):
        for left, right in zip(alone, EncodedCounts(encoded, schema_of(*sizes), n_threads=n_threads).marginals(groups), strict=True):
            np.testing.assert_array_equal(left, right)


def test_cells_without_rows_and_the_empty_group():
    source = EncodedCounts(EncodedTable([[1, 2]]), schema_of(3, 4))
    pair, nothing = source.marginals([(0, 1), ()])
    assert pair.shape == (3, 4)
    assert pair[1, 2] == pair.sum() == 1
    assert nothing.shape == ()
    assert nothing == 1


@pytest.mark.parametrize("code", [-1, 3])
def test_code_outside_the_domain_names_the_column_only(code: int):
    with pytest.raises(ValueError, match="^column 'c1' has a code outside its domain; encode the table with this schema$"):
        EncodedCounts(EncodedTable([[0, 0], [0, code]]), schema_of(2, 3))


def test_refusals():
    schema = schema_of(2, 3)
    with pytest.raises(ValueError, match="must have the schema's 2 columns, got 3"):
        EncodedCounts(EncodedTable([[0, 0, 0]]), schema)
    with pytest.raises(ValueError, match="no rows"):
        EncodedCounts(EncodedTable(np.zeros((0, 2))), schema)
    with pytest.raises(ValueError, match="n_threads must be"):
        EncodedCounts(EncodedTable([[0, 0]]), schema, n_threads=0)
    source = EncodedCounts(EncodedTable([[0, 0]]), schema)
    for group in [(1, 0), (0, 0)]:
        with pytest.raises(ValueError, match="must increase"):
            source.marginals([group])
    for group in [(0, 2), (-1, 1)]:
        with pytest.raises(ValueError, match="must be places in the schema, 0 to 1"):
            source.marginals([group])


def test_a_group_too_large_to_count():
    CellNumbers([(0, 1)], (2**16, 2**15 - 1))
    with pytest.raises(ValueError, match="2,147,483,648 cells, more than can be counted"):
        CellNumbers([(0, 1)], (2**16, 2**15))


def test_later_changes_of_the_codes_dont_reach_the_counts():
    codes = np.array([[0, 0]], dtype=np.int32)
    source = EncodedCounts(EncodedTable(codes), schema_of(2, 3))
    codes[0, 1] = 2
    assert source.marginals([(1,)])[0].tolist() == [1, 0, 0]
