"""Binary trees: each level is a partition, levels nest, the upper bound belongs to the last bin."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from synth.encoded import EncodedTable
from synth.queries.binary_tree import BinaryTreeMarginals
from synth.schema import Categorical, Continuous, Schema
from tests.synth.query_tables import MIXED, random_table


def blocks(workload: BinaryTreeMarginals, schema: Schema, table: EncodedTable) -> list[np.ndarray]:
    family = workload.bind(schema)
    parts = np.split(family.answers(table), np.cumsum(family.sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, family.shapes, strict=True)]


def test_every_level_sums_to_n_with_values_at_the_upper_bound(rng: np.random.Generator) -> None:
    table = random_table(MIXED, 200, rng)
    assert table.positions is not None
    at_ends = EncodedTable(table.codes, np.where(rng.random(table.codes.shape) < 0.5, 1.0, table.positions))
    for part in blocks(BinaryTreeMarginals(k=2, depth=4), MIXED, at_ends):
        assert part.sum() == 200
    half_open = (np.asarray(at_ends.positions)[:, 4] * 4).astype(int)  # a last bin that is open on the right loses the upper bound
    assert np.bincount(half_open, minlength=5)[:4].sum() < 200


def test_levels_nest(rng: np.random.Generator) -> None:
    schema = Schema((Continuous("x", 0.0, 1.0), Categorical("c", (0, 1, 2))))
    levels = blocks(BinaryTreeMarginals(k=2, depth=6), schema, random_table(schema, 1000, rng))
    for coarse, fine in pairwise(levels):
        assert fine.shape[0] == 2 * coarse.shape[0]
        np.testing.assert_array_equal(coarse, fine.reshape(-1, 2, 3).sum(axis=1))


def test_a_level_does_not_depend_on_the_levels_built_beside_it(rng: np.random.Generator) -> None:
    table = random_table(MIXED, 300, rng)
    deep, shallow = BinaryTreeMarginals(k=2, depth=5).bind(MIXED), BinaryTreeMarginals(k=2, depth=1).bind(MIXED)
    first_levels = [
        part for part, level in zip(blocks(BinaryTreeMarginals(k=2, depth=5), MIXED, table), deep.levels, strict=True) if level == 1
    ]
    np.testing.assert_array_equal(np.concatenate([part.ravel() for part in first_levels]), shallow.answers(table))


def test_bins_are_equal_in_positions_and_missing_has_its_own(rng: np.random.Generator) -> None:
    schema = Schema((Continuous("x", -5.0, 5.0, bins=3, nullable=True),))
    places = rng.random(400)
    missing = rng.random(400) < 0.3
    table = EncodedTable(np.where(missing, 0, 1)[:, None], np.where(missing, 0.0, places)[:, None])
    for level, part in enumerate(blocks(BinaryTreeMarginals(k=1, depth=5), schema, table), start=1):
        expected = np.histogram(places[~missing], bins=2**level, range=(0, 1))[0]
        np.testing.assert_array_equal(part, [missing.sum(), *expected])


def test_groups_have_a_numeric_column() -> None:
    family = BinaryTreeMarginals(k=2, depth=2).bind(MIXED)
    assert (0, 2) not in family.groups
    assert len(family.groups) == 2 * 14
    with pytest.raises(ValueError, match="columns must hold a numeric one"):
        BinaryTreeMarginals(k=2, columns=("sex", "color")).bind(MIXED)
    with pytest.raises(ValueError, match="depth must be at most 30"):
        BinaryTreeMarginals(depth=31)
    with pytest.raises(ValueError, match="more than max_cells"):
        BinaryTreeMarginals(k=1, depth=12, max_cells=1000).bind(MIXED)
