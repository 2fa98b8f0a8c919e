"""One column, real beside synthetic: the share of rows in each of its codes. NOT private: the real shares are exact.

symbols: s codes of a column     real, synthetic: shares of rows, each summing to 1
The total variation is half the sum of the absolute differences. Cost: O(n d).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.json_ready import JsonValue, json_record
from synth.count_source import CountSource
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal

MISSING = "missing"
Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ColumnShares:
    """The shares of one column's codes in two tables; not private.

    Parameters
    ----------
    column : as declared.
    real, synthetic : (size of the column,) in the order of the codes.

    Raises
    ------
    ValueError : shares of another length.

    Examples
    --------
    >>> ColumnShares(Categorical("sex", ("f", "m")), [0.5, 0.5], [0.6, 0.4]).tv
    0.09999999999999998
    """

    column: Column
    real: Shares
    synthetic: Shares

    def __init__(self, column: Column, real: ArrayLike, synthetic: ArrayLike) -> None:
        object.__setattr__(self, "column", column)
        for name, values in (("real", real), ("synthetic", synthetic)):
            kept = np.array(values, dtype=np.float64)
            if kept.shape != (column.size,):
                raise ValueError(f"{name} must hold a share for each of the {column.size} codes, got shape {kept.shape}")
            kept.flags.writeable = False
            object.__setattr__(self, name, kept)

    @property
    def name(self) -> str:
        """Return the column's name."""
        return self.column.name

    @property
    def tv(self) -> float:
        """Return the total variation between the two."""
        return float(np.abs(self.real - self.synthetic).sum()) / 2

    @property
    def labels(self) -> tuple[str, ...]:
        """Return what each code stands for."""
        return code_labels(self.column)

    def equals(self, other: ColumnShares) -> bool:
        """Say whether column and shares are the same."""
        return (
            self.column == other.column
            and bool(np.array_equal(self.real, other.real))
            and bool(np.array_equal(self.synthetic, other.synthetic))
        )

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record(
            {
                "name": self.name,
                "kind": self.column.kind,
                "tv": self.tv,
                "labels": self.labels,
                "real": self.real,
                "synthetic": self.synthetic,
            }
        )

    def __reduce__(self) -> tuple[type[ColumnShares], tuple[Column, Shares, Shares]]:
        return type(self), (self.column, self.real, self.synthetic)


def column_shares(real: CountSource, synthetic: CountSource) -> tuple[ColumnShares, ...]:
    """Return the shares of every column.

    Parameters
    ----------
    real, synthetic : counted tables of one schema.

    Raises
    ------
    ValueError : sources of different schemas.

    Examples
    --------
    >>> from synth.open_counts import count_source
    >>> from synth.schema import Schema
    >>> schema = Schema((Ordinal("grade", 1, 3),))
    >>> real, synthetic = (count_source({"grade": grades}, schema) for grades in ([1, 2, 2, 3], [3, 3]))
    >>> [(shares.name, shares.real.tolist(), shares.synthetic.tolist()) for shares in column_shares(real, synthetic)]
    [('grade', [0.25, 0.5, 0.25], [0.0, 0.0, 1.0])]
    """
    if real.schema != synthetic.schema:
        raise ValueError("real and synthetic must have the same schema")
    groups = [(place,) for place in range(len(real.schema))]
    pairs = zip(real.schema, real.marginals(groups), synthetic.marginals(groups), strict=True)
    return tuple(ColumnShares(column, true / real.n_rows, made / synthetic.n_rows) for column, true, made in pairs)


def code_labels(column: Column) -> tuple[str, ...]:
    """Return words for each code of a column, "missing" first where it is nullable.

    Examples
    --------
    >>> code_labels(Ordinal("age", 0, 24, step=10, nullable=True)), code_labels(Continuous("dose", 0, 1, bins=2))
    (('missing', '0 to 9', '10 to 19', '20 to 24'), ('0 to 0.5', '0.5 to 1'))
    """
    return ((MISSING,) if column.nullable else ()) + tuple(_value_labels(column))


def _value_labels(column: Column) -> list[str]:
    if isinstance(column, Categorical):
        return [str(label) for label in column.labels]
    if isinstance(column, Continuous):
        edges = column.all_edges
        return [_span(f"{low:.6g}", f"{high:.6g}") for low, high in pairwise(edges)]
    lower, upper = column.count_bounds if isinstance(column, Datetime) else (column.lower, column.upper)
    first = lower + column.step * np.arange(column.n_values, dtype=np.int64)
    last = np.minimum(first + column.step - 1, upper)
    return [_span(low, high) for low, high in zip(_written(first, column), _written(last, column), strict=True)]


def _written(counts: NDArray[np.int64], column: Ordinal | Datetime) -> list[str]:
    if isinstance(column, Ordinal):
        return [str(count) for count in counts.tolist()]
    return [str(text) for text in np.datetime_as_string(counts.astype(f"datetime64[{column.unit}]"))]


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
