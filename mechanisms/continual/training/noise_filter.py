"""Filters that make independent noise correlated: F and its inverse G, lower-triangular Toeplitz with ones on the diagonal.

A step of training gets the noise y = diag(gain) G diag(1/scale) z of independent z. Two kinds of G run with a small state:

    TapFilter            g_0 = 1, g_1 to g_{p-1}, then zeros: y_t = u_t + sum_{0<j<p} g_j u_{t-j}; state: the last p - 1 inputs
    ExponentialFilter    F a sum of m exponentials: y = u - sum_i w_i s_i, s_i <- th_i s_i + y; state: m buffers

One tap is independent noise; all T taps of (1 - x)^{1/2} are the square root; the first p of them are the banded inverse square root.

symbols: c coefficients of F, g of G, u = z / scale. `variances` is ||L_t||^2 for L = A diag(gain) G diag(1/scale), A prefix sums.
Cost: of variances O(p T) for taps, O(m^2 T) for exponentials.

References
----------
Kalinin, McMahan, Upadhyay, Lampert, Back to Square Roots: An Optimal Bound on the Matrix Factorization Error for Multi-Epoch Differentially
Private SGD, ICLR 2026 (banded inverse). McMahan, Xu, Zhang, A Hassle-free Algorithm for Private Learning in Practice, 2024 (buffers).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from scipy import linalg

from mechanisms.continual.exponential_sums import ExponentialSum
from mechanisms.continual.factorization import Floats
from mechanisms.continual.row_variances import row_variances

_SHORT = 256  # steps


class NoiseFilter(ABC):
    """F, its inverse G, and what they cost."""

    @property
    @abstractmethod
    def n_state(self) -> int:
        """Numbers of state per coordinate."""

    @abstractmethod
    def coefficients(self, n: int) -> Floats:
        """Return c_0 to c_{n-1}."""

    @abstractmethod
    def inverse_coefficients(self, n: int) -> Floats:
        """Return g_0 to g_{n-1}."""

    @abstractmethod
    def filtered(self, values: Floats) -> Floats:
        """Return F values along the first axis."""

    @abstractmethod
    def filtered_by_squares(self, values: Floats) -> Floats:
        """Return sum_{j <= t} c_{t-j}^2 values_j along the first axis."""

    @abstractmethod
    def variances(self, scale: Floats, gain: Floats) -> Floats:
        """Return ||L_t||^2 for t = 1 to T, of L = A diag(gain) G diag(1/scale)."""


class TapFilter(NoiseFilter):
    """G with finitely many coefficients.

    Parameters
    ----------
    taps : (p,) g_0 = 1 to g_{p-1}.
    """

    def __init__(self, taps: Floats) -> None:
        self.taps = np.array(taps, dtype=np.float64)

    @property
    def n_state(self) -> int:
        """The inputs that are still heard."""
        return len(self.taps) - 1

    def coefficients(self, n: int) -> Floats:
        """See `NoiseFilter`."""
        return self.filtered(np.eye(1, n)[0])

    def inverse_coefficients(self, n: int) -> Floats:
        """See `NoiseFilter`."""
        padded = np.zeros(max(n, len(self.taps)))
        padded[: len(self.taps)] = self.taps
        return padded[:n]

    def filtered(self, values: Floats) -> Floats:
        """See `NoiseFilter`."""
        from scipy.signal import lfilter  # loads scipy.stats: not at the top

        return np.asarray(lfilter([1.0], self.taps, values, axis=0))

    def filtered_by_squares(self, values: Floats) -> Floats:
        """See `NoiseFilter`."""
        return np.convolve(values, self.coefficients(len(values)) ** 2)[: len(values)]

    def variances(self, scale: Floats, gain: Floats) -> Floats:
        """See `NoiseFilter`: only the last p columns of a row still change, the others keep what they have."""
        T, p = len(scale), min(len(scale), len(self.taps))
        open_columns, settled, result = np.zeros(p), 0.0, np.zeros(T)
        for t in range(T):
            settled += (open_columns[-1] / scale[t - p]) ** 2 if t >= p else 0.0
            open_columns = np.concatenate([[0.0], open_columns[:-1]]) + gain[t] * self.taps[:p]
            n_open = min(p, t + 1)
            result[t] = settled + float(np.sum((open_columns[:n_open] / scale[t - np.arange(n_open)]) ** 2))
        return result


class ExponentialFilter(NoiseFilter):
    """F a sum of exponentials with positive weights.

    Parameters
    ----------
    root : coefficients c.
    """

    def __init__(self, root: ExponentialSum) -> None:
        self.root = root

    @property
    def n_state(self) -> int:
        """Buffers."""
        return self.root.n_terms

    def coefficients(self, n: int) -> Floats:
        """See `NoiseFilter`."""
        return self.root.coefficients(n)

    def inverse_coefficients(self, n: int) -> Floats:
        """See `NoiseFilter`."""
        return self.root.inverse().coefficients(n)

    def filtered(self, values: Floats) -> Floats:
        """See `NoiseFilter`."""
        return self.root.filtered(values)

    def filtered_by_squares(self, values: Floats) -> Floats:
        """See `NoiseFilter`; one convolution where it is faster than m^2 / 2 filters."""
        if len(values) <= _SHORT:
            return np.convolve(values, self.coefficients(len(values)) ** 2)[: len(values)]
        return self.root.filtered_by_squares(values)

    def variances(self, scale: Floats, gain: Floats) -> Floats:
        """See `NoiseFilter`; the matrix itself where it is faster than m^2 / 2 filters."""
        T = len(scale)
        if T > _SHORT:
            return row_variances(self.root.inverse(), scale, gain)
        G = np.tril(linalg.toeplitz(self.inverse_coefficients(T)))
        return np.asarray((np.cumsum(gain[:, None] * G, axis=0) ** 2) @ (1 / scale**2))
