"""Quantiles, mean and shortest interval of a law of epsilon that is known by P(epsilon > e) and its density."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from privacy_audit.estimate.rates.beta_law import FloatArray

Exceedance = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

_CLOSE = 1e-5  # a Newton step from here is exact to about 1e-10 standard deviations
_MOST_STEPS = 200
_PANEL_PROBITS = (-7.0, -3.5, 0.0, 3.5, 7.0)
_PANEL_NODES = 24


def quantiles(exceedance: Exceedance, q: FloatArray, *, at_zero: float, guess: float) -> FloatArray:
    """Return the quantiles at q, shape (n,): 0 up to the mass at 0, infinite at q = 1.

    Parameters
    ----------
    exceedance : maps points >= 0, shape (m,), to P(epsilon > point) and the density there.
    q : probabilities in [0, 1], shape (n,).
    at_zero : P(epsilon = 0).
    guess : a point near the middle of the law.
    """
    solution = np.where(q == 1, np.inf, 0.0)
    rows = np.flatnonzero((q > at_zero) & (q < 1))
    target: FloatArray = special.ndtri(q)
    point, low, high = np.full(len(q), max(guess, 1e-3)), np.zeros(len(q)), np.full(len(q), np.inf)
    for _ in range(_MOST_STEPS):
        if not len(rows):
            break
        x = point[rows]
        sf, density = exceedance(x)
        probit: FloatArray = np.where(sf < 0.5, -special.ndtri(sf), special.ndtri(1 - sf))
        gap = target[rows] - probit
        high[rows], low[rows] = np.where(gap < 0, x, high[rows]), np.where(gap < 0, low[rows], x)
        newton = x + _newton_step(gap, probit, density)
        middle = np.where(np.isfinite(high[rows]), (low[rows] + np.where(np.isfinite(high[rows]), high[rows], 0.0)) / 2, 2 * x + 1)
        trusted: NDArray[np.bool_] = (newton > low[rows]) & (newton < high[rows])
        point[rows] = np.where(trusted, newton, middle)
        close = (trusted & (np.abs(gap) < _CLOSE)) | (high[rows] - low[rows] <= 1e-14 * np.minimum(high[rows], 1e300))
        rows = rows[~close]
    inner = (q > at_zero) & (q < 1)
    return np.where(inner, point, solution)


def mean(exceedance: Exceedance, quantile: Callable[[FloatArray], FloatArray]) -> float:
    """Return the integral of P(epsilon > e), panel by panel between quantiles; about 1e-11 of it lies beyond the last."""
    ends = quantile(np.asarray(special.ndtr(_PANEL_PROBITS)))
    x, w = np.polynomial.legendre.leggauss(_PANEL_NODES)
    half = np.diff(ends)[:, None] / 2
    nodes = ends[:-1, None] + half * (1 + x)
    sf = exceedance(nodes.ravel())[0].reshape(nodes.shape)
    return float(ends[0] + (sf * half * w).sum())


def shortest_interval(quantile: Callable[[FloatArray], FloatArray], level: float) -> FloatArray:
    """Return the shortest interval of probability `level`, shape (2,); the mass at 0 counts as lying at 0."""

    def width(u: float) -> float:
        low, high = quantile(np.array([u, u + level]))
        return float(high - low)

    inner = float(optimize.minimize_scalar(width, bounds=(0.0, 1 - level), method="bounded", options={"xatol": 1e-6}).x)
    best = min((0.0, inner), key=width)
    return quantile(np.array([best, best + level]))


def _newton_step(gap: FloatArray, probit: FloatArray, density: FloatArray) -> FloatArray:
    """Return gap / (d probit / d epsilon), infinite where the slope is lost."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        step = gap * np.exp(-0.5 * probit * probit) / (np.sqrt(2 * np.pi) * density)
    return np.where(np.isfinite(step), step, np.inf)
