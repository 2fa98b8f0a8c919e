"""Positions of single columns, for optimizers: a random one inside a code, and the code under a position.

Built on `synth.cells`, so that codes and positions never disagree. Columns without numbers, and missing values, have position 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth.cells import Numeric, cell_of_position, draw_value, is_numeric, position_of_value, value_of_position
from synth.schema import Categorical, Column


def draw_inside(column: Column, codes: ArrayLike, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a uniformly random position inside each code of one column.

    Examples
    --------
    >>> from synth.schema import Ordinal
    >>> draw_inside(Ordinal("age", 0, 9), [0, 3, 9], np.random.default_rng(0)).round(3).tolist()
    [0.0, 0.333, 1.0]
    """
    listed = np.asarray(codes, dtype=np.int32)
    if isinstance(column, Categorical) or not is_numeric(column):
        return np.zeros(len(listed))
    cells = np.maximum(listed - np.int32(column.nullable), 0).astype(np.int32)
    return np.where(listed < column.nullable, 0.0, position_of_value(column, draw_value(column, cells, rng), cells))


def settle(column: Numeric, positions: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the code of each position, and the nearest position that a value of the column can have.

    Examples
    --------
    >>> from synth.schema import Ordinal
    >>> codes, positions = settle(Ordinal("age", 0, 9, step=5), [0.5, 0.6])
    >>> codes.tolist(), positions.round(3).tolist()
    ([0, 1], [0.444, 0.556])
    """
    where = np.asarray(positions, dtype=np.float64)
    cells = cell_of_position(column, where)
    settled = position_of_value(column, value_of_position(column, where, cells), cells)
    return (cells + column.nullable).astype(np.int32), settled
