"""Positions inside codes: how an optimizer turns a code into a number in [0, 1], and a number back into its code.

symbols: position = (value - lower) / (upper - lower)     lattice: Ordinal and Datetime hold whole numbers v = 0 .. upper - lower only

Positions are drawn uniformly among the values that share a code. In a continuous bin they keep 2^-21 of its width away from its edges, so
that rounding can't put them into the neighbor. Columns without numbers, and missing values, have position 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth.encoded import Codes, Positions
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema

_STEPS = 2**20


def draw_positions(schema: Schema, codes: Codes, rng: np.random.Generator) -> Positions:
    """Return a random position inside each code, shape of codes (n, d)."""
    return np.column_stack([draw_inside(column, codes[:, place], rng) for place, column in enumerate(schema)])


def draw_inside(column: Column, codes: ArrayLike, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a uniformly random position inside each code of one column.

    Examples
    --------
    >>> draw_inside(Ordinal("age", 0, 9), [0, 3, 9], np.random.default_rng(0)).round(3).tolist()
    [0.0, 0.333, 1.0]
    """
    values = np.asarray(codes, dtype=np.int64) - column.nullable
    if isinstance(column, Categorical):
        return np.zeros(len(values))
    present = np.maximum(values, 0)
    if isinstance(column, Continuous):
        edges = _edge_positions(column)
        inside = (rng.integers(_STEPS, size=len(values)) + 0.5) / _STEPS
        found = edges[present] + inside * (edges[present + 1] - edges[present])
    else:
        last = _last(column)
        first = present * column.step
        found = rng.integers(first, np.minimum(first + column.step - 1, last), endpoint=True) / last
    return np.where(values < 0, 0.0, found)


def codes_at(column: Column, positions: ArrayLike) -> NDArray[np.int32]:
    """Return the code of each position of a numeric column, none of them missing; the last bin is closed on the right.

    Examples
    --------
    >>> codes_at(Continuous("x", -1.0, 1.0, bins=4), [0.0, 0.25, 1.0]).tolist()
    [0, 1, 3]
    """
    where = np.asarray(positions, dtype=np.float64)
    if isinstance(column, Categorical):
        raise TypeError(f"column {column.name!r} has no numbers")
    if isinstance(column, Continuous):
        found = np.searchsorted(_edge_positions(column)[1:-1], where, side="right")
    else:
        found = np.rint(where * _last(column)).astype(np.int64) // column.step
    return (found + column.nullable).astype(np.int32)


def snap(column: Column, positions: ArrayLike) -> NDArray[np.float64]:
    """Return the nearest positions that the column's values can have."""
    where = np.asarray(positions, dtype=np.float64)
    if not isinstance(column, Ordinal | Datetime):
        return where
    last = _last(column)
    return np.asarray(np.rint(where * last) / last)


def _last(column: Ordinal | Datetime) -> int:
    if isinstance(column, Ordinal):
        return column.upper - column.lower
    lower, upper = column.count_bounds
    return upper - lower


def _edge_positions(column: Continuous) -> NDArray[np.float64]:
    edges = np.array(column.all_edges)
    return np.asarray((edges - column.lower) / (column.upper - column.lower))
