"""Checks of the arguments that all closed forms of distribution inference share: accuracies, rates and numbers of draws, as arrays."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def probabilities(**values: ArrayLike) -> tuple[Floats, ...]:
    """Return the named values as float arrays, each value in [0, 1].

    Raises
    ------
    ValueError, TypeError : a value is outside [0, 1] or NaN, or no number; the message names the argument.
    """
    return tuple(_inside(name, value, 1.0) for name, value in values.items())


def non_negative_numbers(**values: ArrayLike) -> tuple[Floats, ...]:
    """Return the named values as float arrays, each value in [0, inf)."""
    return tuple(_inside(name, value, math.inf) for name, value in values.items())


def whole_numbers(most: float, /, **values: ArrayLike) -> tuple[Floats, ...]:
    """Return the named values as float arrays of whole numbers in [0, most]."""
    arrays = tuple(_inside(name, value, most) for name, value in values.items())
    for name, array in zip(values, arrays, strict=True):
        if not (array == np.floor(array)).all():
            raise ValueError(f"{name} must hold whole numbers, got {int(np.sum(array != np.floor(array)))} of {array.size} with a fraction")
    return arrays


def _inside(name: str, value: ArrayLike, high: float) -> Floats:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}")
    array = array.astype(np.float64)
    allowed = "[0, inf)" if high == math.inf else f"[0, {high:g}]"
    inside = (array >= 0) & (array <= high) & (array < math.inf)
    if not inside.all():
        got = f"{array}" if array.ndim == 0 else f"{int(np.sum(~inside))} of {array.size} values outside"
        raise ValueError(f"{name} must be in {allowed}, got {got}")
    return array
