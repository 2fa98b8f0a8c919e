"""Candidate values of the move engine: what a row's value in each column may become in this sweep.

Each code once; where queries read positions, a numeric column offers up to 4 random positions inside each code, and its two bounds, where
clipped values pile up. A column with more than 256 codes offers "missing" and 256 others, a random one of each of as many equal ranges.

Cost of building: (pairs of column and query) x (candidates of the column), in time and in memory, 4 bytes each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.encoded import Codes, Positions
from synth.move_kernel import find_runs
from synth.positions import draw_inside, settle
from synth.queries.family import AdditiveFamily
from synth.query_targets import Objective
from synth.schema import Categorical, Column, Schema

MAX_CANDIDATES = 256
_MOST_INSIDE = 4


class Candidates:
    """One sweep's candidate values and their contributions, in the layout of `synth.move_kernel`.

    Parameters
    ----------
    objective : of additive families.
    schema : of the table.
    rng : of positions, and of codes where a column has many.
    """

    def __init__(self, objective: Objective, schema: Schema, rng: np.random.Generator) -> None:
        self._families = [family for family in objective.families if isinstance(family, AdditiveFamily)]
        listed = [_some_values(column, objective.needs_positions, rng) for column in schema]
        self.codes, self.positions = [codes for codes, _ in listed], [positions for _, positions in listed]
        self.values = np.cumsum([0, *(len(codes) for codes in self.codes)])
        offsets = np.cumsum([0, *(family.n_queries for family in self._families)])
        touched = [
            np.concatenate([family.touched(c) + offset for family, offset in zip(self._families, offsets, strict=False)])
            for c in range(len(schema))
        ]
        self.query = np.concatenate(touched).astype(np.uint32)
        self.pairs = np.cumsum([0, *(len(queries) for queries in touched)])
        parts = [np.ascontiguousarray(self.contributions(c, self.codes[c], self.positions[c]).T) for c in range(len(schema))]
        self.low = np.concatenate([part.min(axis=1) for part in parts])
        self.high = np.concatenate([part.max(axis=1) for part in parts])
        self.table = np.concatenate([part.ravel() for part in parts])
        self.begins = np.cumsum([0, *(part.size for part in parts)])[:-1]
        self.run = np.empty((len(self.query), 2), dtype=np.int64)
        for part, first, last in zip(parts, self.pairs[:-1], self.pairs[1:], strict=True):
            find_runs(part, self.low[first:last], self.high[first:last], self.run[first:last])
        self.threshold = np.concatenate([family.thresholds for family in self._families]).astype(np.float32)

    def contributions(self, column: int, codes: NDArray[np.int32], positions: NDArray[np.float64] | None) -> NDArray[np.float32]:
        """Return V of m values of a column, (m, pairs of the column)."""
        return np.concatenate([family.contributions(column, codes, positions) for family in self._families], axis=1)

    def of_rows(self, codes: Codes, positions: Positions | None) -> NDArray[np.float32]:
        """Return V of rows' own values, (m, L)."""
        columns = range(codes.shape[1])
        own = [self.contributions(c, codes[:, c], None if positions is None else positions[:, c]) for c in columns]
        return np.concatenate(own, axis=1)

    def layout(self) -> tuple[NDArray[np.generic], ...]:
        """Return what the kernel reads of the candidates, in its order."""
        return (self.query, self.pairs, self.values, self.table, self.begins, self.low, self.high, self.run, self.threshold)

    def move(self, codes: Codes, positions: Positions | None, rows: NDArray[np.int64], chosen: NDArray[np.int64]) -> int:
        """Give each row its chosen candidate, in place, where it has one; return how many have."""
        moved, picks = rows[chosen >= 0], chosen[chosen >= 0]
        columns = np.searchsorted(self.values, picks, side="right") - 1
        codes[moved, columns] = np.concatenate(self.codes)[picks]
        if positions is not None:
            positions[moved, columns] = np.concatenate(self.positions)[picks]
        return len(moved)


def _some_values(column: Column, with_positions: bool, rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return candidate codes and positions of a column, in increasing order so that thresholds cut them into runs."""
    if column.size <= MAX_CANDIDATES:
        codes = np.arange(column.size, dtype=np.int32)
    else:
        edges = np.linspace(0, column.size, MAX_CANDIDATES + 1).astype(np.int64)
        codes = rng.integers(edges[:-1], edges[1:]).astype(np.int32)
    if column.nullable:
        codes = np.union1d(codes, [0]).astype(np.int32)
    if not with_positions or isinstance(column, Categorical):
        return codes, np.zeros(len(codes))
    repeats = max(1, min(_MOST_INSIDE, MAX_CANDIDATES // len(codes)))
    codes = np.concatenate([codes[codes < column.nullable], np.repeat(codes[codes >= column.nullable], repeats)])
    ends, bounds = settle(column, [0.0, 1.0])
    positions = np.concatenate([draw_inside(column, codes, rng), bounds])
    codes = np.concatenate([codes, ends])
    order = np.lexsort((positions, codes))
    return codes[order], positions[order]
