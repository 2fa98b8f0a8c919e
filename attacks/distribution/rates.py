"""How much one Bernoulli draw tells at most, in three divergences, each right also for rates that are close together.

Each r bounds the total variation of n draws by sqrt(1 - e^(-n r)), and renyi_inf >= kl >= hellinger. With a < b and d = b - a:

    hellinger    -2 ln(1 - H^2),  H^2 = ((sqrt b - sqrt a)^2 + (sqrt(1-a) - sqrt(1-b))^2) / 2
    kl           KL(a, b) = -a m(d/a) - (1-a) m(-d/(1-a)),  m(x) = ln(1+x) - x, and the smaller of the two directions
    renyi_inf    min(ln(b/a), ln((1-a)/(1-b)))

Written naively the first two are differences of nearly equal numbers and lose all digits at a gap of 1e-8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NEAR = 0.05
_TERMS = 14  # 0.05^14 / 14 is below 1e-19


def hellinger_rate(low: Floats, high: Floats) -> Floats:
    """Return -2 ln of the Bhattacharyya coefficient, inf for rates 0 and 1."""
    gap = high - low
    squared = ((gap / (np.sqrt(high) + np.sqrt(low))) ** 2 + (gap / (np.sqrt(1 - low) + np.sqrt(1 - high))) ** 2) / 2
    with np.errstate(divide="ignore"):
        return np.asarray(-2 * np.log1p(-np.minimum(squared, 1.0)), dtype=np.float64)


def kl_rate(low: Floats, high: Floats) -> Floats:
    """Return the smaller of the two Kullback-Leibler divergences, in nats."""
    return np.minimum(_kl(low, high), _kl(high, low))


def renyi_inf_rate(low: Floats, high: Floats) -> Floats:
    """Return the smaller of the two largest log ratios ln(b/a) and ln((1-a)/(1-b))."""
    gap = high - low
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(np.log1p(np.minimum(gap / low, gap / (1 - high))), dtype=np.float64)


RATES: Mapping[str, Callable[[Floats, Floats], Floats]] = {"hellinger": hellinger_rate, "kl": kl_rate, "renyi_inf": renyi_inf_rate}


def _kl(a: Floats, b: Floats) -> Floats:
    return _one_outcome(a, b - a) + _one_outcome(1 - a, a - b)


def _one_outcome(a: Floats, moved: Floats) -> Floats:
    """Return -a m(moved / a), which is `moved` for a = 0."""
    some = a > 0
    with np.errstate(over="ignore", divide="ignore"):
        x = moved / np.where(some, a, 1.0)
        far = np.where(np.isinf(x), moved, a * (x - np.log1p(np.maximum(x, -1.0))))
    near = np.clip(x, -_NEAR, _NEAR)
    series = sum((-1.0) ** k * near**k / k for k in range(2, _TERMS + 1))
    return np.where(some, np.where(np.abs(x) < _NEAR, a * series, far), moved)
