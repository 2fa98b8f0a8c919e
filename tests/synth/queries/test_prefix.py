"""Prefixes: counted as their definition says, drawn from the seed alone."""

from __future__ import annotations

import numpy as np
import pytest

from synth.encoded import EncodedTable
from synth.queries.prefix import Prefix, PrefixFamily
from synth.schema import Continuous, Schema
from tests.synth.query_tables import MIXED, random_table


@pytest.mark.parametrize("k", [1, 2, 3])
def test_answers_are_the_definition(k: int, rng: np.random.Generator) -> None:
    family, table = Prefix(50, k=k, seed=int(rng.integers(1000))).bind(MIXED), random_table(MIXED, 200, rng)
    assert table.positions is not None
    for query, answer in enumerate(family.answers(table)):
        met = np.ones(200, dtype=bool)
        for column, limit in zip(family.columns[query], family.limits[query], strict=True):
            met &= table.positions[:, column] <= limit
            if MIXED.columns[column].nullable:
                met &= table.codes[:, column] > 0
        assert answer == met.sum()


def test_a_threshold_is_closed() -> None:
    schema = Schema((Continuous("x", 0.0, 1.0),))
    family = PrefixFamily(schema, np.array([[0]]), np.array([[0.5]]))
    assert family.answers(EncodedTable([[15], [16], [16]], positions=[[0.4], [0.5], [np.nextafter(0.5, 1)]])).tolist() == [2.0]


def test_columns_and_thresholds_come_from_the_seed() -> None:
    first, again, other = (Prefix(500, seed=seed).bind(MIXED) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.limits, again.limits)
    np.testing.assert_array_equal(first.columns, again.columns)
    assert (first.limits != other.limits).all()
    assert set(map(tuple, first.columns)) == {(1, 3), (1, 4), (1, 5), (3, 4), (3, 5), (4, 5)}
    assert not first.limits.flags.writeable


def test_bad_workloads() -> None:
    with pytest.raises(ValueError, match="n_queries must be a whole number >= 1"):
        Prefix(0)
    with pytest.raises(ValueError, match="k must be at most the number of columns, 1, got 2"):
        Prefix(5, columns=("age",)).bind(MIXED)
    with pytest.raises(ValueError, match="'color' is categorical"):
        Prefix(5, columns=("age", "color")).bind(MIXED)
