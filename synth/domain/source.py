"""What a purchase counts: the cells of one column at a time, and the labels of a column whose categories nobody knows.

Numbers are counted in the cells of a public column (`BuyBounds.magnitudes`, `BuyEdges.grid`), so any `CountSource` can do it, wherever
the rows live (`CountedColumns`); a table in memory is counted here (`TableColumns`). Labels can't be declared in advance; they are counted
by the library that holds them.

Counts and labels are exact, and secret: they go straight to the noise step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from synth.arrow_columns import arrow_columns, column_names
from synth.column_checks import LARGEST_WHOLE
from synth.count_source import CountSource
from synth.encode import encode_column
from synth.schema import Column, Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from synth.arrow_columns import Table

Label = str | int


class ColumnSource(Protocol):
    """A sensitive table whose columns can be counted before its schema is known."""

    def cells(self, column: Column) -> NDArray[np.int64]:
        """Return the exact number of rows of each code of a column."""
        ...

    def labels(self, name: str, kind: type[str] | type[int]) -> Mapping[Label, int]:
        """Return the exact number of rows of each label that occurs, text or whole numbers; missing values are left out."""
        ...


def column_source(table: Table | ColumnSource) -> ColumnSource:
    """Return a `ColumnSource` as it is, and a table in memory as one; a table that merely has columns named "cells" and "labels" is none.

    Raises
    ------
    TypeError : neither.
    """
    methods = (getattr(type(table), name, None) for name in ("cells", "labels"))
    return cast(ColumnSource, table) if all(map(callable, methods)) else TableColumns(cast("Table", table))


class TableColumns:
    """A table in memory.

    Parameters
    ----------
    table : of pandas, Polars or PyArrow, or a dict of arrays.

    Raises
    ------
    TypeError : no table.

    Examples
    --------
    >>> TableColumns({"city": ["Bern", None, "Bern"]}).labels("city", str)
    {'Bern': 2}
    """

    def __init__(self, table: Table) -> None:
        column_names(table)
        self._table = table

    def cells(self, column: Column) -> NDArray[np.int64]:
        """Return the exact counts of a column's codes; errors as `synth.encode.encode`."""
        codes, _ = encode_column(arrow_columns(self._table, [column.name])[column.name], column)
        return np.bincount(codes, minlength=column.size)

    def labels(self, name: str, kind: type[str] | type[int]) -> Mapping[Label, int]:
        """Return the exact counts of labels; numbers with a fraction, or beyond 2^50, are no labels.

        Raises
        ------
        ValueError : a column of another type.
        """
        from pyarrow import compute, types

        values = arrow_columns(self._table, [name])[name]
        if types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        _check_kind(values.type, name, kind)
        if kind is int:
            numbers = np.asarray(values.drop_null().cast("float64", safe=False))
            whole = numbers[(np.abs(numbers) <= LARGEST_WHOLE) & (numbers == np.floor(numbers))]
            found, counts = np.unique(whole, return_counts=True)
            return {int(label): int(count) for label, count in zip(found, counts, strict=True)}
        return {str(entry["values"]): int(entry["counts"]) for entry in compute.value_counts(values.drop_null()).to_pylist()}


class CountedColumns:
    """A table that is counted elsewhere.

    Parameters
    ----------
    open_counts : opens the table as a `CountSource` of a schema of some of its columns.
    labels : counts the labels of a column, as `ColumnSource.labels`; None where no categories are bought.

    Examples
    --------
    >>> import duckdb
    >>> from synth.duckdb_counts import DuckDbCounts
    >>> from synth.schema import Ordinal
    >>> rows = duckdb.sql("select * from (values ('f', 2), ('m', 3), ('f', 9)) as t(sex, grade)")
    >>> columns = CountedColumns(lambda schema: DuckDbCounts(rows, schema, ignore_extra=True))
    >>> columns.cells(Ordinal("grade", 1, 3)).tolist()
    [0, 1, 2]
    """

    def __init__(
        self,
        open_counts: Callable[[Schema], CountSource],
        labels: Callable[[str, type[str] | type[int]], Mapping[Label, int]] | None = None,
    ) -> None:
        self._open, self._labels = open_counts, labels

    def cells(self, column: Column) -> NDArray[np.int64]:
        """Return the exact counts of a column's codes."""
        return np.asarray(self._open(Schema((column,))).marginals([(0,)])[0], dtype=np.int64)

    def labels(self, name: str, kind: type[str] | type[int]) -> Mapping[Label, int]:
        """Return the exact counts of labels.

        Raises
        ------
        ValueError : the source has no way to count labels.
        """
        if self._labels is None:
            raise ValueError(f"column {name!r}: categories can't be bought from counts; say how labels are counted, or list the categories")
        return self._labels(name, kind)


def _check_kind(found: pa.DataType, name: str, kind: type[str] | type[int]) -> None:
    from pyarrow import types

    text = types.is_string(found) or types.is_large_string(found) or types.is_string_view(found) or types.is_null(found)
    number = types.is_integer(found) or types.is_floating(found) or types.is_null(found)
    if not (text if kind is str else number):
        wanted = "text" if kind is str else "whole numbers"
        raise ValueError(f"column {name!r} holds {found}; its `other` label is of {wanted}: convert the column, or take another label")
