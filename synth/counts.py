"""Counts of a table in memory: many marginals in one pass over the rows.

Columns are kept one after another, (d, n), and rows are walked in blocks that fit the processor's cache: for each block and each group the
cell of every row is computed (one multiplication and addition a column), then counted. All pairs of a wide table so cost about one
nanosecond a row and pair, and memory for the counts only. Counting is exact, so the result doesn't depend on the number of threads.

Cost: n rows times the sum of the groups' sizes; 4 n d bytes beside the table, 8 bytes a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

from mechanisms.validation import whole_number
from synth.cell_numbers import CellNumbers
from synth.encoded import EncodedTable
from synth.schema import Schema

BLOCK = 8192  # rows; 32 kB a column

Columns = NDArray[np.int32]
Places = NDArray[np.int64]


class EncodedCounts:
    """An encoded table that can be counted.

    Parameters
    ----------
    encoded : codes, (n, d); checked once against the schema.
    schema : of its columns.
    n_threads : how many threads share the groups of one call; the counts are the same for any number.

    Raises
    ------
    ValueError : no rows, another number of columns than the schema has, or a code outside its column's domain (the column is named).

    Notes
    -----
    **Guarantee**: none; counts are exact and secret. One row changes one cell of each group by 1 (add/remove).

    Examples
    --------
    >>> from synth.schema import Categorical, Ordinal
    >>> schema = Schema((Categorical("sex", ("f", "m")), Ordinal("grade", 1, 3)))
    >>> pair, total = EncodedCounts(EncodedTable([[0, 1], [1, 1], [0, 2]]), schema).marginals([(0, 1), ()])
    >>> pair.tolist(), int(total)
    ([[0, 1, 1], [0, 1, 0]], 3)
    """

    def __init__(self, encoded: EncodedTable, schema: Schema, *, n_threads: int = 1) -> None:
        self._schema = schema
        self._n_threads = whole_number(1, n_threads=n_threads)
        self._columns = _checked_columns(encoded, schema)

    @property
    def schema(self) -> Schema:
        """Return the public schema."""
        return self._schema

    @property
    def n_rows(self) -> int:
        """Return the exact number of rows: secret under add/remove neighbors."""
        return int(self._columns.shape[1])

    def marginals(self, groups: Sequence[tuple[int, ...]]) -> list[NDArray[np.int64]]:
        """Return the exact counts of each group of columns, shape (size of each column).

        Raises
        ------
        ValueError : a group whose columns don't increase or don't exist, or with more than 2^31 - 1 cells.
        """
        cells = CellNumbers(groups, self._schema.sizes)
        counts = np.zeros(cells.starts[-1], dtype=np.int64)
        add_counts(self._columns, cells, counts, n_threads=self._n_threads)
        return cells.split(counts)


def add_counts(columns: Columns, cells: CellNumbers, counts: NDArray[np.int64], *, n_threads: int = 1) -> None:
    """Add rows to the counts of their cells, in place.

    Parameters
    ----------
    columns : (d, n), C-contiguous, all columns of the schema; trusted to lie in their domains.
    cells : the groups.
    counts : one number a cell.
    n_threads : how many threads share the groups.
    """
    widths = [len(group) for group in cells.groups]
    firsts = np.cumsum([0, *widths], dtype=np.int64)
    places = np.array([column for group in cells.groups for column in group], dtype=np.int64)
    strides = np.array([stride for g in range(len(widths)) for stride in cells.strides(g)], dtype=np.uint32)
    starts = np.array(cells.starts, dtype=np.int64)

    def count(part: int) -> None:
        left, right = len(widths) * part // n_threads, len(widths) * (part + 1) // n_threads
        _count(columns, firsts, places, strides, starts, left, right, BLOCK, counts)

    if n_threads == 1:
        count(0)
        return
    with ThreadPoolExecutor(n_threads) as pool:  # threads own different groups, so different cells
        list(pool.map(count, range(n_threads)))


def _checked_columns(encoded: EncodedTable, schema: Schema) -> Columns:
    codes = encoded.codes
    if codes.shape[1] != len(schema):
        raise ValueError(f"encoded must have the schema's {len(schema)} columns, got {codes.shape[1]}")
    if not len(codes):
        raise ValueError("the table has no rows; there is nothing to count")
    columns = np.ascontiguousarray(codes.T)
    for column, place in zip(schema, columns, strict=True):
        if place.min() < 0 or place.max() >= column.size:
            raise ValueError(f"column {column.name!r} has a code outside its domain; encode the table with this schema")
    return columns


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _count(
    columns: Columns,
    firsts: Places,
    places: Places,
    strides: NDArray[np.uint32],
    starts: Places,
    left: int,
    right: int,
    block: int,
    counts: NDArray[np.int64],
) -> None:
    n = columns.shape[1]
    cell = np.empty(block, np.uint32)  # inside a group; half the width of int64 makes the sums below vector instructions twice as wide
    for low in range(0, n, block):
        m = min(block, n - low)
        for g in range(left, right):
            cell[:m] = 0
            for i in range(firsts[g], firsts[g + 1]):
                codes = columns[places[i], low : low + m]
                stride = strides[i]
                for row in range(m):
                    cell[row] += stride * np.uint32(codes[row])
            group = counts[starts[g] : starts[g + 1]]
            for row in range(m):
                group[cell[row]] += 1
