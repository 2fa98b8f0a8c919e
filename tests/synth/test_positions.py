"""Positions of single columns agree with codes."""

from __future__ import annotations

import numpy as np
import pytest

from synth.cells import is_numeric
from synth.decode import codes_of_column
from synth.positions import draw_inside, settle
from synth.schema import Categorical
from tests.synth.query_tables import MIXED

NUMERIC = [column for column in MIXED if not isinstance(column, Categorical)]


@pytest.mark.parametrize("column", NUMERIC)
def test_drawn_positions_have_the_code_they_were_drawn_for(column, rng: np.random.Generator) -> None:
    codes = rng.integers(column.size, size=500)
    positions = draw_inside(column, codes, rng)
    missing = (codes == 0) & column.nullable
    np.testing.assert_array_equal(codes_of_column(column, positions, missing), codes)
    assert not positions[missing].any()
    assert len(np.unique(positions[~missing])) > column.n_values  # spread inside codes, not at their middles


@pytest.mark.parametrize("column", NUMERIC)
def test_settled_positions_are_values_near_by(column, rng: np.random.Generator) -> None:
    wished = np.concatenate([rng.random(300), [0.0, 1.0]])
    codes, settled = settle(column, wished)
    np.testing.assert_array_equal(codes_of_column(column, settled), codes)
    assert (codes >= column.nullable).all()
    again, twice = settle(column, settled)
    np.testing.assert_array_equal(codes, again)
    np.testing.assert_allclose(twice, settled, rtol=0, atol=1e-15)
    assert np.abs(settled - wished).max() <= 0.5 / (20 if column.name == "age" else 30)


def test_categories_have_no_positions(rng: np.random.Generator) -> None:
    assert not is_numeric(MIXED.columns[0])
    assert not draw_inside(MIXED.columns[0], [0, 1, 2], rng).any()
