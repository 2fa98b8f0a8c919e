"""Halfspaces: scores against matrix products, answers that don't depend on blocks, weights of the stated law."""

from __future__ import annotations

import numpy as np
import pytest

from synth.encoded import EncodedTable
from synth.queries.halfspace import Halfspace, HalfspaceFamily
from synth.schema import Categorical, Schema
from tests.synth.query_tables import MIXED, random_table


def features(table: EncodedTable) -> np.ndarray:
    """Return h(x) of MIXED's rows, spelled out."""
    assert table.positions is not None
    codes, places = table.codes, table.positions
    return np.column_stack(
        [
            *(codes[:, 0] == code for code in range(3)),
            places[:, 1],
            codes[:, 1] == 0,
            *(codes[:, 2] == code for code in range(3)),
            places[:, 3],
            places[:, 4],
            places[:, 5],
            codes[:, 5] == 0,
        ]
    ).astype(np.float64)


def test_answers_are_the_definition(rng: np.random.Generator) -> None:
    family, table = Halfspace(200, seed=int(rng.integers(1000))).bind(MIXED), random_table(MIXED, 300, rng)
    margin = family.thresholds - features(table) @ family.weights
    assert np.abs(margin).min() > 1e-12
    np.testing.assert_array_equal(family.row_answers(table.codes, table.positions), margin >= 0)


def test_a_row_is_judged_alike_in_every_company(rng: np.random.Generator) -> None:
    """Also where a row lies exactly on a boundary, as each of these does."""
    table = random_table(MIXED, 2100, rng)
    loose = Halfspace(600, seed=int(rng.integers(1000))).bind(MIXED)
    scores = np.zeros((600, 600))
    feature, value = loose._features(table.codes[:600], None if table.positions is None else table.positions[:600])
    for column in range(feature.shape[1]):
        scores += value[:, column, None] * loose.weights[feature[:, column]]
    family = HalfspaceFamily(MIXED, loose.columns, loose.weights, np.diag(scores))
    met = family.row_answers(table.codes, table.positions)
    assert met[:600].diagonal().all()
    np.testing.assert_array_equal(family.answers(table), met.sum(axis=0))
    alone = [family.row_answers(table.codes[i : i + 1], np.asarray(table.positions)[i : i + 1])[0] for i in range(50)]
    np.testing.assert_array_equal(met[:50], alone)


def test_weights_have_the_stated_law(rng: np.random.Generator) -> None:
    """False alarm below 1e-8: six standard deviations of the mean square of 120,000 and 10,000 normal draws."""
    family = Halfspace(10_000, seed=int(rng.integers(2**31))).bind(MIXED)
    assert family.weights.shape == (12, 10_000)
    assert abs(12 * (family.weights**2).mean() - 1) < 6 * np.sqrt(2 / 120_000)
    assert abs((family.thresholds**2).mean() - 1) < 6 * np.sqrt(2 / 10_000)
    assert abs(11 * (family.weights**2).mean() - 1) > 6 * np.sqrt(2 / 120_000)  # a dimension too few would be seen


def test_chosen_columns_only(rng: np.random.Generator) -> None:
    family, table = Halfspace(30, columns=("sex", "color")).bind(MIXED), random_table(MIXED, 100, rng)
    assert family.columns == (0, 2)
    assert not family.needs_positions
    assert len(family.touched(1)) == 0
    np.testing.assert_array_equal(family.answers(table), family.answers(EncodedTable(table.codes)))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="n_queries must be a whole number >= 1"):
        Halfspace(0)
    with pytest.raises(ValueError, match="columns must hold a column"):
        Halfspace(5, columns=()).bind(MIXED)
    with pytest.raises(ValueError, match=r"weights must have shape \(2, 1\)"):
        HalfspaceFamily(Schema((Categorical("a", (0, 1)),)), (0,), np.zeros((3, 1)), np.zeros(1))
