"""Bisection over floating-point numbers: the last float that still satisfies a monotone condition.

The midpoint is taken in the order of the floats, not halfway on the line, so 64 steps find neighboring floats on every scale: an
inverse that is built on it satisfies its own condition exactly as computed, and needs no tolerance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Condition = Callable[[Floats], NDArray[np.bool_]]

_STEPS = 64


def last_true(condition: Condition, shape: tuple[int, ...]) -> Floats:
    """Return, elementwise, the largest x in [0, inf) for which the condition holds, if it holds below some point and not above.

    Parameters
    ----------
    condition : array of x -> array of bool of the same shape, non-increasing in x.
    shape : the shape of x.

    Returns
    -------
    0 where the condition fails at every positive float, the largest float where it never fails.
    """
    low = np.zeros(shape, dtype=np.int64)
    high = np.full(shape, np.float64(np.inf).view(np.int64))
    for _ in range(_STEPS):
        middle = low + (high - low) // 2
        holds = np.asarray(condition(middle.view(np.float64)))
        low, high = np.where(holds, middle, low), np.where(holds, high, middle)
    return low.view(np.float64)


def first_false(condition: Condition, shape: tuple[int, ...]) -> Floats:
    """Return the float just above `last_true`: the smallest x for which the condition fails, 0 where it fails already there."""
    fails_at_zero = ~np.asarray(condition(np.zeros(shape)))
    with np.errstate(over="ignore"):
        return np.where(fails_at_zero, 0.0, np.nextafter(last_true(condition, shape), np.inf))
