"""Cells of many groups of columns, numbered one after another: how a count finds its place in one long vector.

Group g has the columns c_1 < ... < c_k of sizes s_1 .. s_k; a row with codes x falls in its cell

    start_g + sum over i of stride_i x_{c_i},      stride_k = 1, stride_i = stride_{i+1} s_{i+1}      (the last column runs fastest),

so a vector of counts cut at the starts gives every group's array as numpy shapes it. Groups and sizes are public.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np
from numpy.typing import NDArray

LARGEST_GROUP = 2**31 - 1


@dataclass(frozen=True, slots=True)
class CellNumbers:
    """The cells of groups of columns.

    Parameters
    ----------
    groups : places of columns in the schema, increasing inside a group; an empty group has one cell.
    sizes : number of codes of every column of the schema.

    Raises
    ------
    ValueError : columns that don't increase or don't exist, or a group of more than 2^31 - 1 cells.

    Examples
    --------
    >>> cells = CellNumbers(((0,), (0, 1)), (2, 3))
    >>> cells.starts, cells.strides(1)
    ((0, 2, 8), (3, 1))
    """

    groups: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]

    def __init__(self, groups: Sequence[tuple[int, ...]], sizes: tuple[int, ...]) -> None:
        kept = tuple(tuple(int(column) for column in group) for group in groups)
        object.__setattr__(self, "groups", kept)
        object.__setattr__(self, "sizes", tuple(sizes))
        for group in kept:
            if any(left >= right for left, right in pairwise(group)):
                raise ValueError(f"the columns of a group must increase, got {group}")
            if group and not 0 <= group[0] <= group[-1] < len(sizes):
                raise ValueError(f"the columns of a group must be places in the schema, 0 to {len(sizes) - 1}, got {group}")
            if prod(self.shape(group)) > LARGEST_GROUP:
                raise ValueError(f"group {group} has {prod(self.shape(group)):,} cells, more than can be counted; take coarser columns")

    @property
    def starts(self) -> tuple[int, ...]:
        """Return the first cell of every group, and the number of all cells last."""
        ends = np.cumsum([0, *(prod(self.shape(group)) for group in self.groups)], dtype=np.int64)
        return tuple(int(end) for end in ends)

    @property
    def used(self) -> tuple[int, ...]:
        """Return the columns that some group has, increasing."""
        return tuple(sorted({column for group in self.groups for column in group}))

    def shape(self, group: tuple[int, ...]) -> tuple[int, ...]:
        """Return the sizes of a group's columns."""
        return tuple(self.sizes[column] for column in group)

    def strides(self, g: int) -> tuple[int, ...]:
        """Return how far apart neighboring codes of each column of the g-th group are."""
        shape = self.shape(self.groups[g])
        return tuple(prod(shape[place + 1 :]) for place in range(len(shape)))

    def split(self, counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return every group's counts in the shape of its columns; `counts` has one number a cell."""
        return [
            counts[start:end].reshape(self.shape(group)) for group, (start, end) in zip(self.groups, pairwise(self.starts), strict=True)
        ]
