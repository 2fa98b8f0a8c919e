"""Inversion of a test: the smallest parameter that is not rejected, without assuming that the p-value is monotone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_TOLERANCE = 1e-9


def first_not_rejected(is_rejected: Callable[[float], bool], grid: NDArray[np.float64], *, tolerance: float = _TOLERANCE) -> float:
    """Return the smallest parameter that the test does not reject.

    Parameters
    ----------
    is_rejected : the test.
    grid : increasing parameters; the first one that is not rejected, and its rejected neighbor, bracket the answer.
    tolerance : width of the last bracket.

    Returns
    -------
    The rejected end of the last bracket; grid[0] if that is not rejected, grid[-1] if everything is.
    """
    if not is_rejected(float(grid[0])):
        return float(grid[0])
    low = float(grid[0])
    for point in map(float, grid[1:]):
        if not is_rejected(point):
            return _bisect(is_rejected, low, point, tolerance)
        low = point
    return low


def _bisect(is_rejected: Callable[[float], bool], low: float, high: float, tolerance: float) -> float:
    while high - low > tolerance * max(1.0, high):
        middle = (low + high) / 2
        low, high = (middle, high) if is_rejected(middle) else (low, middle)
    return low
