"""Sums of exponentials that stand for the square-root coefficients, and filters with them: a state of m numbers instead of T.

    c_0 = 1, c_k = sum_{i<m} w_i th_i^{k-1}               f_k = (1/pi) int_0^1 x^{k-1} sqrt(x / (1-x)) dx, x = 1/(1 + e^-u), by m equal
    th = 1/(1 + e^-u), w = (h/pi) th^{3/2} (1-th)^{1/2}       steps h of u from -6 to ln T + 6: closed form, no optimizer
    1/c(x):  g_0 = 1, g_k = -sum_i v_i la_i^{k-1}         la, v from the symmetric matrix diag(th) - sqrt(w) sqrt(w)^T

The inverse is again a sum of exponentials: with states s_i <- th_i s_i + y and y = z - sum_i w_i s_i, scaling the states by sqrt(w_i) makes
the step symmetric, and its eigenvalues la lie below th (interlacing). So both directions are m first-order filters.
Cost: a filter with n exponentials takes n + 32 multiplications a step in matrix products, about 5 ns a step for n = 12, 30 for n = 136.

References
----------
Dvijotham, McMahan, Pillutla, Steinke, Thakurta, FOCS 2024. McMahan, Xu, Zhang, A Hassle-free Algorithm for Private Learning in Practice:
Don't Use Tree Aggregation, Use BLTs, 2024 (buffered linear Toeplitz).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from mechanisms.continual.factorization import Floats

_BLOCK = 64  # steps
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
        high, low = np.arange(-(-n // _BLOCK)) * _BLOCK, np.arange(_BLOCK)
        return np.concatenate([[1.0], (powers(self.rate, high).T @ (self.weight[:, None] * powers(self.rate, low))).ravel()])[:n]

    def filtered(self, values: Floats) -> Floats:
        """Return sum_{j <= t} c_{t-j} values_j along the first axis."""
        return values + exponential_filter(self.weight, self.rate, values)

    def filtered_by_squares(self, values: Floats) -> Floats:
        """Return sum_{j <= t} c_{t-j}^2 values_j along the first axis."""
        i, j = np.triu_indices(self.n_terms)
        weight = self.weight[i] * self.weight[j] * np.where(i == j, 1, 2)
        return values + exponential_filter(weight, self.rate[i] * self.rate[j], values)

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


def exponential_filter(weight: Floats, rate: Floats, values: Floats) -> Floats:
    """Return sum_i weight_i sum_{j < t} rate_i^(t-1-j) values_j along the first axis: in a block by a matrix, between blocks by states."""
    if values.ndim > 1:
        return np.stack([exponential_filter(weight, rate, column) for column in values.T], axis=-1)
    blocks, power = in_blocks(values), powers(rate, np.arange(_BLOCK))
    inside = np.tril(linalg.toeplitz(np.concatenate([[0.0], weight @ power[:, :-1]])))
    result = blocks @ inside.T + block_states(rate, blocks @ power[:, ::-1].T) @ (weight[:, None] * power)
    return np.asarray(result.ravel()[: len(values)])


def in_blocks(values: Floats) -> Floats:
    """Return the values (T,) as blocks (n, 64), the last one filled up with zeros."""
    blocks = np.zeros((-(-len(values) // _BLOCK), _BLOCK))
    blocks.ravel()[: len(values)] = values
    return blocks


def block_states(rate: Floats, inputs: Floats) -> Floats:
    """Return what each exponential holds at the start of each block, shape (n, m), for what the blocks put in, shape (n, m)."""
    return np.stack([shifted(geometric(r**_BLOCK, column)) for r, column in zip(rate.tolist(), inputs.T, strict=True)], axis=1)


def powers(rate: Floats, exponents: NDArray[np.int64]) -> Floats:
    """Return rate_i^k, shape (m, len(exponents))."""
    return np.asarray(rate[:, None] ** exponents)


def geometric(rate: float, values: Floats) -> Floats:
    """Return sum_{j <= t} rate^(t-j) values_j along the first axis."""
    from scipy.signal import lfilter  # loads scipy.stats: not at the top

    return np.asarray(lfilter([1.0], [1.0, -rate], values, axis=0))


def shifted(values: Floats) -> Floats:
    """Return the values one step later, the first one 0."""
    return np.concatenate([np.zeros_like(values[:1]), values[:-1]])
