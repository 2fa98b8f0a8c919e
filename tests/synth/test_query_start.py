"""Starts: uniform, repaired, with positions that agree; blocked candidates against trying each."""

from __future__ import annotations

import numpy as np
import pytest

from synth.decode import codes_of
from synth.encoded import EncodedTable
from synth.forbidden import ForbiddenCells
from synth.query_start import blocked_candidates, start_rows
from tests.synth.query_tables import MIXED, random_table

RULES = [
    ((0, 2), np.array([[0, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=bool)),
    ((2, 3, 4), np.indices((3, 7, 3)).sum(axis=0) % 4 == 0),
]


def test_a_start_is_kept_but_for_what_is_forbidden(rng: np.random.Generator) -> None:
    start = random_table(MIXED, 200, rng)
    codes, positions = start_rows(MIXED, 200, start, True, RULES, rng)
    rules = ForbiddenCells(RULES, MIXED.sizes)
    assert rules.violations(start.codes).any()
    assert not rules.violations(codes).any()
    np.testing.assert_array_equal(codes[~rules.violations(start.codes)], start.codes[~rules.violations(start.codes)])
    assert positions is not None
    np.testing.assert_array_equal(codes_of(MIXED, positions, codes), codes)
    kept = codes == start.codes
    np.testing.assert_array_equal(positions[kept], np.asarray(start.positions)[kept])


@pytest.mark.parametrize("with_positions", [True, False])
def test_without_a_start_rows_are_uniform(with_positions: bool, rng: np.random.Generator) -> None:
    codes, positions = start_rows(MIXED, 105, None, with_positions, (), rng)
    assert (positions is not None) == with_positions
    for column, size in enumerate(MIXED.sizes):
        counts = np.bincount(codes[:, column], minlength=size)
        assert counts.max() - counts.min() <= 1


def test_positions_are_drawn_where_the_start_has_none(rng: np.random.Generator) -> None:
    start = random_table(MIXED, 50, rng)
    codes, positions = start_rows(MIXED, 50, EncodedTable(start.codes), True, (), rng)
    assert positions is not None
    np.testing.assert_array_equal(codes_of(MIXED, positions, codes), start.codes)
    with pytest.raises(ValueError, match="start must have 51 rows and 6 columns, got"):
        start_rows(MIXED, 51, start, True, (), rng)


def test_blocked_candidates_are_those_that_break_a_rule(rng: np.random.Generator) -> None:
    codes, _ = start_rows(MIXED, 60, random_table(MIXED, 60, rng), False, RULES, rng)
    listed = [np.arange(size, dtype=np.int32) for size in MIXED.sizes]
    blocked = blocked_candidates(codes, listed, RULES)
    rules = ForbiddenCells(RULES, MIXED.sizes)
    place = 0
    for column, candidates in enumerate(listed):
        for code in candidates:
            moved = codes.copy()
            moved[:, column] = code
            np.testing.assert_array_equal(blocked[:, place], rules.violations(moved))
            place += 1
    assert 0 < blocked.mean() < 1
