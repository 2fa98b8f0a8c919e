"""One door for all tables that can be counted: in memory, in files, in DuckDB, in a warehouse."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

from synth.count_source import CountSource
from synth.counts import EncodedCounts
from synth.duckdb_counts import DuckDbCounts
from synth.encode import encode
from synth.encoded import EncodedTable
from synth.ibis_counts import IbisCounts
from synth.schema import Schema
from synth.table_files import read_table

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from ibis.expr.types import Table as IbisTable  # type: ignore[import-untyped, unused-ignore]

    from synth.arrow_columns import Table

    Countable: TypeAlias = Table | EncodedTable | CountSource | str | PathLike[str] | DuckDBPyRelation | IbisTable


def count_source(table: Countable, schema: Schema) -> CountSource:
    """Return what counts a table.

    Parameters
    ----------
    table : pandas, Polars or PyArrow table or dict of arrays (encoded in memory), an `EncodedTable`, the path of a CSV or Parquet file or a
        DuckDB relation (counted by DuckDB), an ibis table (counted by its backend), or a `CountSource`.
    schema : of its columns.

    Raises
    ------
    ValueError, TypeError : a table that doesn't fit the schema, or a source with another schema.
    MissingLibraryError : the library that would count it isn't installed.

    Examples
    --------
    >>> from synth.schema import Ordinal
    >>> count_source({"x": [1, 1, 3]}, Schema((Ordinal("x", 1, 3),))).marginals([(0,)])[0].tolist()
    [2, 0, 1]
    """
    if isinstance(table, EncodedTable):
        return EncodedCounts(table, schema)
    if isinstance(table, CountSource):
        if table.schema != schema:
            raise ValueError("the source's schema is not the one that was declared")
        return table
    given: Any = table
    library = type(table).__module__.lstrip("_").partition(".")[0]
    if isinstance(table, str | PathLike) or library == "duckdb":
        return DuckDbCounts(given, schema)
    return IbisCounts(given, schema) if library == "ibis" else EncodedCounts(encode(given, schema), schema)


def table_in_memory(table: Countable, schema: Schema, *, positions: bool) -> EncodedTable:
    """Return the rows, for queries that need more than counts.

    Raises
    ------
    TypeError : a source that only counts, or a relation.
    """
    library = type(table).__module__.lstrip("_").partition(".")[0]
    if isinstance(table, CountSource) or library in ("duckdb", "ibis"):
        raise TypeError("queries that aren't marginals need a table in memory or a file, not a source that only counts")
    if isinstance(table, EncodedTable):
        return table
    given: Any = read_table(table, schema) if isinstance(table, str | PathLike) else table
    return encode(given, schema, positions=positions)
