"""Factorizations of the prefix-sum matrix: what makes one continual counter better than another.

A counter releases S(t) = x_1 + ... + x_t plus noise at every step t <= T. All of ours are linear: choose A = L R for the lower-triangular
matrix of ones A, draw z once, release S(t) + (L z)_t. That is the Gaussian (Laplace) mechanism on R x, followed by L.

    T horizon      L (T, K), R (K, T)      z (K, dim) independent noise of scale sigma in every coordinate
    sensitivity    Delta_2 = max_j ||R e_j||_2, Delta_1 = max_j ||R e_j||_1, each times the change of one step
    error          Var_t = sigma^2 ||L_t||^2; in the unit 1/(2 rho): ||L_t||^2 Delta_2^2

Guarantee (adaptive streams, Denisov et al. 2022, Theorem 2.1): L R e_s vanishes before step s, so shifting z by R e_s delta leaves
all earlier releases alone; therefore x_s may be chosen from releases 1 to s - 1. For Gaussian noise of scale sigma:
rho = Delta_2^2 / (2 sigma^2).

References
----------
Dwork, Naor, Pitassi, Rothblum, Differential Privacy under Continual Observation, STOC 2010. Chan, Shi, Song, TISSEC 2011. Denisov, McMahan,
Rush, Smith, Thakurta, Improved DP for SGD via Optimal Private Linear Operators on Adaptive Streams, NeurIPS 2022. Fichtenberger,
Henzinger, Upadhyay, Constant Matters, ICML 2023.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Noise = NDArray[np.float64] | NDArray[np.int64]
Draw = Callable[[int], Noise]
"""Draw(n) returns the next n rows of base noise z, shape (n, dim); whole numbers on the integer path."""

MOST_DENSE = 2048  # beyond it matrices of T^2 numbers are refused


class NoiseStream(ABC):
    """Turns base noise into the noise of releases, one step after the other; the same z gives the same noise in `step` and in `run`."""

    n_seen: int = 0

    @abstractmethod
    def step(self, draw: Draw) -> Noise:
        """Return the noise (L z)_t of the next step, shape (dim,)."""

    def run(self, draw: Draw, n_steps: int) -> Noise:
        """Return the noise of the next `n_steps` steps, shape (n_steps, dim)."""
        return cast("Noise", np.stack([self.step(draw) for _ in range(n_steps)]))

    @abstractmethod
    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return a copy of all that changes, beside `n_seen`; it is as secret as the data."""

    @abstractmethod
    def restore(self, state: Mapping[str, NDArray[np.generic]], n_seen: int) -> None:
        """Go back to a state that `state` returned after `n_seen` steps."""


class Factorization(ABC):
    """One way to write A = L R for a horizon.

    Parameters
    ----------
    horizon : T >= 1, the number of releases.
    """

    name: ClassVar[str]
    whole: ClassVar[bool] = False  # L has whole entries: whole noise stays whole, so exact integer samplers apply
    complete: ClassVar[bool] = True  # noise is drawn when its row of R is complete: discrete Gaussian noise stays zCDP on adaptive streams
    same_sign: ClassVar[bool] = True  # R^T R >= 0 entrywise: two opposite changes cost at most sqrt 2 of one

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon

    @property
    @abstractmethod
    def l2_sensitivity(self) -> float:
        """Delta_2 for a change of 1 in one step."""

    @property
    @abstractmethod
    def l1_sensitivity(self) -> float:
        """Delta_1 for a change of 1 in one step."""

    @abstractmethod
    def squared_row_norms(self) -> Floats:
        """Return ||L_t||^2 for t = 1 to T, shape (T,)."""

    @property
    @abstractmethod
    def n_state(self) -> int:
        """Numbers of changing state per dimension, at most."""

    @abstractmethod
    def stream(self, dim: int) -> NoiseStream:
        """Return a fresh noise stream for `dim` coordinates."""

    @abstractmethod
    def right_matrix(self) -> Floats:
        """Return R (K, T), row k for the k-th vector of base noise that a stream draws; small horizons only.

        Raises
        ------
        ValueError : a horizon above 2,048.
        """

    def mean_error(self) -> float:
        """Return the mean over steps of the variance, in the unit 1/(2 rho)."""
        return float(self.squared_row_norms().mean()) * self.l2_sensitivity**2

    def max_error(self) -> float:
        """Return the largest variance of a step, in the unit 1/(2 rho)."""
        return float(self.squared_row_norms().max()) * self.l2_sensitivity**2

    def _require_small(self) -> None:
        if self.horizon > MOST_DENSE:
            raise ValueError(f"matrices are made up to horizon {MOST_DENSE:,}, got {self.horizon:,}")


def left_matrix(factorization: Factorization) -> Floats:
    """Return L (T, K) by streaming unit vectors as noise: what a stream really does.

    Raises
    ------
    ValueError : a horizon above 2,048.
    """
    k = len(factorization.right_matrix())
    used = 0

    def draw(n: int) -> Floats:
        nonlocal used
        rows = np.zeros((n, k))
        rows[np.arange(n), used + np.arange(n)] = 1.0
        used += n
        return rows

    return np.asarray(factorization.stream(k).run(draw, factorization.horizon), dtype=np.float64)
