"""Marginals: cells in C order, nothing lost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from synth.encoded import EncodedTable
from synth.queries.marginals import Marginals
from synth.schema import Categorical, Schema
from tests.synth.query_tables import MIXED, random_table


@pytest.mark.parametrize("k", [1, 2, 3])
def test_cells_are_counted_in_c_order(k: int, rng: np.random.Generator) -> None:
    table, family = random_table(MIXED, 500, rng), Marginals(k=k).bind(MIXED)
    naive = []
    for group in itertools.combinations(range(len(MIXED)), k):
        counts = np.zeros([MIXED.sizes[column] for column in group])
        for row in table.codes:
            counts[tuple(row[column] for column in group)] += 1
        naive.append(counts.ravel())
    assert family.groups == tuple(itertools.combinations(range(len(MIXED)), k))
    assert family.sizes == tuple(len(counts) for counts in naive)
    np.testing.assert_array_equal(family.answers(table), np.concatenate(naive))
    assert not family.needs_positions


def test_one_marginal_is_a_partition() -> None:
    family = Marginals(k=2, columns=("age", "sex")).bind(MIXED)
    assert family.is_partition
    assert family.groups == ((2, 3),)
    assert family.shapes == ((3, 7),)


def test_bad_workloads() -> None:
    with pytest.raises(ValueError, match="k must be a whole number >= 1"):
        Marginals(k=0)
    with pytest.raises(ValueError, match="k must be at most the number of columns, 6, got 7"):
        Marginals(k=7).bind(MIXED)
    with pytest.raises(ValueError, match="the marginal of 'a', 'b' has 36 cells, more than max_cells = 35"):
        Marginals(k=2, max_cells=35).bind(Schema((Categorical("a", tuple(range(4))), Categorical("b", tuple(range(9))))))


def test_no_rows_no_counts() -> None:
    assert not Marginals(k=2).bind(MIXED).answers(EncodedTable(np.zeros((0, 6)))).any()
