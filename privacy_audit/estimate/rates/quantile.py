"""Quantiles of the epsilon posterior: safeguarded Newton steps on the probit scale, all unsolved ones at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from privacy_audit.estimate.rates.beta_law import BetaLaw, FloatArray
from privacy_audit.estimate.rates.pushforward import exceedance

_CLOSE = 3e-6  # a Newton step from here is exact to about 1e-11 standard deviations
_MOST_STEPS = 200


def quantiles(fnr: BetaLaw, fpr: BetaLaw, q: FloatArray, delta: float) -> FloatArray:
    """Return the q-quantile of g(FPR, FNR), elementwise.

    Parameters
    ----------
    fnr, fpr : laws of the two rates, n of each.
    q : probabilities in [0, 1], shape (n,).
    delta : in [0, 1).

    Returns
    -------
    Nats, shape (n,): 0 up to the mass at 0 (there is none for delta = 0), +inf at q = 1.
    """
    solution = np.where(q == 1, np.inf, 0.0)
    at_zero = np.zeros_like(q)
    if delta > 0:
        at_zero = 1 - exceedance(fnr, fpr, np.zeros_like(q), delta)[0]
    open_rows = np.flatnonzero((q > at_zero) & (q < 1))
    if len(open_rows):
        solution[open_rows] = _solve(fnr.take(open_rows), fpr.take(open_rows), q[open_rows], at_zero[open_rows], delta)
    return solution


def _solve(fnr: BetaLaw, fpr: BetaLaw, q: FloatArray, at_zero: FloatArray, delta: float) -> FloatArray:
    n = len(q)
    target: FloatArray = special.ndtri(q)
    point, low, high, cdf_low = _first_guess(fnr, fpr, target, delta), np.zeros(n), np.full(n, np.inf), at_zero.copy()
    rows = np.arange(n)
    for step in range(_MOST_STEPS):
        x = point[rows]
        sf, density = exceedance(fnr.take(rows), fpr.take(rows), x, delta)
        probit: FloatArray = np.where(sf < 0.5, -special.ndtri(sf), special.ndtri(1 - sf))
        above = probit > target[rows]
        high[rows] = np.where(above, x, high[rows])
        low[rows] = np.where(above, low[rows], x)
        cdf_low[rows] = np.where(above, cdf_low[rows], 1 - sf)
        newton = x + _newton_step(target[rows] - probit, probit, density)
        trusted = (newton > low[rows]) & (newton < high[rows])
        fallback = _inside(low[rows], high[rows], x, 1 - sf, cdf_low[rows], q[rows], secant=step % 2 == 0)
        point[rows] = np.where(trusted, newton, fallback)
        close = trusted & (np.abs(target[rows] - probit) < _CLOSE)
        narrow = high[rows] - low[rows] <= 4e-16 * np.minimum(high[rows], 1e300)
        rows = rows[~(close | narrow)]
        if not len(rows):
            break
    return point


def _newton_step(gap: FloatArray, probit: FloatArray, density: FloatArray) -> FloatArray:
    """Return gap / (d probit / d epsilon), infinite where the slope is lost."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        step = gap * np.exp(-0.5 * probit * probit) / (np.sqrt(2 * np.pi) * density)
    return np.where(np.isfinite(step), step, np.inf)


def _inside(
    low: FloatArray, high: FloatArray, x: FloatArray, cdf: FloatArray, cdf_low: FloatArray, q: FloatArray, *, secant: bool
) -> FloatArray:
    """Return a point of the bracket: on the chord of the CDF (nearly a line close to 0), or its middle; further out if it has no end."""
    middle = np.where(np.isfinite(high), low + (np.where(np.isfinite(high), high, 0.0) - low) / 2, 2 * x + 1)
    usable: NDArray[np.bool_] = (high == x) & (cdf > cdf_low) & (cdf > q) & (q > cdf_low)
    if not secant or not usable.any():
        return middle
    chord = low + (x - low) * (q - cdf_low) / np.where(usable, cdf - cdf_low, 1.0)
    return np.where(usable & (chord > low) & (chord < x), chord, middle)


def _first_guess(fnr: BetaLaw, fpr: BetaLaw, target: FloatArray, delta: float) -> FloatArray:
    """Return the delta-method quantile of the largest of the four logarithms."""
    laws = (fnr.mirrored(), fpr, fpr.mirrored(), fnr)  # ln((1-delta-x)/y), ln((1-delta-y)/x) and their mirrors
    centers, scales = [], []
    for above, below in ((0, 1), (2, 3), (3, 2), (1, 0)):
        top = np.maximum(_middle(laws[above]) - delta, 1e-300)
        centers.append(np.log(top) - np.log(_middle(laws[below])))
        scales.append(np.sqrt(_log_variance(laws[above]) + _log_variance(laws[below])))
    best = np.argmax(centers, axis=0)
    column = np.arange(len(target))
    center, scale = np.array(centers)[best, column], np.array(scales)[best, column]
    guess: FloatArray = np.maximum(np.maximum(center, 0.0) + target * scale, 0.1 * np.minimum(scale, 1.0))
    return guess


def _middle(law: BetaLaw) -> FloatArray:
    return (law.a + 0.2) / (law.a + law.b + 0.4)


def _log_variance(law: BetaLaw) -> FloatArray:
    n = law.a + law.b
    return 1 / law.a * (1 + 0.5 / law.a) - 1 / n * (1 + 0.5 / n)
