"""Schemas on disk: a TOML file that a person writes and signs off, one table a column, in the order of the columns.

    schema_version = 1

    [[columns]]
    name = "age"
    kind = "ordinal"             # categorical, ordinal, continuous, datetime
    lower = 0
    upper = 99
    nullable = true              # left out: false

Keys are the parameters of the column's class, and nothing else: an unknown key is an error, a missing bound too. The file of a draft
(`synth.draft`) holds `signed_by = ""`; until a person puts a name there it is no schema.
"""

from __future__ import annotations

import datetime as dt
import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from mechanisms.json_ready import JsonValue, json_record
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema

SCHEMA_VERSION = 1
S = TypeVar("S")
_OPTIONAL = {
    "categorical": ("other",),
    "ordinal": ("step",),
    "continuous": ("bins", "edges"),
    "datetime": ("unit", "step"),
}
_REQUIRED = {
    "categorical": ("categories",),
    "ordinal": ("lower", "upper"),
    "continuous": ("lower", "upper"),
    "datetime": ("lower", "upper"),
}
_CONTENT: dict[str, tuple[type | tuple[type, ...], str]] = {
    "name": (str, "text"),
    "categories": (list, "a list of labels"),
    "other": ((str, int, bool), "a label"),
    "edges": (list, "a list of numbers"),
    "bins": (int, "a whole number"),
    "step": (int, "a whole number"),
    "unit": (str, "text"),
    "nullable": (bool, "true or false"),
}
_BOUNDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "ordinal": (int, "a whole number"),
    "continuous": ((int, float), "a number"),
    "datetime": ((str, dt.date), "a date, or a date and time without a time zone"),
}


def read_schema(path: str | os.PathLike[str]) -> Schema:
    """Read a schema from a TOML file.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : no TOML, an unknown or a missing key, a value that doesn't fit, or a draft that nobody has signed.
    """
    return load_schema_file(path, schema_from_dict)


def write_schema(schema: Schema, path: str | os.PathLike[str]) -> None:
    """Write a schema to a TOML file; `read_schema` gives it back."""
    import tomli_w

    Path(path).write_text(tomli_w.dumps(schema_to_dict(schema)), encoding="utf-8")


def load_schema_file(path: str | os.PathLike[str], from_dict: Callable[[Mapping[str, object]], S]) -> S:
    """Return what a reader makes of a TOML file's content; errors as `read_schema`, headed by the file's name."""
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"no such file: {source}")
    try:
        content = tomllib.loads(source.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{source.name} is not valid TOML: {error}") from error
    try:
        return from_dict(content)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{source.name}: {error}") from error


def schema_to_dict(schema: Schema) -> dict[str, JsonValue]:
    """Return a schema as TOML and JSON hold it.

    Examples
    --------
    >>> schema_to_dict(Schema((Ordinal("age", 0, 99),)))
    {'schema_version': 1, 'columns': [{'name': 'age', 'kind': 'ordinal', 'lower': 0, 'upper': 99, 'step': 1}]}
    """
    return {"schema_version": SCHEMA_VERSION, "columns": [_column_to_dict(column) for column in schema]}


def schema_from_dict(content: Mapping[str, object]) -> Schema:
    """Return the schema that `schema_to_dict` wrote, or a person.

    Raises
    ------
    ValueError, TypeError : an unknown or a missing key, a value that doesn't fit, an unsigned draft, or another version.
    """
    return Schema(tuple(column_from_dict(column, place) for place, column in enumerate(schema_columns(content), start=1)))


def schema_columns(content: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return the columns' tables of a schema file that is of this version, and signed if it was a draft; errors as `schema_from_dict`."""
    check_keys("the schema", content, required=("schema_version", "columns"), optional=("signed_by",))
    if content["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version must be {SCHEMA_VERSION}, got {content['schema_version']!r}")
    signed_by = content.get("signed_by", "left out")
    if not isinstance(signed_by, str) or not signed_by.strip():
        raise ValueError(
            "this draft is not signed: it was made by looking at the data; check every line against public knowledge, then put your name "
            "into signed_by"
        )
    columns = content["columns"]
    if not isinstance(columns, list) or not all(isinstance(column, Mapping) for column in columns):
        raise ValueError("columns must be a list of tables, each headed [[columns]]")
    return columns


def _column_to_dict(column: Column) -> dict[str, JsonValue]:
    content: dict[str, object] = {"name": column.name, "kind": column.kind}
    keys = [*_REQUIRED[column.kind], *_OPTIONAL[column.kind]]
    if isinstance(column, Continuous) and column.edges is not None:
        keys.remove("bins")  # edges say it
    content |= {key: getattr(column, key) for key in keys if getattr(column, key) is not None}
    return json_record(content | ({"nullable": True} if column.nullable else {}))


def column_from_dict(content: Mapping[str, object], place: int) -> Column:
    """Return the column of one table of a schema file, the place-th; errors as `schema_from_dict`."""
    name = content.get("name")
    if not isinstance(name, str):
        raise ValueError(f"column {place} lacks a name")
    where, kind = f"column {name!r}", content.get("kind")
    if "buy" in content:
        raise ValueError(f"{where} is to be bought with budget, so this is no schema yet; read it with `synth.domain`'s read_open_schema")
    if not isinstance(kind, str) or kind not in _REQUIRED:
        raise ValueError(f"{where}: kind must be one of {', '.join(_REQUIRED)}, got {kind!r}")
    check_keys(where, content, required=("name", "kind", *_REQUIRED[kind]), optional=(*_OPTIONAL[kind], "nullable"))
    given = {key: _checked(where, kind, key, value) for key, value in content.items() if key != "kind"}
    if "edges" in given and given.pop("bins", None) is not None:
        raise ValueError(f"{where}: edges already say how many bins there are; leave out one of them")
    kinds: dict[str, Callable[..., Column]] = {
        "categorical": Categorical,
        "ordinal": Ordinal,
        "continuous": Continuous,
        "datetime": Datetime,
    }
    try:
        return kinds[kind](**given)
    except (ValueError, TypeError) as error:
        message = str(error)
        raise ValueError(message if where in message else f"{where}: {message}") from error


def check_keys(where: str, content: Mapping[str, object], *, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """Refuse a table with an unknown key, or without one that must be there."""
    known = (*required, *optional)
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise ValueError(f"{where}: unknown key {key!r}; {hint}")
    for key in required:
        if key not in content:
            buy = key in ("lower", "upper", "categories")
            remedy = "declare it from public knowledge, or buy it with budget (`synth.domain`)" if buy else "add it"
            raise ValueError(f"{where} lacks {key!r}; {remedy}")


def _checked(where: str, kind: str, key: str, value: object) -> object:
    """Return a value as the class takes it, if it has the type that the key asks for."""
    wanted, what = _BOUNDS[kind] if key in ("lower", "upper") else _CONTENT[key]
    is_odd_boolean = isinstance(value, bool) and key not in ("nullable", "other")
    has_zone = isinstance(value, dt.datetime) and value.tzinfo is not None
    if not isinstance(value, wanted) or is_odd_boolean or has_zone:
        raise ValueError(f"{where}: {key} must be {what}")
    if isinstance(value, dt.date):
        return value.isoformat()
    if key == "edges" and isinstance(value, list):
        if any(isinstance(edge, bool) or not isinstance(edge, int | float) for edge in value):
            raise ValueError(f"{where}: edges must be a list of numbers")
        return tuple(value)
    return tuple(value) if isinstance(value, list) else value
