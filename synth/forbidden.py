"""Combinations of values that no row of an output table may have: a married child, a pregnant man.

A rule names k columns and a boolean array over their cells, true where a row may not be; rules are public, part of what is known about the
domain. Optimizers refuse moves into forbidden cells; a start that has some is repaired first (`synth.repair`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numba import njit  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

from synth.encoded import Codes

Rule = tuple[tuple[int, ...], NDArray[np.bool_]]
Places = NDArray[np.int64]

HUGE = 1e30  # worse than any move, and still finite when a hundred million are added in single precision


class ForbiddenCells:
    """Rules in the flat form that compiled code walks.

    Parameters
    ----------
    rules : (columns, mask) pairs; columns increase, mask has their sizes' shape.
    sizes : number of codes of every column.

    Raises
    ------
    ValueError : columns that don't increase or don't exist, or a mask of another shape.

    Examples
    --------
    >>> rules = ForbiddenCells([((0, 1), np.array([[False, True], [False, False]]))], (2, 2, 5))
    >>> rules.violations(np.array([[0, 1, 4], [1, 1, 0]], dtype=np.int32))
    array([ True, False])
    """

    def __init__(self, rules: Sequence[Rule], sizes: tuple[int, ...]) -> None:
        kept = [_checked_rule(rule, sizes) for rule in rules]
        self.columns = [columns for columns, _ in kept]
        self.first = np.cumsum([0, *map(len, self.columns)])
        self.column: Places = np.array([column for columns in self.columns for column in columns], dtype=np.int64)
        self.stride: Places = np.array([s // mask.itemsize for _, mask in kept for s in mask.strides], dtype=np.int64)
        self.start = np.cumsum([0, *(mask.size for _, mask in kept)])
        self.mask = np.concatenate([mask.ravel() for _, mask in kept] or [np.zeros(0, dtype=np.bool_)])

    def __len__(self) -> int:
        return len(self.columns)

    def violations(self, codes: Codes) -> NDArray[np.bool_]:
        """Return which rows lie in a forbidden cell, (n,)."""
        found = np.zeros(len(codes), dtype=np.bool_)
        for rule, columns in enumerate(self.columns):
            strides = self.stride[self.first[rule] : self.first[rule + 1]]
            found |= self.mask[self.start[rule] + codes[:, columns].astype(np.int64) @ strides]
        return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def hide_forbidden(
    first: Places,
    column: Places,
    stride: Places,
    start: Places,
    mask: NDArray[np.bool_],
    rows: NDArray[np.int32],
    r: int,
    offset: Places,
    place: Places,
    total: NDArray[np.float32] | NDArray[np.float64],
) -> None:
    """Put HUGE in `total`, (1, places), where one move of row r would enter a forbidden cell.

    A row holds `offset[i]` + code in column i, and `place` says where this value stands in `total`.
    """
    for rule in range(len(first) - 1):
        cell = start[rule]
        for m in range(first[rule], first[rule + 1]):
            cell += stride[m] * (rows[r, column[m]] - offset[column[m]])
        for m in range(first[rule], first[rule + 1]):
            i = column[m]
            foot = cell - stride[m] * (rows[r, i] - offset[i])
            for code in range(offset[i + 1] - offset[i]):
                if mask[foot + stride[m] * code]:
                    total[0, place[offset[i] + code]] = HUGE


def _checked_rule(rule: Rule, sizes: tuple[int, ...]) -> Rule:
    columns, mask = tuple(int(column) for column in rule[0]), np.ascontiguousarray(rule[1], dtype=np.bool_)
    if not columns or any(left >= right for left, right in pairwise(columns)) or not 0 <= columns[0] <= columns[-1] < len(sizes):
        raise ValueError(f"forbidden: columns must increase and be places in the schema, 0 to {len(sizes) - 1}, got {columns}")
    shape = tuple(sizes[column] for column in columns)
    if mask.shape != shape:
        raise ValueError(f"forbidden: the mask of columns {columns} must have shape {shape}, got {mask.shape}")
    return columns, mask
