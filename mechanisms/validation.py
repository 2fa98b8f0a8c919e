"""Named checks of arguments, used once at the public boundary.

Each check takes its value by keyword, so the message can name it: `positive(noise_multiplier=z)`. A message has four parts:
name, value, what is allowed, what to do. Values of records never reach a message; these checks see parameters only.
"""

from __future__ import annotations

import math
from typing import SupportsFloat

import numpy as np
from numpy.typing import ArrayLike, NDArray


def _one(values: dict[str, object]) -> tuple[str, object]:
    if len(values) != 1:
        raise TypeError("a check takes exactly one keyword argument")
    return next(iter(values.items()))


def _number(name: str, value: object) -> float:
    if isinstance(value, bool | str | bytes) or not isinstance(value, SupportsFloat):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    number = float(value)
    if math.isnan(number):
        raise ValueError(f"{name} must be a number, got nan")
    return number


def positive(**values: object) -> float:
    """Return the value as a finite float > 0, or raise ValueError."""
    name, value = _one(values)
    number = _number(name, value)
    if not 0 < number < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return number


def non_negative(**values: object) -> float:
    """Return the value as a finite float >= 0, or raise ValueError."""
    name, value = _one(values)
    number = _number(name, value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be non-negative and finite, got {value}")
    return number


def in_range(low: float, high: float, /, *, closed: str = "neither", **values: object) -> float:
    """Return the value as a float between `low` and `high`; `closed` ("neither", "left", "right", "both") names the ends allowed."""
    name, value = _one(values)
    number = _number(name, value)
    left, right = closed in ("left", "both"), closed in ("right", "both")
    if not ((low <= number if left else low < number) and (number <= high if right else number < high)):
        allowed = f"{'[' if left else '('}{low:g}, {high:g}{']' if right else ')'}"
        raise ValueError(f"{name} must be in {allowed}, got {value}{_hint(name, number)}")
    return number


def probability_level(level: object) -> float:
    """Return `level` as a probability content in (0, 1): 0.95, never 95."""
    return in_range(0, 1, level=level)


def valid_delta(delta: object) -> float:
    """Return `delta` as a float in [0, 1).

    Examples
    --------
    >>> valid_delta(1e5)
    Traceback (most recent call last):
    ...
    ValueError: delta must be in [0, 1), got 100000.0; did you mean 1e-05?
    """
    return in_range(0, 1, closed="left", delta=delta)


def valid_sample_rate(sample_rate: object) -> float:
    """Return `sample_rate` as a Poisson inclusion probability in (0, 1]."""
    return in_range(0, 1, closed="right", sample_rate=sample_rate)


def _hint(name: str, number: float) -> str:
    if name == "level" and 1 < number < 100:
        return f"; did you mean {number / 100:g}?"
    if name == "delta" and number > 1:
        return f"; did you mean {1 / number:g}?"
    return ""


def whole_number(minimum: int = 0, /, **values: object) -> int:
    """Return the value as an int >= `minimum`; floats are accepted within 1e-9 of a whole number."""
    name, value = _one(values)
    number = _number(name, value)
    if not math.isfinite(number) or abs(number - round(number)) > 1e-9 or round(number) < minimum:
        raise ValueError(f"{name} must be a whole number >= {minimum}, got {value}")
    return round(number)


def one_of(allowed: tuple[str, ...], /, **values: object) -> str:
    """Return the value if it is one of the allowed words, or raise ValueError."""
    name, value = _one(values)
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def same_length(**arrays: ArrayLike) -> int:
    """Return the common length of the arrays, or raise ValueError naming every length."""
    lengths = {name: len(np.asarray(array)) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError("lengths must agree, got " + ", ".join(f"{name}: {n}" for name, n in lengths.items()))
    return next(iter(lengths.values()))


def one_dimensional(**arrays: ArrayLike) -> NDArray[np.generic]:
    """Return the array if it has one axis, or raise ValueError naming its shape."""
    name, array = _one(dict(arrays))
    result = np.asarray(array)
    if result.ndim != 1:
        raise ValueError(f"{name} must have one axis, got shape {result.shape}")
    return result
