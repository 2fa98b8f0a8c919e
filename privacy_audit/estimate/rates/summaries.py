"""Mean and shortest interval of the epsilon posterior, for many laws at once."""

from __future__ import annotations

import numpy as np
from scipy import special

from privacy_audit.estimate.rates.beta_law import BetaLaw, FloatArray
from privacy_audit.estimate.rates.pushforward import exceedance
from privacy_audit.estimate.rates.quantile import quantiles

_PANEL_PROBITS = (-7.0, -3.5, 0.0, 3.5, 7.0)  # the mean is the integral of P(g > e); panels end at these quantiles
_PANEL_NODES = 24
_TRIALS = 13
_HALVINGS = 30


def mean(fnr: BetaLaw, fpr: BetaLaw, delta: float) -> FloatArray:
    """Return E[g] = integral over e of P(g > e), shape (n,); about 1e-11 of it lies beyond the last panel."""
    n, panels = len(fnr.a), len(_PANEL_PROBITS)
    index = np.repeat(np.arange(n), panels)
    ends = quantiles(fnr.take(index), fpr.take(index), np.tile(special.ndtr(_PANEL_PROBITS), n), delta).reshape(n, panels)
    x, w = np.polynomial.legendre.leggauss(_PANEL_NODES)
    half = np.diff(ends, axis=1)[:, :, None] / 2
    nodes = ends[:, :-1, None] + half * (1 + x)
    index = np.repeat(np.arange(n), nodes[0].size)
    sf = exceedance(fnr.take(index), fpr.take(index), nodes.ravel(), delta)[0].reshape(nodes.shape)
    total: FloatArray = ends[:, 0] + (sf * half * w).sum(axis=(1, 2))
    return total


def shortest_intervals(fnr: BetaLaw, fpr: BetaLaw, level: float, delta: float) -> FloatArray:
    """Return the shortest intervals with posterior probability `level`, shape (n, 2).

    The lower tail probability u minimizes Q(u + level) - Q(u). The mass at 0 counts as lying at 0, where Q stays.
    """
    n = len(fnr.a)
    trial = np.linspace(0, 1 - level, _TRIALS)
    low, high = _ends(fnr, fpr, np.tile(trial[:-1], (n, 1)), level, delta)
    best = np.argmin(high - low, axis=1)
    left, right = trial[np.maximum(best - 1, 0)], trial[best + 1]
    u = _stationary(fnr, fpr, left, right, level, delta)
    low, high = _ends(fnr, fpr, np.stack([np.zeros(n), trial[best], u], axis=1), level, delta)
    chosen = np.arange(n), np.argmin(high - low, axis=1)
    return np.stack([low[chosen], high[chosen]], axis=1)


def _stationary(fnr: BetaLaw, fpr: BetaLaw, left: FloatArray, right: FloatArray, level: float, delta: float) -> FloatArray:
    """Return the u in [left, right] where the density is the same at both ends: bisection on the sign of the width's slope."""
    for _ in range(_HALVINGS):
        middle = (left + right) / 2
        low, high = _ends(fnr, fpr, middle[:, None], level, delta)
        rising = (low[:, 0] == 0) | (exceedance(fnr, fpr, low[:, 0], delta)[1] > exceedance(fnr, fpr, high[:, 0], delta)[1])
        left, right = np.where(rising, left, middle), np.where(rising, middle, right)
    return left


def _ends(fnr: BetaLaw, fpr: BetaLaw, u: FloatArray, level: float, delta: float) -> tuple[FloatArray, FloatArray]:
    """Return the quantiles at u and at u + level, shape (n, k) each."""
    q = np.concatenate([u, u + level], axis=1)
    index = np.repeat(np.arange(len(q)), q.shape[1])
    ends = quantiles(fnr.take(index), fpr.take(index), q.ravel(), delta).reshape(q.shape)
    return ends[:, : u.shape[1]], ends[:, u.shape[1] :]
