"""Quantiles of the mean of two Beta rates: safeguarded Newton steps on the probit scale, all unsolved ones at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from privacy_audit.estimate.rates.beta_law import BetaLaw, FloatArray
from privacy_audit.estimate.worlds.mean_rate import beta_variance, mean_of_rates

_CLOSE = 3e-6  # a Newton step from here is exact to about 1e-11 standard deviations
_MOST_STEPS = 120


def mean_rate_quantiles(first: BetaLaw, second: BetaLaw, q: FloatArray) -> FloatArray:
    """Return the q-quantile of (X + Y) / 2, elementwise.

    Parameters
    ----------
    first, second : laws of the two rates, n of each.
    q : probabilities in [0, 1], shape (n,).

    Returns
    -------
    Points in [0, 1], shape (n,).
    """
    point = np.where(q == 1, 1.0, 0.0)
    rows = np.flatnonzero((q > 0) & (q < 1))
    if not len(rows):
        return point
    target: FloatArray = special.ndtri(q)
    point[rows] = _first_guess(first.take(rows), second.take(rows), target[rows])
    low, high = np.zeros_like(point), np.ones_like(point)
    for _ in range(_MOST_STEPS):
        x = point[rows]
        below, above, density = mean_of_rates(first.take(rows), second.take(rows), x)
        probit: FloatArray = np.where(above < 0.5, -special.ndtri(above), special.ndtri(below))
        gap = target[rows] - probit
        high[rows], low[rows] = np.where(gap < 0, x, high[rows]), np.where(gap < 0, low[rows], x)
        newton = x + _newton_step(gap, probit, density)
        trusted: NDArray[np.bool_] = (newton > low[rows]) & (newton < high[rows])
        point[rows] = np.where(trusted, newton, (low[rows] + high[rows]) / 2)
        rows = rows[~((trusted & (np.abs(gap) < _CLOSE)) | (high[rows] - low[rows] <= 2e-16))]
        if not len(rows):
            break
    return point


def _first_guess(first: BetaLaw, second: BetaLaw, target: FloatArray) -> FloatArray:
    """Return the quantile of a normal law of logit(A)."""
    mean = (first.a / (first.a + first.b) + second.a / (second.a + second.b)) / 2
    spread = np.sqrt(beta_variance(first) + beta_variance(second)) / 2
    guess: FloatArray = special.expit(np.log(mean / (1 - mean)) + target * spread / (mean * (1 - mean)))
    return np.clip(guess, 1e-12, 1 - 1e-12)


def _newton_step(gap: FloatArray, probit: FloatArray, density: FloatArray) -> FloatArray:
    """Return gap / (d probit / d a), infinite where the slope is lost."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        step = gap * np.exp(-0.5 * probit * probit) / (np.sqrt(2 * np.pi) * density)
    return np.where(np.isfinite(step), step, np.inf)
