"""What a purchase counts: the cells of one column at a time, and the labels of a column whose categories nobody knows.

Numbers are counted in the cells of a public column (`BuyBounds.magnitudes`, `BuyEdges.grid`), so any `CountSource` can do it, wherever
the rows live (`CountedColumns`); a table in memory is counted here (`TableColumns`). Labels can't be declared in advance; whatever holds
them groups its rows by them.

Counts and labels are exact, and secret: they go straight to the noise step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from synth.arrow_columns import arrow_columns, column_names
from synth.column_checks import LARGEST_WHOLE
from synth.count_source import CountSource
from synth.domain.open_schema import OpenSchema
from synth.duckdb_counts import DuckDbCounts
from synth.duckdb_files import no_values_shown
from synth.encode import encode_column
from synth.ibis_counts import IbisCounts
from synth.schema import Column, Schema
from synth.table_files import read_table

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyRelation
    from ibis.expr.types import Table as IbisTable  # type: ignore[import-untyped, unused-ignore]

    from synth.arrow_columns import Table

    OpenTable: TypeAlias = "Table | ColumnSource | str | os.PathLike[str] | DuckDBPyRelation | IbisTable"

Label = str | int


class ColumnSource(Protocol):
    """A sensitive table whose columns can be counted before its schema is known."""

    def cells(self, column: Column) -> NDArray[np.int64]:
        """Return the exact number of rows of each code of a column."""
        ...

    def labels(self, name: str, kind: type[str] | type[int]) -> Mapping[Label, int]:
        """Return the exact number of rows of each label that occurs, text or whole numbers; missing values are left out."""
        ...


def column_source(table: OpenTable, schema: OpenSchema) -> ColumnSource:
    """Return what counts the columns of a table.

    Parameters
    ----------
    table : in memory, the path of a .csv or .parquet file (read into memory), a DuckDB relation or an ibis table (counted there), or a
        `ColumnSource`; a table in memory that merely has columns named "cells" and "labels" is none.
    schema : says how the cells of a .csv file are read.

    Raises
    ------
    TypeError : none of these.
    ValueError, FileNotFoundError : a file that can't be read.
    """
    if all(callable(getattr(type(table), name, None)) for name in ("cells", "labels")):
        return cast(ColumnSource, table)
    if isinstance(table, str | os.PathLike):
        return TableColumns(read_table(table, schema.counted))
    library = type(table).__module__.lstrip("_").partition(".")[0]
    if library == "duckdb":
        return _duckdb_columns(cast("DuckDBPyRelation", table))
    return _ibis_columns(cast("IbisTable", table)) if library == "ibis" else TableColumns(cast("Table", table))


def n_rows(source: ColumnSource, schema: OpenSchema) -> int:
    """Return the exact number of rows: public under replacement, secret under add/remove neighbors."""
    return int(np.sum(source.cells(schema.counted.columns[0])))


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
        found = compute.value_counts(values.combine_chunks())
        return label_counts(found.field("values"), found.field("counts"), name, kind)


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


def label_counts(values: pa.Array, counts: pa.Array, name: str, kind: type[str] | type[int]) -> Mapping[Label, int]:
    """Return counts of labels, without missing values and what is no label; errors as `TableColumns.labels`."""
    _check_kind(values.type, name, kind)
    numbers = np.asarray(counts, dtype=np.int64).tolist()
    if kind is str:
        return {label: n for label, n in zip(values.to_pylist(), numbers, strict=True) if label is not None}
    labels = np.asarray(values.cast("float64", safe=False).fill_null(np.nan))
    is_label = (np.abs(labels) <= LARGEST_WHOLE) & (labels == np.floor(labels))
    return {int(label): n for label, n, whole in zip(labels, numbers, is_label, strict=True) if whole}


def _duckdb_columns(relation: DuckDBPyRelation) -> CountedColumns:
    def labels(name: str, kind: type[str] | type[int]) -> Mapping[Label, int]:
        column = '"' + name.replace('"', '""') + '"'
        with no_values_shown(f"DuckDB can't count the labels of column {name!r}; run the relation in DuckDB itself to see why"):
            found = relation.aggregate(f"{column}, count(*)", column).to_arrow_table()
        return label_counts(found.column(0), found.column(1), name, kind)

    return CountedColumns(lambda schema: DuckDbCounts(relation, schema, ignore_extra=True), labels)


def _ibis_columns(table: IbisTable) -> CountedColumns:
    def labels(name: str, kind: type[str] | type[int]) -> Mapping[Label, int]:
        found = table.group_by(table[name].name("label")).aggregate(rows=table.count()).to_pyarrow()
        return label_counts(found["label"], found["rows"], name, kind)

    return CountedColumns(lambda schema: IbisCounts(table, schema, ignore_extra=True), labels)


def _check_kind(found: pa.DataType, name: str, kind: type[str] | type[int]) -> None:
    from pyarrow import types

    text = types.is_string(found) or types.is_large_string(found) or types.is_string_view(found) or types.is_null(found)
    number = types.is_integer(found) or types.is_floating(found) or types.is_null(found)
    if not (text if kind is str else number):
        wanted = "text" if kind is str else "whole numbers"
        raise ValueError(f"column {name!r} holds {found}; its `other` label is of {wanted}: convert the column, or take another label")
