"""An interval for the mean of a distribution on [0, 1] from n independent draws, at levels far below what floats hold.

Hoeffding's stronger inequality, P(mean of draws >= x) <= exp(-n KL(x || p)) for x >= p, inverted on both sides:

    { p : n KL(x || p) <= ln(2 / level) }        always inside x -+ sqrt(ln(2 / level) / (2 n)), much shorter where x is near 0 or 1

The level comes as ln(1 / level), so that it may be divided by a number of transcripts with thousands of digits. Ends are rounded outward.
Cost: 60 evaluations an end.

References
----------
Hoeffding, Probability Inequalities for Sums of Bounded Random Variables, JASA 1963, theorem 1.
"""

from __future__ import annotations

import math

_HALVINGS = 60
_ROUNDING = 2.0**-49  # above the float error of a divergence of numbers in [0, 1]


def mean_interval(mean: float, n: int, log_inverse_level: float) -> tuple[float, float]:
    """Return the interval (low, high) around the mean of n draws that misses the true mean with probability at most `level`.

    Parameters
    ----------
    mean : of the draws, in [0, 1].
    n : number of draws.
    log_inverse_level : ln(1 / level) > 0.

    Examples
    --------
    >>> low, high = mean_interval(0.0, 100, 3.0)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.0363)
    """
    reach = (math.log(2) + log_inverse_level) / n + _ROUNDING
    return 1 - _upper_end(1 - mean, reach), _upper_end(mean, reach)


def half_width(n: int, log_inverse_level: float) -> float:
    """Return the largest distance from the mean to an end, that of Hoeffding's simpler inequality, at most 1.

    Examples
    --------
    >>> round(half_width(5000, 3.0), 4)
    0.0192
    """
    return min(1.0, math.sqrt((math.log(2) + log_inverse_level) / (2 * n)))


def _upper_end(mean: float, reach: float) -> float:
    """Return the least float found outside of { p >= mean : KL(mean || p) <= reach }, or 1."""
    inside, outside = mean, 1.0
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if _divergence(mean, middle) <= reach:
            inside = middle
        else:
            outside = middle
    return outside


def _divergence(x: float, p: float) -> float:
    """Return KL(x || p) for x <= p; infinite at p = 1 unless x is 1."""
    if p >= 1:
        return 0.0 if x >= 1 else math.inf
    first = x * math.log(x / p) if x > 0 else 0.0
    return first + ((1 - x) * math.log((1 - x) / (1 - p)) if x < 1 else 0.0)
