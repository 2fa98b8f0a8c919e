"""A declared finite universe: all values that a record may have, numbered. Declared in public, never read off the data.

Records are matched to cells column by column: each column's code extends a key, keys are renumbered by the universe's own, so no product of
column sizes is ever formed. Cost: O((N + n) k log N) for n records of k columns; a product of sizes is numbered by arithmetic, O(n k).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.validation import whole_number

MOST_CELLS = 1 << 24


class FiniteUniverse:
    """N distinct values of a record.

    Parameters
    ----------
    cells : (N,) values or (N, k) rows, all different, N >= 2.

    Raises
    ------
    ValueError : fewer than two cells, equal cells, NaN, or more than two axes.

    Examples
    --------
    >>> universe = FiniteUniverse.product((2, 3))
    >>> universe.size, universe.counts(np.array([[1, 0], [1, 2], [1, 0]])).tolist()
    (6, [0, 0, 0, 2, 0, 1])
    """

    def __init__(self, cells: ArrayLike) -> None:
        records = np.array(cells)
        if records.ndim not in (1, 2) or len(records) < 2:
            raise ValueError(f"cells must be at least two values or rows, shape (N,) or (N, k), got shape {records.shape}")
        _refuse_nan(records, "cells")
        records.flags.writeable = False
        self.records = records
        self._columns = [_Column(column) for column in _columns(records)]
        self._keys: list[NDArray[np.int64]] = []
        key = np.zeros(len(records), dtype=np.int64)
        for column in self._columns:
            known, key = np.unique(key * column.size + column.code, return_inverse=True)
            self._keys.append(known)
        if len(np.unique(key)) < len(records):
            raise ValueError("cells must all be different")
        self._cell_of_key = np.argsort(key)

    @classmethod
    def product(cls, sizes: tuple[int, ...]) -> FiniteUniverse:
        """Return the universe of all rows of codes, column j in 0 to sizes[j] - 1, the last column running fastest.

        Raises
        ------
        ValueError : no column, a size below 1, or more than 2^24 cells.
        """
        shape = tuple(whole_number(1, size=size) for size in sizes)
        if not shape or math.prod(shape) > MOST_CELLS:
            raise ValueError(f"sizes must name 1 to {MOST_CELLS:,} cells, got sizes {sizes}; declare fewer columns or coarser ones")
        return cls(np.stack([axis.ravel() for axis in np.indices(shape)], axis=1))

    @property
    def size(self) -> int:
        """N."""
        return len(self.records)

    def counts(self, records: ArrayLike) -> NDArray[np.int64]:
        """Return how many records each cell has, shape (N,).

        Raises
        ------
        ValueError : no records, rows of another shape, or a record that is in no cell. The last depends on the data.
        """
        rows = np.asarray(records)
        if not len(rows) or rows.shape[1:] != self.records.shape[1:]:
            raise ValueError(f"records must have shape (n, {', '.join(map(str, self.records.shape[1:]))}), got shape {rows.shape}")
        key = np.zeros(len(rows), dtype=np.int64)
        for column, values, known in zip(self._columns, _columns(rows), self._keys, strict=True):
            key = _place(known, key * column.size + column.codes_of(values))
        return np.bincount(self._cell_of_key[key], minlength=self.size)

    def __repr__(self) -> str:
        return f"FiniteUniverse({self.size:,} cells)"


def as_universe(universe: FiniteUniverse | ArrayLike | tuple[int, ...]) -> FiniteUniverse:
    """Return the universe of a tuple of sizes (a product), of an array of cells, or the given one."""
    if isinstance(universe, FiniteUniverse):
        return universe
    if isinstance(universe, tuple):
        return FiniteUniverse.product(universe)
    return FiniteUniverse(universe)


class _Column:
    """The different values of one column of the universe, numbered."""

    def __init__(self, values: NDArray[np.generic]) -> None:
        self._known, self.code = np.unique(values, return_inverse=True)

    @property
    def size(self) -> int:
        return len(self._known)

    def codes_of(self, values: NDArray[np.generic]) -> NDArray[np.int64]:
        return _place(self._known, values)


def _place(known: NDArray[np.generic], values: NDArray[np.generic]) -> NDArray[np.int64]:
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    if not (known[place] == values).all():
        raise ValueError("records must be cells of the universe, at least one is in none; declare a larger universe or drop such records")
    return place.astype(np.int64)


def _columns(rows: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    return [rows] if rows.ndim == 1 else list(rows.T)


def _refuse_nan(rows: NDArray[np.generic], name: str) -> None:
    if rows.dtype.kind in "fc" and np.isnan(rows).any():
        raise ValueError(f"{name} must not be NaN")
