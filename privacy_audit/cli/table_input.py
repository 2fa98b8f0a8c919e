"""Tables and schemas that a command is given as files: read as declared, refused with the file's name and no cell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from synth.encoded import EncodedTable
    from synth.schema import Schema

SUFFIXES = (".csv", ".parquet")


def read_declared(path: Path, schema: Schema, *, missing: Sequence[str], ignore_extra: bool) -> pa.Table:
    """Return the schema's columns of a .csv or .parquet file.

    Parameters
    ----------
    path : the file.
    schema : what is read.
    missing : further cells of a .csv file that mean "missing"; an empty one always does.
    ignore_extra : leave out columns that the schema doesn't have; else they are an error.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : a file that can't be read, or has other columns; the file is named, no cell is shown.
    """
    from synth.table_files import read_table

    with of_file(path):
        table = read_table(path, schema, missing=("", *missing))
        extra = [name for name in table.column_names if name not in schema.names]
        if extra and not ignore_extra:
            listed = ", ".join(map(repr, extra))
            raise ValueError(f"the schema lacks column{'s' * (len(extra) > 1)} {listed}; declare, or leave out with --ignore-extra")
        absent = [name for name in schema.names if name not in table.column_names]
        if absent:
            raise ValueError(f"column{'s' * (len(absent) > 1)} {', '.join(map(repr, absent))} of the schema not found")
        return table.select(list(schema.names))


def read_encoded(path: Path, schema: Schema, *, missing: Sequence[str], ignore_extra: bool) -> EncodedTable:
    """Return the codes and positions of a file; arguments and errors as `read_declared`."""
    from synth.encode import encode

    table = read_declared(path, schema, missing=missing, ignore_extra=ignore_extra)
    with of_file(path):
        return encode(table, schema, positions=True)


@contextmanager
def of_file(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with its content."""
    try:
        yield
    except (ValueError, TypeError) as error:
        message = str(error)
        raise ValueError(message if path.name in message else f"{path.name}: {message}") from error


def require_writable(path: Path, option: str, *, suffixes: Sequence[str], inputs: Sequence[Path] = ()) -> None:
    """Refuse a place where nothing can be written, before anything is spent.

    Raises
    ------
    ValueError : another suffix, no such folder, a folder, or a file that is read.
    """
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{option} must end in {' or '.join(suffixes)}, got {path.name!r}")
    if not path.parent.is_dir():
        raise ValueError(f"{option}: there is no folder {path.parent}; make it, or take another one")
    if path.is_dir():
        raise ValueError(f"{option}: {path} is a folder; give a file in it")
    if any(path.resolve() == other.resolve() for other in inputs):
        raise ValueError(f"{option} would write over {path}, which is read; take another name")
