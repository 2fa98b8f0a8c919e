"""The scaled square root: the square-root counter with rows weighted so that no step and no early release is overpaid.

    C = diag(a) F diag(1/n),  F the square root (as m exponentials),  n_j^2 = sum_{i>=j} a_i^2 F_ij^2    every column of C has norm 1
    L = A C^{-1} = A diag(n) F^{-1} diag(1/a)
    ln a_t = x_1 ln s(T-t+1) + x_2 ln s(t) + x_3 u^2 + x_4 v^2 + x_5 u^3 + x_6 v^3,    u = ln s(t) / ln s(T), v = u at T-t+1

symbols: a public row scale > 0, F_ij = c_{i-j}, s(n) = sum_{k<n} f_k^2; Delta_2 = 1 for every a: a bad scale costs accuracy, never privacy.
a = 1 is the column-normalized square root; x_3 = ... = 0 is the two-parameter scale. The six numbers were fitted to the exact variances
(`row_variances`) at powers of 4 for the mean and for the largest error and are interpolated in ln T between.
Cost of a step: 2 m multiplications; state m + 1 numbers; a and n are public tables of length T.

References
----------
Henzinger, Upadhyay, A Normalized Square Root for Sharper Matrix Factorization Bounds with Exact Error, 2025 (a = 1). Fichtenberger,
Henzinger, Upadhyay, ICML 2023. McMahan, Xu, Zhang 2024 (m exponentials). The row scale is ours.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
from scipy import linalg

from mechanisms.continual.buffered_toeplitz import InverseFilterStream
from mechanisms.continual.exponential_sums import root_as_exponentials
from mechanisms.continual.factorization import Factorization, Floats, NoiseStream
from mechanisms.continual.row_scale import fitted_exponents, row_scale
from mechanisms.continual.row_variances import row_variances
from mechanisms.validation import one_of

Objective = Literal["mean", "max"]


class ScaledSquareRoot(Factorization):
    """Row-scaled square root with m buffers: the default for Gaussian noise.

    Parameters
    ----------
    horizon : T.
    objective : "mean" for the least mean error, "max" for the least largest error.
    exponents : the six numbers x_1 to x_6, or the first few of them (the others are 0); None takes the fitted ones.
    n_buffers : m; None takes 12, beyond T = 2^18 16.
    """

    name = "scaled_square_root"

    def __init__(
        self, horizon: int, *, objective: Objective = "mean", exponents: tuple[float, ...] | None = None, n_buffers: int | None = None
    ) -> None:
        super().__init__(horizon)
        one_of(("mean", "max"), objective=objective)
        self.exponents = fitted_exponents(horizon, objective) if exponents is None else tuple(exponents)
        self.root = root_as_exponentials(horizon, n_buffers)

    @cached_property
    def scale(self) -> Floats:
        """The public row scale a, shape (T,)."""
        return row_scale(self.horizon, self.exponents)

    @cached_property
    def gain(self) -> Floats:
        """The public column norms n, shape (T,)."""
        return np.ascontiguousarray(np.sqrt(self.root.filtered_by_squares(self.scale[::-1] ** 2))[::-1])

    @property
    def l2_sensitivity(self) -> float:
        """1: columns are normalized."""
        return 1.0

    @property
    def l1_sensitivity(self) -> float:
        """Largest column sum, (1/n_j) sum_{i>=j} a_i c_{i-j}."""
        return float(np.max(self.root.filtered(np.ascontiguousarray(self.scale[::-1]))[::-1] / self.gain))

    @cached_property
    def _row_norms(self) -> Floats:
        return row_variances(self.root.inverse(), self.scale, self.gain)

    def squared_row_norms(self) -> Floats:
        """Exact variances of all steps."""
        return self._row_norms.copy()

    @property
    def n_state(self) -> int:
        """Buffers and the noise of the last release."""
        return self.root.n_terms + 1

    def stream(self, dim: int) -> NoiseStream:
        """Return a fresh stream."""
        return InverseFilterStream(self.root, dim, self.scale, self.gain)

    def right_matrix(self) -> Floats:
        """Return C."""
        self._require_small()
        return np.asarray(self.scale[:, None] * np.tril(linalg.toeplitz(self.root.coefficients(self.horizon))) / self.gain)
