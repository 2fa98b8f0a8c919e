"""Sums of exponentials that stand for the square-root coefficients, and filters with them: a state of m numbers instead of T.

    c_0 = 1, c_k = sum_{i<m} w_i th_i^{k-1}               f_k = (1/pi) int_0^1 x^{k-1} sqrt(x / (1-x)) dx, x = 1/(1 + e^-u), by m equal
    th = 1/(1 + e^-u), w = (h/pi) th^{3/2} (1-th)^{1/2}       steps h of u from -6 to ln T + 6: closed form, no optimizer
    1/c(x):  g_0 = 1, g_k = -sum_i v_i la_i^{k-1}         la, v from the symmetric matrix diag(th) - sqrt(w) sqrt(w)^T

The inverse is again a sum of exponentials: with states s_i <- th_i s_i + y and y = z - sum_i w_i s_i, scaling the states by sqrt(w_i) makes
the step symmetric, and its eigenvalues la lie below th (interlacing). So both directions are m first-order filters.
Cost: m filters of length T, about 10 ns a step and filter.

References
----------
Dvijotham, McMahan, Pillutla, Steinke, Thakurta, FOCS 2024. McMahan, Xu, Zhang, A Hassle-free Algorithm for Private Learning in Practice:
Don't Use Tree Aggregation, Use BLTs, 2024 (buffered linear Toeplitz).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from mechanisms.continual.factorization import Floats

_LONG = 2**18  # beyond it 16 exponentials instead of 12


@dataclass(frozen=True, slots=True, eq=False)
class ExponentialSum:
    """c_0 = 1, c_k = sum_i weight_i * rate_i^(k-1)."""

    weight: Floats
    rate: Floats

    @property
    def n_terms(self) -> int:
        """Number of exponentials m."""
        return len(self.rate)

    def coefficients(self, n: int) -> Floats:
        """Return c_0 to c_{n-1}."""
        result = np.zeros(n)
        result[0] = 1.0
        for weight, rate in zip(self.weight, self.rate, strict=True):
            result[1:] += weight * rate ** np.arange(n - 1)
        return result

    def filtered(self, values: Floats) -> Floats:
        """Return sum_{j <= t} c_{t-j} values_j along the first axis."""
        result, before = values.copy(), shifted(values)
        for weight, rate in zip(self.weight, self.rate, strict=True):
            result += weight * geometric(rate, before)
        return result

    def filtered_by_squares(self, values: Floats) -> Floats:
        """Return sum_{j <= t} c_{t-j}^2 values_j along the first axis."""
        result, before = values.copy(), shifted(values)
        for i in range(self.n_terms):
            for j in range(i, self.n_terms):
                factor = self.weight[i] * self.weight[j] * (1 if i == j else 2)
                result += factor * geometric(self.rate[i] * self.rate[j], before)
        return result

    def inverse(self) -> ExponentialSum:
        """Return the sum whose filter undoes this one; its weights are negative."""
        root = np.sqrt(self.weight)
        rate, vectors = linalg.eigh(np.diag(self.rate) - np.outer(root, root))
        return ExponentialSum(-((vectors.T @ root) ** 2), rate)


def root_as_exponentials(horizon: int, n_terms: int | None = None) -> ExponentialSum:
    """Return m exponentials for the square-root coefficients; None takes 12, beyond T = 2^18 16."""
    m = n_terms if n_terms is not None else 12 if horizon <= _LONG else 16
    u, step = np.linspace(-6, math.log(horizon) + 6, m, retstep=True)
    rate = 1 / (1 + np.exp(-u))
    return ExponentialSum(step / math.pi * rate**1.5 * np.sqrt(1 / (1 + np.exp(u))), rate)


def geometric(rate: float, values: Floats) -> Floats:
    """Return sum_{j <= t} rate^(t-j) values_j along the first axis."""
    from scipy.signal import lfilter  # loads scipy.stats: not at the top

    return np.asarray(lfilter([1.0], [1.0, -rate], values, axis=0))


def shifted(values: Floats) -> Floats:
    """Return the values one step later, the first one 0."""
    return np.concatenate([np.zeros_like(values[:1]), values[:-1]])
