"""Files as relations of DuckDB: Parquet with its own types, delimited files as text, strictly.

DuckDB's guesses about a delimited file are switched off, for they go wrong in silence: a file whose columns stand in another order than
those of the first is read by position, a header below a comment becomes a row, and 01 becomes 1. Here commas separate cells, the first line
of each file holds the names, the same in every file, and cells stay text, to be read as the schema declares (`synth.table_files`).

DuckDB quotes cells in its messages, so its errors are replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from synth.column_names import check_distinct

if TYPE_CHECKING:
    import duckdb

PARQUET = (".parquet", ".pq")
DELIMITED = (".csv", ".csv.gz", ".csv.zst")


def open_file(path: str, connection: duckdb.DuckDBPyConnection, missing: Sequence[str] = ("",)) -> tuple[duckdb.DuckDBPyRelation, bool]:
    """Open a file or a glob of files.

    Parameters
    ----------
    path : ends in .parquet, .pq, .csv, .csv.gz or .csv.zst; whatever place the connection can read.
    connection : opens it.
    missing : cells of a delimited file that mean "missing", where they aren't quoted.

    Returns
    -------
    The relation, and whether its columns are text to be parsed.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : another suffix, a file that is none of its kind, a name that occurs twice, or files whose headers differ.
    """
    if not path.lower().endswith((*PARQUET, *DELIMITED)):
        raise ValueError(
            f"a file must end in one of {', '.join((*PARQUET, *DELIMITED))}, got {path!r}; open others in DuckDB as a relation"
        )
    with no_values_shown(f"DuckDB can't open {path!r}; check its format, and that this connection may read it"):
        files = [str(row[0]) for row in connection.execute("select file from glob(?) order by file", [path]).fetchall()]
        if not files:
            raise FileNotFoundError(f"no such file: {path}")
        if path.lower().endswith(PARQUET):
            return connection.read_parquet(files), False
        header = _header(files[0], connection)
        for file in files[1:]:
            if _header(file, connection) != header:
                raise ValueError(f"{file!r} has other columns, or in another order, than {files[0]!r}; give all files one header")
        return _strict_text(files, header, connection, list(missing), has_header=True), True


@contextmanager
def no_values_shown(message: str) -> Iterator[None]:
    """Replace what DuckDB and Arrow say about a table by a message without its values.

    Raises
    ------
    ValueError : in place of their errors.
    """
    import duckdb
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise
    except (duckdb.Error, pa.ArrowException, OSError):  # a stream that breaks off is an OSError
        raise ValueError(message) from None


def _header(file: str, connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Return the cells of the first line, as they are: DuckDB renames what repeats, and passes over lines it takes for comments."""
    guessed = connection.read_csv(file, header=False, all_varchar=True, sep=",", quotechar='"', escapechar='"', skiprows=0).columns
    lines = _strict_text([file], guessed, connection, [""], has_header=False).limit(1).fetchall()
    if not lines:
        raise ValueError(f"{file!r} is empty; its first line must hold the columns' names")
    header = tuple(cell or "" for cell in lines[0])
    check_distinct(header)
    return header


def _strict_text(
    files: list[str], names: Sequence[str], connection: duckdb.DuckDBPyConnection, missing: list[str], *, has_header: bool
) -> duckdb.DuckDBPyRelation:
    return connection.read_csv(
        files,
        header=has_header,
        columns=dict.fromkeys(names, "VARCHAR"),
        auto_detect=False,
        sep=",",
        quotechar='"',
        escapechar='"',
        na_values=missing,
        allow_quoted_nulls=False,
    )
