"""Integration over a few parameters by weighted points: a Student t proposal fitted to the posterior, and evenly spread points.

Nothing is drawn at random: the points are those of an additive recurrence (Roberts 2018), so a result is the same each time. How many
independent draws the weights are worth says whether the proposal fits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize, special

from privacy_audit.estimate.model_effects.drawn_law import log_normalized
from privacy_audit.estimate.rates.beta_law import FloatArray

LogDensity = Callable[[FloatArray], FloatArray]

_FREEDOM = 5.0
_PILOT_POINTS = 512
_PILOTS = 3
_STEP = 1e-2  # for differences of the log density
_FLATTEST = 0.1  # curvatures below are taken as this
_CUTS = np.array([1.0, 0.5, 0.2, 0.05, 0.01])
_MOST_CLIMBS = 60
_LONGEST_STEP = 1.0
_CLIMBED = 1e-4  # nats left to the peak


def weighted_points(log_density: LogDensity, start: FloatArray, *, n_points: int) -> tuple[FloatArray, FloatArray]:
    """Return points and weights that stand for the density.

    Parameters
    ----------
    log_density : maps points of shape (n, d) to log densities of shape (n,), up to a constant.
    start : a point of shape (d,) from which the peak is sought.
    n_points : number of points.

    Returns
    -------
    Points (n_points, d) and weights (n_points,), sum 1.
    """
    center, covariance = _climb(log_density, start)
    for _ in range(_PILOTS):
        points, weight = _propose(log_density, center, covariance, _PILOT_POINTS)
        share = np.minimum(weight, 20 / _PILOT_POINTS)  # no single point may set the shape
        share /= share.sum()
        center = share @ points
        away = points - center
        covariance = (away * share[:, None]).T @ away
    return _propose(log_density, center, covariance, n_points)


def effective_draws(weight: FloatArray) -> float:
    """Return how many independent draws the weights are worth, 1 / sum of squares."""
    return float(1 / (weight**2).sum())


def evenly_spread(n: int, d: int) -> FloatArray:
    """Return n points in (0, 1)^d: the additive recurrence with the powers of the root of x^(d+1) = x + 1."""
    root = optimize.brentq(lambda x: x ** (d + 1) - x - 1, 1.0, 2.0)
    points: FloatArray = (0.5 + np.arange(1, n + 1)[:, None] * root ** -np.arange(1.0, d + 1)) % 1
    return np.clip(points, 1e-12, 1 - 1e-12)


def _propose(log_density: LogDensity, center: FloatArray, covariance: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Spread points like a multivariate t with this center and covariance, and weigh them."""
    d = len(center)
    u = evenly_spread(n, d + 1)
    normal = special.ndtri(u[:, :d])
    stretch = np.sqrt(_FREEDOM / special.chdtri(_FREEDOM, u[:, d]))
    factor = np.linalg.cholesky(covariance * (_FREEDOM - 2) / _FREEDOM + 1e-12 * np.eye(d))
    standard = normal * stretch[:, None]
    points = center + standard @ factor.T
    log_proposal = -0.5 * (_FREEDOM + d) * np.log1p((standard**2).sum(axis=1) / _FREEDOM)
    return points, log_normalized(log_density(points) - log_proposal)


def _climb(log_density: LogDensity, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the peak and the inverse curvature there, by Newton steps cut back until they climb."""
    center = start
    for _ in range(_MOST_CLIMBS):
        gradient, covariance = _shape(log_density, center)
        step = covariance @ gradient
        step /= max(float(np.abs(step).max()) / _LONGEST_STEP, 1.0)
        trials = center + _CUTS[:, None] * step
        values = log_density(np.concatenate([center[None, :], trials]))
        best = int(np.argmax(values))
        if best == 0 or float(gradient @ step) < _CLIMBED:
            break
        center = trials[best - 1]
    return center, _shape(log_density, center)[1]


def _shape(log_density: LogDensity, center: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the gradient and the inverse of minus the Hessian by central differences; flat or rising directions get a wide variance."""
    d = len(center)
    unit = np.eye(d) * _STEP
    corners = np.array([center + a * unit[i] + b * unit[j] for i in range(d) for j in range(d) for a in (1, -1) for b in (1, -1)])
    ends = np.concatenate([center + unit, center - unit])
    values = log_density(np.concatenate([corners, ends]))
    corner, end = values[: 4 * d * d].reshape(d, d, 4), values[4 * d * d :]
    hessian = (corner[..., 0] - corner[..., 1] - corner[..., 2] + corner[..., 3]) / (4 * _STEP**2)
    eigenvalue, vector = np.linalg.eigh(-(hessian + hessian.T) / 2)
    covariance: FloatArray = (vector / np.maximum(np.abs(eigenvalue), _FLATTEST)) @ vector.T
    return (end[:d] - end[d:]) / (2 * _STEP), covariance
