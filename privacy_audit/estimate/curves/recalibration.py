"""Probability of membership by logistic recalibration of a score, fitted on other canaries than those it is used on.

Scores are standardized, the slope has a ridge penalty, and Newton's steps are shortened until the loss falls (plain Newton diverges where
the two classes are nearly separated).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

RIDGE = 0.01
_STEPS = 50
_CLOSE = 1e-10


def halves(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return every second canary and the others: a split that looks at neither scores nor coins."""
    places = np.arange(n)
    return places[::2], places[1::2]


def log_twice_probability(score: Floats, member: NDArray[np.bool_], *, fitted: NDArray[np.int64], used: NDArray[np.int64]) -> float:
    """Return sum over `used` of log(2 p_j), p_j the probability given to the coin that fell by a fit to `fitted`."""
    bounded = _bounded(score, fitted)
    center, spread = float(bounded[fitted].mean()), float(bounded[fitted].std())
    z = (bounded - center) / (spread or 1.0)
    intercept, slope = fit_logistic(z[fitted], member[fitted])
    sign = np.where(member[used], 1.0, -1.0)
    return float(np.sum(np.log(2.0) + special.log_expit(sign * (intercept + slope * z[used]))))


def _bounded(score: Floats, fitted: NDArray[np.int64]) -> Floats:
    """Clip scores far beyond those of the fitted half: infinite ones become finite, and no bet depends on another one's score."""
    finite = score[fitted][np.isfinite(score[fitted])]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    room = (high - low) or 1.0
    return np.clip(score, low - room, high + room)


def fit_logistic(z: Floats, member: NDArray[np.bool_]) -> Floats:
    """Return (intercept, slope) of the penalized maximum-likelihood fit of P(member) = sigmoid(intercept + slope z)."""
    design, sign = np.column_stack([np.ones_like(z), z]), np.where(member, 1.0, -1.0)
    penalty = np.full(2, RIDGE)

    def loss(theta: Floats) -> float:
        return float(-special.log_expit(sign * (design @ theta)).sum() + (penalty * theta**2).sum() / 2)

    theta, value = np.zeros(2), loss(np.zeros(2))
    for _ in range(_STEPS):
        p = special.expit(design @ theta)
        gradient = design.T @ (p - member) + penalty * theta
        hessian = (design * (p * (1 - p))[:, None]).T @ design + np.diag(penalty)
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while (new := loss(theta - size * step)) > value and size > _CLOSE:
            size /= 2
        if value - new <= _CLOSE:
            break
        theta, value = theta - size * step, new
    return theta
