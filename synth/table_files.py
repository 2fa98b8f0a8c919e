"""Tables on disk: CSV for people, Parquet for machines; with a schema, cells are read as the columns are declared.

A CSV file has no types. Without a schema they are guessed from the cells, so that "01" becomes the number 1; with one, a category stays the
text it is, a whole number may be written 5 or 5.0, and a point in time is ISO 8601 text, cut at the declared unit. An empty cell is
missing; a quoted empty one is empty text. Commas separate cells, the first line holds the names, the text is UTF-8.

No message shows a cell.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synth.arrow_columns import arrow_columns, column_names
from synth.column_checks import ISO_8601
from synth.schema import Categorical, Column, Continuous, Datetime, Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from synth.arrow_columns import Table

_SUFFIXES = (".csv", ".parquet")


def read_table(path: str | os.PathLike[str], schema: Schema | None = None, *, missing: Sequence[str] = ("",)) -> pa.Table:
    """Read a table from a .csv or .parquet file.

    Parameters
    ----------
    path : the file; its suffix says how it is read.
    schema : how the cells of a CSV file are read; columns that it doesn't have stay text. Parquet files have types of their own.
    missing : cells of a CSV file that mean "missing", where they aren't quoted; R writes ("", "NA").

    Returns
    -------
    An Arrow table, for `encode`, or for `.to_pandas()` and `polars.from_arrow`.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : another suffix, a file that can't be read as one, a column name that occurs twice, or cells that are not what is declared.
    """
    source = Path(path)
    _check_suffix(source)
    if not source.is_file():
        raise FileNotFoundError(f"no such file: {source}")
    table = _read_parquet(source) if source.suffix.lower() == ".parquet" else _read_csv(source, schema, missing)
    column_names(table)  # refuses a name that occurs twice
    return table


def write_table(table: Table, path: str | os.PathLike[str]) -> None:
    """Write a table to a .csv or .parquet file; the file appears whole or not at all.

    Parameters
    ----------
    table : as `encode`; an index of pandas is left out.

    Raises
    ------
    TypeError : no table.
    ValueError : another suffix, a name that is no text, or a column that the format can't hold.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet, types

    target = Path(path)
    _check_suffix(target)
    names = column_names(table)
    if not all(isinstance(name, str) for name in names):
        raise ValueError("column names must be text; rename the columns")
    columns = arrow_columns(table, names)
    plain = {name: values.cast(values.type.value_type) if types.is_dictionary(values.type) else values for name, values in columns.items()}
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        (parquet.write_table if target.suffix.lower() == ".parquet" else csv.write_csv)(pa.table(plain), partial)
        os.replace(partial, target)
    except pa.ArrowException:
        raise ValueError(f"a column has a type that {target.suffix} files can't hold; leave it out, or convert it") from None
    finally:
        partial.unlink(missing_ok=True)


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(f"table files must end in .csv or .parquet, got {path.name!r}")


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(path)
    except pa.ArrowException:
        raise ValueError(f"{path.name} is no Parquet file") from None


def _read_csv(path: Path, schema: Schema | None, missing: Sequence[str]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    options = {"null_values": list(missing), "strings_can_be_null": True, "quoted_strings_can_be_null": False}
    try:
        header = csv.open_csv(path, parse_options=csv.ParseOptions(newlines_in_values=True)).schema.names
        # an empty line of a single column is a missing value
        parse = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(header) > 1)
        if schema is None:
            return csv.read_csv(path, parse_options=parse, convert_options=csv.ConvertOptions(**options))
        as_text = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), **options)
        table = csv.read_csv(path, parse_options=parse, convert_options=as_text)
    except pa.ArrowException:
        raise ValueError(f"{path.name} is no CSV table with a header, rows of equal length and UTF-8 text") from None
    column_names(table)
    for column in schema:
        if column.name in header:
            table = table.set_column(header.index(column.name), column.name, parse_cells(table.column(column.name), column))
    return table


def parse_cells(cells: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Return text cells as values of a declared column.

    Raises
    ------
    ValueError : cells that are no such values; the column is named, no cell is shown.
    """
    import pyarrow as pa
    from pyarrow import compute

    if isinstance(column, Categorical) and isinstance(column.labels[0], str):
        return cells
    trimmed = compute.utf8_trim_whitespace(cells)
    if isinstance(column, Datetime):
        return _times(trimmed, column)
    boolean = isinstance(column, Categorical) and isinstance(column.labels[0], bool)
    try:
        values = trimmed.cast(pa.bool_() if boolean else pa.float64())
    except pa.ArrowException:
        what = "neither true nor false" if boolean else "no numbers"
        raise ValueError(f"column {column.name!r} has cells that are {what}") from None
    if boolean or isinstance(column, Continuous):
        return values
    try:
        return values.cast(pa.int64())
    except pa.ArrowException:  # fractions or infinities: `encode` says what is wrong with them
        return values


def _times(cells: pa.ChunkedArray, column: Datetime) -> pa.ChunkedArray:
    """Parse ISO 8601 text, each different cell once."""
    import pyarrow as pa
    from pyarrow import compute

    coded = cells.combine_chunks().dictionary_encode()
    texts = coded.dictionary
    unit = "D" if column.unit in ("Y", "M", "W", "D") else "s" if column.unit in ("h", "m", "s") else column.unit
    try:
        if not compute.all(compute.match_substring_regex(texts, f"^{ISO_8601}$"), min_count=0).as_py():
            raise ValueError
        times = np.array(texts.to_pylist(), dtype="datetime64[us]").astype(f"datetime64[{unit}]")
    except ValueError:
        raise ValueError(
            f"column {column.name!r} has cells that are no ISO 8601 points in time without a time zone, such as 2024-01-31"
        ) from None
    return pa.chunked_array([pa.array(times).take(coded.indices)])
