"""Partitions: families made of blocks, each of which cuts all possible rows into cells. A row lies in one cell of every block.

A block is a set of columns with a level. At level 0 a value's own code is its coordinate (marginals). At level l >= 1 a numeric column is
cut into 2^l equal bins of positions instead, the last one closed on the right, with missing values in a bin of their own, number 0; other
columns keep their codes. Bins are computed from the level each time; no edges are stored that a later level could overwrite.

symbols: m blocks     T cells of all blocks, blocks one after another, each in C order
Sensitivity: a row adds 1 to one cell of each block: sqrt(m) for add/remove; a replaced row leaves one and enters another: sqrt(2 m).
Cost: answers O(n m), no (n, T) matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mechanisms.guarantee import Neighboring
from synth.cells import is_numeric
from synth.encoded import Codes, EncodedTable, Positions
from synth.queries.family import counting_relation
from synth.schema import Schema


@dataclass(frozen=True, slots=True)
class PartitionFamily:
    """The cells of m blocks.

    Parameters
    ----------
    schema : of the tables.
    groups : places of each block's columns, increasing.
    levels : of each block; 0 for codes.

    Attributes
    ----------
    shapes : number of coordinates along each column of each block.

    Examples
    --------
    >>> from synth.schema import Categorical
    >>> schema = Schema((Categorical("sex", ("f", "m")), Categorical("vote", ("yes", "no", "none"))))
    >>> family = PartitionFamily(schema, groups=((0, 1),), levels=(0,))
    >>> family.answers(EncodedTable([[0, 2], [1, 0], [1, 0]])).tolist()
    [0.0, 0.0, 1.0, 2.0, 0.0, 0.0]
    """

    schema: Schema
    groups: tuple[tuple[int, ...], ...]
    levels: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        blocks = zip(self.groups, self.levels, strict=True)
        shapes = tuple(tuple(self._n_coordinates(column, level) for column in group) for group, level in blocks)
        object.__setattr__(self, "shapes", shapes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the number of cells of each block."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def n_queries(self) -> int:
        """Return T."""
        return sum(self.sizes)

    @property
    def is_partition(self) -> bool:
        """Say whether there is one block only."""
        return len(self.groups) == 1

    @property
    def needs_positions(self) -> bool:
        """Say whether a block has a level above 0."""
        return any(self.levels)

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Return 1/2 for each cell: a row lies in it if no column breaks its condition."""
        return np.full(self.n_queries, 0.5)

    def sensitivity(self, neighboring: Neighboring) -> float:
        """Return sqrt(m) for add/remove, sqrt(2 m) for replace.

        Guarantee
        ---------
        Adding a row adds a 0/1 vector with one 1 in each of m blocks, of norm sqrt(m). Replacing adds the difference of two such vectors,
        of squared norm at most 2 in each block; two rows that differ in every column reach it.
        """
        return math.sqrt(len(self.groups) * (2 if counting_relation(neighboring) is Neighboring.REPLACE else 1))

    def answers(self, table: EncodedTable) -> NDArray[np.float64]:
        """Return the counts of all cells, shape (T,)."""
        counts = [
            np.bincount(cell, minlength=size)
            for cell, size in zip(self._cells_of_rows(table.codes, table.positions), self.sizes, strict=True)
        ]
        return np.concatenate(counts).astype(np.float64)

    def row_answers(self, codes: Codes, positions: Positions | None) -> NDArray[np.bool_]:
        """Return which cells each of m rows lies in, shape (m, T)."""
        met = np.zeros((len(codes), self.n_queries), dtype=np.bool_)
        offsets = np.cumsum((0, *self.sizes))
        for cell, offset in zip(self._cells_of_rows(codes, positions), offsets[:-1], strict=True):
            met[np.arange(len(codes)), offset + cell] = True
        return met

    def touched(self, column: int) -> NDArray[np.intp]:
        """Return the cells of the blocks that a column is part of."""
        offsets = np.cumsum((0, *self.sizes))
        return np.concatenate(
            [np.arange(0), *(np.arange(offsets[i], offsets[i + 1]) for i, group in enumerate(self.groups) if column in group)]
        ).astype(np.intp)

    def contributions(self, column: int, codes: NDArray[np.int32], positions: NDArray[np.float64] | None) -> NDArray[np.float32]:
        """Return 1 where a value lies outside a cell's coordinate, else 0; shape (m, cells touched)."""
        parts = [np.zeros((len(codes), 0), dtype=np.float32)]
        for group, level, shape in zip(self.groups, self.levels, self.shapes, strict=True):
            if column in group:
                axis = group.index(column)
                wanted = np.indices(shape)[axis].ravel()
                found = self._coordinates(column, level, codes, positions)
                parts.append((found[:, None] != wanted).astype(np.float32))
        return np.concatenate(parts, axis=1)

    def _n_coordinates(self, column: int, level: int) -> int:
        declared = self.schema.columns[column]
        return declared.size if level == 0 or not is_numeric(declared) else 2**level + declared.nullable

    def _cells_of_rows(self, codes: Codes, positions: Positions | None) -> list[NDArray[np.int64]]:
        found = []
        for group, level, shape in zip(self.groups, self.levels, self.shapes, strict=True):
            cell = np.zeros(len(codes), dtype=np.int64)
            for column, size in zip(group, shape, strict=True):
                cell *= size
                cell += self._coordinates(column, level, codes[:, column], None if positions is None else positions[:, column])
            found.append(cell)
        return found

    def _coordinates(self, column: int, level: int, codes: NDArray[np.int32], positions: NDArray[np.float64] | None) -> NDArray[np.int32]:
        declared = self.schema.columns[column]
        if level == 0 or not is_numeric(declared):
            return codes
        if positions is None:
            raise ValueError("a binary tree reads positions, and the table has none; encode it with positions")
        bins: NDArray[np.int32] = np.minimum(positions * 2**level, 2**level - 1).astype(
            np.int32
        )  # exact: a power of two only moves the exponent
        if not declared.nullable:
            return bins
        return np.asarray(np.where(codes == 0, 0, bins + 1), dtype=np.int32)
