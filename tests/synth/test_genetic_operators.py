"""Operators of the genetic algorithm: each changes what it says and nothing else, and codes follow positions."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from synth.decode import codes_of
from synth.encoded import EncodedTable
from synth.genetic_operators import Operators, Proposal
from synth.schema import Categorical, Continuous, Schema
from tests.synth.query_tables import MIXED, random_table


@pytest.fixture
def table(rng: np.random.Generator) -> EncodedTable:
    return random_table(MIXED, 80, rng)


def propose(name: str, table: EncodedTable, m: int, rng: np.random.Generator) -> Proposal:
    return Operators(MIXED, table.n_rows, True, rng).available[name](table.codes, table.positions, m)


def changed(proposal: Proposal, table: EncodedTable) -> np.ndarray:
    """Return which values differ from the table's, (m, r, d)."""
    assert proposal.positions is not None
    assert table.positions is not None
    return (proposal.codes != table.codes[proposal.rows]) | (proposal.positions != table.positions[proposal.rows])


@pytest.mark.parametrize("name", ["mutate", "continuous", "swap", "crossover"])
def test_codes_follow_positions_and_the_table_stays(name: str, table: EncodedTable, rng: np.random.Generator) -> None:
    before = table.codes.copy()
    proposal = propose(name, table, 50, rng)
    assert proposal.rows.shape == (50, 2 if name == "swap" else 1)
    assert proposal.positions is not None
    flat = proposal.codes.reshape(-1, len(MIXED))
    np.testing.assert_array_equal(codes_of(MIXED, proposal.positions.reshape(flat.shape), flat), flat)
    np.testing.assert_array_equal(table.codes, before)
    assert changed(proposal, table).any(axis=(1, 2)).mean() > 0.3


@pytest.mark.parametrize("name", ["mutate", "continuous", "swap"])
def test_one_column_changes(name: str, table: EncodedTable, rng: np.random.Generator) -> None:
    assert changed(propose(name, table, 60, rng), table).any(axis=1).sum(axis=1).max() == 1


def test_mutation_gives_columns_their_turns(table: EncodedTable, rng: np.random.Generator) -> None:
    turns = [math.floor(1 + math.log(size)) for size in MIXED.sizes]
    operators, seen = Operators(MIXED, table.n_rows, True, rng), Counter()
    seen.update(next(operators._mutated) for _ in range(3 * sum(turns)))
    assert [seen[column] for column in range(len(MIXED))] == [3 * n for n in turns]


def test_mutation_is_uniform_on_codes(table: EncodedTable, rng: np.random.Generator) -> None:
    """False alarm below 1e-8: six standard deviations of a binomial share for each of 3 codes."""
    schema = Schema((Categorical("a", (0, 1, 2)),))
    operators = Operators(schema, 10, False, rng)
    proposal = operators.mutate(np.zeros((10, 1), dtype=np.int32), None, 3000)
    shares = np.bincount(proposal.codes.ravel(), minlength=3) / 3000
    assert np.abs(shares - 1 / 3).max() < 6 * math.sqrt(2 / 9 / 3000)
    assert proposal.positions is None


def test_numbers_come_from_the_intervals_between_quantiles(rng: np.random.Generator) -> None:
    """With all of a column near 0.5, 31 of 33 intervals lie there: a share of 0.94, six standard deviations of 2,000 draws are 0.032."""
    schema = Schema((Continuous("x", 0.0, 1.0),))
    positions = 0.5 + 1e-3 * rng.random((100, 1))
    proposal = Operators(schema, 100, True, rng).continuous(np.full((100, 1), 16, dtype=np.int32), positions, 2000)
    assert proposal.positions is not None
    near = ((proposal.positions >= 0.5) & (proposal.positions <= 0.501)).mean()
    assert abs(near - 31 / 33) < 0.032
    assert proposal.positions.min() < 0.5 < 0.501 < proposal.positions.max()


def test_swaps_keep_one_way_marginals(table: EncodedTable, rng: np.random.Generator) -> None:
    proposal = propose("swap", table, 40, rng)
    assert (proposal.rows[:, 0] != proposal.rows[:, 1]).all()
    for rows, codes in zip(proposal.rows, proposal.codes, strict=True):
        np.testing.assert_array_equal(np.sort(codes, axis=0), np.sort(table.codes[rows], axis=0))


def test_crossover_copies_categories_of_another_row(table: EncodedTable, rng: np.random.Generator) -> None:
    proposal = propose("crossover", table, 200, rng)
    different = changed(proposal, table)[:, 0]
    assert not different[:, [1, 3, 4, 5]].any()
    assert set(different.sum(axis=1)) == {0, 1, 2}
    listed = {tuple(row) for row in table.codes[:, [0, 2]]}
    both = different.sum(axis=1) == 2
    assert all(tuple(row) in listed for row in proposal.codes[both, 0][:, [0, 2]])


def test_operators_that_can_do_nothing_are_left_out(rng: np.random.Generator) -> None:
    assert set(Operators(MIXED, 5, False, rng).available) == {"mutate", "swap", "crossover"}
    assert set(Operators(MIXED, 1, True, rng).available) == {"mutate", "continuous"}
    assert set(Operators(Schema((Continuous("x", 0.0, 1.0),)), 5, True, rng).available) == {"mutate", "continuous", "swap"}
    with pytest.raises(ValueError, match="every column has one code only"):
        Operators(Schema((Categorical("a", ("only",)),)), 5, False, rng)


def test_numbers_where_all_are_missing(rng: np.random.Generator) -> None:
    schema = Schema((Continuous("x", 0.0, 1.0, nullable=True),))
    proposal = Operators(schema, 5, True, rng).continuous(np.zeros((5, 1), dtype=np.int32), np.zeros((5, 1)), 30)
    assert (proposal.codes > 0).all()
