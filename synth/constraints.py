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
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.randomness import RngLike, as_generator
from synth.column_checks import time_count
from synth.encoded import Codes
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema

Label = str | int | bool | None
End = int | float | str | None
Listed = frozenset[Label] | tuple[Label | End, ...]
_ROWS_AT_ONCE = 65_536
_MOST_CELLS = 2**28
_PATIENCE = 1_000
_PLAIN_ROUNDS = 10


@dataclass(frozen=True, slots=True, eq=False)
class ForbiddenCells:
    """A constraint bound to a schema.

    Parameters
    ----------
    columns : places of its k columns in the schema, increasing.
    mask : shape (size of each column), True where a combination of codes is forbidden.
    """

    columns: tuple[int, ...]
    mask: NDArray[np.bool_]

    def __init__(self, columns: tuple[int, ...], mask: ArrayLike) -> None:
        kept = np.array(mask, dtype=np.bool_)
        if kept.ndim != len(columns) or not columns:
            raise ValueError(f"mask must have an axis for each of the {len(columns)} columns, got {kept.ndim}")
        if any(left >= right for left, right in pairwise(columns)):
            raise ValueError("columns must increase")
        kept.flags.writeable = False
        object.__setattr__(self, "columns", tuple(int(column) for column in columns))
        object.__setattr__(self, "mask", kept)

    def violated(self, codes: Codes) -> NDArray[np.bool_]:
        """Return which of n rows break the constraint, shape (n,)."""
        return np.asarray(self.mask[tuple(codes[:, column] for column in self.columns)])

    def __reduce__(self) -> tuple[type[ForbiddenCells], tuple[tuple[int, ...], NDArray[np.bool_]]]:
        return type(self), (self.columns, self.mask)


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

    def bind(self, schema: Schema) -> ForbiddenCells:
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
        return ForbiddenCells(tuple(places), mask)


def bind_all(constraints: Sequence[Forbidden], schema: Schema) -> tuple[ForbiddenCells, ...]:
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
    return tuple(ForbiddenCells(columns, mask) for columns, mask in masks.items())


def violations(codes: ArrayLike, constraints: Sequence[ForbiddenCells]) -> NDArray[np.bool_]:
    """Return which rows break any constraint.

    Parameters
    ----------
    codes : (n, d).

    Returns
    -------
    (n,), True for a row that can't exist.
    """
    rows = np.asarray(codes, dtype=np.int32)
    broken = np.zeros(len(rows), dtype=np.bool_)
    for constraint in constraints:
        broken |= constraint.violated(rows)
    return broken


def repair(
    codes: ArrayLike,
    constraints: Sequence[ForbiddenCells],
    sizes: Sequence[int],
    rng: RngLike = None,
    *,
    weights: Sequence[ArrayLike] | None = None,
) -> Codes:
    """Draw columns of forbidden rows anew until no row is forbidden; other rows stay.

    Parameters
    ----------
    codes : (n, d), of a synthetic table.
    sizes : number of codes of each column, `schema.sizes`.
    weights : one-way weights of each column's codes, such as noisy counts; negative ones count as 0. None: all equal.

    Returns
    -------
    (n, d) codes without violations. A row needs one new code as a rule, several where one can't help.

    Raises
    ------
    ValueError : weights of another shape, or rows that 1,000 rounds didn't repair: the constraints may contradict one another.
    """
    rng = as_generator(rng)
    repaired = np.array(codes, dtype=np.int32)
    chances = [np.ones(size) for size in sizes] if weights is None else [np.maximum(np.asarray(own, np.float64), 0) for own in weights]
    if [own.shape for own in chances] != [(size,) for size in sizes]:
        raise ValueError("weights must have one array for each column, as long as it has codes")
    broken = np.flatnonzero(violations(repaired, constraints))
    for round_id in range(_PATIENCE):
        if not len(broken):
            return repaired
        noise = 0.0 if round_id < _PLAIN_ROUNDS else 0.3  # leaves rows that no single better code can help
        for start in range(0, len(broken), _ROWS_AT_ONCE):
            rows = broken[start : start + _ROWS_AT_ONCE]
            repaired[rows] = _redrawn(repaired[rows], constraints, chances, noise, rng)
        broken = broken[violations(repaired[broken], constraints)]
    raise ValueError(f"no allowed cell found in {_PATIENCE:,} rounds; the constraints may contradict one another")


def _redrawn(
    rows: Codes, constraints: Sequence[ForbiddenCells], chances: list[NDArray[np.float64]], noise: float, rng: np.random.Generator
) -> Codes:
    """Draw one column of each forbidden row anew: a random one of its first broken constraint."""
    drawn = rows.copy()
    column = np.full(len(rows), -1)
    for constraint in constraints:
        first = constraint.violated(rows) & (column < 0)
        column[first] = rng.choice(constraint.columns, size=int(first.sum()))
    for place in np.unique(column):
        mine = np.flatnonzero(column == place)
        broken = _broken_by_code(rows[mine], int(place), constraints, len(chances[place]))
        broken[rng.random(len(mine)) < noise] = 0  # any code will do
        drawn[mine, place] = _draw(broken, chances[place], rng)
    return drawn


def _broken_by_code(rows: Codes, place: int, constraints: Sequence[ForbiddenCells], size: int) -> NDArray[np.int64]:
    """Return how many constraints each row would break with each code of the column, shape (rows, size)."""
    broken = np.zeros((len(rows), size), dtype=np.int64)
    for constraint in constraints:
        if place in constraint.columns:
            axis = constraint.columns.index(place)
            others = tuple(rows[:, column] for column in constraint.columns if column != place)
            broken += np.moveaxis(constraint.mask, axis, -1)[others]
    return broken


def _draw(broken: NDArray[np.int64], chances: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw for each row a code that breaks fewest constraints, after its chances; after equal ones where none has a chance."""
    least = broken == broken.min(axis=1, keepdims=True)
    scaled = np.where(least, chances, 0.0)
    scaled = np.where(scaled.sum(axis=1, keepdims=True) > 0, scaled, least)
    upto = scaled.cumsum(axis=1)
    spot = rng.random(len(broken))[:, None] * upto[:, -1:]
    chosen: NDArray[np.int64] = np.argmax(upto > spot, axis=1)
    return chosen


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
