"""Cells of numeric columns: value -> cell -> position, and back; each arrow lands in the cell it started from.

A *cell* is a code without "missing": 0 .. n_values - 1. A value is a float within bounds (Continuous), or a whole number of steps since
`lower` (Ordinal: value - lower; Datetime: counts of its unit since lower), 0 .. span. A position is the value scaled to [0, 1].

Why rounding can't move a value to another cell. Continuous: a position is clamped to its cell's edges as they are after scaling, and a
value taken from a position to the cell's edges as they are before; both rows of edges increase strictly (`synth.column_checks`), so no
clamped range is empty. Whole numbers k: k / span times span is within 1/2 of k for span <= 2^51. Cost: O(n log bins).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal

Numeric = Ordinal | Continuous | Datetime
Values = NDArray[np.float64] | NDArray[np.int64]
Cells = NDArray[np.int32]
Floats = NDArray[np.float64]


def is_numeric(column: Column) -> bool:
    """Say whether values of the column have positions."""
    return not isinstance(column, Categorical)


def whole_span(column: Ordinal | Datetime) -> int:
    """Return the largest whole number since lower."""
    lower, upper = column.count_bounds if isinstance(column, Datetime) else (column.lower, column.upper)
    return upper - lower


def cell_of_value(column: Numeric, values: Values) -> Cells:
    """Return the cell of each value; a value on an inner edge belongs to the cell on its right."""
    if isinstance(column, Continuous):
        return _place(np.array(column.all_edges), np.asarray(values, dtype=np.float64))
    return (np.asarray(values) // column.step).astype(np.int32)


def position_of_value(column: Numeric, values: Values, cells: Cells) -> Floats:
    """Return the position of each value, inside the position range of its cell."""
    if isinstance(column, Continuous):
        edges, scaled = np.array(column.all_edges), _scaled_edges(column)
        return _clamp((np.asarray(values) - edges[0]) / (edges[-1] - edges[0]), scaled, cells)
    return np.asarray(values, dtype=np.float64) / whole_span(column)


def cell_of_position(column: Numeric, positions: Floats) -> Cells:
    """Return the cell of each position; the one it came from, for what `position_of_value` returned."""
    if isinstance(column, Continuous):
        return _place(_scaled_edges(column), positions)
    return (_nearest_whole(column, positions) // column.step).astype(np.int32)


def value_of_position(column: Numeric, positions: Floats, cells: Cells) -> Values:
    """Return the value of each position, inside its cell; where the position lies outside, the nearest value of the cell."""
    if isinstance(column, Continuous):
        edges = np.array(column.all_edges)
        return _clamp(edges[0] + positions * (edges[-1] - edges[0]), edges, cells)
    first, last = _whole_ends(column, cells)
    return np.minimum(np.maximum(_nearest_whole(column, positions), first), last)


def draw_value(column: Numeric, cells: Cells, rng: np.random.Generator) -> Values:
    """Draw a value of each cell: uniform, real or whole as the column is."""
    if isinstance(column, Continuous):
        edges = np.array(column.all_edges)
        uniform = rng.random(len(cells))
        return _clamp(edges[cells] + uniform * (edges[cells + 1] - edges[cells]), edges, cells)
    first, last = _whole_ends(column, cells)
    whole: NDArray[np.int64] = rng.integers(first, last, endpoint=True)
    return whole


def _scaled_edges(column: Continuous) -> Floats:
    edges = np.array(column.all_edges)
    scaled: Floats = (edges - edges[0]) / (edges[-1] - edges[0])
    return scaled


def _place(edges: Floats, values: Floats) -> Cells:
    return np.searchsorted(edges[1:-1], values, side="right").astype(np.int32)


def _clamp(values: Floats, edges: Floats, cells: Cells) -> Floats:
    """Move each value to the nearest float of its cell, half-open but for the last."""
    ends = np.nextafter(edges[1:], -np.inf)
    ends[-1] = edges[-1]
    clamped: Floats = np.minimum(np.maximum(values, edges[cells]), ends[cells])
    return clamped


def _nearest_whole(column: Ordinal | Datetime, positions: Floats) -> NDArray[np.int64]:
    span = whole_span(column)
    return np.clip(np.rint(positions * span), 0, span).astype(np.int64)


def _whole_ends(column: Ordinal | Datetime, cells: Cells) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first = cells.astype(np.int64) * column.step
    return first, np.minimum(first + column.step - 1, whole_span(column))
