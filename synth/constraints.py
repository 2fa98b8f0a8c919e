"""Rows that can't exist: a pregnant man, a widow of five. Combinations of values are declared, from public knowledge, and kept out.

    Forbidden({"sex": ["m"], "pregnant": [True]})          labels of categories
    Forbidden({"age": (0, 14), "status": ["widowed"]})     a closed range of numbers or times; None leaves an end open

A row breaks the constraint if each listed column holds one of the listed values; [None] stands for "missing". Bound to a schema, a
constraint is a mask over the cells of its columns, True = forbidden, and that is all an optimizer reads:

    (columns (k,), mask of shape (size of each column))

A range must cover whole cells, since codes can't tell values of one cell apart: a cut cell is refused, not rounded. Constraints change
synthetic rows only: post-processing of what was measured. They must not be learnt from the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synth.column_checks import time_count
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema

Label = str | int | bool | None
End = int | float | str | None
Listed = frozenset[Label] | tuple[Label | End, ...]
_MOST_CELLS = 2**28


class ForbiddenCombination(NamedTuple):
    """A constraint bound to a schema, as optimizers read it.

    Parameters
    ----------
    columns : places of its k columns in the schema, increasing.
    mask : shape (size of each column), True where a combination of codes is forbidden; read-only.
    """

    columns: tuple[int, ...]
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A combination of values that no row may have.

    Parameters
    ----------
    values : column name -> list of labels (Categorical), or tuple (low, high), a closed range (others; ISO 8601 text for Datetime, cut at
        its unit); [None] is "missing". Kept as pairs.

    Raises
    ------
    ValueError, TypeError : no column, or values that are neither list nor tuple.

    Notes
    -----
    The end of a range of Continuous is where a cell ends; that one number itself belongs to the next cell.

    Examples
    --------
    >>> schema = Schema((Categorical("sex", ("f", "m")), Categorical("pregnant", (False, True), nullable=True)))
    >>> Forbidden({"sex": ["m"], "pregnant": [True]}).bind(schema).mask.tolist()
    [[False, False, False], [False, False, True]]
    """

    values: tuple[tuple[str, Listed], ...]

    def __init__(self, values: Mapping[str, Sequence[Label] | tuple[End, End]]) -> None:
        if not isinstance(values, Mapping) or not values:
            raise ValueError("values must name at least one column, such as {'sex': ['m'], 'pregnant': [True]}")
        for name, listed in values.items():
            if not isinstance(listed, list | tuple) or not listed:
                raise TypeError(f"column {name!r}: values must be a list of labels, or a range (low, high)")
        kept = tuple((name, listed if isinstance(listed, tuple) else frozenset(listed)) for name, listed in values.items())
        object.__setattr__(self, "values", kept)

    def bind(self, schema: Schema) -> ForbiddenCombination:
        """Return the forbidden cells.

        Raises
        ------
        ValueError : a column that isn't in the schema, a value it doesn't have, a range that cuts a cell, everything forbidden, or more
            than 2^28 cells.
        """
        listed = {schema.index(name): values for name, values in self.values}
        names = ", ".join(repr(name) for name, _ in self.values)
        if math.prod(schema.sizes[place] for place in listed) > _MOST_CELLS:
            raise ValueError(f"the constraint on {names} has more than {_MOST_CELLS:,} cells; take wider cells")
        places = sorted(listed)
        mask = reduce(np.logical_and.outer, [_forbidden_codes(schema.columns[place], listed[place]) for place in places])
        if np.all(mask):
            raise ValueError(f"the constraint on {names} forbids every row")
        return _combination(tuple(places), mask)


def bind_all(constraints: Sequence[Forbidden], schema: Schema) -> tuple[ForbiddenCombination, ...]:
    """Bind constraints; those on the same columns become one mask.

    Raises
    ------
    ValueError : as `Forbidden.bind`.
    """
    masks: dict[tuple[int, ...], NDArray[np.bool_]] = {}
    for constraint in constraints:
        bound = constraint.bind(schema)
        masks[bound.columns] = bound.mask | masks.get(bound.columns, np.False_)
    for columns, mask in masks.items():
        if mask.all():
            raise ValueError(f"the constraints on {', '.join(repr(schema.names[column]) for column in columns)} forbid every row")
    return tuple(_combination(columns, mask) for columns, mask in masks.items())


def _combination(columns: tuple[int, ...], mask: NDArray[np.bool_]) -> ForbiddenCombination:
    kept = np.array(mask, dtype=np.bool_)
    kept.flags.writeable = False
    return ForbiddenCombination(columns, kept)


def _forbidden_codes(column: Column, listed: Listed) -> NDArray[np.bool_]:
    """Return which codes of a column are listed."""
    forbidden = np.zeros(column.size, dtype=np.bool_)
    if isinstance(column, Categorical) or listed == frozenset({None}):
        for label in listed:
            forbidden[_code_of_label(column, label)] = True
        return forbidden
    if not isinstance(listed, tuple) or len(listed) != 2:
        raise ValueError(f"column {column.name!r}: values must be a closed range, a tuple (low, high), or [None] for missing")
    starts = _cell_starts(column)
    low, high = _half_open(column, *listed)
    inside = (starts[:-1] >= low) & (starts[1:] <= high)
    cut = (starts[:-1] < high) & (starts[1:] > low) & ~inside
    if cut.any() or not inside.any():
        raise ValueError(f"column {column.name!r}: the range must cover whole cells; let its ends lie where cells begin and end")
    forbidden[int(column.nullable) :] = inside
    return forbidden


def _code_of_label(column: Column, label: object) -> int:
    if label is None:
        if not column.nullable:
            raise ValueError(f"column {column.name!r} is not nullable, so no constraint can be on missing values")
        return 0
    labels = column.labels if isinstance(column, Categorical) else ()
    for place, own in enumerate(labels):
        if type(own) is type(label) and own == label:
            return place + column.nullable
    raise ValueError(f"column {column.name!r} has no category {label!r}")


def _cell_starts(column: Ordinal | Continuous | Datetime) -> NDArray[np.float64] | NDArray[np.int64]:
    """Return where cells begin, and where the last one ends: for whole numbers, at the number after its last."""
    if isinstance(column, Continuous):
        return np.array(column.all_edges, dtype=np.float64)
    lower, upper = column.count_bounds if isinstance(column, Datetime) else (column.lower, column.upper)
    return np.append(np.arange(lower, upper + 1, column.step, dtype=np.int64), np.int64(upper + 1))


def _half_open(column: Ordinal | Continuous | Datetime, low: object, high: object) -> tuple[float, float]:
    """Return the closed range as [low, high) in the column's own counting."""
    first, last = _end(column, low, -math.inf), _end(column, high, math.inf)
    if first > last:
        raise ValueError(f"column {column.name!r}: low must not be above high")
    if isinstance(column, Continuous):
        return first, last
    whole_first = math.ceil(first) if math.isfinite(first) else first
    return whole_first, math.floor(last) + 1 if math.isfinite(last) else last


def _end(column: Ordinal | Continuous | Datetime, end: object, otherwise: float) -> float:
    if end is None:
        return otherwise
    if isinstance(column, Datetime):
        return time_count(column.name, end, column.unit)
    if isinstance(end, bool) or not isinstance(end, int | float) or math.isnan(end):
        raise ValueError(f"column {column.name!r}: ends of the range must be numbers")
    return end
