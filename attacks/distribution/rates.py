"""How much one Bernoulli draw tells at most, in three divergences, each right also for rates that are close together.

Each r bounds the total variation of n draws by sqrt(1 - e^(-n r)), and renyi_inf >= kl >= hellinger. With a < b and d = b - a:

    hellinger    -2 ln(sqrt(a b) + sqrt((1-a)(1-b))) = -2 ln(1 - H^2),  H^2 = ((sqrt b - sqrt a)^2 + (sqrt(1-a) - sqrt(1-b))^2) / 2
    kl           KL(a, b) = -a m(d/a) - (1-a) m(-d/(1-a)),  m(x) = ln(1+x) - x, and the smaller of the two directions
    renyi_inf    min(ln(b/a), ln((1-a)/(1-b)))

Written naively the first two are differences of nearly equal numbers and lose all digits at a gap of 1e-8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

_NEAR = 0.05
_TERMS = 14  # 0.05^14 / 14 is below 1e-19


def hellinger_rate(low: Floats, high: Floats) -> Floats:
    """Return -2 ln of the Bhattacharyya coefficient, inf for rates 0 and 1."""
    gap = high - low
    squared = ((gap / (np.sqrt(high) + np.sqrt(low))) ** 2 + (gap / (np.sqrt(1 - low) + np.sqrt(1 - high))) ** 2) / 2
    overlap = np.sqrt(low) * np.sqrt(high) + np.sqrt(1 - low) * np.sqrt(1 - high)
    with np.errstate(divide="ignore"):
        log_overlap = np.where(squared < 0.5, np.log1p(-np.minimum(squared, 0.5)), np.log(overlap))
    return np.asarray(-2 * log_overlap, dtype=np.float64)


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
    return _one_outcome(a, b, b - a) + _one_outcome(1 - a, 1 - b, a - b)


def _one_outcome(a: Floats, b: Floats, moved: Floats) -> Floats:
    """Return -a m(moved / a) = a ln(a / b) - a + b, by the series of m where a and b are close."""
    near = np.abs(moved) < _NEAR * a
    x = np.where(near, moved, 0.0) / np.where(near, a, 1.0)
    series = sum((-1.0) ** k * x**k / k for k in range(2, _TERMS + 1))
    with np.errstate(over="ignore", divide="ignore"):
        return np.asarray(np.where(near, a * series, special.kl_div(a, b)), dtype=np.float64)
