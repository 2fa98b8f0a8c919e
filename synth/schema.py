"""What the columns of a table may hold, declared in advance: the schema never looks at the data.

Four kinds of columns, each with a finite number of *codes*, 0 .. size - 1. Where a column is nullable, code 0 stands for "missing", whether
or not a row is missing; the cells of its values follow in order.

    Categorical   one code a category, and one for `other` where unlisted values go
    Ordinal       whole numbers from lower to upper, both included; `step` neighboring numbers share a code
    Continuous    [lower, upper] cut at `edges`, or into `bins` equal ones; the last bin is closed on the right
    Datetime      whole counts of `unit` since lower, up to upper; `step` neighboring counts share a code

Whatever is missing here, a bound or a category, must be declared or bought with budget (`synth.domain`). Values outside numeric bounds
are clipped when a table is encoded; how many were is private.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mechanisms.validation import one_of, whole_number
from synth.column_checks import (
    LARGEST_WHOLE,
    time_count,
    valid_bins,
    valid_bounds,
    valid_edges,
    valid_name,
    valid_size,
    valid_span,
    valid_whole_bounds,
)

UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us")
DEFAULT_BINS = 32


@dataclass(frozen=True, slots=True)
class Categorical:
    """A column of listed categories.

    Parameters
    ----------
    name : of the column.
    categories : strings, whole numbers or booleans, all of one type, in the order of their codes.
    other : label for values that are not listed; it may be one of the categories, else it is one more code. None: they are an error.
    nullable : whether a value may be missing.

    Raises
    ------
    ValueError, TypeError : no category, one listed twice, or of another type than the first.

    Examples
    --------
    >>> Categorical("color", ("red", "green"), other="else", nullable=True).size
    4
    """

    name: str
    categories: tuple[str | int | bool, ...]
    other: str | int | bool | None = None
    nullable: bool = False
    kind: ClassVar[str] = "categorical"

    def __post_init__(self) -> None:
        valid_name(self.name)
        given: object = self.categories
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise TypeError(f"column {self.name!r}: categories must be a tuple of labels")
        labels = tuple(self.categories)
        if not labels:
            raise ValueError(f"column {self.name!r}: categories must not be empty; list them, or buy them with `synth.domain`")
        for label in (*labels, *(() if self.other is None else (self.other,))):
            if type(label) is not type(labels[0]) or not isinstance(label, str | int | bool):
                raise TypeError(f"column {self.name!r}: categories must all be strings, whole numbers or booleans, of one type")
            if isinstance(label, int) and abs(label) > LARGEST_WHOLE:
                raise ValueError(f"column {self.name!r}: whole numbers must lie within 2^50 of zero; take strings")
        if len(set(labels)) < len(labels):
            raise ValueError(f"column {self.name!r}: a category is listed twice")
        object.__setattr__(self, "categories", labels)

    @property
    def labels(self) -> tuple[str | int | bool, ...]:
        """Return the label of every value's code, `other` last where it is a code of its own."""
        return self.categories if self.other is None or self.other in self.categories else (*self.categories, self.other)

    @property
    def n_values(self) -> int:
        """Return the number of codes without "missing"."""
        return len(self.labels)

    @property
    def size(self) -> int:
        """Return the number of codes."""
        return self.n_values + self.nullable


@dataclass(frozen=True, slots=True)
class Ordinal:
    """A column of whole numbers in declared bounds.

    Parameters
    ----------
    name, nullable : as `Categorical`.
    lower, upper : least and largest whole number, both included.
    step : how many neighboring numbers share a code, >= 1; the last code may have fewer.

    Raises
    ------
    ValueError : lower >= upper, a bound beyond 2^50, or step < 1.

    Examples
    --------
    >>> Ordinal("age", 0, 99, step=5).size
    20
    """

    name: str
    lower: int
    upper: int
    step: int = 1
    nullable: bool = False
    kind: ClassVar[str] = "ordinal"

    def __post_init__(self) -> None:
        valid_name(self.name)
        for bound in (self.lower, self.upper):
            if isinstance(bound, bool) or not isinstance(bound, int | np.integer):
                raise TypeError(f"column {self.name!r}: bounds must be whole numbers; take Continuous for other numbers")
        valid_bounds(self.name, self.lower, self.upper)
        valid_whole_bounds(self.name, self.lower, self.upper)
        object.__setattr__(self, "lower", int(self.lower))
        object.__setattr__(self, "upper", int(self.upper))
        object.__setattr__(self, "step", whole_number(1, step=self.step))
        valid_size(self.name, self.size)

    @property
    def n_values(self) -> int:
        """Return the number of codes without "missing"."""
        return (self.upper - self.lower) // self.step + 1

    @property
    def size(self) -> int:
        """Return the number of codes."""
        return self.n_values + self.nullable


@dataclass(frozen=True, slots=True)
class Continuous:
    """A column of numbers in declared bounds.

    Parameters
    ----------
    name, nullable : as `Categorical`.
    lower, upper : bounds, finite, with a finite difference.
    bins : number of equal bins; not used where edges are given.
    edges : inner edges between the bins, increasing, strictly between the bounds; public, or bought (`synth.domain`).

    Raises
    ------
    ValueError : lower >= upper, no bin, edges that don't increase, or bins that floats can't tell apart.

    Examples
    --------
    >>> Continuous("weight", 0.0, 150.0, edges=(50.0, 80.0)).size
    3
    """

    name: str
    lower: float
    upper: float
    bins: int = DEFAULT_BINS
    edges: tuple[float, ...] | None = None
    nullable: bool = False
    kind: ClassVar[str] = "continuous"

    def __post_init__(self) -> None:
        valid_name(self.name)
        lower, upper = float(self.lower), float(self.upper)
        valid_bounds(self.name, lower, upper)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)
        n_bins = whole_number(1, bins=self.bins)
        if self.edges is not None:
            edges = tuple(float(edge) for edge in self.edges)
            n_bins = len(edges) + 1
            valid_bins(self.name, lower, upper, 1)
            valid_edges(self.name, (lower, *edges, upper))
            object.__setattr__(self, "edges", edges)
        else:
            valid_bins(self.name, lower, upper, n_bins)
        object.__setattr__(self, "bins", n_bins)
        valid_size(self.name, self.size)

    @property
    def all_edges(self) -> tuple[float, ...]:
        """Return the bins + 1 edges, the bounds included."""
        if self.edges is not None:
            return (self.lower, *self.edges, self.upper)
        return tuple(float(edge) for edge in np.linspace(self.lower, self.upper, self.bins + 1))

    @property
    def n_values(self) -> int:
        """Return the number of codes without "missing"."""
        return self.bins

    @property
    def size(self) -> int:
        """Return the number of codes."""
        return self.n_values + self.nullable


@dataclass(frozen=True, slots=True)
class Datetime:
    """A column of points in time in declared bounds, kept as whole counts of a unit since `lower`.

    Parameters
    ----------
    name, nullable : as `Categorical`.
    lower, upper : ISO 8601 text, without a time zone; both included, rounded down to the unit.
    unit : one of numpy's: "Y", "M", "W", "D", "h", "m", "s", "ms", "us".
    step : how many neighboring counts share a code.

    Raises
    ------
    ValueError : lower >= upper, text that is no point in time, an unknown unit, or more than 2^51 units.

    Examples
    --------
    >>> Datetime("admitted", "2024-01-01", "2024-12-31", step=7).size
    53
    """

    name: str
    lower: str
    upper: str
    unit: str = "D"
    step: int = 1
    nullable: bool = False
    kind: ClassVar[str] = "datetime"

    def __post_init__(self) -> None:
        valid_name(self.name)
        one_of(UNITS, unit=self.unit)
        object.__setattr__(self, "step", whole_number(1, step=self.step))
        lower, upper = self.count_bounds
        valid_bounds(self.name, lower, upper)
        valid_span(self.name, upper - lower)
        valid_size(self.name, self.size)

    @property
    def count_bounds(self) -> tuple[int, int]:
        """Return lower and upper as whole counts of `unit` since 1970."""
        return time_count(self.name, self.lower, self.unit), time_count(self.name, self.upper, self.unit)

    @property
    def n_values(self) -> int:
        """Return the number of codes without "missing"."""
        lower, upper = self.count_bounds
        return (upper - lower) // self.step + 1

    @property
    def size(self) -> int:
        """Return the number of codes."""
        return self.n_values + self.nullable


Column = Categorical | Ordinal | Continuous | Datetime


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table, in order; public.

    Raises
    ------
    ValueError : no column, or two of one name.

    Examples
    --------
    >>> schema = Schema((Categorical("sex", ("f", "m")), Ordinal("age", 0, 99)))
    >>> schema.names, schema.sizes
    (('sex', 'age'), (2, 100))
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        columns = tuple(self.columns)
        for column in columns:
            if not isinstance(column, Categorical | Ordinal | Continuous | Datetime):
                raise TypeError(f"a column must be Categorical, Ordinal, Continuous or Datetime, got {type(column).__name__}")
        if not columns:
            raise ValueError("a schema must have a column")
        twice = [name for name, n in Counter(column.name for column in columns).items() if n > 1]
        if twice:
            raise ValueError(f"column {twice[0]!r} is declared twice")
        object.__setattr__(self, "columns", columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the columns' names, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the number of codes of each column, "missing" included."""
        return tuple(column.size for column in self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def index(self, name: str) -> int:
        """Return the place of a column, or raise ValueError where none has the name."""
        if name not in self.names:
            raise ValueError(f"column {name!r} is not in the schema")
        return self.names.index(name)
