"""A law known by weighted draws: quantiles, shortest intervals, density."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def quantile(draws: Floats, weight: Floats, q: Floats) -> Floats:
    """Return weighted quantiles, linear between draws; 0 at q = 0 and infinity at q = 1 (the law lives on [0, inf))."""
    order = np.argsort(draws)
    level = np.cumsum(weight[order]) - weight[order] / 2
    inner = np.interp(q, level, draws[order])
    return np.asarray(np.where(q <= 0, 0.0, np.where(q >= 1, np.inf, inner)), dtype=np.float64)


def shortest(draws: Floats, weight: Floats, level: float) -> Floats:
    """Return the shortest interval between draws that holds the probability `level`, (2,)."""
    order = np.argsort(draws)
    x, below = draws[order], np.cumsum(weight[order])
    right = np.searchsorted(below, below - weight[order] + level)
    left = np.flatnonzero(right < len(x))
    if len(left) == 0:
        return np.array([x[0], x[-1]])
    best = left[np.argmin(x[right[left]] - x[left])]
    return np.array([x[best], x[right[best]]])


def density(draws: Floats, weight: Floats, at: Floats) -> Floats:
    """Return a Gaussian kernel density (Silverman 1986, equation 3.31) at the points, same shape."""
    mean = float(weight @ draws)
    spread = float(np.sqrt(weight @ (draws - mean) ** 2))
    quarter = quantile(draws, weight, np.array([0.25, 0.75]))
    spread = min(spread, float(quarter[1] - quarter[0]) / 1.34) or spread or 1e-9
    width = 0.9 * spread * float(weight @ weight) ** 0.2  # weight @ weight is one over the effective number of draws
    flat = np.ravel(at)
    values = [float(weight @ np.exp(-(((x - draws) / width) ** 2) / 2)) for x in flat]
    return np.reshape(np.array(values) / (width * np.sqrt(2 * np.pi)), np.shape(at))
