"""The dense optimum for small horizons, with its certificate: the least largest error that any factorization has.

    gamma_2(A)^2 = max over probability vectors u, v of || diag(sqrt u) A diag(sqrt v) ||_*^2        (dual value: a lower bound)
    M = diag(sqrt u) A diag(sqrt v) = U S V^T;   u <- diag(U S U^T) / tr S,   v <- diag(V S V^T) / tr S          (fixed point)
    L = diag(sqrt u)^{-1} U sqrt(S),   R = sqrt(S) V^T diag(sqrt v)^{-1}                           (primal value: an error that is reached)

For the mean error u = 1/T is kept. At the fixed point both values agree; `gap` is what is left, and every dual value bounds every
factorization's error. L is rotated to be lower triangular (R = Q R', norms unchanged), so it may be streamed.
Cost: one singular value decomposition a round, O(T^3); a step is one row of L times all draws so far.

References
----------
Linial, Shraibman, Lower Bounds in Communication Complexity Based on Factorization Norms, 2009. Denisov et al., NeurIPS 2022 (fixed point).
Edmonds, Nikolov, Ullman, STOC 2020. Henzinger, Upadhyay, Upadhyay, SODA 2023.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from mechanisms.continual.factorization import Draw, Factorization, Floats, Noise, NoiseStream
from mechanisms.validation import one_of, positive

_MOST_ROUNDS = 2000


class Dense(Factorization):
    """Optimal factorization by a fixed point.

    Parameters
    ----------
    horizon : T, at most 2,048.
    objective : "mean" or "max".
    tolerance : relative gap between the primal and the dual value at which the fixed point stops.

    Raises
    ------
    ValueError : a horizon above 2,048.

    Attributes
    ----------
    lower_bound : dual value; no factorization has a smaller error of this objective.
    gap : primal over dual value minus 1.
    """

    name = "dense"
    same_sign = False

    def __init__(self, horizon: int, *, objective: Literal["mean", "max"] = "mean", tolerance: float = 1e-4) -> None:
        super().__init__(horizon)
        self._require_small()
        self.objective = one_of(("mean", "max"), objective=objective)
        self.tolerance = positive(tolerance=tolerance)

    @cached_property
    def _optimum(self) -> tuple[Floats, Floats, float]:
        """L, R and the dual value."""
        T = self.horizon
        A = np.tril(np.ones((T, T)))
        u = v = np.full(T, 1 / T)
        for _ in range(_MOST_ROUNDS):
            left, singular, right = linalg.svd(np.sqrt(u)[:, None] * A * np.sqrt(v), overwrite_a=True)
            total = singular.sum()
            L, R = left * np.sqrt(singular) / np.sqrt(u)[:, None], np.sqrt(singular)[:, None] * right / np.sqrt(v)
            if self._error(L, R) <= (1 + self.tolerance) * total**2:
                break
            v = (right.T**2 @ singular) / total
            if self.objective == "max":
                u = (left**2 @ singular) / total
        rotation, upper = linalg.qr(L.T)
        return np.tril(upper.T), rotation.T @ R, float(total**2)

    def _error(self, L: Floats, R: Floats) -> float:
        rows = (L**2).sum(axis=1)
        return float((rows.mean() if self.objective == "mean" else rows.max()) * (R**2).sum(axis=0).max())

    @property
    def lower_bound(self) -> float:
        """Dual value in the unit 1/(2 rho)."""
        return self._optimum[2]

    @property
    def gap(self) -> float:
        """Primal over dual value, minus 1."""
        return self._error(*self._optimum[:2]) / self.lower_bound - 1

    @property
    def l2_sensitivity(self) -> float:
        """Largest column norm of R."""
        return math.sqrt(float((self._optimum[1] ** 2).sum(axis=0).max()))

    @property
    def l1_sensitivity(self) -> float:
        """Largest column sum of |R|."""
        return float(np.abs(self._optimum[1]).sum(axis=0).max())

    def squared_row_norms(self) -> Floats:
        """Norms of the rows of L."""
        return np.asarray((self._optimum[0] ** 2).sum(axis=1))

    @property
    def n_state(self) -> int:
        """All draws so far."""
        return self.horizon

    def stream(self, dim: int) -> NoiseStream:
        """Return a fresh stream."""
        return _DenseStream(self._optimum[0], dim)

    def right_matrix(self) -> Floats:
        """Return R."""
        return self._optimum[1].copy()


class _DenseStream(NoiseStream):
    def __init__(self, left: Floats, dim: int) -> None:
        self._left = left
        self._drawn = np.zeros((len(left), dim))

    def step(self, draw: Draw) -> Noise:
        self._drawn[self.n_seen] = draw(1)[0]
        self.n_seen += 1
        return np.asarray(self._left[self.n_seen - 1, : self.n_seen] @ self._drawn[: self.n_seen])

    def run(self, draw: Draw, n_steps: int) -> Noise:
        first, last = self.n_seen, self.n_seen + n_steps
        self._drawn[first:last] = draw(n_steps)
        self.n_seen = last
        return np.asarray(self._left[first:last, :last] @ self._drawn[:last])

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"drawn": self._drawn[: self.n_seen].copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]], n_seen: int) -> None:
        self._drawn[:n_seen] = state["drawn"]
        self.n_seen = n_seen
