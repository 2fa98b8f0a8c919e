"""Scores on disk: .csv for people, .parquet for machines; what is written comes back bit for bit, infinities included.

Columns: `score` (number), `member` (true/false or 0/1), and optionally `model_id`, `example_id` (whole numbers). A column that is not
one of these is refused, so nothing is left out silently. No message shows a value of a record.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attacks.scores import MembershipScores

if TYPE_CHECKING:
    import pyarrow as pa

REQUIRED = ("score", "member")
OPTIONAL = ("model_id", "example_id")
_CONTENT = {"score": "numbers", "member": "true/false or 0/1", "model_id": "whole numbers", "example_id": "whole numbers"}


def read_scores(path: str | os.PathLike[str]) -> MembershipScores:
    """Read scores from a .csv or .parquet file.

    Parameters
    ----------
    path : the file; its extension says how it is read.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : unknown extension, a column missing, unknown, repeated, empty in places or of another type, or values that
        `MembershipScores` refuses.
    """
    source = Path(path)
    read, _ = _format(source)
    if not source.is_file():
        raise FileNotFoundError(f"no such file: {source}")
    table = read(source)
    _check_columns(table.column_names, source.name)
    columns = {name: _column(table, name) for name in table.column_names}
    return MembershipScores(columns["score"], columns["member"], columns.get("model_id"), columns.get("example_id"))


def write_scores(scores: MembershipScores, path: str | os.PathLike[str]) -> None:
    """Write scores to a .csv or .parquet file; the file appears whole or not at all.

    Raises
    ------
    ValueError : unknown extension.
    """
    import pyarrow as pa

    target = Path(path)
    _, write = _format(target)
    table = pa.table({name: np.asarray(getattr(scores, name)) for name in REQUIRED + OPTIONAL})
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        write(table, partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _format(path: Path) -> tuple[Callable[[Path], pa.Table], Callable[[pa.Table, Path], None]]:
    formats = {".csv": (_read_csv, _write_csv), ".parquet": (_read_parquet, _write_parquet)}
    if path.suffix.lower() not in formats:
        raise ValueError(f"score files must end in .csv or .parquet, got {path.name!r}")
    return formats[path.suffix.lower()]


def _read_csv(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    try:
        header = csv.open_csv(path).schema.names
        as_text = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, null_values=[""])
        return csv.read_csv(path, convert_options=as_text)
    except pa.ArrowInvalid:
        raise ValueError(f"{path.name} is no CSV table with a header and rows of equal length") from None


def _write_csv(table: pa.Table, path: Path) -> None:
    from pyarrow import csv

    csv.write_csv(table, path)


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(path)
    except pa.ArrowInvalid:
        raise ValueError(f"{path.name} is no Parquet file") from None


def _write_parquet(table: pa.Table, path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(table, path)


def _check_columns(names: list[str], file: str) -> None:
    missing = [name for name in REQUIRED if name not in names]
    unknown = [name for name in names if name not in REQUIRED + OPTIONAL]
    repeated = sorted({name for name in names if names.count(name) > 1})
    for what, found in (("lacks", missing), ("has unknown", unknown), ("repeats", repeated)):
        if found:
            raise ValueError(
                f"{file} {what} column{'s' * (len(found) > 1)} {', '.join(map(repr, found))}; needed: score, member; "
                "optional: model_id, example_id"
            )


def _column(table: pa.Table, name: str) -> NDArray[np.generic]:
    """Return a column as the array that `MembershipScores` takes; text is parsed, other types must already fit."""
    import pyarrow as pa
    from pyarrow import compute

    column, types = table.column(name), pa.types
    if column.null_count:
        raise ValueError(f"column {name!r} has {column.null_count} empty cells")
    wanted = {"score": pa.float64(), "member": pa.bool_()}.get(name, pa.int64())
    if types.is_string(column.type):
        try:
            return np.asarray(compute.cast(compute.utf8_trim_whitespace(column), wanted))
        except pa.ArrowInvalid:
            raise ValueError(f"column {name!r} must hold {_CONTENT[name]}, and has cells that don't parse as such") from None
    fits = {"score": types.is_floating, "member": types.is_boolean}.get(name, types.is_integer)
    if not (fits(column.type) or types.is_integer(column.type)):
        raise ValueError(f"column {name!r} must hold {_CONTENT[name]}, got type {column.type}")
    return np.asarray(column)
