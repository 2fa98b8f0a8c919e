"""One way to JSON: every record's `to_dict()` goes through `json_ready`, so infinities, arrays and enums are written alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum

import numpy as np

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]


def json_ready(value: object) -> JsonValue:
    """Turn a value into what strict JSON can hold; infinity becomes the string "inf", NaN is refused.

    Raises
    ------
    ValueError : the value holds a NaN.
    TypeError : the value has a type that JSON has no form for.

    Examples
    --------
    >>> json_ready({"epsilon": float("inf"), "counts": np.arange(2)})
    {'epsilon': 'inf', 'counts': [0, 1]}
    """
    if value is None or isinstance(value, bool | str):
        return str(value.value) if isinstance(value, Enum) else value
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return _number(float(value))
    return _container(value)


def _number(number: float) -> float | str:
    if math.isnan(number):
        raise ValueError("a NaN can't be written to JSON")
    return number if math.isfinite(number) else ("inf" if number > 0 else "-inf")


def _container(value: object) -> JsonValue:
    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return json_ready(value.tolist())
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    to_dict = getattr(value, "to_dict", None)
    if callable(to_dict):
        return json_ready(to_dict())
    raise TypeError(f"{type(value).__name__} has no JSON form")


def json_record(record: Mapping[str, object]) -> dict[str, JsonValue]:
    """Return `json_ready` of every value of a mapping."""
    return {str(key): json_ready(value) for key, value in record.items()}


def number_from_json(value: object) -> float:
    """Read a number that `json_ready` wrote: "inf" and "-inf" are infinities."""
    if isinstance(value, int | float | str):
        return float(value)
    raise TypeError(f"a number was expected, got {type(value).__name__}")
