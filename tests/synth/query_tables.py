"""Tables that tests of query families and of their optimizers share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from synth.decode import draw_positions
from synth.encoded import EncodedTable
from synth.queries.binary_tree import BinaryTreeMarginals
from synth.queries.family import AdditiveFamily
from synth.queries.halfspace import Halfspace
from synth.queries.marginals import Marginals
from synth.queries.prefix import Prefix
from synth.schema import Categorical, Continuous, Datetime, Ordinal, Schema

MIXED = Schema(
    (
        Categorical("color", ("red", "green", "blue")),
        Continuous("weight", 0.0, 10.0, bins=5, nullable=True),
        Categorical("sex", ("f", "m"), nullable=True),
        Ordinal("age", 0, 20, step=3),
        Continuous("dose", -1.0, 1.0, edges=(-0.5, 0.9)),
        Datetime("day", "2024-01-01", "2024-01-31", step=7, nullable=True),
    )
)
TINY = Schema((Categorical("a", (0, 1)), Continuous("x", 0.0, 1.0, bins=4, nullable=True), Ordinal("y", 0, 3)))


def random_table(schema: Schema, n_rows: int, rng: np.random.Generator) -> EncodedTable:
    """Return rows with columns that depend on each other."""
    hidden = rng.random(n_rows)
    near = [np.clip(hidden + rng.normal(0, 0.2, n_rows), 0, 0.999) for _ in schema]
    codes = np.column_stack([(values * size).astype(np.int32) for values, size in zip(near, schema.sizes, strict=True)])
    return EncodedTable(codes, draw_positions(schema, codes, rng))


def every_row(schema: Schema, rng: np.random.Generator) -> EncodedTable:
    """Return all combinations of codes, each with a position inside."""
    codes = np.array(list(itertools.product(*(range(size) for size in schema.sizes))), dtype=np.int32)
    return EncodedTable(codes, draw_positions(schema, codes, rng))


def all_families(schema: Schema, seed: int = 0) -> Sequence[AdditiveFamily]:
    """Return one of each kind."""
    return [
        Marginals(k=1).bind(schema),
        Marginals(k=2).bind(schema),
        BinaryTreeMarginals(k=1, depth=3).bind(schema),
        BinaryTreeMarginals(k=2, depth=2).bind(schema),
        Prefix(40, k=1, seed=seed).bind(schema),
        Prefix(60, k=2, seed=seed).bind(schema),
        Halfspace(80, seed=seed).bind(schema),
    ]
