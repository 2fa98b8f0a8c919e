"""A schema with gaps: what nobody can declare from public knowledge is marked to be bought with budget.

    BuyBounds       a column of numbers whose bounds are unknown: bounds come from a noisy histogram of magnitudes
    BuyEdges        known bounds, unknown shape: bins of about equal mass come from noisy histograms
    BuyCategories   unknown categories: those that many rows have, the rest is `other`

A placeholder stands where the column would stand and holds public settings only. `synth.domain.buy.buy_domain` turns the whole into a
`Schema`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from mechanisms.validation import in_range, one_of, positive, whole_number
from synth.column_checks import LARGEST_WHOLE, valid_bins, valid_bounds, valid_name
from synth.schema import DEFAULT_BINS, Categorical, Column, Continuous, Datetime, Ordinal, Schema

DEFAULT_LEVELS = 6
MOST_LEVELS = 20
MOST_OCTAVES = 50  # beyond, the finest magnitudes can't be told apart once they are scaled to the coarsest
MOST_FINE_BINS = 2**22
_LARGEST, _SMALLEST = 2.0**40, 2.0**-10


@dataclass(frozen=True, slots=True)
class BuyBounds:
    """A column of numbers whose bounds shall be bought.

    Parameters
    ----------
    name, nullable : as `Continuous`.
    kind : "continuous", or "ordinal" for whole numbers.
    largest : a magnitude that no useful value exceeds, rounded up to a power of 2; values beyond are clipped.
    smallest : magnitudes below are not told apart, rounded down to a power of 2; 1 for whole numbers, whatever is given.
    bins : of the bought column; at most so many codes for whole numbers.
    levels : 0 for equal bins; else half of the column's budget buys edges inside the bounds, with so many levels (`BuyEdges`).
    false_bin : beta, the probability that a magnitude which no row has widens the bounds.

    Raises
    ------
    ValueError, TypeError : a value out of range, more than 50 octaves from `smallest` to `largest`, or levels for whole numbers.

    Examples
    --------
    >>> BuyBounds("income", largest=1e6, smallest=1000).octaves
    (9, 20)
    """

    name: str
    kind: str = "continuous"
    largest: float = _LARGEST
    smallest: float = _SMALLEST
    bins: int = DEFAULT_BINS
    levels: int = 0
    false_bin: float = 0.01
    nullable: bool = False
    buy: ClassVar[str] = "bounds"

    def __post_init__(self) -> None:
        valid_name(self.name)
        one_of(("continuous", "ordinal"), kind=self.kind)
        object.__setattr__(self, "largest", positive(largest=self.largest))
        object.__setattr__(self, "smallest", positive(smallest=self.smallest))
        object.__setattr__(self, "bins", whole_number(2, bins=self.bins))
        object.__setattr__(self, "levels", _valid_levels(0, self.levels))
        in_range(0, 1, false_bin=self.false_bin)
        low, high = self.octaves
        if not low < high <= low + MOST_OCTAVES:
            raise ValueError(f"column {self.name!r}: largest must be at least 2 and at most 2^{MOST_OCTAVES} times smallest")
        if self.kind == "ordinal" and (self.levels or 2**high > LARGEST_WHOLE):
            raise ValueError(f"column {self.name!r}: whole numbers must lie within 2^50 of zero, and get steps, no edges: leave out levels")
        _ = self.magnitudes  # must be a column that can be counted
        if self.levels:
            BuyEdges(self.name, 0.0, 1.0, self.bins, self.levels)

    @property
    def octaves(self) -> tuple[int, int]:
        """Return the exponents of the least and the largest power of 2 on the grid of bounds."""
        smallest = 1.0 if self.kind == "ordinal" else self.smallest
        return math.frexp(smallest)[1] - 1, math.ceil(math.log2(self.largest))

    @property
    def magnitudes(self) -> Continuous:
        """Return the public column whose cells are [2^k, 2^(k + 1)), their mirror images, and the two cells at 0."""
        low, high = self.octaves
        powers = [math.ldexp(1.0, k) for k in range(low, high)]
        edges = (*(-power for power in reversed(powers)), 0.0, *powers)
        return Continuous(self.name, -math.ldexp(1.0, high), math.ldexp(1.0, high), edges=edges, nullable=self.nullable)


@dataclass(frozen=True, slots=True)
class BuyEdges:
    """A column of numbers in public bounds, whose bins shall have about equal mass.

    Parameters
    ----------
    name, lower, upper, nullable : as `Continuous`.
    bins : K, at most so many bins, each of about 1 / K of the rows, or of as little as the grid allows.
    levels : h, how often a bin may be halved: edges lie on a grid of K 2^h equal parts.

    Raises
    ------
    ValueError, TypeError : a value out of range, or a grid that is too fine.

    Examples
    --------
    >>> BuyEdges("income", 0, 1e6, bins=32, levels=6).grid.size
    2048
    """

    name: str
    lower: float
    upper: float
    bins: int = DEFAULT_BINS
    levels: int = DEFAULT_LEVELS
    nullable: bool = False
    buy: ClassVar[str] = "edges"
    kind: ClassVar[str] = "continuous"

    def __post_init__(self) -> None:
        valid_name(self.name)
        lower, upper = float(self.lower), float(self.upper)
        valid_bounds(self.name, lower, upper)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)
        object.__setattr__(self, "bins", whole_number(2, bins=self.bins))
        object.__setattr__(self, "levels", _valid_levels(1, self.levels))
        n_fine = self.bins * 2**self.levels
        if n_fine > MOST_FINE_BINS:
            raise ValueError(f"column {self.name!r}: bins 2^levels must be at most 2^22, got {n_fine}; take fewer levels")
        valid_bins(self.name, lower, upper, n_fine)

    @property
    def grid(self) -> Continuous:
        """Return the public column of the K 2^h finest bins."""
        return Continuous(self.name, self.lower, self.upper, bins=self.bins * 2**self.levels, nullable=self.nullable)


@dataclass(frozen=True, slots=True)
class BuyCategories:
    """A column whose categories shall be bought; this costs a part of delta.

    Parameters
    ----------
    name, nullable : as `Categorical`.
    max_categories : at most so many are kept, those of the largest noisy counts; `other` comes on top.
    other : label of all other values: text for a column of text, a whole number for one of whole numbers.

    Raises
    ------
    ValueError, TypeError : a value out of range.

    Examples
    --------
    >>> BuyCategories("city", max_categories=50).other
    'other'
    """

    name: str
    max_categories: int = 100
    other: str | int = "other"
    nullable: bool = False
    buy: ClassVar[str] = "categories"
    kind: ClassVar[str] = "categorical"

    def __post_init__(self) -> None:
        valid_name(self.name)
        object.__setattr__(self, "max_categories", whole_number(1, max_categories=self.max_categories))
        if isinstance(self.other, bool) or not isinstance(self.other, str | int):
            raise TypeError(f"column {self.name!r}: other must be a text, or a whole number for a column of whole numbers")
        Categorical(self.name, (self.other,))


Placeholder = BuyBounds | BuyEdges | BuyCategories


@dataclass(frozen=True, slots=True)
class OpenSchema:
    """Columns in order, declared or to be bought; public.

    Raises
    ------
    ValueError : two columns of one name, or nothing to buy.
    TypeError : neither a column nor a placeholder.

    Examples
    --------
    >>> schema = OpenSchema((Ordinal("age", 0, 99), BuyCategories("city")))
    >>> schema.names, schema.to_buy
    (('age', 'city'), (BuyCategories(name='city', max_categories=100, other='other', nullable=False),))
    """

    columns: tuple[Column | Placeholder, ...]

    def __post_init__(self) -> None:
        columns = tuple(self.columns)
        for column in columns:
            if not isinstance(column, Categorical | Ordinal | Continuous | Datetime | BuyBounds | BuyEdges | BuyCategories):
                raise TypeError(f"a column must be declared, or BuyBounds, BuyEdges or BuyCategories, got {type(column).__name__}")
        twice = [name for name, n in Counter(column.name for column in columns).items() if n > 1]
        if twice:
            raise ValueError(f"column {twice[0]!r} is declared twice")
        object.__setattr__(self, "columns", columns)
        if not self.to_buy:
            raise ValueError("an open schema must have a column to buy; where all are declared, take Schema")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the columns' names, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def to_buy(self) -> tuple[Placeholder, ...]:
        """Return the placeholders, in order."""
        return tuple(column for column in self.columns if isinstance(column, BuyBounds | BuyEdges | BuyCategories))

    @property
    def needs_delta(self) -> bool:
        """Whether a purchase costs a part of delta: that of categories does."""
        return any(isinstance(column, BuyCategories) for column in self.columns)

    @property
    def counted(self) -> Schema:
        """Return the public schema in whose cells purchases are counted; it also says how the cells of a file are read."""
        return Schema(tuple(_counted(column) for column in self.columns))

    def close(self, bought: Mapping[str, Column]) -> Schema:
        """Return the schema with bought columns in the place of placeholders."""
        return Schema(
            tuple(bought[column.name] if isinstance(column, BuyBounds | BuyEdges | BuyCategories) else column for column in self.columns)
        )

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Column | Placeholder]:
        return iter(self.columns)


def _counted(column: Column | Placeholder) -> Column:
    if isinstance(column, BuyBounds):
        return column.magnitudes
    if isinstance(column, BuyEdges):
        return column.grid
    if isinstance(column, BuyCategories):
        return Categorical(column.name, (column.other,), other=column.other, nullable=column.nullable)
    return column


def _valid_levels(minimum: int, levels: int) -> int:
    value = whole_number(minimum, levels=levels)
    if value > MOST_LEVELS:
        raise ValueError(f"levels must be at most {MOST_LEVELS}, got {value}")
    return value
