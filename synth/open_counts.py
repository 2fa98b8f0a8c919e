"""One door for everything that can be counted: a table in memory, a file, a relation of DuckDB, a table of ibis, an encoded table."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, cast

from synth.count_source import CountSource
from synth.counts import EncodedCounts
from synth.duckdb_counts import DuckDbCounts
from synth.encode import encode
from synth.encoded import EncodedTable
from synth.ibis_counts import IbisCounts
from synth.schema import Schema
from synth.table_files import read_table

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.types as ir  # type: ignore[import-untyped, unused-ignore]

    from synth.arrow_columns import Table

    Countable: TypeAlias = Table | EncodedTable | CountSource | duckdb.DuckDBPyRelation | ir.Table | str | os.PathLike[str]


def count_source(table: Countable, schema: Schema, *, ignore_extra: bool = False, missing: Sequence[str] = ("",)) -> CountSource:
    """Open whatever holds a table for counting.

    Parameters
    ----------
    table : a table of pandas, Polars or PyArrow, or a dict of arrays: encoded in memory. A path: streamed by DuckDB where that is
        installed, so that the file may be larger than memory, else read into memory, to the same counts. A relation of DuckDB or a table
        of ibis: counted where it is. An encoded table. A source of counts: handed back.
    schema : public.
    ignore_extra : leave out columns that the schema doesn't have; else they are an error.
    missing : cells of a .csv file that mean "missing", where they aren't quoted.

    Raises
    ------
    TypeError : nothing of these.
    FileNotFoundError : no such file.
    ValueError : what `synth.encode.encode` refuses, or a source of counts with another schema.

    Guarantee
    ---------
    None: counts are exact and secret. One row changes one cell of each group by 1 (add/remove).

    Examples
    --------
    >>> from synth.schema import Categorical
    >>> schema = Schema((Categorical("sex", ("f", "m")),))
    >>> count_source({"sex": ["f", "m", "f"]}, schema).marginals([(0,)])[0].tolist()
    [2, 1]
    """
    if isinstance(table, EncodedTable):
        return EncodedCounts(table, schema)
    if isinstance(table, str | os.PathLike):
        if find_spec("duckdb") is not None:
            return DuckDbCounts(table, schema, ignore_extra=ignore_extra, missing=missing)
        return EncodedCounts(encode(read_table(table, schema, missing=missing), schema, ignore_extra=ignore_extra), schema)
    if _is_relation(table):
        return DuckDbCounts(table, schema, ignore_extra=ignore_extra)
    if _is_of("ibis.expr.types", "Table", table):
        return IbisCounts(table, schema, ignore_extra=ignore_extra)
    if _is_source(table):
        if table.schema != schema:
            raise ValueError("the source of counts has another schema than the one given")
        return table
    return EncodedCounts(encode(cast("Table", table), schema, ignore_extra=ignore_extra), schema)


def _is_relation(table: object) -> TypeGuard[duckdb.DuckDBPyRelation]:
    return _is_of("duckdb", "DuckDBPyRelation", table)


def table_in_memory(table: Countable, schema: Schema, *, positions: bool) -> EncodedTable:
    """Return the rows themselves, for queries that need more than counts of cells; parameters and errors as `count_source`.

    Raises
    ------
    TypeError : a relation, or a source that only counts.
    """
    if isinstance(table, EncodedTable):
        return table
    if isinstance(table, str | os.PathLike):
        return encode(read_table(table, schema), schema, positions=positions)
    if isinstance(table, CountSource) or _is_of("duckdb", "DuckDBPyRelation", table) or _is_of("ibis.expr.types", "Table", table):
        raise TypeError("queries that aren't marginals need a table in memory or a file, not a source that only counts")
    return encode(table, schema, positions=positions)


def _is_of(module: str, name: str, table: object) -> bool:
    """Say whether a value is of a class of a library, without loading it: whoever has the value has loaded it."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(table, kind)


def _is_source(table: object) -> TypeGuard[CountSource]:
    """Ask the class: attributes of a table may be columns, or cost a query."""
    return callable(getattr(type(table), "marginals", None))
