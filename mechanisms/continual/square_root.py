"""The square-root counter: L = R, the Toeplitz matrix with R^2 = A.

    f_0 = 1, f_k = f_{k-1} (2k - 1)/(2k)      coefficients of (1 - x)^{-1/2}
    g_0 = 1, g_k = g_{k-1} (2k - 3)/(2k)      coefficients of (1 - x)^{1/2}, the inverse
    s(n) = sum_{k < n} f_k^2, about ln(n)/pi + 1.0663

symbols: Delta_2^2 = s(T)     ||L_t||^2 = s(t)     Delta_1 = sum_{k < T} f_k, of order sqrt(T)
It has the least maximal error of all Toeplitz factorizations. Cost: all earlier draws are kept (state T) and a step takes O(t); a batch
is one FFT convolution. `buffered_toeplitz` is as accurate with a state of a dozen numbers.

References
----------
Fichtenberger, Henzinger, Upadhyay, Constant Matters: Fine-grained Error Bound on Differentially Private Continual Observation, ICML 2023.
Henzinger, Upadhyay, Upadhyay, Almost Tight Error Bounds on Differentially Private Continual Counting, SODA 2023. Dvijotham, McMahan,
Pillutla, Steinke, Thakurta, Efficient and Near-Optimal Noise Generation for Streaming Differential Privacy, FOCS 2024.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from mechanisms.continual.factorization import Draw, Factorization, Floats, Noise, NoiseStream


class SquareRoot(Factorization):
    """Square root of the prefix-sum matrix, with all draws kept."""

    name = "square_root"

    @property
    def l2_sensitivity(self) -> float:
        """sqrt(s(T)), the norm of the first column."""
        return math.sqrt(float(np.sum(root_coefficients(self.horizon) ** 2)))

    @property
    def l1_sensitivity(self) -> float:
        """Sum of the coefficients."""
        return float(np.sum(root_coefficients(self.horizon)))

    def squared_row_norms(self) -> Floats:
        """s(t)."""
        return np.cumsum(root_coefficients(self.horizon) ** 2)

    @property
    def n_state(self) -> int:
        """All draws so far."""
        return self.horizon

    def stream(self, dim: int) -> NoiseStream:
        """Return a fresh stream."""
        return _SquareRootStream(self.horizon, dim)

    def right_matrix(self) -> Floats:
        """Toeplitz matrix of the coefficients."""
        self._require_small()
        return np.asarray(np.tril(linalg.toeplitz(root_coefficients(self.horizon))))


def root_coefficients(n: int) -> Floats:
    """Return f_0 to f_{n-1}."""
    k = np.arange(1, n)
    return np.cumprod(np.concatenate([[1.0], (2 * k - 1) / (2 * k)]))


def inverse_root_coefficients(n: int) -> Floats:
    """Return g_0 to g_{n-1}."""
    k = np.arange(1, n)
    return np.cumprod(np.concatenate([[1.0], (2 * k - 3) / (2 * k)]))


class _SquareRootStream(NoiseStream):
    def __init__(self, horizon: int, dim: int) -> None:
        self._f = root_coefficients(horizon)
        self._drawn = np.zeros((horizon, dim))

    def step(self, draw: Draw) -> Noise:
        self._drawn[self.n_seen] = draw(1)[0]
        self.n_seen += 1
        return np.asarray(self._f[: self.n_seen][::-1] @ self._drawn[: self.n_seen])

    def run(self, draw: Draw, n_steps: int) -> Noise:
        from scipy.signal import fftconvolve  # loads scipy.stats: not at the top

        first, last = self.n_seen, self.n_seen + n_steps
        self._drawn[first:last] = draw(n_steps)
        self.n_seen = last
        return np.asarray(fftconvolve(self._drawn[:last], self._f[:last, None], axes=0)[first:last])

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"drawn": self._drawn[: self.n_seen].copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]], n_seen: int) -> None:
        self._drawn[:n_seen] = state["drawn"]
        self.n_seen = n_seen
