"""Schema files with gaps: `buy` says that a column's bounds, edges or categories are bought with budget.

    [[columns]]
    name = "income"
    kind = "continuous"          # or "ordinal"
    buy = "bounds"               # optional: largest, smallest, bins, levels, false_bin, nullable

    [[columns]]
    name = "weight"
    kind = "continuous"
    buy = "edges"
    lower = 0
    upper = 150                  # optional: bins, levels, nullable

    [[columns]]
    name = "city"
    kind = "categorical"
    buy = "categories"           # optional: max_categories, other, nullable

Columns without `buy` are those of `synth.schema_file`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from mechanisms.json_ready import JsonValue, json_record
from synth.domain.open_schema import BuyBounds, BuyCategories, BuyEdges, OpenSchema, Placeholder
from synth.schema import Column, Schema
from synth.schema_file import check_keys, column_from_dict, load_schema_file, schema_columns, schema_to_dict

_CLASSES: dict[str, Callable[..., Placeholder]] = {"bounds": BuyBounds, "edges": BuyEdges, "categories": BuyCategories}
_KINDS = {"bounds": ("continuous", "ordinal"), "edges": ("continuous",), "categories": ("categorical",)}
_REQUIRED: dict[str, tuple[str, ...]] = {"bounds": (), "edges": ("lower", "upper"), "categories": ()}
_OPTIONAL: dict[str, tuple[str, ...]] = {
    "bounds": ("largest", "smallest", "bins", "levels", "false_bin", "nullable"),
    "edges": ("bins", "levels", "nullable"),
    "categories": ("max_categories", "other", "nullable"),
}
_NUMBERS = ("largest", "smallest", "false_bin", "lower", "upper")


def read_open_schema(path: str | os.PathLike[str]) -> Schema | OpenSchema:
    """Read a schema file whose columns may be for sale: a `Schema` if none is, else an `OpenSchema`; errors as `read_schema`."""
    return load_schema_file(path, open_schema_from_dict)


def open_schema_from_dict(content: Mapping[str, object]) -> Schema | OpenSchema:
    """Return the schema that `open_schema_to_dict` wrote, or a person; errors as `schema_from_dict`.

    Examples
    --------
    >>> columns = [{"name": "city", "kind": "categorical", "buy": "categories"}]
    >>> open_schema_from_dict({"schema_version": 1, "columns": columns}).to_buy[0].max_categories
    100
    """
    columns: list[Column | Placeholder] = []
    declared: list[Column] = []
    for place, column in enumerate(schema_columns(content), start=1):
        if "buy" in column:
            columns.append(_placeholder(column, place))
        else:
            declared.append(column_from_dict(column, place))
            columns.append(declared[-1])
    return Schema(tuple(declared)) if len(declared) == len(columns) else OpenSchema(tuple(columns))


def open_schema_to_dict(schema: OpenSchema) -> dict[str, JsonValue]:
    """Return an open schema as TOML and JSON hold it."""
    columns: list[JsonValue] = []
    for column in schema:
        if isinstance(column, BuyBounds | BuyEdges | BuyCategories):
            keys = (*_REQUIRED[column.buy], *_OPTIONAL[column.buy])
            own = {"name": column.name, "kind": column.kind, "buy": column.buy} | {key: getattr(column, key) for key in keys}
            columns.append(json_record(own))
        else:
            (content,) = schema_columns(schema_to_dict(Schema((column,))))
            columns.append(json_record(content))
    return {"schema_version": 1, "columns": columns}


def _placeholder(content: Mapping[str, object], place: int) -> Placeholder:
    name, buy, kind = content.get("name"), content["buy"], content.get("kind")
    if not isinstance(name, str):
        raise ValueError(f"column {place} lacks a name")
    where = f"column {name!r}"
    if not isinstance(buy, str) or buy not in _CLASSES:
        raise ValueError(f"{where}: buy must be one of {', '.join(_CLASSES)}, got {buy!r}")
    if kind not in _KINDS[buy]:
        raise ValueError(f"{where}: {buy} can be bought for kind {' or '.join(_KINDS[buy])}, got {kind!r}")
    check_keys(where, content, required=("name", "kind", "buy", *_REQUIRED[buy]), optional=_OPTIONAL[buy])
    left_out = ("buy",) if buy == "bounds" else ("buy", "kind")
    given = {key: _checked(where, key, value) for key, value in content.items() if key not in left_out}
    try:
        return _CLASSES[buy](**given)
    except (ValueError, TypeError) as error:
        message = str(error)
        raise ValueError(message if where in message else f"{where}: {message}") from error


def _checked(where: str, key: str, value: object) -> object:
    if key == "nullable" and not isinstance(value, bool):
        raise ValueError(f"{where}: nullable must be true or false")
    if key in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{where}: {key} must be a number")
    if key in ("bins", "levels", "max_categories") and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError(f"{where}: {key} must be a whole number")
    return value
