"""Prefixes: how many rows lie at or below random thresholds in k numeric columns at once.

    phi(x) = 1[x_a <= t_a, x_b <= t_b, ...]        columns and thresholds drawn from a seed, never from data

A missing value lies below no threshold. Thresholds are positions in [0, 1], uniform. T prefixes released together have L2 sensitivity
sqrt(T) under both relations: for few columns and many thresholds a binary tree (`BinaryTreeMarginals`) costs less noise.

Cost: answers O(n T k), compiled.

References
----------
Vietri et al., Private Synthetic Data for Multitask Learning and Marginal Queries (RAP++), NeurIPS 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

from mechanisms.guarantee import Neighboring
from mechanisms.validation import whole_number
from synth.encoded import Codes, EncodedTable, Positions
from synth.queries.family import chosen_columns, counting_relation
from synth.queries.marginals import require_enough
from synth.schema import Schema


@dataclass(frozen=True, slots=True)
class Prefix:
    """Random thresholds in k numeric columns at once.

    Parameters
    ----------
    n_queries : T >= 1.
    k : columns of a query, >= 1, drawn anew for each.
    columns : names of numeric columns to draw from; None for all of them.
    seed : of columns and thresholds, public.

    Raises
    ------
    ValueError : n_queries, k or seed out of range; on binding, fewer than k numeric columns, or a categorical one named.

    Examples
    --------
    >>> from synth.schema import Continuous
    >>> Prefix(5, k=1).bind(Schema((Continuous("x", 0.0, 1.0),))).n_queries
    5
    """

    n_queries: int
    k: int = 2
    columns: tuple[str, ...] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_queries", whole_number(1, n_queries=self.n_queries))
        object.__setattr__(self, "k", whole_number(1, k=self.k))
        object.__setattr__(self, "seed", whole_number(0, seed=self.seed))
        if self.columns is not None:
            object.__setattr__(self, "columns", tuple(self.columns))

    def bind(self, schema: Schema) -> PrefixFamily:
        """Return T prefixes of a schema."""
        places = np.array(chosen_columns(schema, self.columns, numeric=True), dtype=np.int64)
        require_enough(self.k, len(places))
        rng = np.random.default_rng(self.seed)
        chosen = np.sort(rng.permuted(np.tile(places, (self.n_queries, 1)), axis=1)[:, : self.k], axis=1)
        return PrefixFamily(schema, chosen, rng.random((self.n_queries, self.k)))


@dataclass(frozen=True, slots=True, eq=False)
class PrefixFamily:
    """T prefixes.

    Parameters
    ----------
    schema : of the tables.
    columns : (T, k), places of each query's columns.
    limits : (T, k), positions that a row may not exceed.
    """

    schema: Schema
    columns: NDArray[np.int64]
    limits: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("columns", "limits"):
            kept = getattr(self, name).copy()
            kept.flags.writeable = False
            object.__setattr__(self, name, kept)

    def __reduce__(self) -> tuple[type[PrefixFamily], tuple[Schema, NDArray[np.int64], NDArray[np.float64]]]:
        return type(self), (self.schema, self.columns, self.limits)

    @property
    def n_queries(self) -> int:
        """Return T."""
        return len(self.columns)

    @property
    def is_partition(self) -> bool:
        """Return False: prefixes overlap."""
        return False

    @property
    def needs_positions(self) -> bool:
        """Return True."""
        return True

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Return 1/2: a row meets a prefix if it breaks none of its conditions."""
        return np.full(self.n_queries, 0.5)

    def sensitivity(self, neighboring: Neighboring) -> float:
        """Return sqrt(T) for either relation.

        Guarantee
        ---------
        One row added, removed or replaced moves each of T answers by at most 1. A row with all positions 0 meets all of them.
        """
        counting_relation(neighboring)
        return math.sqrt(self.n_queries)

    def answers(self, table: EncodedTable) -> NDArray[np.float64]:
        """Return the T counts, shape (T,)."""
        by_column = np.ascontiguousarray(self._placed(table.codes, table.positions).T)
        return np.asarray(_count_prefixes(by_column, self.columns, self.limits), dtype=np.float64)

    def row_answers(self, codes: Codes, positions: Positions | None) -> NDArray[np.bool_]:
        """Return which prefixes each of m rows meets, shape (m, T)."""
        placed = self._placed(codes, positions)
        met = np.ones((len(placed), self.n_queries), dtype=np.bool_)
        for columns, limits in zip(self.columns.T, self.limits.T, strict=True):
            met &= placed[:, columns] <= limits
        return met

    def touched(self, column: int) -> NDArray[np.intp]:
        """Return the prefixes with a threshold in a column."""
        return np.flatnonzero((self.columns == column).any(axis=1))

    def contributions(self, column: int, codes: NDArray[np.int32], positions: NDArray[np.float64] | None) -> NDArray[np.float32]:
        """Return 1 where a value exceeds its threshold or is missing, else 0; shape (m, prefixes touched)."""
        limits = self.limits[self.columns == column]  # a query has a column once, so the order is that of `touched`
        return np.asarray(_present(self.schema, column, codes, positions)[:, None] > limits, dtype=np.float32)

    def _placed(self, codes: Codes, positions: Positions | None) -> NDArray[np.float64]:
        placed = np.zeros(codes.shape)
        for column in np.unique(self.columns):
            placed[:, column] = _present(self.schema, column, codes[:, column], None if positions is None else positions[:, column])
        return placed


def _present(schema: Schema, column: int, codes: NDArray[np.int32], positions: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return positions with infinity for missing values."""
    if positions is None:
        raise ValueError("prefixes read positions, and the table has none; encode it with positions")
    return np.asarray(np.where(codes == 0, np.inf, positions)) if schema.columns[column].nullable else positions


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _count_prefixes(by_column: NDArray[np.float64], columns: NDArray[np.int64], limits: NDArray[np.float64]) -> NDArray[np.int64]:
    n_queries, k = columns.shape
    n_rows = by_column.shape[1]
    counts = np.zeros(n_queries, dtype=np.int64)
    met = np.empty(n_rows, dtype=np.uint8)
    for query in range(n_queries):
        met[:] = 1
        for i in range(k):
            values, limit = by_column[columns[query, i]], limits[query, i]
            for row in range(n_rows):
                met[row] &= values[row] <= limit
        total = 0
        for row in range(n_rows):
            total += met[row]
        counts[query] = total
    return counts
