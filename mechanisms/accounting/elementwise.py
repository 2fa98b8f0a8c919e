"""Elementwise curves: scalars or arrays in, a float or an array out, one check of every argument."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.validation import in_range

Floats = NDArray[np.float64]

_LIMITS = {"delta": (1.0, "left", "[0, 1)")}
_NON_NEGATIVE = (math.inf, "both", "[0, inf]")


def together(**values: ArrayLike) -> tuple[Floats, ...]:
    """Check named parameters and broadcast them: `delta` must be in [0, 1), any other one in [0, inf].

    Raises
    ------
    ValueError, TypeError : a value is outside its range, NaN or not a number, or the shapes don't broadcast.
    """
    return tuple(np.broadcast_arrays(*(_checked(name, value) for name, value in values.items())))


def as_given(result: Floats) -> float | Floats:
    """Return a float for a result without axes, else the array."""
    return float(result) if result.ndim == 0 else result


def log(x: Floats) -> Floats:
    """Return ln x, -inf for 0, without a warning."""
    with np.errstate(divide="ignore"):
        return np.log(x)


def _checked(name: str, value: ArrayLike) -> Floats:
    high, closed, allowed = _LIMITS.get(name, _NON_NEGATIVE)
    if np.ndim(value) == 0:
        return np.asarray(in_range(0, high, closed=closed, **{name: value}))
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}")
    array = array.astype(np.float64)
    inside = (array >= 0) & ((array <= high) if closed == "both" else (array < high))
    if not inside.all():
        raise ValueError(f"{name} must be in {allowed}, got {int(np.sum(~inside))} of {array.size} values outside")
    return array
