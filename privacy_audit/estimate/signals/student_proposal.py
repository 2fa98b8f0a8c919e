"""Importance sampling from a multivariate t with 7 degrees of freedom around the mode of a smooth posterior with a known gradient.

Draws x_i of the t law get the weight p(x_i) / t(x_i). The effective share (sum w)^2 / (n sum w^2) tells how good the proposal was; where it
is too small the proposal is moved to the weighted mean and covariance and tried again. Heavy tails keep the weights bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Floats = NDArray[np.float64]
Target = Callable[[Floats], tuple[float, Floats]]  # theta -> (negative log density up to a constant, its gradient)

DEGREES = 7.0
ENOUGH = 0.5
ROUNDS = 3
_STEP = 1e-4
_LEAST_CURVATURE = 0.25  # a posterior is no wider than twice a prior of scale 1


@dataclass(frozen=True, slots=True, eq=False)
class WeightedDraws:
    """Draws with weights: `draws` (n, d), `weight` (n,) summing to 1, `effective_share` in (0, 1]."""

    draws: Floats
    weight: Floats
    effective_share: float


def student_draws(target: Target, start: Floats, n: int, *, rng: np.random.Generator) -> WeightedDraws:
    """Return weighted draws of the density exp(-target); the caller checks whether `effective_share` is ENOUGH.

    Parameters
    ----------
    target : negative log density and gradient at theta, (d,).
    start : (d,) where the search for the mode begins.
    n : number of draws.
    """
    mode = find_mode(target, start)
    found = _weighted(target, mode, np.asarray(np.linalg.inv(_hessian(target, mode)), dtype=np.float64), n, rng)
    for _ in range(ROUNDS):
        if found.effective_share >= ENOUGH:
            break
        center = found.weight @ found.draws
        away = found.draws - center
        covariance = np.asarray((away * found.weight[:, None]).T @ away + 1e-12 * np.eye(len(center)), dtype=np.float64)
        found = max(found, _weighted(target, center, covariance, n, rng), key=lambda draws: draws.effective_share)
    return found


def find_mode(target: Target, start: Floats) -> Floats:
    """Return where the density is largest, by BFGS with the exact gradient."""
    scale = max(1.0, abs(target(start)[0]))

    def scaled(theta: Floats) -> tuple[float, Floats]:
        value, gradient = target(theta)
        return value / scale, gradient / scale

    found = optimize.minimize(scaled, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10})
    return np.asarray(found.x, dtype=np.float64)


def _hessian(target: Target, at: Floats) -> Floats:
    """Return the Hessian by central differences of the gradient, with its curvatures made positive."""
    columns = np.array([(target(at + step)[1] - target(at - step)[1]) / (2 * _STEP) for step in np.eye(len(at)) * _STEP])
    curvature, axes = np.linalg.eigh((columns + columns.T) / 2)
    return np.asarray((axes * np.maximum(curvature, _LEAST_CURVATURE)) @ axes.T, dtype=np.float64)


def _weighted(target: Target, center: Floats, covariance: Floats, n: int, rng: np.random.Generator) -> WeightedDraws:
    factor, d = np.linalg.cholesky(covariance), len(center)
    z = rng.standard_normal((n, d)) / np.sqrt(rng.chisquare(DEGREES, n) / DEGREES)[:, None]
    log_t = -(DEGREES + d) / 2 * np.log1p((z**2).sum(axis=1) / DEGREES)
    draws = center + z @ factor.T
    log_weight = -np.array([target(theta)[0] for theta in draws]) - log_t
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    return WeightedDraws(draws, weight, float(1 / (n * (weight @ weight))))
