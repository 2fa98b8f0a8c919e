"""The privacy curve of two normal laws with different variances, and its inverse.

delta(epsilon) = P1[L > epsilon] - exp(epsilon) P0[L > epsilon], L = ln p1 - ln p0. For N(m, s^2) over N(0, 1), as
shift and scale make it,

    L > epsilon   <=>   A x^2 + B x + C > 0,   A = (1 - 1/s^2) / 2,   B = m / s^2,   C = -m^2 / (2 s^2) - ln s - epsilon,

a half line, the outside of an interval, or the inside of one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr

from mechanisms.accounting.bisection import first_false

FloatArray = NDArray[np.float64]


def normal_hockey_stick(*, mean_1: ArrayLike, sd_1: ArrayLike, mean_0: ArrayLike, sd_0: ArrayLike, epsilon: ArrayLike) -> FloatArray:
    """Return delta(epsilon) of N(mean_1, sd_1^2) over N(mean_0, sd_0^2), in this order only; shapes broadcast, sd > 0.

    Examples
    --------
    >>> float(normal_hockey_stick(mean_1=1, sd_1=1.3, mean_0=0, sd_0=1, epsilon=1).round(10))
    0.1741359292
    """
    given = (mean_1, sd_1, mean_0, sd_0, epsilon)
    m1, s1, m0, s0, epsilon_ = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in given))
    m, s = (m1 - m0) / s0, s1 / s0
    a, b = (1 - 1 / s**2) / 2, m / s**2
    c = -(m**2) / (2 * s**2) - np.log(s) - epsilon_
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        discriminant = b * b - 4 * a * c
        q = -(b + np.copysign(np.sqrt(np.maximum(discriminant, 0.0)), b)) / 2
        one, other = q / a, c / q  # a = 0 puts one root at infinity, where it belongs
        low, high = np.fmin(one, other), np.fmax(one, other)
        log_1, log_0 = _log_probability(a, (low - m) / s, (high - m) / s), _log_probability(a, low, high)
        delta = np.exp(log_1) - np.exp(epsilon_ + log_0)
    everywhere, nowhere = (discriminant <= 0) & (a > 0), (discriminant <= 0) & (a <= 0)
    delta = np.where(everywhere, -np.expm1(epsilon_), np.where(nowhere, 0.0, delta))
    return np.asarray(np.clip(delta, 0.0, 1.0), dtype=np.float64)


def normal_pair_epsilon(*, mean_1: ArrayLike, sd_1: ArrayLike, mean_0: ArrayLike, sd_0: ArrayLike, delta: float) -> FloatArray:
    """Return the smallest epsilon >= 0 at which both orders of the two laws have a hockey-stick of at most delta > 0; shapes broadcast."""
    m1, s1, m0, s0 = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in (mean_1, sd_1, mean_0, sd_0)))

    def too_much(epsilon: FloatArray) -> NDArray[np.bool_]:
        forth = normal_hockey_stick(mean_1=m1, sd_1=s1, mean_0=m0, sd_0=s0, epsilon=epsilon)
        back = normal_hockey_stick(mean_1=m0, sd_1=s0, mean_0=m1, sd_0=s1, epsilon=epsilon)
        return np.asarray(np.maximum(forth, back) > delta)

    return first_false(too_much, m1.shape)


def _log_probability(a: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return ln P[Z outside (low, high)] where a >= 0, ln P[Z inside] where a < 0, for a standard normal Z."""
    outside = np.logaddexp(log_ndtr(low), log_ndtr(-high))
    mirrored = low > 0  # take the difference of the two smaller tails
    near, far = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    inside = log_ndtr(far) + np.log1p(-np.exp(log_ndtr(near) - log_ndtr(far)))
    return np.asarray(np.where(a >= 0, outside, inside), dtype=np.float64)
